import Diagnostics
import PolicyModel
import Testing

@testable import PolicyChecker

/// What needs a kernel newer than the oldest target: refused below the row's version, accepted from it on.
@Suite struct KernelFeatureTests {
  /// Rules that need the feature, by the chain they stand in.
  static let rules: [(feature: KernelFeature, chain: String, rule: String)] = [
    (.controlGroup, "output", "accept tcp 443 cgroup a.slice"),
    (.reverseRouteBehindRouting, "input", "accept not spoofed"),
    (.reverseRouteBehindRouting, "forward", "drop spoofed"),
  ]

  @Test func everyRowHasARule() {
    for feature in KernelFeature.allCases {
      #expect(Self.rules.contains { $0.feature == feature }, "\(feature)")
      #expect(KernelVersion(5, 10) < feature.since, "\(feature): the oldest target has it")
    }
  }

  @Test(arguments: rules.indices)
  func refusedBelowAndAcceptedFrom(index: Int) {
    let (feature, chain, rule) = Self.rules[index]
    let since = feature.since
    func check(_ kernel: KernelVersion) -> Checked {
      Checked(
        """
        policy: features
        language: 1
        target: { kernel: "\(kernel)" }
        management: none
        firewall:
          \(chain):
            policy: drop
            rules: ['\(rule)']
        """)
    }
    let old = check(KernelVersion(since.major, since.minor - 1))
    #expect(old.policy == nil)
    #expect(old.diagnostics.map(\.id) == [.newerThanTarget])
    #expect(
      old.diagnostics.first?.message.hasSuffix(
        "needs Linux \(since), the target is \(since.major).\(since.minor - 1)") == true)
    #expect(check(since).diagnostics.isEmpty)
  }

  /// A place where older kernels have it too, and a statement, of which no rule comes.
  @Test func whereNothingIsNew() {
    let checked = Checked(
      """
      policy: features
      language: 1
      target: { kernel: "5.10" }
      management: none
      firewall:
        prerouting:
          policy: accept
          rules: ['drop spoofed']
        input:
          policy: drop
      expect:
        - input drop tcp 22 spoofed
        - output accept tcp 443 cgroup a.slice
      """)
    #expect(checked.rendered == "")
  }
}
