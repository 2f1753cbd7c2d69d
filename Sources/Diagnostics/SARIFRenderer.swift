package import CanonicalJSON

/// Renders the findings of one run as a SARIF log, which code hosts and editors show at the lines they are about.
///
/// Static Analysis Results Interchange Format 2.1.0, an OASIS standard.
package struct SARIFRenderer {
  /// One file of a run, with the files it names and what was found in them.
  package struct Input {
    /// As it was named; findings without a place are about it.
    package var path: String
    package var files: SourceFiles
    package var diagnostics: [Diagnostic]

    package init(path: String, files: SourceFiles, diagnostics: [Diagnostic]) {
      self.path = path
      self.files = files
      self.diagnostics = diagnostics
    }
  }

  /// A result that is no diagnostic, such as a change between two files.
  package struct Finding {
    package var rule: String
    package var severity: Severity
    package var text: String
    /// Nil: about the file as a whole.
    package var span: SourceSpan?

    package init(_ rule: String, _ severity: Severity, at span: SourceSpan?, _ text: String) {
      self.rule = rule
      self.severity = severity
      self.span = span
      self.text = text
    }
  }

  private let version: String
  private let exitCode: Int32
  private var artifacts: [String] = []
  private var rules: [String] = []
  private var results: [JSONValue] = []

  /// - Parameters:
  ///   - version: Of the program, `MAJOR.MINOR.PATCH`.
  ///   - exitCode: What the run ends with; 3 is a run that could not do its work.
  package init(version: String, exitCode: Int32) {
    self.version = version
    self.exitCode = exitCode
  }

  package mutating func add(_ input: Input) {
    for diagnostic in input.diagnostics { results.append(result(diagnostic, input)) }
    _ = artifact(input.path)
  }

  package mutating func add(_ findings: [Finding], of path: String, _ files: SourceFiles) {
    _ = artifact(path)
    for finding in findings {
      let place = finding.span.map { location($0, files) } ?? ["artifactLocation": artifactLocation(path)]
      results.append([
        "ruleId": .string(finding.rule), "ruleIndex": JSONValue(ruleIndex(finding.rule)),
        "level": .string(finding.severity.rawValue), "message": ["text": .string(finding.text)],
        "locations": [["physicalLocation": place]],
      ])
    }
  }

  package func log() -> JSONValue {
    let driver: JSONValue = [
      "name": "lockdown", "version": .string(version), "semanticVersion": .string(version),
      "rules": .array(rules.map { ["id": .string($0)] }),
    ]
    let run: JSONValue = [
      "tool": ["driver": driver],
      // Columns are scalars, as everywhere in this program, and not UTF-16 units.
      "columnKind": "unicodeCodePoints",
      "invocations": [
        ["executionSuccessful": .bool(exitCode != 3), "exitCode": JSONValue(exitCode)]
      ],
      "artifacts": .array(artifacts.map { ["location": ["uri": .string(Self.uri($0))]] }),
      "results": .array(results),
    ]
    return [
      "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
      "version": "2.1.0", "runs": [run],
    ]
  }

  // MARK: Findings

  private mutating func result(_ diagnostic: Diagnostic, _ input: Input) -> JSONValue {
    let rule = ruleIndex(diagnostic.id.rawValue)
    let place: JSONValue =
      diagnostic.span.map { location($0, input.files) } ?? ["artifactLocation": artifactLocation(input.path)]
    return .object(present: [
      ("ruleId", .string(diagnostic.id.rawValue)), ("ruleIndex", JSONValue(rule)),
      ("level", .string(diagnostic.severity.rawValue)), ("message", ["text": .string(Self.text(diagnostic))]),
      ("locations", [["physicalLocation": place]]),
      ("relatedLocations", related(diagnostic, input.files)),
      ("fixes", fixes(diagnostic, input.files)),
    ])
  }

  private mutating func ruleIndex(_ rule: String) -> Int {
    if let known = rules.firstIndex(of: rule) { return known }
    rules.append(rule)
    return rules.count - 1
  }

  /// All the words of a finding, since viewers show one text.
  private static func text(_ diagnostic: Diagnostic) -> String {
    let label = diagnostic.label.isEmpty ? "" : " (\(diagnostic.label))"
    return diagnostic.message + label + diagnostic.help.map { "\nhelp: \($0)" }.joined()
  }

  private mutating func related(_ diagnostic: Diagnostic, _ files: SourceFiles) -> JSONValue? {
    guard !diagnostic.related.isEmpty else { return nil }
    var locations: [JSONValue] = []
    for (index, label) in diagnostic.related.enumerated() {
      locations.append([
        "id": JSONValue(index), "physicalLocation": location(label.span, files),
        "message": ["text": .string(label.message)],
      ])
    }
    return .array(locations)
  }

  private mutating func fixes(_ diagnostic: Diagnostic, _ files: SourceFiles) -> JSONValue? {
    guard !diagnostic.fixIts.isEmpty else { return nil }
    var fixes: [JSONValue] = []
    for fixIt in diagnostic.fixIts {
      let change: JSONValue = [
        "artifactLocation": artifactLocation(files[fixIt.span.source].path),
        "replacements": [
          [
            "deletedRegion": region(fixIt.span, files),
            "insertedContent": ["text": .string(fixIt.replacement)],
          ]
        ],
      ]
      fixes.append(["description": ["text": .string(fixIt.message)], "artifactChanges": [change]])
    }
    return .array(fixes)
  }

  // MARK: Places

  private mutating func location(_ span: SourceSpan, _ files: SourceFiles) -> JSONValue {
    ["artifactLocation": artifactLocation(files[span.source].path), "region": region(span, files)]
  }

  /// From 1, the end exclusive.
  private func region(_ span: SourceSpan, _ files: SourceFiles) -> JSONValue {
    let file = files[span.source]
    let start = file.position(of: span.start)
    let end = file.position(of: span.end)
    return [
      "startLine": JSONValue(start.line), "startColumn": JSONValue(start.column),
      "endLine": JSONValue(end.line), "endColumn": JSONValue(end.column),
    ]
  }

  private mutating func artifactLocation(_ path: String) -> JSONValue {
    ["uri": .string(Self.uri(path)), "index": JSONValue(artifact(path))]
  }

  /// A file named twice is one.
  private mutating func artifact(_ path: String) -> Int {
    if let known = artifacts.firstIndex(of: path) { return known }
    artifacts.append(path)
    return artifacts.count - 1
  }

  /// A relative reference for a relative path, RFC 3986 §4.2; of other paths a `file` URI, RFC 8089.
  private static func uri(_ path: String) -> String {
    var uri = path.utf8.first == UInt8(ascii: "/") ? "file://" : ""
    // A colon in the first segment would make a scheme of what stands before it.
    if uri.isEmpty, path.prefix(while: { $0 != "/" }).contains(":") { uri = "./" }
    let digits = Array("0123456789ABCDEF")
    for byte in path.utf8 {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
        UInt8(ascii: "~"), UInt8(ascii: "/"), UInt8(ascii: ":"):
        uri.unicodeScalars.append(Unicode.Scalar(byte))
      default: uri += "%" + String(digits[Int(byte >> 4)]) + String(digits[Int(byte & 15)])
      }
    }
    return uri
  }
}
