import Diagnostics
import PolicyModel

extension Lint {
  /// A rule that does not decide all that it names, for rules before it decide some of it otherwise and are no
  /// exceptions from it.
  struct Conflict {
    var rule: Rule
    /// In the order of the chain, each once.
    var earlier: [Rule]
    /// A packet that the first of them decides, and the rule would.
    var example: PacketBox
    /// Whether lists of values overlap, so that neither order would do.
    var isCrossing = false
  }

  /// Rules of one chain past which no more are compared; each pass over the rules between two takes a diagram for each.
  private static let mostSteps = 20_000
  /// Pairs of rules whose fields are compared.
  private static let mostPairs = 1_000_000
  /// Earlier rules that are told one by one.
  private static let told = 5

  /// By hook, the packets that open a flow and come from elsewhere, or go there: the regions of meanings that are asked for
  /// conflicts.
  static func regions(_ span: SourceSpan) -> [[PacketBox]] {
    Hook.allCases.map { Prover.boxes(of: Prover.everything(at: $0, span), states: [.new, .untracked]) }
  }

  /// Those of a base chain, in its order; nil: there are too many rules to tell all. Of plain policies.
  ///
  /// Two rules with different verdicts conflict where the order of the two decides about some packet that opens a flow and
  /// comes from outside, and each is about such packets that the other is not about. In most policies most rules do:
  /// `drop from $blocked` and `accept tcp 443` are about different fields. They are told where the order can hardly be
  /// meant: both ask for the same field, and the values overlap without one holding the other; or the later refuses
  /// addresses of others by name, and the earlier has accepted some of their packets without a look at the addresses.
  static func conflicts(_ meanings: [Meaning], chain: Int) -> [Conflict]? {
    guard let first = meanings.first, meanings.allSatisfy({ $0.isPlain(0) }) else { return [] }
    let base = first.firewalls[0].baseChains[chain]
    guard !base.isNAT, let hook = base.hook else { return [] }
    var found: [String: Conflict] = [:]
    var (steps, pairs) = (0, 0)
    for meaning in meanings {
      let rules = meaning.firewalls[0].baseChains[chain].rules
      let sides = rules.map { Sides($0.rule, meaning.family, hook) }
      guard sides.contains(where: { $0?.refuses ?? false }), sides.contains(where: { $0?.refuses == false })
      else { continue }
      var scope: Diagram.Reference?
      var met: [UInt32: Diagram.Reference]?
      for (index, side) in sides.enumerated() {
        guard let side else { continue }
        /// By label, whether lists of values overlap.
        var later: [UInt32: Bool] = [:]
        var last = index
        for other in (index + 1)..<max(index + 1, rules.count) {
          guard let second = sides[other], second.refuses != side.refuses else { continue }
          pairs += 1
          guard pairs <= mostPairs else { return nil }
          guard let isCrossing = side.conflicts(before: second) else { continue }
          later[rules[other].label] = isCrossing
          last = other
        }
        guard !later.isEmpty else { continue }
        steps += last - index
        guard steps <= mostSteps else { return nil }
        let openings = scope ?? meaning.openings(at: hook)
        scope = openings
        let packets = met ?? meaning.packetsMet(0, chain)
        met = packets
        guard let own = packets[rules[index].label] else { continue }
        let arriving = meaning.diagram.and(own, openings)
        let condition = meaning.openings(of: rules[index], openings)
        meaning.eachMet(0, Array(rules[(index + 1)...last]), from: arriving) { compiled, hit in
          guard let isCrossing = later[compiled.label] else { return }
          let other = meaning.openings(of: compiled, openings)
          guard meaning.exceeds(condition, other), meaning.exceeds(other, condition),
            let example = meaning.representative(of: hit, at: hook)
          else { return }
          let rule = compiled.rule
          var conflict = found[rule.id] ?? Conflict(rule: rule, earlier: [], example: example)
          conflict.earlier.append(rules[index].rule)
          conflict.isCrossing = conflict.isCrossing || isCrossing
          found[rule.id] = conflict
        }
      }
      if meaning.diagram.isExhausted { return nil }
    }
    return base.rules.compactMap { compiled in
      guard var conflict = found[compiled.rule.id] else { return nil }
      var seen: Set<String> = []
      conflict.earlier = conflict.earlier.filter { seen.insert($0.id).inserted }
      return conflict
    }
  }

  /// Warnings about the policy's own rules.
  static func conflictFindings(
    _ policy: HostPolicy, _ meanings: [Meaning], _ sources: SourceFiles
  ) -> [Diagnostic] {
    guard let firewall = policy.firewall else { return [] }
    var findings: [Diagnostic] = []
    for (index, chain) in firewall.baseChains.enumerated() {
      guard let conflicts = conflicts(meanings, chain: index) else {
        findings.append(
          Diagnostic(
            .lintUntold, .note, at: chain.span,
            "which rules of this chain conflict was not told: there are too many pairs of them"))
        continue
      }
      for conflict in conflicts where conflict.rule.span.source == policy.span.source {
        var finding = finding(conflict, chain.hook)
        if let first = conflict.earlier.first, canPrecede(conflict, meanings, chain: index),
          let move = ItemLines.move(
            of: conflict.rule.span, before: first.span, named: first.id, in: sources[policy.span.source])
        {
          finding.fixIts = [move]
        }
        findings.append(finding)
      }
    }
    return findings
  }

