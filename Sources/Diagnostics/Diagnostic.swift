package enum Severity: String, Sendable, Comparable {
  case note
  case warning
  case error

  private var rank: Int {
    switch self {
    case .note: 0
    case .warning: 1
    case .error: 2
    }
  }

  package static func < (a: Severity, b: Severity) -> Bool { a.rank < b.rank }
}

/// One replacement of source text that cures a diagnostic.
package struct FixIt: Hashable, Sendable {
  /// What applying it does, in the imperative: ``quote it``.
  package var message: String
  /// What is replaced; an empty span inserts.
  package var span: SourceSpan
  package var replacement: String

  package init(_ message: String, replace span: SourceSpan, with replacement: String) {
    self.message = message
    self.span = span
    self.replacement = replacement
  }
}

/// One finding about a policy: the place, the reason and the help.
///
/// Messages are lower case, without full stop, with what the user wrote in backticks.
package struct Diagnostic: Hashable, Sendable {
  /// A further place that explains the finding.
  package struct Label: Hashable, Sendable {
    package var span: SourceSpan
    package var message: String

    package init(_ span: SourceSpan, _ message: String) {
      self.span = span
      self.message = message
    }
  }

  package var id: DiagnosticID
  package var severity: Severity
  package var message: String
  /// Nil only where there is no source text to point at (a missing file).
  package var span: SourceSpan?
  /// Words beside the carets.
  package var label: String
  package var related: [Label]
  package var help: [String]
  package var fixIts: [FixIt]

  package init(
    _ id: DiagnosticID, _ severity: Severity = .error, at span: SourceSpan?, _ message: String,
    label: String = "", related: [Label] = [], help: [String] = [], fixIts: [FixIt] = []
  ) {
    self.id = id
    self.severity = severity
    self.message = message
    self.span = span
    self.label = label
    self.related = related
    self.help = help
    self.fixIts = fixIts
  }
}

/// The findings of one run, in the order they were made.
package struct DiagnosticList: Sendable {
  package private(set) var all: [Diagnostic] = []

  package init() {}

  package mutating func report(_ diagnostic: Diagnostic) { all.append(diagnostic) }

  /// Puts the findings in the order of their places, those without a place first; at one place they keep theirs.
  package mutating func sortByPlace() {
    func place(_ diagnostic: Diagnostic) -> (Int, Int) {
      diagnostic.span.map { (Int($0.source.index), $0.start) } ?? (-1, 0)
    }
    all = all.enumerated().sorted { a, b in
      let (placeA, placeB) = (place(a.element), place(b.element))
      return placeA == placeB ? a.offset < b.offset : placeA < placeB
    }.map(\.element)
  }

  package var hasErrors: Bool { all.contains { $0.severity == .error } }

  package var errorCount: Int { all.count { $0.severity == .error } }

  package var isEmpty: Bool { all.isEmpty }
}
