import Diagnostics
import Foundation
import PolicySyntax
import Testing

/// Properties of rules and statements over seeded random ones, and over damaged ones.
@Suite struct RulePropertyTests {
  static let seeds: [UInt64] = [1, 2, 3, 4]

  /// One tree of four texts: canonical text, the clauses in another order, and the mapping form with its
  /// keys in another order; all of them print as the first.
  @Test(arguments: seeds) func oneRuleOfAllItsSpellings(_ seed: UInt64) {
    var generator = RuleGenerator(seed: seed)
    for _ in 0..<5000 {
      let rule = generator.rule()
      let text = rule.canonicalText
      let (again, diagnostics) = parseRule(text)
      guard again == rule, diagnostics.isEmpty, again?.canonicalText == text else {
        Issue.record("\(text)\n  \(diagnostics.map(\.message))\n  \(again?.canonicalText ?? "refused")")
        return
      }

      var words = [rule.verdict.value.canonicalText]
      words += rule.clauses.map(\.value.canonicalText).shuffled(using: &generator.random)
      let shuffled = words.joined(separator: generator.pick([" ", "  ", "\t ", "\n"]))
      let (reordered, faults) = parseRule(shuffled)
      guard reordered == rule, faults.isEmpty else {
        Issue.record("\(shuffled)\n  \(faults.map(\.message))\n  \(reordered?.canonicalText ?? "refused")")
        return
      }

      // Those must have a name, and so are another item.
      if case .containers = rule.verdict.value { continue }
      let yaml = "{\"rules\": [" + RuleTwin.json(rule, using: &generator.random) + "]}\n"
      let (items, found) = ruleItems(yaml)
      guard items.count == 1, items[0].body == .rule(rule), found.isEmpty else {
        Issue.record("\(yaml)\(text)\n  \(found.map(\.message))")
        return
      }
    }
  }

  @Test(arguments: seeds) func printedStatementsAreReadBack(_ seed: UInt64) {
    var generator = RuleGenerator(seed: seed &+ 3000)
    for _ in 0..<5000 {
      let statement = generator.statement()
      var diagnostics = DiagnosticList()
      let text = statement.canonicalText
      let again = StatementSyntax.parse(scalar(text), diagnostics: &diagnostics)
      guard again == statement, diagnostics.isEmpty else {
        Issue.record("\(text)\n  \(diagnostics.all.map(\.message))\n  \(again?.canonicalText ?? "refused")")
        return
      }
      guard case .packets(let packets) = statement else { continue }
      let region = packets.region.canonicalText
      guard RegionSyntax.parseManagement(scalar(region), diagnostics: &diagnostics)?.region == packets.region,
        diagnostics.isEmpty
      else {
        Issue.record("\(region)\n  \(diagnostics.all.map(\.message))")
        return
      }
    }
  }

  // MARK: - Damage

  /// Every text of the example policies, and of the tables of these tests.
  static let corpus: [String] = {
    var texts = RuleCanonicalTests.canonical + RuleCanonicalTests.others.map(\.0)
    texts += RuleFaultTests.rules.map { MarkedText($0.marked).text }
    texts += RuleStatementTests.canonical + RuleStatementTests.faults.map { MarkedText($0.marked).text }
    let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(
      path: "../../../shared/examples")
    let files = (try? FileManager.default.contentsOfDirectory(atPath: folder.path())) ?? []
    for file in files.sorted() where file.hasSuffix(".cos") {
      guard let bytes = try? Data(contentsOf: folder.appending(path: file)) else { continue }
      var diagnostics = DiagnosticList()
      let source = SourceFile(id: SourceID(0), path: file, bytes: Array(bytes))
      func collect(_ node: SyntaxNode) {
        switch node.content {
        case .scalar(let scalar): texts.append(scalar.text)
        case .sequence(let items): items.forEach(collect)
        case .mapping(let entries):
          for entry in entries {
            texts.append(entry.key.text)
            collect(entry.value)
          }
        }
      }
      if let root = SyntaxTree.parse(source, diagnostics: &diagnostics).root { collect(root) }
    }
    return texts
  }()

