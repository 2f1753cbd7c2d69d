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
  @Test("the way to the kernel's messages and back changes no packet", arguments: 0..<19)
  func thereAndBack(batch: Int) throws {
    for seed in (batch * 10)..<(batch * 10 + 10) {
      var source = RandomPolicy(seed: UInt64(seed) &+ 70_000)
      var policy = source.policy(ruleCount: 2 + seed % 9)
      // Of these no chain is a pair of zones', whose last rule says its policy.
      for index in policy.firewall?.regularChains.indices ?? 0..<0 {
        policy.firewall?.regularChains[index].policy = nil
      }
      let ruleset = Lowering.lower(policy, digest: [UInt8](repeating: 0xab, count: 32))
      let ids = Set(ruleset.tables.flatMap(\.chains).flatMap(\.rules).map(\.id)).sorted()
      // 0 is no rule.
      let numbers = Dictionary(uniqueKeysWithValues: zip(ids, UInt32(1)...))
      let messages = try BatchEncoder.encode(ruleset) { numbers[$0] ?? 0 }
      let late = try BatchEncoder.encodeDeviceChains(of: ruleset, sourceIndex: { _ in 0 }).flatMap(\.messages)
      let table = try #require(StoredBatch.decode((messages + late).map(\.bytes)).first)
      var names: [String: String] = [:]
      for set in policy.dynamicSets {
        for family in [Families.ipv4, .ipv6] { names[KernelName.set(set.name, family: family)] = set.name }
      }
      var groups: [String: [ControlGroup]] = [:]
      for element in ruleset.tables.flatMap(\.lateElements) {
        groups[element.set, default: []].append(ControlGroup(element.path))
      }
      let lift = Lift(at: policy.span, controlGroups: groups, names: names) { rule in
        rule.source == 0 ? nil : (ids[Int(rule.source) - 1], policy.span)
      }
      let result = try lift.firewall(of: table, namedLike: policy.firewall)
      var lifted = policy
      lifted.firewall = result.firewall
      #expect(result.firewall.rules.compactMap(\.unreadable) == [], "seed \(seed)")
      let difference = PacketDifference(from: policy, to: lifted)
      let changes = difference.changes.map {
        "\($0.direction) \($0.place) \($0.before) → \($0.after) \($0.regions): \($0.witness)"
      }
      #expect(changes == [], "seed \(seed)")
      #expect(difference.unknown.map(\.reason) == [], "seed \(seed)")
      #expect(mismatches(policy, result) == [], "seed \(seed)")
    }
  }

  /// Of the sets that rules use, what is kept of each address and for how long.
  private func mismatches(_ policy: HostPolicy, _ result: Lift.Result) -> [String] {
    result.dynamicSets.compactMap { lifted in
      guard let set = policy.dynamicSets.first(where: { $0.name == lifted.name }) else { return lifted.name }
      let isSame =
        lifted.timeout == set.timeout && lifted.size == set.size && lifted.filler == set.filler
        && [32, set.ipv4Bits].contains(lifted.ipv4Bits) && [128, set.ipv6Bits].contains(lifted.ipv6Bits)
      return isSame ? nil : "\(lifted) for \(set)"
    }
  }
}
