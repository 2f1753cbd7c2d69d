import Foundation
import PolicySyntax
import Testing

@Suite("documents: what unquoted text is to readers that resolve types")
struct YAMLTypesTests {
  @Test("by hand")
  func byHand() {
    let cases: [(String, YAMLType, YAMLType)] = [
      ("accept", .string, .string), ("", .null, .null), ("~", .null, .null), ("Null", .null, .null),
      ("nULL", .string, .string), ("no", .bool, .string), ("y", .bool, .string), ("Off", .bool, .string),
      ("true", .bool, .bool), ("tRue", .string, .string), ("6.10", .float, .float), ("22:30", .int, .string),
      ("1:2:3:4:5:6:7:8", .int, .string), ("22:60", .string, .string), ("190:20:30.15", .float, .string),
      ("0755", .int, .int), ("0855", .string, .int), ("0o17", .string, .int), ("0x1F", .int, .int),
      ("-0x1F", .int, .string), ("1_000", .int, .string), ("0b101", .int, .string), ("+5", .int, .int),
      ("1e3", .string, .float), ("1.5e+3", .float, .float), (".5", .float, .float), ("5.", .float, .float),
      (".", .string, .string), ("-.inf", .float, .float), (".NaN", .float, .float),
      (".inF", .string, .string),
      ("10.0.0.1", .string, .string), ("2001-12-14", .timestamp, .string), ("2001-1-4", .string, .string),
      ("2001-12-14t21:59:43.10-05:00", .timestamp, .string), ("2001-12-14 21:59:43Z", .timestamp, .string),
      ("<<", .merge, .string), ("=", .value, .string), ("-", .string, .string), ("1-2", .string, .string),
      ("00", .int, .int), ("_1", .string, .string), ("1__", .int, .string), ("::1", .string, .string),
    ]
    for (text, yaml11, yaml12) in cases {
      #expect(YAMLTypes(resolving: text) == YAMLTypes(yaml11: yaml11, yaml12: yaml12), "\(text)")
    }
  }

  @Test("quoted text is text, whatever it looks like; hints for the checker")
  func hints() throws {
    let (tree, problems) = parseDocument(
      "a: 'no'\nb: no\nc: 0755\nd: '0755'\ne: -5\nf: ::1\ng: |-\n  5\nh: -01.5\ni: 0x10\n")
    #expect(problems.isEmpty)
    let entries = try #require(tree.root?.mapping)
    let values = entries.compactMap(\.value.scalar)
    #expect(values.map(\.yamlTypes.isString) == [true, false, false, true, false, true, true, false, false])
    #expect(values.map(\.hasLeadingZero) == [false, false, true, false, false, false, false, true, false])
    #expect(
      values.map(\.startsWithIndicator) == [false, false, false, false, true, true, false, true, false])
    #expect(values[1].yamlTypes.other == .bool)
  }

  /// PyYAML's own resolver, and the tag patterns of YAML 1.2.2 §10.3.2 as Python expressions.
  @Test("against PyYAML and the specification's patterns")
  func oracle() throws {
    var random = SplitMix(seed: 7)
    let pieces = [
      "0", "1", "9", "59", "60", "2001", "12", "-", "+", ".", ":", "_", "e", "E", "x", "0x", "0o", "0b", "a",
      "F", "T",
      "t", " ", "Z", "no", "Yes", "y", "on", "true", "NULL", "~", "=", "<<", ".inf", ".NaN", ".INF",
      "2001-12-14", "21:59:43",
    ]
    var texts = (0..<30_000).map { _ in
      (0..<Int.random(in: 0...5, using: &random)).map { _ in pieces.randomElement(using: &random) ?? "" }
        .joined()
    }
    texts += pieces
    let folder = FileManager.default.temporaryDirectory.appending(path: "lockdown-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let input = folder.appending(path: "texts")
    try texts.map { text in
      let types = YAMLTypes(resolving: text)
      return "\(types.yaml11.rawValue) \(types.yaml12.rawValue) \(text)\n"
    }.joined().write(to: input, atomically: true, encoding: .utf8)
    guard let output = try PythonReaders.run("yaml_types.py", [input.path()], folder: folder) else { return }
    let lines = output.split(separator: "\n")
    #expect(lines.last == "\(texts.count) texts")
    for line in lines.dropLast() { Issue.record("\(line)") }
  }
}
