package import Analysis
package import CanonicalJSON
package import Diagnostics

/// A comparison as people and tools read it.
package struct ComparisonReport {
  private let comparison: PolicyComparison
  private let old: (name: String, sources: SourceFiles)
  private let new: (name: String, sources: SourceFiles)

  /// Regions of one change in a text; JSON has more.
  private static let shownRegions = 8
  /// Changes in a text.
  private static let shownChanges = 200

  package init(
    _ comparison: PolicyComparison, old: (name: String, sources: SourceFiles),
    new: (name: String, sources: SourceFiles)
  ) {
    self.comparison = comparison
    self.old = old
    self.new = new
  }

  // MARK: Judgement

  package enum Threshold: String, CaseIterable, Sendable {
    /// More may pass, or something may be weaker.
    case widen
    /// The same, or a change that can be seen from outside.
    case observe
    case any
  }

  /// 0: nothing of that kind, 1: something, 2: could not tell (DESIGN §8).
  package func exitCode(failingOn threshold: Threshold) -> Int32 {
    let counted: Set<PolicyComparison.Direction> =
      switch threshold {
      case .widen: [.widened, .incomparable]
      case .observe: [.widened, .incomparable, .visible]
      case .any: Set(PolicyComparison.Direction.allCases)
      }
    if directions.contains(where: counted.contains) { return 1 }
    return comparison.packets.unknown.isEmpty ? 0 : 2
  }

  private var directions: [PolicyComparison.Direction] {
    comparison.packets.changes.compactMap { PolicyComparison.Direction(rawValue: $0.direction.rawValue) }
      + comparison.settings.map(\.direction)
  }

  private var summary: String {
    let directions = directions
    var words = PolicyComparison.Direction.allCases.compactMap { direction -> String? in
      let count = directions.count { $0 == direction }
      return count == 0 ? nil : "\(count) \(direction.rawValue)"
    }
    if !comparison.packets.unknown.isEmpty { words.append("\(comparison.packets.unknown.count) unknown") }
    return words.joined(separator: ", ")
  }

  private var sameness: String {
    comparison.isPart
      ? "nothing was found that \(new.name) permits and \(old.name) does not"
      : "\(old.name) and \(new.name) mean the same"
        + (leftOut.isEmpty ? "" : ", but for what was not looked at")
  }

  /// What was not looked at, of which side.
  private var leftOut: [String] {
    let sides = [(old.name, comparison.leftOut.old), (new.name, comparison.leftOut.new)]
    return sides.flatMap { name, parts in parts.map { "\($0) of \(name)" } }
  }

  /// Sentences behind everything.
  private var last: [String] {
    var lines: [String] = []
    let shares = [(old.name, comparison.read.old), (new.name, comparison.read.new)].compactMap {
      name, share in
      share.map { "\(read($0)) of \(name)" }
    }
    if !shares.isEmpty { lines.append("rules that could be read: \(shares.joined(separator: ", "))") }
    let parts = comparison.notCompared
    if !parts.isEmpty {
      lines.append("not compared, for one side does not hold it: \(parts.joined(separator: ", "))")
    }
    if let notLookedAt { lines.append(notLookedAt) }
    return lines
  }

  /// Nil: all was looked at.
  package var notLookedAt: String? {
    leftOut.isEmpty ? nil : "not looked at: \(leftOut.joined(separator: ", "))"
  }

  private func read(_ share: PolicyComparison.ReadShare) -> String {
    if share.unread == 0 { return "all \(share.rules)" }
    let met = "some packet meets \(share.met == 0 ? "none" : "\(share.met)") of the others"
    return "\(share.rules - share.unread) of the \(share.rules) (\(met))"
  }

  // MARK: Text

  package var text: String { (lines + last).map { $0 + "\n" }.joined() }

  /// The same without the sentences about what was not compared.
  package var lines: [String] {
    if comparison.isEmpty { return [sameness] }
    var lines: [String] = []
    for unknown in comparison.packets.unknown {
      lines += ["unknown: \(unknown.place): could not tell: \(unknown.reason)", ""]
    }
    for change in comparison.packets.changes.prefix(Self.shownChanges) {
      lines.append(headline(change))
      lines += regions(change).map { "  \($0)" }
      lines.append("  for example: \(change.witness)")
      if let label = label(change) { lines.append("  \(label)") }
      lines += decisions(change).map { "  \($0)" } + [""]
    }
    let rest = comparison.packets.changes.count - Self.shownChanges
    if rest > 0 { lines += ["… and \(rest) more changes of packets", ""] }
    for direction in PolicyComparison.Direction.allCases {
      let settings = comparison.settings.filter { $0.direction == direction }
      for setting in settings {
        lines.append("\(direction.rawValue): \(setting.domain) \(setting.text)")
        if let place = place(setting.oldSpan, old.sources) { lines.append("  old: \(place)") }
        if let place = place(setting.newSpan, new.sources) { lines.append("  new: \(place)") }
      }
      if !settings.isEmpty { lines.append("") }
    }
    return lines + [summary]
  }

  private func headline(_ change: PacketDifference.Change) -> String {
    let flows = change.opensFlows ? "" : " (no new flows)"
    return "\(change.direction.rawValue): \(change.place): \(change.before) → \(change.after)\(flows)"
  }

  private func regions(_ change: PacketDifference.Change) -> [String] {
    let texts = change.regions.map { $0.isEmpty ? "all packets" : $0 }
    let rest = texts.count - Self.shownRegions
    guard rest > 0 || !change.isComplete else { return texts }
    return Array(texts.prefix(Self.shownRegions))
      + [rest > 0 && change.isComplete ? "… and \(rest) more regions" : "… and more regions"]
  }

  /// What is to be known of the example.
  private func label(_ change: PacketDifference.Change) -> String? {
    change.cannotArrive.map { "which cannot arrive on a default host: \($0)" }
  }

  /// What decides on both sides.
  private func decisions(_ change: PacketDifference.Change) -> [String] {
    [
      "old: \(decision(change.oldRule, change.otherOldRules, old.sources))",
      "new: \(decision(change.newRule, change.otherNewRules, new.sources))",
    ]
  }

  private func decision(
    _ rule: PacketDifference.RuleReference?, _ others: Int, _ sources: SourceFiles
  ) -> String {
    let more = others == 0 ? "" : others == 1 ? ", and 1 other" : ", and \(others) others"
    guard let rule else { return "no rule decides: the policy of a chain, or no chain\(more)" }
    // A rule that was read back from a bundle has no text but its id.
    let text = rule.text == rule.id ? rule.id : "\(rule.id): \(rule.text)"
    return [place(rule.span, sources), text].compactMap { $0 }.joined(separator: ": ") + more
  }

  private func place(_ span: SourceSpan?, _ sources: SourceFiles) -> String? {
    guard let span else { return nil }
    let file = sources[span.source]
    return "\(file.path):\(file.position(of: span.start).line)"
  }

  // MARK: Markdown

  package var markdown: String {
    let last = last.map { "\n\(MarkdownText.plain($0.prefix(1).uppercased() + $0.dropFirst())).\n" }.joined()
    if comparison.isEmpty { return "**\(MarkdownText.plain(sameness)).**\n" + last }
    var lines = ["**\(summary)**", ""]
    if !comparison.packets.unknown.isEmpty {
      lines +=
        comparison.packets.unknown.map {
          "- could not tell: " + MarkdownText.plain("\($0.place): \($0.reason)")
        }
        + [""]
    }
    if !comparison.packets.changes.isEmpty {
      lines += [
        "| | place | was | is | packets | for example | decided by |", "|---|---|---|---|---|---|---|",
      ]
      for change in comparison.packets.changes.prefix(Self.shownChanges) {
        let cells = [
          change.direction.rawValue, MarkdownText.plain(change.place), MarkdownText.plain(change.before),
          MarkdownText.plain(change.after), regions(change).map(MarkdownText.code).joined(separator: "<br>"),
          ([MarkdownText.code(change.witness)] + [label(change)].compactMap { $0.map(MarkdownText.plain) })
            .joined(separator: "<br>"),
          decisions(change).map { MarkdownText.plain(String($0.dropFirst("old: ".count))) }
            .joined(separator: "<br>"),
        ]
        lines.append("| " + cells.joined(separator: " | ") + " |")
      }
      let rest = comparison.packets.changes.count - Self.shownChanges
      if rest > 0 { lines += ["", "… and \(rest) more changes of packets"] }
      lines.append("")
    }
    if !comparison.settings.isEmpty {
      lines += ["| | domain | change |", "|---|---|---|"]
      for direction in PolicyComparison.Direction.allCases {
        for setting in comparison.settings where setting.direction == direction {
          lines.append("| \(direction.rawValue) | \(setting.domain) | \(MarkdownText.plain(setting.text)) |")
        }
      }
    }
    return lines.joined(separator: "\n") + "\n" + last
  }

  // MARK: Other formats

  /// An example of each change, with what changes for it.
  package var samples: [(packet: PacketSample, comment: String)] {
    comparison.packets.changes.map { change in
      let lines = [headline(change), change.witness] + decisions(change)
      return (change.sample, lines.joined(separator: "\n"))
    }
  }

  /// For code hosts: what may be weaker is a warning, everything else a note, at the line of the new policy that
  /// decides, or of the old one where only that does.
  package func sarif(version: String, exitCode: Int32) -> JSONValue {
    var results: (old: [SARIFRenderer.Finding], new: [SARIFRenderer.Finding]) = ([], [])
    for unknown in comparison.packets.unknown {
      results.new.append(
        .init("diff/unknown", .warning, at: nil, "\(unknown.place): could not tell: \(unknown.reason)"))
    }
    func add(
      _ direction: PolicyComparison.Direction, _ text: String, _ spans: (old: SourceSpan?, new: SourceSpan?)
    ) {
      let severity: Severity = [.widened, .incomparable].contains(direction) ? .warning : .note
      let rule = "diff/\(direction.rawValue)"
      if spans.new == nil, let span = spans.old {
        results.old.append(.init(rule, severity, at: span, text))
      } else {
        results.new.append(.init(rule, severity, at: spans.new, text))
      }
    }
    for change in comparison.packets.changes {
      guard let direction = PolicyComparison.Direction(rawValue: change.direction.rawValue) else { continue }
      let lines =
        [headline(change)] + regions(change) + ["for example: \(change.witness)"]
        + [label(change)].compactMap { $0 } + decisions(change)
      add(direction, lines.joined(separator: "\n"), (change.oldRule?.span, change.newRule?.span))
    }
    for setting in comparison.settings {
      add(
        setting.direction, "\(setting.direction.rawValue): \(setting.domain) \(setting.text)",
        (setting.oldSpan, setting.newSpan))
    }
    var renderer = SARIFRenderer(version: version, exitCode: exitCode)
    renderer.add(results.new, of: new.name, new.sources)
    renderer.add(results.old, of: old.name, old.sources)
    return renderer.log()
  }

  package var json: JSONValue {
    .object([
      .init("changes", .array(comparison.packets.changes.map(json))),
      .init("new", .string(new.name)),
      .init("not-compared", .array((comparison.notCompared + leftOut).map(JSONValue.string))),
      .init("old", .string(old.name)), .init("read", read),
      .init(
        "same",
        comparison.isPart || comparison.isEmpty && !leftOut.isEmpty ? .null : .bool(comparison.isEmpty)),
      .init("settings", .array(comparison.settings.map(json))),
      .init(
        "unknown",
        .array(
          comparison.packets.unknown.map {
            .object([.init("place", .string($0.place)), .init("reason", .string($0.reason))])
          })),
    ])
  }

  /// By side, how much could be read of rules that were loaded by other means.
  private var read: JSONValue {
    func json(_ share: PolicyComparison.ReadShare?) -> JSONValue {
      guard let share else { return .null }
      return .object([
        .init("met", .integer(Int64(share.met))), .init("rules", .integer(Int64(share.rules))),
        .init("unread", .integer(Int64(share.unread))),
      ])
    }
    return .object([.init("new", json(comparison.read.new)), .init("old", json(comparison.read.old))])
  }

  private func json(_ change: PacketDifference.Change) -> JSONValue {
    .object([
      .init("after", .string(change.after)), .init("before", .string(change.before)),
      .init("cannot-arrive", change.cannotArrive.map(JSONValue.string) ?? .null),
      .init("direction", .string(change.direction.rawValue)),
      .init("new-rule", json(change.newRule, new.sources)),
      .init("old-rule", json(change.oldRule, old.sources)), .init("opens-flows", .bool(change.opensFlows)),
      .init("other-new-rules", .integer(Int64(change.otherNewRules))),
      .init("other-old-rules", .integer(Int64(change.otherOldRules))),
      .init("place", .string(change.place)), .init("regions", .array(change.regions.map(JSONValue.string))),
      .init("regions-complete", .bool(change.isComplete)), .init("witness", .string(change.witness)),
    ])
  }

  private func json(_ rule: PacketDifference.RuleReference?, _ sources: SourceFiles) -> JSONValue {
    guard let rule else { return .null }
    return .object([
      .init("id", .string(rule.id)), .init("line", place(rule.span, sources).map(JSONValue.string) ?? .null),
      .init("text", .string(rule.text)),
    ])
  }

  private func json(_ setting: PolicyComparison.Setting) -> JSONValue {
    .object([
      .init("direction", .string(setting.direction.rawValue)), .init("domain", .string(setting.domain)),
      .init("key", .string(setting.key)), .init("new", .string(setting.new)),
      .init("new-line", place(setting.newSpan, new.sources).map(JSONValue.string) ?? .null),
      .init("old", .string(setting.old)),
      .init("old-line", place(setting.oldSpan, old.sources).map(JSONValue.string) ?? .null),
      .init("packets", setting.packets.map(JSONValue.string) ?? .null), .init("text", .string(setting.text)),
    ])
  }
}
