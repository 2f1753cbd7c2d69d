import PolicyModel
import Testing

/// Numbers and names, held to libseccomp's.
@Suite struct TableTests {
  @Test func numbersAreTheLibrarys() {
    var compared = 0
    for call in SystemCallTable.all {
      for abi in SystemCallABI.allCases {
        let number = Library.number(call.name, on: abi)
        // Negative: not there, not known yet, or a call that `socketcall` holds.
        guard number >= 0 else { continue }
        let bare = UInt32(number) & (abi == .x32 ? ~0x4000_0000 : ~0)
        #expect(call.number(on: abi) == bare, "\(call.name) \(abi)")
        compared += 1
      }
    }
    #expect(compared > 1800)
  }

  /// And nothing is missing.
  @Test func everyCallOfTheLibraryIsHere() {
    for abi in SystemCallABI.allCases {
      let names = SystemCallTable.names(on: abi)
      for number in Array(UInt32(0)..<1000) + Array(0xf_0000..<0xf_0010) {
        guard let name = Library.name(abi == .x32 ? number | 0x4000_0000 : number, on: abi) else { continue }
        #expect(names[number] == name, "\(abi) \(number)")
      }
    }
  }

  @Test func everyLineIsRead() {
    #expect(SystemCallTable.all.count == 483)
    for call in SystemCallTable.all {
      #expect(SystemCallABI.allCases.contains { call.number(on: $0) != nil }, "\(call.name)")
      if let since = call.since { #expect(since > KernelVersion(5, 10), "\(call.name)") }
    }
    #expect(SystemCallTable.all.map(\.name) == SystemCallTable.all.map(\.name).sorted())
    #expect(SystemCallTable["mseal"]?.since == KernelVersion(6, 10))
    for abi in SystemCallABI.allCases {
      let numbers = SystemCallTable.all.compactMap { $0.number(on: abi) }
      #expect(Set(numbers).count == numbers.count, "\(abi)")
    }
  }

  @Test func formsAreCallsOf32BitMachines() {
    for call in SystemCallTable.all {
      for form in SystemCallForms.forms(of: call.name) {
        #expect(SystemCallTable[form] != nil, "\(form)")
        #expect(SystemCallTable[form]?.number(on: .x86_64) == nil, "\(form)")
        #expect(SystemCallForms.forms(of: form).isEmpty, "\(form)")
      }
    }
    #expect(SystemCallForms.forms(of: "clock_settime") == ["clock_settime64"])
    #expect(SystemCallForms.forms(of: "stat") == ["oldstat", "stat64"])
    #expect(SystemCallForms.forms(of: "getdents") == ["readdir"])
    #expect(SystemCallForms.forms(of: "pread64").isEmpty)
  }
}
