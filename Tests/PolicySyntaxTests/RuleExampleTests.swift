import Diagnostics
import Foundation
import PolicySyntax
import Testing

/// Every rule, statement, region and definition of the example policies is read without a word.
@Suite struct RuleExampleTests {
  static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(
    path: "../../../shared/examples")
  static let files: [String] = {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path())) ?? []
    return names.filter { $0.hasSuffix(".cos") }.sorted()
  }()

  @Test(.enabled(if: !files.isEmpty, "the example policies are not beside the repository"), arguments: files)
  func isRead(_ file: String) throws {
    let bytes = Array(try Data(contentsOf: Self.folder.appending(path: file)))
    var reader = Reader()
    let tree = SyntaxTree.parse(
      SourceFile(id: SourceID(0), path: file, bytes: bytes), diagnostics: &reader.diagnostics)
    reader.read(try #require(tree.root), key: "")
    #expect(reader.diagnostics.isEmpty, "\(reader.diagnostics.all)")
    #expect(reader.rules >= 3 && reader.statements >= 1 && reader.definitions >= 0)
  }

  /// Walks a policy by the keys that hold rules, wherever they are.
  struct Reader {
    var diagnostics = DiagnosticList()
    var rules = 0
    var statements = 0
    var definitions = 0

    mutating func read(_ node: SyntaxNode, key: String) {
      switch key {
      case "rules": for item in node.sequence ?? [] { rule(item) }
      case "prerouting" where node.sequence != nil, "postrouting" where node.sequence != nil:
        for item in node.sequence ?? [] { rule(item) }
      case "replace":
        for entry in node.mapping ?? [] {
          rule(SyntaxNode(.mapping([entry]), span: node.span, isFlow: false))
        }
      case "before", "after":
        for entry in node.mapping ?? [] { for item in entry.value.sequence ?? [] { rule(item) } }
      case "expect", "guarantee", "delegate":
        for item in node.sequence ?? [] {
          #expect(StatementItemSyntax.parse(item, diagnostics: &diagnostics) != nil)
          statements += 1
        }
      case "management":
        for item in node.sequence ?? [] {
          let text = item.ruleText("a region", diagnostics: &diagnostics)
          #expect(text.flatMap { RegionSyntax.parseManagement($0, diagnostics: &diagnostics) } != nil)
          statements += 1
        }
      case "define": for entry in node.mapping ?? [] { definition(entry.value) }
      default: for entry in node.mapping ?? [] { read(entry.value, key: entry.key.text) }
      }
    }

    private mutating func rule(_ item: SyntaxNode) {
      guard let read = RuleItemSyntax.parse(item, diagnostics: &diagnostics) else { return }
      rules += 1
      guard case .rule(let rule) = read.body else { return }
      #expect(parseRule(rule.canonicalText).rule == rule)
    }

    private mutating func definition(_ node: SyntaxNode) {
      switch node.content {
      case .sequence(let items):
        for item in items {
          guard let scalar = item.scalar else { continue }
          #expect(DefinitionElementSyntax.parse(scalar, diagnostics: &diagnostics) != nil)
          definitions += 1
        }
      case .scalar(let scalar):
        var asAddresses = DiagnosticList()
        if AddressListSyntax.parse(scalar, diagnostics: &asAddresses) == nil {
          #expect(DefinitionElementSyntax.parse(scalar, diagnostics: &diagnostics) != nil)
        }
        definitions += 1
      case .mapping: break
      }
    }
  }
}
