import Diagnostics
import Foundation
import PolicyModel
import Testing

/// The halves of long lists are checked side by side: what is found, and what comes of it, is that of one go.
@Suite struct HalvesTests {
  @Test func everyPolicyIsTheSameInHalves() throws {
    for url in Corpus.all {
      let (whole, halves) = (try Checked(contentsOf: url), try Checked(contentsOf: url, longList: 2))
      #expect(halves.diagnostics == whole.diagnostics, "\(url.path)")
      #expect(halves.means(whole), "\(url.path)")
    }
  }

  /// Each of a pair of rules in another half.
  @Test(arguments: [
    // The same rule twice: the second takes the ordinal.
    ["accept tcp 22", "accept tcp 22"],
    // One name twice, and the name of a rule that an item stands for.
    ["web: accept tcp 80", "web: accept tcp 443"],
    ["accept from $used", "accept tcp 1 to $used"],
    // Both say how much of an address the set holds, and the other way round.
    ["continue tcp 22 add source/24:64 $seen", "continue tcp 23 add source $seen"],
    // A fault in either half, or in both.
    ["accept tcp htpp", "accept tcp 80"], ["accept tcp 80", "accept tcp htpp"],
    ["accept tcp htpp", "accept from $nothing"],
  ])
  func pairsAreTheSameInHalves(pair: [String]) {
    let text = """
      policy: halves
      language: 1
      target:
        kernel: '6.1'
      management: none
      define:
        used: [10.0.0.0/8]
        seen: { dynamic: addresses, size: 4096, timeout: 30s }
      firewall:
        input:
          policy: drop
          rules:
            - \(pair[0])
            - accept in lo
            - \(pair[1])
            - accept udp 53

      """
    let (whole, halves) = (Checked(text), Checked(Array(text.utf8), longList: 2))
    #expect(halves.diagnostics == whole.diagnostics)
    #expect(halves.means(whole))
  }
}

extension Checked {
  /// Whether both have the same rules, and the same sets for them.
  fileprivate func means(_ other: Checked) -> Bool {
    guard let policy, let other = other.policy else { return policy == nil && other.policy == nil }
    let (rules, others) = (policy.firewall?.rules ?? [], other.firewall?.rules ?? [])
    return rules.count == others.count && policy.dynamicSets == other.dynamicSets
      && policy.addressSets.map(\.name) == other.addressSets.map(\.name)
      && zip(rules, others).allSatisfy { a, b in
        a.id == b.id && a.text == b.text && a.families == b.families && a.matches == b.matches
          && a.verdict == b.verdict && a.changes == b.changes && a.log == b.log && a.isEnabled == b.isEnabled
      }
  }
}
