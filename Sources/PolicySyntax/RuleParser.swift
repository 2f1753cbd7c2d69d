import Diagnostics

/// Reads rules, regions and statements from the tokens of one or more scalars (LANGUAGE.md §3).
///
/// A fault is reported where it is found; the parser then goes on with the next word that begins a clause,
/// so that one rule can give several diagnostics.
struct RuleParser {
  /// Thrown after a fault was reported that leaves the clause unreadable.
  struct Refused: Error {}

  /// What the clauses belong to.
  enum Context {
    case rule
    /// Statements and `management`: matches and `any-state` only.
    case region
  }

  private(set) var diagnostics = DiagnosticList()
  var context: Context
  var scalars: [SyntaxScalar]
  var tokens: [RuleToken]
  var index = 0
  /// What a missing word is reported at when there are no tokens.
  let wholeSpan: SourceSpan
  /// Ports written after `to`, until they find their protocol.
  var destinationPorts: (ports: PortListSyntax, span: SourceSpan)?

  init(_ scalar: SyntaxScalar, context: Context) {
    self.context = context
    scalars = [scalar]
    wholeSpan = scalar.span
    tokens = RuleLexer(scalar, index: 0).tokens(&diagnostics)
  }

  /// A parser without tokens yet, for the mapping form of a rule.
  init(at span: SourceSpan) {
    context = .rule
    scalars = []
    tokens = []
    wholeSpan = span
  }

  var hasErrors: Bool { diagnostics.hasErrors }

  /// Hands all findings over.
  func finish(_ list: inout DiagnosticList) {
    for diagnostic in diagnostics.all { list.report(diagnostic) }
  }

  // MARK: - Tokens

  var current: RuleToken? { index < tokens.count ? tokens[index] : nil }

  func peek(_ distance: Int) -> RuleToken? {
    index + distance < tokens.count ? tokens[index + distance] : nil
  }

  var isAtEnd: Bool { index >= tokens.count }

  /// Consumes the current token if it is this keyword.
  mutating func take(_ keyword: RuleKeyword) -> RuleToken? {
    guard let token = current, token.keyword == keyword else { return nil }
    index += 1
    return token
  }

  /// Consumes the current token if it is a word of this text, keyword or not.
  mutating func takeWord(_ text: String) -> RuleToken? {
    guard let token = current, token.kind == .word, token.text == text else { return nil }
    index += 1
    return token
  }

  func span(_ token: RuleToken) -> SourceSpan {
    scalars[token.scalar].span(token.start, token.end)
  }

  /// From a token's start to the end of the last token consumed.
  func span(from first: RuleToken) -> SourceSpan {
    let start = span(first)
    guard index > 0 else { return start }
    let end = span(tokens[index - 1])
    return end.end >= start.end ? start.union(end) : start
  }

  /// The place behind the last token.
  var endSpan: SourceSpan {
    guard let last = tokens.last else { return wholeSpan }
    let end = span(last).end
    return SourceSpan(wholeSpan.source, end, end)
  }

  // MARK: - Faults

  mutating func report(_ diagnostic: Diagnostic) { diagnostics.report(diagnostic) }

  mutating func refuse(
    _ id: DiagnosticID, at span: SourceSpan, _ message: String, label: String = "",
    related: [Diagnostic.Label] = [], help: [String] = [], fixIts: [FixIt] = []
  ) -> Refused {
    report(
      Diagnostic(id, at: span, message, label: label, related: related, help: help, fixIts: fixIts))
    return Refused()
  }

  /// The fault that something else, or nothing, stands where `what` should.
  ///
  /// - Parameters:
  ///   - what: with its article, as in ``an address``.
  mutating func expected(
    _ what: String, after: String? = nil, help: [String] = [], fixIts: [FixIt] = []
  ) -> Refused {
    let place = after.map { " after `\($0)`" } ?? ""
    guard let token = current else {
      return refuse(
        .ruleUnexpected, at: endSpan, "expected \(what)\(place)", label: "the text ends here", help: help,
        fixIts: fixIts)
    }
    let label =
      switch token.kind {
      case .comma: "a comma"
      case .string: "a string"
      case .word: token.keyword == nil ? "not \(what)" : "a keyword"
      }
    return refuse(
      .ruleUnexpected, at: span(token), "expected \(what)\(place)", label: label, help: help, fixIts: fixIts)
  }

  mutating func report(_ error: ValueTextError, in token: RuleToken) {
    let length = token.end - token.start
    // Offsets inside a string are not those of its text.
    guard token.kind == .word else {
      var whole = error
      whole.range = 0..<length
      whole.replacements = []
      report(whole.diagnostic(in: scalars[token.scalar], from: token.start, length: length))
      return
    }
    report(error.diagnostic(in: scalars[token.scalar], from: token.start, length: length))
  }

  /// Reads a word by one of the text readers; its fault is reported and costs this value only.
  mutating func value<Value>(
    _ token: RuleToken, _ read: (ArraySlice<UInt8>) throws(ValueTextError) -> Value
  ) -> Spanned<Value>? {
    do {
      return Spanned(try read(Array(token.text.utf8)[...]), span(token))
    } catch {
      report(error, in: token)
      return nil
    }
  }

  // MARK: - Lists