  /// Reads a text in every way; whatever it is, the answer must be in order. Returns whether it is a rule.
  @discardableResult
  func check(_ text: String, ways: ClosedRange<Int> = 0...9) -> Bool {
    let input = scalar(text)
    var isRule = false
    for way in ways {
      var diagnostics = DiagnosticList()
      var isRead = false
      switch way {
      case 0:
        let rule = RuleSyntax.parse(input, diagnostics: &diagnostics)
        isRead = rule != nil
        isRule = isRead
        if let rule, parseRule(rule.canonicalText).rule != rule {
          Issue.record("`\(text)` prints as `\(rule.canonicalText)`")
        }
      case 1:
        let statement = StatementSyntax.parse(input, diagnostics: &diagnostics)
        isRead = statement != nil
        if let statement {
          var none = DiagnosticList()
          #expect(StatementSyntax.parse(scalar(statement.canonicalText), diagnostics: &none) == statement)
        }
      case 2: isRead = RegionSyntax.parseManagement(input, diagnostics: &diagnostics) != nil
      case 3: isRead = AddressListSyntax.parse(input, diagnostics: &diagnostics) != nil
      case 4...8:
        let kind = way == 4 ? nil : DefinitionElementSyntax.Kind.allCases[way - 5]
        isRead =
          DefinitionElementSyntax.parse(input, as: kind, diagnostics: &diagnostics) != nil
      default:
        let node = SyntaxNode(
          .mapping([
            SyntaxEntry(
              key: scalar("verdict"),
              value: SyntaxNode(.scalar(scalar("accept")), span: input.span, isFlow: false)),
            SyntaxEntry(
              key: scalar("from"), value: SyntaxNode(.scalar(input), span: input.span, isFlow: false)),
            SyntaxEntry(
              key: scalar("log"), value: SyntaxNode(.scalar(input), span: input.span, isFlow: false)),
          ]), span: input.span, isFlow: false)
        isRead = RuleItemSyntax.parse(node, diagnostics: &diagnostics) != nil
      }
      if isRead == diagnostics.hasErrors {
        Issue.record("`\(text)` read \(way): \(isRead), but \(diagnostics.all.map(\.message))")
      }
      guard way < 9 else { continue }
      for diagnostic in diagnostics.all {
        let spans =
          [diagnostic.span].compactMap { $0 } + diagnostic.related.map(\.span) + diagnostic.fixIts.map(\.span)
        for span in spans where span.start > span.end || span.end > text.utf8.count {
          Issue.record("`\(text)`: \(diagnostic.message) at \(span)")
        }
      }
    }
    return isRule
  }

  @Test func prefixesAndDeletions() {
    #expect(Self.corpus.count > 400)
    let statements = Set(RuleStatementTests.canonical)
    for text in Self.corpus where text.utf8.count <= 200 {
      let bytes = Array(text.utf8)
      let ways = statements.contains(text) ? 0...2 : 0...0
      for end in 0...bytes.count { check(String(decoding: bytes[..<end], as: UTF8.self), ways: ways) }
      for gone in bytes.indices {
        check(String(decoding: bytes[..<gone] + bytes[(gone + 1)...], as: UTF8.self), ways: ways)
      }
      check(text)
    }
  }

  @Test(arguments: seeds) func mutations(_ seed: UInt64) {
    var generator = RuleGenerator(seed: seed &+ 4000)
    let corpus = Self.corpus.map { Array($0.utf8) }.filter { $0.count <= 200 }
    let words =
      RuleKeyword.allCases.map(\.rawValue) + [
        ",", "\"", "$x", "10.0.0.0/8", "::1", "22", "5/second", "-", "/", "*", "é", "\\", " ",
      ]
    var accepted = 0
    for _ in 0..<25_000 {
      var bytes = generator.pick(corpus)
      for _ in 0..<generator.pick([1, 1, 2, 4]) {
        let at = Int.random(in: 0...bytes.count, using: &generator.random)
        switch Int.random(in: 0..<5, using: &generator.random) {
        case 0: bytes.insert(UInt8.random(in: 0...255, using: &generator.random), at: at)
        case 1: if at < bytes.count { bytes[at] = UInt8.random(in: 32..<127, using: &generator.random) }
        case 2: bytes.insert(contentsOf: Array((" " + generator.pick(words) + " ").utf8), at: at)
        case 3:
          let end = Int.random(in: at...bytes.count, using: &generator.random)
          bytes.removeSubrange(at..<end)
        default:
          let other = generator.pick(corpus)
          bytes.insert(
            contentsOf: other[..<Int.random(in: 0...other.count, using: &generator.random)], at: at)
        }
      }
      let text = String(decoding: bytes, as: UTF8.self)
      let way = Int.random(in: 1...9, using: &generator.random)
      if check(text, ways: 0...0) { accepted += 1 }
      check(text, ways: way...way)
    }
    // The mutations are worth something only if some of them are still rules.
    #expect(accepted > 300)
  }
}
