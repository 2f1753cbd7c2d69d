import Compiler
import Diagnostics
import Foundation
import PolicyChecker
import Testing

/// `docs/language.md`: every example is compiled, and gives the findings that the page says.
///
/// Behind the language of a fenced block stand words: a place (`output`, `forward`, `prerouting` …) for a list of rules,
/// `refused ID` or `warned ID` for the one finding it must have, `file PATH` for what later examples name, and `names`
/// for the definitions that all examples may use.
@Suite struct LanguagePageTests {
  private struct Example {
    var line: Int
    var words: [String]
    var text: String

    func value(of word: String) -> String? {
      words.firstIndex(of: word).flatMap { $0 + 1 < words.count ? words[$0 + 1] : nil }
    }
  }

  private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(
    path: "../..")

  private func page() throws -> String {
    try String(contentsOf: Self.root.appending(path: "docs/language.md"), encoding: .utf8)
  }

  private func examples(of page: String) -> [Example] {
    var examples: [Example] = []
    var isOpen = false
    for (index, line) in page.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      if line.hasPrefix("```") {
        isOpen.toggle()
        if isOpen {
          let words = line.dropFirst(3).split(separator: " ").map(String.init)
          examples.append(Example(line: index + 1, words: words, text: ""))
        }
      } else if isOpen {
        examples[examples.count - 1].text += line + "\n"
      }
    }
    return examples
  }

  @Test func everyExampleIsWhatThePageSays() throws {
    let examples = examples(of: try page())
    #expect(examples.count >= 70)
    let names = definitions(try #require(examples.first { $0.words.contains("names") }).text)
    var files: [String: [UInt8]] = [:]
    for example in examples where !example.words.contains("names") {
      if let path = example.value(of: "file") {
        files[path] = Array(example.text.utf8)
        // A list, or a fragment, which is checked with what includes it.
        if example.words.first == "text" || example.text.hasPrefix("fragment:") { continue }
      }
      #expect(example.words.first == "yaml", "line \(example.line): what is it?")
      let source = policy(example, names)
      let compilation = PolicyCompiler.compile(
        path: "example.cos", bytes: Array(source.utf8), reader: SourceDictionary(files))
      let findings = PlainRenderer(files: compilation.sources).render(compilation.diagnostics.all)
      let ids = Set(compilation.diagnostics.all.map(\.id.rawValue))
      let wanted = [example.value(of: "refused"), example.value(of: "warned")].compactMap { $0 }
      #expect(ids == Set(wanted), "docs/language.md:\(example.line)\n\(source)\n\(findings)")
      #expect(
        try isLaidOut(source), "docs/language.md:\(example.line) is not in the layout of `lockdown fmt`")
      #expect((compilation.policy == nil) == (example.value(of: "refused") != nil), "line \(example.line)")
    }
  }

  /// In the one layout, or with errors of syntax.
  private func isLaidOut(_ source: String) throws -> Bool {
    var problems = DiagnosticList()
    let file = SourceFile(id: SourceID(0), path: "example.cos", bytes: Array(source.utf8))
    return try PolicyFormatter.format(file, diagnostics: &problems).map { $0 == Array(source.utf8) } ?? true
  }

  /// Whole, as the page says: what the example leaves out stands in front of it.
  private func policy(_ example: Example, _ names: [String: String]) -> String {
    var text = example.text
    if text.hasPrefix("policy:") || text.hasPrefix("fragment:") { return text }
    if text.hasPrefix("- ") { text = chain(example) }
    let keys = Set(
      text.split(separator: "\n").filter { $0.first?.isLetter == true }.map { $0.prefix { $0 != ":" } })
    var head = "policy: example\nlanguage: 1\n"
    if !keys.contains("extends") {
      if !keys.contains("target") { head += "target: { kernel: \"6.1\" }\n" }
      if !keys.contains("management") { head += "management: none\n" }
    }
    let used = names.filter { text.contains("$\($0.key)") && !text.contains("  \($0.key): ") }
    let lines = used.sorted { $0.key < $1.key }.map { "  \($0.key): \($0.value)\n" }.joined()
    if lines.isEmpty { return head + text }
    // One mapping holds them all.
    guard keys.contains("define") else { return head + "define:\n" + lines + text }
    return head + text.replacing("define:\n", with: "define:\n" + lines, maxReplacements: 1)
  }

  private func chain(_ example: Example) -> String {
    let places = ["prerouting", "forward", "output", "postrouting"]
    let place = example.words.first(where: places.contains) ?? "input"
    let closed = ["input", "forward"].contains(place)
    let rules = example.text.split(separator: "\n").map { "      \($0)\n" }.joined()
    return "firewall:\n  \(place):\n    policy: \(closed ? "drop" : "accept")\n    rules:\n\(rules)"
  }

  private func definitions(_ text: String) -> [String: String] {
    var names: [String: String] = [:]
    for line in text.split(separator: "\n").dropFirst() {
      let parts = line.split(separator: ":", maxSplits: 1)
      names[parts[0].trimmingCharacters(in: .whitespaces)] = parts[1].trimmingCharacters(in: .whitespaces)
    }
    return names
  }

  /// What this version refuses is on the page, feature by feature; a feature that lands takes its example with it.
  @Test func everySectionIsLinked() throws {
    let page = try page()
    let headings = page.split(separator: "\n").filter { $0.hasPrefix("#") }
      .map { $0.drop { $0 == "#" }.dropFirst().lowercased().filter { $0.isLetter || $0 == " " || $0 == "-" } }
      .map { $0.replacing(" ", with: "-") }
    for part in page.split(separator: "](#").dropFirst() {
      #expect(headings.contains(String(part.prefix { $0 != ")" })), "\(part.prefix(30))")
    }
  }
}