  /// Elements separated by commas.
  ///
  /// - Parameters:
  ///   - element: reads one element; nil if it consumed and reported a wrong one.
  mutating func list<Element>(
    _ element: (inout RuleParser) throws(Refused) -> Spanned<Element>?
  ) throws(Refused) -> [Spanned<Element>] {
    var elements: [Spanned<Element>] = []
    if let first = try element(&self) { elements.append(first) }
    while let comma = current, comma.kind == .comma {
      index += 1
      try checkAfterComma(comma)
      if let next = try element(&self) { elements.append(next) }
    }
    return elements
  }

  private mutating func checkAfterComma(_ comma: RuleToken) throws(Refused) {
    guard let next = current else {
      throw refuse(
        .ruleTrailingComma, at: span(comma), "a list ends in a comma", label: "nothing follows it",
        fixIts: [FixIt("remove it", replace: span(comma), with: "")])
    }
    if next.kind == .comma {
      let extra = next
      index += 1
      throw refuse(
        .ruleTrailingComma, at: span(extra), "a list has no empty elements", label: "a second comma",
        fixIts: [FixIt("remove it", replace: span(extra), with: "")])
    }
  }

  /// The fault of a keyword behind a comma that begins a clause and is no element of the list.
  mutating func strayComma(before next: RuleToken) -> Refused? {
    guard index > 0, tokens[index - 1].kind == .comma, next.keyword?.startsClause == true else { return nil }
    let comma = tokens[index - 1]
    return refuse(
      .ruleTrailingComma, at: span(comma), "a list ends in a comma",
      label: "`\(next.text)` begins another clause",
      help: ["commas stand between the values of one list; clauses are separated by spaces"],
      fixIts: [FixIt("remove the comma", replace: span(comma), with: "")])
  }

  // MARK: - Names

  /// Whether a text is a name: `[a-z][a-z0-9]*(-[a-z0-9]+)*`, at most 40 bytes.
  static func isName(_ text: String) -> Bool {
    var previous = UInt8(ascii: "-")
    var count = 0
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"): break
      case UInt8(ascii: "0")...UInt8(ascii: "9"): if count == 0 { return false }
      case UInt8(ascii: "-"): if previous == UInt8(ascii: "-") { return false }
      default: return false
      }
      previous = byte
      count += 1
    }
    return count > 0 && count <= 40 && previous != UInt8(ascii: "-")
  }

  static let nameHelp =
    "names are lower-case letters and digits, begin with a letter, hold single hyphens and have at most 40 bytes"

  /// Reads `$name`; the current token begins with `$`.
  mutating func reference() -> Spanned<String>? {
    guard let token = current else { return nil }
    index += 1
    let name = String(token.text.dropFirstByte)
    guard Self.isName(name) else {
      report(
        Diagnostic(
          .badName, at: span(token), name.isEmpty ? "a `$` without a name" : "`\(name)` is not a name",
          help: [Self.nameHelp]))
      return nil
    }
    return Spanned(name, span(token))
  }

  /// Reads a `$name` where nothing else can stand.
  mutating func requiredReference(_ what: String, after: String) throws(Refused) -> Spanned<String> {
    guard let token = current, token.isReference else {
      var fixIts: [FixIt] = []
      if let token = current, token.isPlainWord, Self.isName(token.text) {
        fixIts = [FixIt("refer to the definition", replace: span(token), with: "$" + token.text)]
      }
      throw expected(what, after: after, help: ["definitions are written with a `$`"], fixIts: fixIts)
    }
    guard let name = reference() else { throw Refused() }
    return name
  }

  /// Reads a name of a chain, a counter, a zone or a log tag, none of which can be a keyword.
  mutating func name(_ what: String, after: String) throws(Refused) -> Spanned<String> {
    guard let token = current, token.kind == .word, token.keyword == nil else {
      throw expected(what, after: after)
    }
    guard Self.isName(token.text) else {
      index += 1
      throw refuse(.badName, at: span(token), "`\(token.text)` is not a name", help: [Self.nameHelp])
    }
    index += 1
    return Spanned(token.text, span(token))
  }

  /// Reads one of a fixed set of words, keywords among them.
  mutating func oneOf(_ words: [String], _ what: String, after: String) throws(Refused) -> Spanned<String> {
    guard let token = current, token.kind == .word, !token.isReference else {
      throw expected(what, after: after, help: ["one of " + Self.listing(words)])
    }
    if words.contains(token.text) {
      index += 1
      return Spanned(token.text, span(token))
    }
    if let refused = strayComma(before: token) { throw refused }
    if token.keyword?.startsClause == true {
      throw expected(what, after: after, help: ["one of " + Self.listing(words)])
    }
    index += 1
    let nearest = Spelling.closest(to: token.text, among: words)
    throw refuse(
      .ruleUnknownWord, at: span(token), "unknown word `\(token.text)` after `\(after)`",
      label: "expected \(what)",
      help: [nearest.map { "did you mean `\($0)`?" } ?? "one of " + Self.listing(words)],
      fixIts: nearest.map { [FixIt("write `\($0)`", replace: span(token), with: $0)] } ?? [])
  }

  static func listing(_ words: [String]) -> String {
    words.map { "`\($0)`" }.joined(separator: ", ")
  }
}

extension String {
  /// Without its first byte, which must be ASCII.
  var dropFirstByte: Substring { Substring(utf8.dropFirst()) }
}
