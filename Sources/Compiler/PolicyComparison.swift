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
    let policy = PolicyChecker.check(
      file, in: &sources, reader: reader, judgesFacts: false, diagnostics: &diagnostics)
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
    package var key: String
    package var old: String
    package var new: String
    /// Which packets it is about, with an example.
    package var packets: String?
    package var oldSpan: SourceSpan?
    package var newSpan: SourceSpan?

    package var text: String { "\(key): \(old) → \(new)" + (packets.map { ", \($0)" } ?? "") }
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
        key: change.key, old: change.old, new: change.new, oldSpan: change.oldSpan, newSpan: change.newSpan)
    }
    settings += packets.sharings.map(Setting.init)
    settings += Self.sets(old, new)
    add(SideEffectComparison(fillsFrom: old, to: new, listsInFull: listsInFull))
    add(SideEffectComparison(closedStageFrom: old, to: new, listsInFull: listsInFull))
    if comparesTold { add(SideEffectComparison(toldFrom: old, to: new, listsInFull: listsInFull)) }
  }

  private mutating func add(_ compared: SideEffectComparison) {
    settings += compared.settings
    for unknown in compared.unknown
    where !packets.unknown.contains(where: { $0.place == unknown.place && $0.reason == unknown.reason }) {
      packets.unknown.append(unknown)
    }
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
        key: later.name, old: words(earlier), new: words(later), oldSpan: earlier.span, newSpan: later.span)
    }
  }
}
