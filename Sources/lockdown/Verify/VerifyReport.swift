import BundleFormat
import CanonicalJSON
import Compiler

/// What `lockdown verify` has seen.
struct VerifyReport {
  let policy: VerifiedPolicy
  let check: HostCheck
  /// Of the kernel's rules; nil: nobody needed to ask.
  let meaning: LiveMeaning?
  /// When the host was looked at, in seconds since 1970-01-01T00:00:00Z.
  let now: Int

  private var digest: String { PolicyDigest.text(policy.contents.policyDigest) }
  private var policyName: String { String(decoding: policy.contents.policyName, as: UTF8.self) }

  /// As DESIGN §8 gives them: what differs outweighs what could not be told.
  var exitCode: Int32 {
    let looked: Int32 =
      switch check.answer {
      case .equal: 0
      case .different: 1
      case .unknown, .equalWithGaps: 2
      }
    let codes = [looked, meaning?.exitCode ?? 0]
    return codes.contains(1) ? 1 : codes.max() ?? 0
  }

  private var result: String {
    switch (exitCode, check.answer) {
    case (0, _): "the host is the policy"
    case (1, .different):
      "the host differs from the policy: \(differing.joined(separator: ", "))\(opening.map { "; it is \($0)" } ?? "")"
    case (1, _): "the host differs from the policy: what tables of others do"
    case (_, .equalWithGaps): "the host is the policy, but for what is named"
    default: "could not tell"
    }
  }

  /// `open until TIME`; nil: it is not open.
  private var opening: String? {
    switch check.opening {
    case nil: nil
    case .endless?: "open without an end"
    case .ending(let seconds)?: "open until \(Clock.text(now + seconds))"
    }
  }

  private var differing: [String] {
    (check.firewall == .different ? ["firewall"] : [])
      + check.domains.filter { $0.items.contains(where: \.isDifferent) }.map(\.title)
  }

  // MARK: Text

  var text: String {
    var lines = ["policy \(policyName)  \(digest)"]
    lines += firewall
    for (title, items) in check.domains {
      lines.append("\(title)  \(Self.counts(items))")
      lines += Self.lines(items).map { "  \($0)" }
    }
    func list(_ title: String, _ entries: [String]) {
      if !entries.isEmpty { lines += [title] + entries.map { "  \($0)" } }
    }
    list("not enforced", check.lines("not-enforced"))
    list(
      "programs in the kernel of an earlier policy, until the next boot", check.lines("programs-of-before"))
    list("chains of others on the same hooks", check.lines(ofFirewall: "foreign-chains"))
    lines.append(result)
    return lines.joined(separator: "\n") + "\n"
  }

  private var firewall: [String] {
    var lines: [String] = []
    switch check.firewall {
    case .none: break
    case .equal: lines.append("firewall  equal")
    case .unknown: lines.append("firewall  could not tell: \(check.failure)")
    case .different: lines.append("firewall  different")
    }
    if check.firewall != .none {
      let label = check.label.map { $0 == "\(policyName) \(digest)" ? "this policy" : $0 } ?? "none"
      lines.append("  label in the kernel: \(label)")
    }
    if let opening { lines.append("  \(opening): everything passes the chains that close") }
    lines += check.lines(ofFirewall: "notes").map { "  \($0)" }
    let differences = check.lines(ofFirewall: "differences")
    lines += differences.prefix(Self.shownDifferences).map { "  \($0)" }
    let rest = differences.count - Self.shownDifferences
    if rest > 0 { lines.append("  … and \(rest) more") }
    guard let meaning else { return lines }
    switch meaning {
    case .compared where meaning.exitCode == 0:
      lines.append("  every packet meets the same: what differs are names, counters or logs")
    case .compared(let report):
      lines.append("  what the kernel does (new) and the policy does not say (old):")
      lines += report.lines.map { $0.isEmpty ? "" : "    \($0)" }
    case .unknown(let reason): lines.append("  could not tell what its rules mean: \(reason)")
    }
    if case .compared(let report) = meaning, let line = report.notLookedAt { lines.append("  \(line)") }
    return lines
  }

  /// Rules and sets; what they mean follows.
  private static let shownDifferences = 6

  /// `13 equal, 2 different`, in the order in which they come up.
  private static func counts(_ items: [HostCheck.Item]) -> String {
    var words: [(word: String, count: Int)] = []
    for item in items {
      if let index = words.firstIndex(where: { $0.word == item.result }) {
        words[index].count += 1
      } else {
        words.append((item.result, 1))
      }
    }
    return words.map { "\($0.count) \($0.word)" }.joined(separator: ", ")
  }

  /// A line for each that is not as it should be; those for which the same reason holds stand in one.
  private static func lines(_ items: [HostCheck.Item]) -> [String] {
    var lines: [String] = []
    var groups: [(reason: String, names: [String])] = []
    for item in items where !item.isEqual {
      let place = item.place.map { "  (\($0))" } ?? ""
      if item.isDifferent {
        lines.append("\(item.name): \(item.found), and the policy says \(item.wanted)\(place)")
        continue
      }
      let reason = ([item.result] + (item.reason.isEmpty ? [] : [item.reason])).joined(separator: ", ")
      if let index = groups.firstIndex(where: { $0.reason == reason }) {
        groups[index].names.append(item.name)
      } else {
        groups.append((reason, [item.name]))
      }
    }
    return lines + groups.map { "\($0.reason): \($0.names.joined(separator: ", "))" }
  }

  // MARK: JSON

  var json: JSONValue {
    .object([
      .init("source", .string(policy.name)), .init("policy", .string(policyName)),
      .init("digest", .string(digest)),
      .init("result", .string(result)), .init("holds", exitCode == 2 ? .null : .bool(exitCode == 0)),
      .init("kernel-label", check.label.map(JSONValue.string) ?? .null),
      .init("opening", opening.map(JSONValue.string) ?? .null),
      .init("meaning", meaning?.json ?? .null), .init("host", check.status),
    ])
  }
}
