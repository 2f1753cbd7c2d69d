internal import Diagnostics
internal import PolicyModel

/// The rules of a firewall that log, count, fill sets or bound segments, by their ids.
struct ToldRules {
  /// What one rule says, which several may be that were read back from a kernel's.
  struct Told {
    fileprivate var counter: Counter?
    fileprivate var log: Log?
    fileprivate var segmentSize: Changes.SegmentSize?
    fileprivate var updates: [String] = []
    /// The first of them.
    let rule: Rule

    var span: SourceSpan { rule.span }

    /// Whether it matters which packets meet it: what nothing else decides a counter at a chain's end counts.
    var isTelling: Bool {
      let isEnd = rule.matches.isEmpty && !rule.isLimiting && rule.verdict != .continue
      return log != nil || segmentSize != nil || counter != nil && !isEnd
    }

    /// Whether the way of packets ends there, each of them or those that its limit lets by.
    var isDeciding: Bool {
      switch rule.verdict {
      case .accept, .drop, .reject: true
      case .continue, .return, .jump, .goto, .dispatch, .translate, .notrack: false
      }
    }

    /// A rule that was read back from a kernel's is one of each family; the bits that count are those of the set.
    fileprivate mutating func add(_ rule: Rule) {
      for update in rule.changes.setUpdates.map(Self.text) where !updates.contains(update) {
        updates.append(update)
      }
    }

    private static func text(_ update: SetUpdate) -> String {
      let timeout = update.timeout.map { " timeout \($0)s" } ?? ""
      return "\(update.operation.rawValue) \(update.key.side.rawValue) $\(update.set)\(timeout)"
    }

    var text: String {
      var words = updates
      switch counter {
      case .anonymous: words.append("count")
      case .named(let name): words.append("count \(name)")
      case nil: break
      }
      switch segmentSize {
      case .pathMTU: words.append("set mss pmtu")
      case .bytes(let bytes): words.append("set mss \(bytes)")
      case nil: break
      }
      if let log {
        var text = "log \"\(log.prefix)\""
        // A log without a level has level 4, warning.
        if let level = log.level, level != 4 { text += " level \(level)" }
        if let group = log.group { text += " nflog \(group)" }
        if let rate = log.atMost { text += " at most \(rate.amount) in \(rate.seconds)s" }
        words.append(text)
      }
      return words.joined(separator: " ")
    }
  }

  /// Those that say something, in their order.
  private(set) var order: [String] = []
  private(set) var all: [String: Told] = [:]
  /// Where all rules stand that are written.
  private(set) var spans: [String: SourceSpan] = [:]

  init(_ firewall: Firewall?) {
    // Most rules say nothing.
    firewall?.forEachRule { rule in
      spans[rule.id] = spans[rule.id] ?? rule.span
      guard rule.isEnabled,
        rule.counter != nil || rule.log != nil || !rule.changes.setUpdates.isEmpty
          || rule.changes.segmentSize != nil
      else { return }
      if all[rule.id] == nil { order.append(rule.id) }
      var one = all[rule.id] ?? Told(rule: rule)
      one.counter = one.counter ?? rule.counter
      one.log = one.log ?? rule.log
      one.segmentSize = one.segmentSize ?? rule.changes.segmentSize
      one.add(rule)
      all[rule.id] = one
    }
  }
}
