package import Diagnostics

/// One checked rule. A packet meets `matches` (all of them), then `connections`, `limit` and `quota`, then
/// `changes`, the other actions, and the verdict (LANGUAGE.md §4.1).
///
/// Its parts are some hundred bytes, and lists of many thousand rules are handed from step to step: a copy is one
/// reference, until it is changed.
package struct Rule: Sendable {
  package enum Origin: Sendable, Equatable {
    case written
    /// The visible end of a chain with policy drop or reject.
    case closing
    /// Expanded from the rule item of that id.
    case expanded(from: String)
  }

  private struct Parts {
    var id: String
    var name: String?
    var text: String
    var families = Families.both
    var matches: [Match] = []
    var verdict: Verdict
    var isEnabled = true
    var hasEmptyList = false
    var origin: Origin = .written
    var span: SourceSpan
    /// Nil: all of them are as a rule has them that says nothing of them.
    var rare: RareStorage?
  }

  /// What few rules have.
  private struct RareParts {
    var connections: ConnectionLimit?
    var limit: Limit?
    var quota: Quota?
    var room: String?
    var changes = Changes()
    var counter: Counter?
    var log: Log?
    var comment: String?
    var owner: String?
    var because: String?
    var until: String?
    var controls: [String] = []
    var unreadable: String?
    var unreadProgram: String?
    var unreadWhole: String?

    static let none = RareParts()
  }

  /// SAFETY: changed only by who has the one reference to it. So nobody reads it meanwhile either, and the run-time
  /// check of that, at each look at a rule, would take longer than the look.
  private final class Storage: @unchecked Sendable {
    @exclusivity(unchecked) var parts: Parts

    init(_ parts: Parts) { self.parts = parts }
  }

  /// SAFETY: as of `Storage`.
  private final class RareStorage: @unchecked Sendable {
    @exclusivity(unchecked) var parts: RareParts

    init(_ parts: RareParts) { self.parts = parts }
  }

  private var storage: Storage

  package init(id: String, name: String?, text: String, verdict: Verdict, span: SourceSpan) {
    storage = Storage(Parts(id: id, name: name, text: text, verdict: verdict, span: span))
  }

  private mutating func makeOwn() {
    if !isKnownUniquelyReferenced(&storage) { storage = Storage(storage.parts) }
  }

  private var rare: RareParts {
    get { storage.parts.rare?.parts ?? .none }
    _modify {
      makeOwn()
      if storage.parts.rare == nil {
        storage.parts.rare = RareStorage(.none)
      } else if !isKnownUniquelyReferenced(&storage.parts.rare), let shared = storage.parts.rare {
        storage.parts.rare = RareStorage(shared.parts)
      }
      // INVARIANT: it has just been made.
      guard let own = storage.parts.rare else { preconditionFailure("rare parts are there") }
      yield &own.parts
    }
  }

  /// Whether it decides for some of the packets that meet its matches, and not for others.
  package var isLimiting: Bool {
    guard let rare = storage.parts.rare else { return false }
    return rare.parts.connections != nil || rare.parts.limit != nil || rare.parts.quota != nil
      || rare.parts.room != nil
  }

  /// Whether its verdict is all that it does, and nothing but its matches decides for whom.
  package var onlyDecides: Bool {
    guard let rare = storage.parts.rare else { return true }
    return !isLimiting && rare.parts.changes.isEmpty && rare.parts.counter == nil && rare.parts.log == nil
  }

  /// Whether it is about all packets of its families.
  package var matchesAll: Bool { storage.parts.matches.isEmpty }

  /// Whether one of its matches asks for control groups.
  package var asksControlGroups: Bool {
    storage.parts.matches.contains { if case .controlGroups = $0.condition { true } else { false } }
  }

  // MARK: Parts

  /// `PLACE/NAME` or `PLACE/SLUG~HASH` (LANGUAGE.md §7).
  package var id: String {
    get { storage.parts.id }
    _modify {
      makeOwn()
      yield &storage.parts.id
    }
  }

  package var name: String? {
    get { storage.parts.name }
    _modify {
      makeOwn()
      yield &storage.parts.name
    }
  }

  /// Canonical text, `$names` unresolved.
  package var text: String {
    get { storage.parts.text }
    _modify {
      makeOwn()
      yield &storage.parts.text
    }
  }

  /// Meet of the families of all clauses; never empty.
  package var families: Families {
    get { storage.parts.families }
    _modify {
      makeOwn()
      yield &storage.parts.families
    }
  }

  package var matches: [Match] {
    get { storage.parts.matches }
    _modify {
      makeOwn()
      yield &storage.parts.matches
    }
  }

  package var connections: ConnectionLimit? {
    get { storage.parts.rare?.parts.connections }
    _modify { yield &rare.connections }
  }

  package var limit: Limit? {
    get { storage.parts.rare?.parts.limit }
    _modify { yield &rare.limit }
  }

  package var quota: Quota? {
    get { storage.parts.rare?.parts.quota }
    _modify { yield &rare.quota }
  }

  /// A set that rules fill: the rule holds only while what it puts in finds room. A policy's never need that.
  package var room: String? {
    get { storage.parts.rare?.parts.room }
    _modify { yield &rare.room }
  }

  package var changes: Changes {
    get { storage.parts.rare?.parts.changes ?? Changes() }
    _modify { yield &rare.changes }
  }

  /// `count`: an anonymous counter, or a named one.
  package var counter: Counter? {
    get { storage.parts.rare?.parts.counter }
    _modify { yield &rare.counter }
  }

  package var log: Log? {
    get { storage.parts.rare?.parts.log }
    _modify { yield &rare.log }
  }

  package var verdict: Verdict {
    get { storage.parts.verdict }
    _modify {
      makeOwn()
      yield &storage.parts.verdict
    }
  }

  package var comment: String? {
    get { storage.parts.rare?.parts.comment }
    _modify { yield &rare.comment }
  }

  package var owner: String? {
    get { storage.parts.rare?.parts.owner }
    _modify { yield &rare.owner }
  }

  package var because: String? {
    get { storage.parts.rare?.parts.because }
    _modify { yield &rare.because }
  }

  /// `YYYY-MM-DD` or `never`.
  package var until: String? {
    get { storage.parts.rare?.parts.until }
    _modify { yield &rare.until }
  }

  /// Control ids of benchmarks, in the order written.
  package var controls: [String] {
    get { storage.parts.rare?.parts.controls ?? [] }
    _modify { yield &rare.controls }
  }

  /// `enabled: false`: checked and listed, not enforced.
  package var isEnabled: Bool {
    get { storage.parts.isEnabled }
    _modify {
      makeOwn()
      yield &storage.parts.isEnabled
    }
  }

  /// Whether it is left out because a list that it asks is empty, so that it never holds (LANGUAGE.md §4.8).
  package var hasEmptyList: Bool {
    get { storage.parts.hasEmptyList }
    _modify {
      makeOwn()
      yield &storage.parts.hasEmptyList
    }
  }

  /// Why nobody can tell what it does with the packets that meet its matches: it was read back from a kernel's rules,
  /// and they say what the model has no words for. Nil: of what a policy says, all is known.
  package var unreadable: String? {
    get { storage.parts.rare?.parts.unreadable }
    _modify { yield &rare.unreadable }
  }

  /// The program of such a rule, where it asks and decides and does nothing else: two that are the same let through the
  /// same packets, whichever those are. Nil: nothing is known.
  package var unreadProgram: String? {
    get { storage.parts.rare?.parts.unreadProgram }
    _modify { yield &rare.unreadProgram }
  }

  /// The program of such a rule whatever it does, with the sets that it asks: where two are the same, and all that packets
  /// meet besides, the same becomes of them. Nil: what it asks is not known.
  package var unreadWhole: String? {
    get { storage.parts.rare?.parts.unreadWhole }
    _modify { yield &rare.unreadWhole }
  }

  /// Why the compiler wrote this rule itself: `closing`, or the `containers` item it expands.
  package var origin: Origin {
    get { storage.parts.origin }
    _modify {
      makeOwn()
      yield &storage.parts.origin
    }
  }

  package var span: SourceSpan {
    get { storage.parts.span }
    _modify {
      makeOwn()
      yield &storage.parts.span
    }
  }
}

extension Rule: CustomReflectable {
  /// Its parts.
  package var customMirror: Mirror {
    let rare = Mirror(reflecting: self.rare).children
    return Mirror(
      self,
      children: Mirror(reflecting: storage.parts).children.filter { $0.label != "rare" } + Array(rare))
  }
}
