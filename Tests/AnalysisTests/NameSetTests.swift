import Testing

@testable import Analysis

@Test func prefixesAndNamesAreExact() {
  let ethernet = NameSet.startingWith("eth")
  #expect(ethernet.intersection(.exactly("eth0")) == .exactly("eth0"))
  #expect(ethernet.intersection(.exactly("lo")).isEmpty)
  #expect(ethernet.intersection(.exactly("eth")) == .exactly("eth"))
  let others = ethernet.subtracting(.exactly("eth0"))
  #expect(others.intersection(.exactly("eth0")).isEmpty)
  #expect(!others.intersection(.exactly("eth00")).isEmpty)
  #expect(others.union(.exactly("eth0")) == ethernet)
}

@Test func theEmptyPrefixIsEveryName() {
  #expect(NameSet.startingWith("") == .all)
  #expect(NameSet.all.subtracting(.all).isEmpty)
}

@Test func samplesAreNamesOfTheSet() {
  #expect(NameSet.all.sample(preferring: ["eth0"]) == "eth0")
  #expect(NameSet.startingWith("ens").sample(preferring: ["eth0"]) == "ens")
  #expect(NameSet.startingWith("br-").subtracting(.exactly("br-")).sample(preferring: []) == "br-0")
}
