import Diagnostics
import Foundation
import PolicySyntax
import Testing

/// The layout of documents: whatever is accepted is printed anew with the same events and the same comments, once and
/// for all.
@Suite("documents: layout")
struct DocumentFormatTests {
  @Test("the corpus")
  func corpus() throws {
    for document in try DocumentCorpus.all() { check(document.bytes, document.path) }
  }

  @Test("generated documents")
  func generated() throws {
    var formatted = 0
    for (seed, isHazardous) in [(71, false), (72, true)] {
      var generator = DocumentGenerator(seed: UInt64(seed), isHazardous: isHazardous)
      for number in 0..<20_000 where check(generator.next(), "generated \(number) of \(seed)") {
        formatted += 1
      }
    }
    #expect(formatted > 24_000)
  }

  @Test("mutated documents")
  func mutated() throws {
    var mutator = DocumentMutator(
      seed: 73, seeds: (try DocumentCorpus.policies() + DocumentSeeds.documents).map(\.bytes))
    let formatted = (0..<40_000).count { check(mutator.next(), "mutation \($0)") }
    #expect(formatted > 6_000)
  }

  @Test("the official suites", .enabled(if: DocumentCorpus.hasData, "no ../shared/data"))
  func suites() throws {
    let cases =
      try DocumentCorpus.files(below: DocumentCorpus.data("yaml-test-suite")) {
        $0.lastPathComponent == "in.yaml"
      } + DocumentCorpus.files(below: DocumentCorpus.data("json-test-suite")) { $0.pathExtension == "json" }
    #expect(cases.count { check($0.bytes, $0.path) } > 40)
  }

  @Test("at the limits")
  func limits() throws {
    let key = String(repeating: "k", count: 1022)
    let nested = (0..<63).map { String(repeating: "   ", count: $0) + "a:\n" }.joined()
    for text in [
      "\(key)kk: a\n", "'\(key)': a\n", "a: {\(key)kk: b}\n",
      "a: " + String(repeating: "[", count: 63) + "b" + String(repeating: "]", count: 63) + "\n",
      "a:\n" + String(repeating: "  [\n", count: 63) + "  b" + String(repeating: "\n  ]", count: 63) + "\n",
      nested + String(repeating: "   ", count: 63) + "b\n",
      "a:\n" + String(repeating: "  - b: [c, {d: e}] # f\n", count: 5_000),
    ] {
      #expect(check(Array(text.utf8), String(text.prefix(20))))
    }
  }

  /// Whether the document was accepted, and so formatted.
  @discardableResult
  private func check(_ bytes: [UInt8], _ name: @autoclosure () -> String) -> Bool {
    let (tree, problems) = parseDocument(bytes)
    guard problems.isEmpty, let output = tree.formatted(texts: [:]) else { return false }
    let (again, faults) = parseDocument(output)
    func fail(_ what: String) {
      Issue.record(
        "\(what): \(name())\n\(String(decoding: bytes, as: UTF8.self).debugDescription)\n\(String(decoding: output, as: UTF8.self).debugDescription)"
      )
    }
    if let fault = faults.first {
      fail("refused: \(fault.message)")
    } else if again.events() != tree.events() {
      fail("other events")
    } else if comments(again) != comments(tree) {
      fail("other comments")
    } else if again.formatted(texts: [:]) != output {
      let second = again.formatted(texts: [:]).map { String(decoding: $0, as: UTF8.self).debugDescription }
      fail("not once and for all: \(second ?? "nil")")
    } else if !isTidy(output) {
      fail("untidy")
    }
    return true
  }

  /// In order, without blanks behind them.
  private func comments(_ tree: SyntaxTree) -> [[UInt8]] {
    tree.tokens.kinds.indices.filter { tree.tokens.kinds[$0] == .comment }.map { index in
      let end =
        index + 1 < tree.tokens.starts.count ? Int(tree.tokens.starts[index + 1]) : tree.bytes.count
      var text = Array(tree.bytes[Int(tree.tokens.starts[index])..<end])
      while text.last == 0x20 || text.last == 0x09 { text.removeLast() }
      return text
    }
  }

  /// One line feed at the end and no carriage return.
  private func isTidy(_ output: [UInt8]) -> Bool {
    output.last == 0x0a && !output.contains(0x0d) && output.first != 0x0a
      && (output.count < 2 || output[output.count - 2] != 0x0a)
  }
}

/// Spaces between the words of rules.
@Suite struct RuleSpacingTests {
  @Test(arguments: [
    ("accept  tcp 22", "accept tcp 22"), ("accept tcp 22,80 ,443", "accept tcp 22, 80, 443"),
    ("accept tcp 22 ,80", "accept tcp 22, 80"),
    ("drop log\"a  b\"at most 1/second", "drop log \"a  b\" at most 1/second"),
    ("accept in \"eth0\",lo", "accept in \"eth0\", lo"),
  ])
  func words(_ text: String, _ expected: String) {
    #expect(scalar(text).respaced == expected)
    #expect(scalar(expected).respaced == nil)
  }

  /// A space would make a comment of the rest, or a key of the beginning.
  @Test(arguments: ["accept in a,#b", "accept in a:,#b", "drop log x:\"y\"", "accept in \"a", "", ","])
  func left(_ text: String) { #expect(scalar(text).respaced == nil) }

  @Test(arguments: [11, 12, 13] as [UInt64]) func rulesAreTheSame(_ seed: UInt64) {
    var generator = RuleGenerator(seed: seed)
    for _ in 0..<5000 {
      let rule = generator.rule()
      let canonical = rule.canonicalText
      var wide: [UInt8] = []
      var isString = false
      var isEscaped = false
      for byte in canonical.utf8 {
        if byte == UInt8(ascii: "\""), !isEscaped { isString.toggle() }
        isEscaped = isString && byte == UInt8(ascii: "\\") && !isEscaped
        if byte == 0x20, !isString {
          wide += repeatElement(0x20, count: Int.random(in: 1...3, using: &generator.random))
        } else {
          if byte == UInt8(ascii: ","), !isString, Bool.random(using: &generator.random) { wide.append(0x20) }
          wide.append(byte)
        }
      }
      var text = scalar(String(decoding: wide, as: UTF8.self))
      text.style = .singleQuoted
      let spaced = text.respaced ?? text.text
      #expect(spaced == canonical)
    }
  }
}
