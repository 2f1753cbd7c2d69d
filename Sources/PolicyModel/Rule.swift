package import Diagnostics

/// One checked rule. A packet meets `matches` (all of them), then `connections`, `limit` and `quota`, then
/// `changes`, the other actions, and the verdict (LANGUAGE.md §4.1).
///
/// Its parts are half a kilobyte, and lists of many thousand rules are handed from step to step: a copy is one
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
    var connections: ConnectionLimit?
    var limit: Limit?
    var quota: Quota?
    var changes = Changes()
    var counter: Counter?
    var log: Log?
    var verdict: Verdict
    var comment: String?
    var owner: String?
    var because: String?
    var until: String?
    var controls: [String] = []
    var isEnabled = true
    var unreadable: String?
    var origin: Origin = .written
    var span: SourceSpan
  }

  /// SAFETY: changed only by who has the one reference to it.
  private final class Storage: @unchecked Sendable {
    var parts: Parts

    init(_ parts: Parts) { self.parts = parts }
  }

  private var storage: Storage

  package init(id: String, name: String?, text: String, verdict: Verdict, span: SourceSpan) {
    storage = Storage(Parts(id: id, name: name, text: text, verdict: verdict, span: span))
  }

  private mutating func makeOwn() {
    if !isKnownUniquelyReferenced(&storage) { storage = Storage(storage.parts) }
  }

  /// Whether it decides for some of the packets that meet its matches, and not for others.
  package var isLimiting: Bool {
    storage.parts.connections != nil || storage.parts.limit != nil || storage.parts.quota != nil
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
    get { storage.parts.connections }
    _modify {
      makeOwn()
      yield &storage.parts.connections
    }
  }

  package var limit: Limit? {
    get { storage.parts.limit }
    _modify {
      makeOwn()
      yield &storage.parts.limit
    }
  }

  package var quota: Quota? {
    get { storage.parts.quota }
    _modify {
      makeOwn()
      yield &storage.parts.quota
    }
  }

  package var changes: Changes {
    get { storage.parts.changes }
    _modify {
      makeOwn()
      yield &storage.parts.changes
    }
  }

  /// `count`: an anonymous counter, or a named one.
  package var counter: Counter? {
    get { storage.parts.counter }
    _modify {
      makeOwn()
      yield &storage.parts.counter
    }
  }

  package var log: Log? {
    get { storage.parts.log }
    _modify {
      makeOwn()
      yield &storage.parts.log
    }
  }

  package var verdict: Verdict {
    get { storage.parts.verdict }
    _modify {
      makeOwn()
      yield &storage.parts.verdict
    }
  }

  package var comment: String? {
    get { storage.parts.comment }
    _modify {
      makeOwn()
      yield &storage.parts.comment
    }
  }

  package var owner: String? {
    get { storage.parts.owner }
    _modify {
      makeOwn()
      yield &storage.parts.owner
    }
  }

  package var because: String? {
    get { storage.parts.because }
    _modify {
      makeOwn()
      yield &storage.parts.because
    }
  }

  /// `YYYY-MM-DD` or `never`.
  package var until: String? {
    get { storage.parts.until }
    _modify {
      makeOwn()
      yield &storage.parts.until
    }
  }

  /// Control ids of benchmarks, in the order written.
  package var controls: [String] {
    get { storage.parts.controls }
    _modify {
      makeOwn()
      yield &storage.parts.controls
    }
  }

  /// `enabled: false`: checked and listed, not enforced.
  package var isEnabled: Bool {
    get { storage.parts.isEnabled }
    _modify {
      makeOwn()
      yield &storage.parts.isEnabled
    }
  }

  /// Why nobody can tell what it does with the packets that meet its matches: it was read back from a kernel's rules,
  /// and they say what the model has no words for. Nil: of what a policy says, all is known.
  package var unreadable: String? {
    get { storage.parts.unreadable }
    _modify {
      makeOwn()
      yield &storage.parts.unreadable
    }
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
  package var customMirror: Mirror { Mirror(reflecting: storage.parts) }
}
