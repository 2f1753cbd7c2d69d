package import Diagnostics
package import NFTables
package import PolicyModel
internal import Ruleset

/// Reads a table of the kernel as a firewall of the model: the way back from rule programs to conditions.
///
/// Nothing is guessed. What the model has no words for is an error, so that whatever is said about the result is said
/// about the kernel's rules.
package enum Lift {
  // linux/netfilter.h NF_INET_*.
  private static let hooks: [UInt32: Hook] = [
    0: .prerouting, 1: .input, 2: .forward, 3: .output, 4: .postrouting, 5: .ingress,
  ]

  /// - Parameters:
  ///   - table: of family inet.
  ///   - span: where findings about its rules are shown.
  ///   - other: a firewall to compare it with: base chains in the same places get the same names.
  package static func firewall(
    of table: DumpedTable, at span: SourceSpan, namedLike other: Firewall? = nil
  ) throws(LiftError) -> Firewall {
    guard table.family == .inet else { throw LiftError("table `\(table.name)` is not of family inet") }
    // NFT_TABLE_F_DORMANT.
    guard table.flags & 1 == 0 else { throw LiftError("table `\(table.name)` is dormant") }
    let sets = Dictionary(table.sets.compactMap { set in set.name.map { ($0, set) } }) { first, _ in first }
    var firewall = Firewall(baseChains: [], span: span)
    for chain in table.chains {
      var rules: [Rule] = []
      for (index, source) in chain.rules.enumerated() {
        var lift = RuleLift(source, id: "\(chain.name)#\(index + 1)", span: span, sets: sets)
        do throws(LiftError) {
          let (rule, alternatives) = try lift.run()
          if let alternatives {
            rules += try expanded(rule, alternatives)
          } else {
            rules += try separated(rule, &firewall)
          }
        } catch {
          throw LiftError(error.reason, chain: chain.name, rule: index + 1)
        }
      }
      guard chain.isBase else {
        firewall.regularChains.append(RegularChain(name: chain.name, rules: rules, span: span))
        continue
      }
      guard let base = chain.base, let hook = hooks[base.hook] else {
        throw LiftError("a base chain on a hook that the model has not", chain: chain.name)
      }
      let place = other?.baseChains.first {
        $0.hook == hook && $0.isNAT == (base.type == .nat) && $0.priority == base.priority
      }
      firewall.baseChains.append(
        BaseChain(
          name: place.map(\.name) ?? chain.name, hook: hook, isNAT: base.type == .nat,
          priority: base.priority,
          policy: base.accepts ? .accept : .drop, devices: base.device.map { [$0] } ?? [], rules: rules,
          span: span))
    }
    firewall.regularChains.sort { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    return firewall
  }

  /// A map of verdicts stands alone in the model: its conditions become the conditions of a jump to it.
  private static func separated(_ rule: Rule, _ firewall: inout Firewall) throws(LiftError) -> [Rule] {
    guard case .dispatch(let map) = rule.verdict else { return [rule] }
    var plain = rule
    plain.matches = []
    // What the map's own field says of the protocol needs no condition.
    let implied = map.fields.compactMap { field -> Match? in
      if case .port(let number) = field { Match(.protocols([number])) } else { nil }
    }
    guard rule.matches.contains(where: { !implied.contains($0) }) else { return [plain] }
    // In a chain that is made for the map, `return` would mean that one.
    guard !map.verdicts.contains(.return) else { throw LiftError("a map that returns, behind conditions") }
    firewall.regularChains.append(RegularChain(name: rule.id, rules: [plain], span: rule.span))
    var jump = rule
    jump.verdict = .jump(rule.id)
    return [jump]
  }

  /// The model has no condition on several fields at once: each alternative becomes a rule. No packet meets two of
  /// them, so that nothing is done twice.
  private static func expanded(_ rule: Rule, _ alternatives: [[Match]]) throws(LiftError) -> [Rule] {
    if case .dispatch = rule.verdict {
      throw LiftError("a map of verdicts behind a look-up of several fields")
    }
    guard !rule.isLimiting else { throw LiftError("a limiter behind a look-up of several fields") }
    return alternatives.map { conditions in
      var one = rule
      one.matches += conditions
      return one
    }
  }
}
