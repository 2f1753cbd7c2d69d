import Analysis
import Diagnostics
import Lift
import NFTables
import PolicyModel
import PolicySamples
import Ruleset
import Testing

/// Random policies, lowered, encoded, decoded and lifted, mean what they did.
@Suite struct RandomLiftTests {
  /// Limiters, translations and changes are left out: of those, what is written to the kernel and what is read back
  /// are compared rule by rule elsewhere, and not yet by meaning.
  @Test("the way to the kernel's messages and back changes no packet", arguments: 0..<20)
  func thereAndBack(batch: Int) throws {
    var refused = 0
    for seed in (batch * 10)..<(batch * 10 + 10) {
      var source = RandomPolicy(seed: UInt64(seed) &+ 70_000)
      let policy = plain(source.policy(ruleCount: 2 + seed % 9))
      let ruleset = Lowering.lower(policy, digest: [UInt8](repeating: 0xab, count: 32))
      let messages = try BatchEncoder.encode(ruleset, sourceIndex: { _ in 1 }).map(\.bytes)
      let table = try #require(StoredBatch.decode(messages).first)
      var lifted = policy
      do throws(LiftError) {
        lifted.firewall = try Lift.firewall(of: table, at: policy.span, namedLike: policy.firewall)
      } catch {
        refused += 1
        continue
      }
      let difference = PacketDifference(from: policy, to: lifted)
      let changes = difference.changes.map { "\($0.direction) \($0.place) \($0.regions): \($0.witness)" }
      #expect(changes == [], "seed \(seed)")
      #expect(difference.unknown.isEmpty, "seed \(seed)")
    }
    // What has no words in the model is refused, never guessed; it is rare.
    #expect(refused <= 2)
  }

  /// Without limiters, translations, changes, and what is asked of sets and groups that others fill.
  private func plain(_ policy: HostPolicy) -> HostPolicy {
    var policy = policy
    func isPlain(_ match: Match) -> Bool {
      switch match.condition {
      case .interfaces(_, let patterns): patterns.allSatisfy { $0.name.utf8.count < 15 }
      case .controlGroups: false
      case .addresses(_, let addresses): addresses.allSets.isEmpty
      default: true
      }
    }
    func kept(_ rules: [Rule]) -> [Rule] {
      rules.filter { rule in
        if case .dispatch(let map) = rule.verdict, map.fields.contains(.mark) { return false }
        return !rule.isLimiting && rule.changes.isEmpty && rule.matches.allSatisfy(isPlain)
      }
    }
    guard var firewall = policy.firewall else { return policy }
    firewall.baseChains.removeAll(where: \.isNAT)
    for index in firewall.baseChains.indices {
      firewall.baseChains[index].rules = kept(firewall.baseChains[index].rules)
    }
    for index in firewall.regularChains.indices {
      firewall.regularChains[index].rules = kept(firewall.regularChains[index].rules)
      // Of these no chain is a pair of zones', whose last rule says its policy.
      firewall.regularChains[index].policy = nil
    }
    policy.firewall = firewall
    return policy
  }
}
