package import Analysis
package import Diagnostics
internal import PolicyChecker
package import PolicyModel

/// One policy, checked and not compiled.
package struct CheckedPolicy: Sendable {
  package var sources: SourceFiles
  package var diagnostics: DiagnosticList
  /// Nil: it has errors.
  package var policy: HostPolicy?
}

extension PolicyCompiler {
  /// Checks one policy without proving or lowering anything.
  package static func check(
    path: String, bytes: [UInt8], reader: any SourceReader = SourceDictionary()
  ) -> CheckedPolicy {
    var sources = SourceFiles()
    var diagnostics = DiagnosticList()
    let file = sources.add(path: path, bytes: bytes)
    let policy = PolicyChecker.check(file, in: &sources, reader: reader, diagnostics: &diagnostics)
    diagnostics.sortByPlace()
    return CheckedPolicy(
      sources: sources, diagnostics: diagnostics, policy: diagnostics.hasErrors ? nil : policy)
  }
}

/// What a change of a policy changes on a host.
package struct PolicyComparison: Sendable {
  /// How a change counts for a reviewer, the most important first.
  package enum Direction: String, Sendable, CaseIterable {
    case widened
    case incomparable
    case narrowed
    case visible
  }

  package struct Setting: Sendable {
    package var direction: Direction
    package var domain: String
    package var text: String
    package var oldSpan: SourceSpan?
    package var newSpan: SourceSpan?
  }

  package var packets: PacketDifference
  /// Settings outside of the firewall, and what rules log and count.
  package var settings: [Setting]

  /// - Parameter listsInFull: else regions have the first few elements of a long list.
  package init(from old: HostPolicy, to new: HostPolicy, listsInFull: Bool = false) {
    packets = PacketDifference(from: old, to: new, listsInFull: listsInFull)
    settings = SettingsDifference(from: old, to: new).changes.map { change in
      Setting(
        direction: Direction(rawValue: change.direction.rawValue) ?? .incomparable, domain: change.domain,
        text: change.text, oldSpan: change.oldSpan, newSpan: change.newSpan)
    }
    settings += Self.actions(old, new)
  }

  /// Whether both mean the same.
  package var isEmpty: Bool { packets.changes.isEmpty && packets.unknown.isEmpty && settings.isEmpty }

  /// What rules of both say of the packets they meet.
  private static func actions(_ old: HostPolicy, _ new: HostPolicy) -> [Setting] {
    let (oldRules, newRules) = (old.firewall?.rules ?? [], new.firewall?.rules ?? [])
    let before = Dictionary(oldRules.indices.map { (oldRules[$0].id, $0) }) { first, _ in first }
    var result: [Setting] = []
    var seen: Set<String> = []
    // Most rules say nothing.
    func isTold(_ rule: Rule) -> Bool { rule.counter != nil || rule.log != nil }
    func describe(_ rule: Rule?) -> String {
      guard let rule, rule.isEnabled else { return "nothing" }
      var words: [String] = []
      switch rule.counter {
      case .anonymous: words.append("count")
      case .named(let name): words.append("count \(name)")
      case nil: break
      }
      if let log = rule.log {
        var text = "log \"\(log.prefix)\""
        if let level = log.level { text += " level \(level)" }
        if let group = log.group { text += " nflog \(group)" }
        if let rate = log.atMost { text += " at most \(rate.amount) in \(rate.seconds)s" }
        words.append(text)
      }
      return words.isEmpty ? "nothing" : words.joined(separator: " ")
    }
    for rule in newRules {
      seen.insert(rule.id)
      let earlier = before[rule.id].map { oldRules[$0] }
      if !isTold(rule), !(earlier.map(isTold) ?? false) { continue }
      let texts = (describe(earlier), describe(rule))
      guard texts.0 != texts.1 else { continue }
      result.append(
        Setting(
          direction: .visible, domain: "rule", text: "\(rule.id): \(texts.0) → \(texts.1)",
          oldSpan: earlier?.span, newSpan: rule.span))
    }
    for rule in oldRules where isTold(rule) && !seen.contains(rule.id) && describe(rule) != "nothing" {
      result.append(
        Setting(
          direction: .visible, domain: "rule", text: "\(rule.id): \(describe(rule)) → nothing",
          oldSpan: rule.span, newSpan: nil))
    }
    return result
  }
}
