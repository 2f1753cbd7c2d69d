import PolicyModel
import PolicySamples
import Testing

@testable import Ruleset

struct KernelNameTests {
  @Test func aBaseChainIsNamedByItsPlace() {
    #expect(KernelName.baseChain(hook: .input, priority: -5) == "input")
    #expect(KernelName.baseChain(hook: .input, priority: 0) == "input_p0")
    #expect(KernelName.baseChain(hook: .prerouting, priority: -155) == "prerouting")
    #expect(KernelName.baseChain(hook: .prerouting, priority: -300) == "prerouting_m300")
    #expect(KernelName.baseChain(hook: .forward, priority: .min) == "forward_m2147483648")
  }

  @Test(arguments: [
    "policy", "counter", "limit", "input", "forward_p7", "prerouting_m300", "output_nat_m105", "ingress_eth0",
    "policy_digest", "trying", "fresh4", "_own", "9lives", "Upper", "a-b", "a b", "",
    "thirty_two_bytes_are_one_too_ma_",
  ])
  func namesThatCannotBeUsed(name: String) {
    #expect(!KernelName.isUsable(name))
  }

  @Test(arguments: [
    "ssh", "input_4", "input_admins_4", "forward_px", "prerouting_m", "inputs",
    "thirty_one_bytes_are_the_limit_",
  ])
  func namesThatCan(name: String) {
    #expect(KernelName.isUsable(name))
  }

  @Test func othersAreReplacedByADigest() {
    #expect(KernelName.set("office-hq", family: .ipv4) == "office_hq_4")
    #expect(KernelName.set("office-hq", family: .ipv6) == "office_hq_6")
    // 30 bytes, and two for the family. printf %s NAME | sha256sum | xxd -r -p | base32
    let long = "a-name-that-is-too-long-for-nft"
    #expect(KernelName.set(long, family: .ipv6) == "x_cuqicgokbc_6")
    #expect(KernelName.counter("limit") == "x_kxvatzlrlu")
  }

  @Test func generatedChainsAreShortStableAndApart() {
    let first = KernelName.generatedChain(ruleID: "input/a-rather-long-name-of-a-rule-indeed")
    #expect(first == "_input_a_rather_long_wzxbtd4czx")
    #expect(first.utf8.count == 31)
    #expect(KernelName.generatedChain(ruleID: "input/a-rather-long-name-of-a-rule-indeed.2") != first)
    #expect(KernelName.generatedChain(ruleID: "input/ssh") == "_input_ssh_w5w67uadtt")
  }

  @Test func aTakenNameGetsAnotherDigest() {
    let name = KernelName.generatedChain(ruleID: "input/ssh")
    var names = ChainNames()
    #expect(names.take(for: "input/ssh") == name)
    let other = names.take(for: "input/ssh")
    #expect(other != name)
    #expect(other.hasPrefix("_input_ssh_"))
  }

  @Test func prefixesAreRecognised() {
    func length(_ lower: [UInt8], _ upper: [UInt8]) -> Int? { KernelSet.Element(lower, upper).prefixLength }
    #expect(length([10, 0, 0, 0], [10, 255, 255, 255]) == 8)
    #expect(length([10, 20, 0, 0], [10, 21, 255, 255]) == 15)
    #expect(length([1, 2, 3, 4], [1, 2, 3, 4]) == 32)
    #expect(length([0, 0, 0, 0], [255, 255, 255, 255]) == 0)
    #expect(length([1, 2, 3, 4], [1, 2, 3, 5]) == 31)
    #expect(length([1, 2, 3, 5], [1, 2, 3, 6]) == nil)
    #expect(length([1, 2, 3, 4], [1, 2, 3, 6]) == nil)
    #expect(length([10, 0, 0, 0], [10, 255, 255, 254]) == nil)
    #expect(length([10, 0, 1, 0], [10, 255, 255, 255]) == nil)
  }

  /// A comment keeps what nft can read back, cut at a whole character.
  @Test func commentsAreWrittenForNFT() {
    func comment(_ text: String) -> String? {
      KernelText.comment(of: Samples.rule("input/a", .accept) { $0.comment = text })
    }
    #expect(comment("a \"b\"\n\tc") == "a 'b'  c")
    #expect(comment(String(repeating: "é", count: 70))?.utf8.count == 126)
    #expect(KernelText.comment(of: Samples.rule("input/a", .accept)) == nil)
  }
}
