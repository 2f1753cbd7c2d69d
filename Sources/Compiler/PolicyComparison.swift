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
  /// Parts of a policy that one side does not hold.
  package var notCompared: [String] = []
  /// What each side holds that may decide about packets and that nobody looked at, in words.
  package var leftOut: (old: [String], new: [String]) = ([], [])
  /// How much could be read of each side that was loaded by other means than ours; nil: it was not.
  package var read: (old: ReadShare?, new: ReadShare?)

  /// Rules of a kernel, and those of them that could not be read.
  package struct ReadShare: Sendable {
    package var rules: Int
    package var unread: Int
    /// Those of them that some packet meets, so that they may decide about it.
    package var met: Int
  }

  /// - Parameters:
  ///   - listsInFull: else regions have the first few elements of a long list.
  ///   - comparesTold: else it does not matter what rules log and count.
  package init(
    from old: HostPolicy, to new: HostPolicy, listsInFull: Bool = false, comparesTold: Bool = true
  ) {
    packets = PacketDifference(from: old, to: new, listsInFull: listsInFull)
    settings = SettingsDifference(from: old, to: new).changes.map { change in
      Setting(
        direction: Direction(rawValue: change.direction.rawValue) ?? .incomparable, domain: change.domain,
        text: change.text, oldSpan: change.oldSpan, newSpan: change.newSpan)
    }
    settings += Self.sets(old, new)
    let fills = FillComparison(from: old, to: new, listsInFull: listsInFull)
    settings += fills.settings
    for unknown in fills.unknown
    where !packets.unknown.contains(where: { $0.place == unknown.place && $0.reason == unknown.reason }) {
      packets.unknown.append(unknown)
    }
    if comparesTold { settings += Self.actions(old, new) }
  }

  /// Changes of some directions were left out, so that none of them is no word about the rest.
  package private(set) var isPart = false

  /// Whether both mean the same, but for what was left out.
  package var isEmpty: Bool { packets.changes.isEmpty && packets.unknown.isEmpty && settings.isEmpty }

  // MARK: Refinement

  /// What the new side permits beyond the old one: changes that widen, and those of which nobody can say whether they do.
  package var widening: PolicyComparison {
    func isBeyond(_ direction: String) -> Bool {
      direction == Direction.widened.rawValue || direction == Direction.incomparable.rawValue
    }
    var result = self
    result.isPart = true
    result.packets.changes.removeAll { !isBeyond($0.direction.rawValue) }
    result.settings.removeAll { !isBeyond($0.direction.rawValue) }
    return result
  }

  /// Whether the new side permits no more than the old one. Nil: could not tell.
  package var refines: Bool? {
    let beyond = widening
    if !beyond.packets.changes.isEmpty || !beyond.settings.isEmpty { return false }
    let isAll = notCompared.isEmpty && leftOut.old.isEmpty && leftOut.new.isEmpty
    return packets.unknown.isEmpty && isAll ? true : nil
  }

  /// How much the sets hold that are filled while they are there, and how long: rules that ask them are met by others then.
  private static func sets(_ old: HostPolicy, _ new: HostPolicy) -> [Setting] {
    let before = Dictionary(old.dynamicSets.map { ($0.name, $0) }) { first, _ in first }
    func words(_ set: DynamicSet) -> String {
      "\(set.size) addresses, " + (set.timeout.map { "\($0)s" } ?? "until they are taken out")
    }
    return new.dynamicSets.compactMap { later in
      // Of a set that a kernel holds without a size, nobody knows how much it takes.
      guard let earlier = before[later.name], earlier.size > 0, later.size > 0,
        earlier.size != later.size || earlier.timeout != later.timeout
      else { return nil }
      return Setting(
        direction: .incomparable, domain: "set",
        text: "\(later.name): \(words(earlier)) → \(words(later))", oldSpan: earlier.span, newSpan: later.span
      )
    }
  }

  /// What rules of both say of the packets they meet.
  private static func actions(_ old: HostPolicy, _ new: HostPolicy) -> [Setting] {
    let (before, after) = (told(old.firewall), told(new.firewall))
    var result: [Setting] = []
    func add(_ id: String, _ earlier: Told?, _ later: Told?) {
      let texts = (earlier?.text ?? "nothing", later?.text ?? "nothing")
      guard texts.0 != texts.1 else { return }
      result.append(
        Setting(
          direction: .visible, domain: "rule", text: "\(id): \(texts.0) → \(texts.1)",
          oldSpan: earlier?.span ?? before.spans[id], newSpan: later?.span ?? after.spans[id]))
    }
    for (id, one) in after.list { add(id, before.all[id], one) }
    for (id, one) in before.list where after.all[id] == nil { add(id, one, nil) }
    return result
  }

  /// What one rule says, which several may be that were read back from a kernel's.
  private struct Told {
    var counter: Counter?
    var log: Log?
    var segmentSize: Changes.SegmentSize?
    var updates: [String] = []
    var span: SourceSpan

    /// A rule that was read back from a kernel's is one of each family; the bits that count are those of the set.
    mutating func add(_ rule: Rule) {
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

  /// The rules that say something, in their order, and where the others stand that are written.
  private static func told(
    _ firewall: Firewall?
  ) -> (list: [(String, Told)], all: [String: Told], spans: [String: SourceSpan]) {
    var all: [String: Told] = [:]
    var order: [String] = []
    // Most rules say nothing.
    firewall?.forEachRule { rule in
      guard rule.isEnabled,
        rule.counter != nil || rule.log != nil || !rule.changes.setUpdates.isEmpty
          || rule.changes.segmentSize != nil
      else { return }
      if all[rule.id] == nil { order.append(rule.id) }
      var one = all[rule.id] ?? Told(span: rule.span)
      one.counter = one.counter ?? rule.counter
      one.log = one.log ?? rule.log
      one.segmentSize = one.segmentSize ?? rule.changes.segmentSize
      one.add(rule)
      all[rule.id] = one
    }
    var spans: [String: SourceSpan] = [:]
    firewall?.forEachRule { rule in spans[rule.id] = spans[rule.id] ?? rule.span }
    return (order.compactMap { id in all[id].map { (id, $0) } }, all, spans)
  }
}