  /// Rules that one may be put before.
  private static let mostPassed = 1_000

  /// Whether a rule that refuses can stand before those that it conflicts with, and does to no packets anything but to
  /// refuse those that these accept.
  private static func canPrecede(_ conflict: Conflict, _ meanings: [Meaning], chain: Int) -> Bool {
    guard !conflict.isCrossing, conflict.rule.verdict != .accept, let first = conflict.earlier.first else {
      return false
    }
    let earlier = Set(conflict.earlier.map(\.id))
    return meanings.allSatisfy { meaning in
      let rules = meaning.firewalls[0].baseChains[chain].rules
      guard let last = rules.firstIndex(where: { $0.rule.id == conflict.rule.id }) else { return true }
      guard let start = rules.firstIndex(where: { $0.rule.id == first.id }), start < last,
        last - start <= mostPassed
      else { return false }
      let own = meaning.condition(of: rules[last])
      return rules[start..<last].allSatisfy { passed in
        if earlier.contains(passed.rule.id)
          || passed.rule.verdict == conflict.rule.verdict && isSilent(passed.rule)
            && !passed.rule.isLimiting
        {
          return true
        }
        return meaning.diagram.and(own, meaning.condition(of: passed)) == Diagram.isFalse
      }
    }
  }

  private static func finding(_ conflict: Conflict, _ hook: Hook) -> Diagnostic {
    let isRefusing = conflict.rule.verdict != .accept
    let (does, others) = isRefusing ? ("refuse", "accept") : ("accept", "refuse")
    let hidden = conflict.earlier.count - told
    let more = hidden > 0 ? ["so do \(hidden) more rules"] : []
    return Diagnostic(
      .lintConflicting, .warning, at: conflict.rule.span,
      "`\(conflict.rule.text)` does not \(does) all that it names: rules before it \(others) some of it",
      related: conflict.earlier.prefix(told).map { Diagnostic.Label($0.span, "`\($0.id)` decides here") },
      help: more + [
        "for example: \(Witness(from: conflict.example, hook: hook).text)",
        "put it before them, or take out of each what the other decides; where the order is meant, say why by `because`",
      ])
  }
}

/// What a rule asks of addresses and ports, as lists of values that are known.
private struct Sides {
  private typealias Values = IntervalSet<UInt128>

  let refuses: Bool
  private var source: Values?
  private var destination: Values?
  private var sourcePorts: Values?
  private var destinationPorts: Values?
  /// Whether what it asks of the addresses of others is a list of such addresses.
  private let farAddresses: KeyPath<Sides, Values?>

  /// Nil: it does not decide for all that it names, or says why its place is meant.
  init?(_ rule: Rule, _ family: Families, _ hook: Hook) {
    guard rule.origin == .written, rule.isEnabled, !rule.isLimiting, rule.because == nil,
      rule.families.contains(family), rule.unreadable == nil
    else { return nil }
    switch rule.verdict {
    case .accept: refuses = false
    case .drop, .reject: refuses = true
    default: return nil
    }
    farAddresses = hook == .output || hook == .postrouting ? \.destination : \.source
    for match in rule.matches where !match.isNegated {
      switch match.condition {
      case .addresses(let side, let addresses) where addresses.isStatic:
        let values =
          family == .ipv4
          ? Values(
            addresses.addresses.ipv4.map { AddressRange(UInt128($0.lower), UInt128($0.upper)) })
          : Values(addresses.addresses.ipv6)
        if side == .source { source = values } else { destination = values }
      case .ports(let side, _, let ports):
        let values = Values(ports.ranges.map { AddressRange(UInt128($0.lower), UInt128($0.upper)) })
        if side == .source { sourcePorts = values } else { destinationPorts = values }
      default: break
      }
    }
  }

  /// Nil: they do not; else whether lists of values overlap without one holding the other.
  func conflicts(before later: Sides) -> Bool? {
    var isCrossing = false
    for field in [\Sides.source, \.destination, \.sourcePorts, \.destinationPorts] {
      guard let own = self[keyPath: field], let other = later[keyPath: field] else { continue }
      let both = own.intersection(other)
      if both.isEmpty { return nil }
      if both != own, both != other { isCrossing = true }
    }
    if isCrossing { return true }
    let isUnseen =
      !refuses && later.refuses && self[keyPath: farAddresses] == nil && later[keyPath: farAddresses] != nil
    return isUnseen ? false : nil
  }
}

extension Meaning {
  /// Those of the regions of ``Lint/regions(_:)``.
  fileprivate func openings(at hook: Hook) -> Diagram.Reference {
    diagram.and(region(Hook.allCases.firstIndex(of: hook) ?? 0), existing(at: hook))
  }

  fileprivate func openings(
    of rule: CompiledFirewall.CompiledRule, _ openings: Diagram.Reference
  ) -> Diagram.Reference {
    diagram.and(condition(of: rule), openings)
  }

  /// Whether some packet of the first is none of the second.
  fileprivate func exceeds(_ first: Diagram.Reference, _ second: Diagram.Reference) -> Bool {
    diagram.subtract(first, second) != Diagram.isFalse
  }
}
