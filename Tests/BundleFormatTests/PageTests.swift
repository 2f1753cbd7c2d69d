import BundleFormat
import Foundation
import Testing

/// docs/bundle-format.md describes what is written: a bundle is decoded by its tables, and by nothing else.
@Suite struct PageTests {
  let bytes = SampleBundle.contents.encoded()
  let page: Page

  init() throws {
    let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appending(path: "../../docs/bundle-format.md")
    page = Page(try String(contentsOf: file, encoding: .utf8))
  }

  private func number(_ start: Int, _ count: Int) -> Int {
    bytes[start..<start + count].reversed().reduce(0) { $0 << 8 | Int($1) }
  }

  @Test func header() throws {
    let rows = page.tables(under: "## Header")
    var expected = 0
    var values: [String: Int] = [:]
    for row in try #require(rows.first) {
      let (offset, count) = (try #require(Int(row[0])), try #require(Int(row[1])))
      #expect(offset == expected, "\(row)")
      expected += count
      if count <= 8 { values[row[2]] = number(offset, count) }
    }
    #expect(expected == 96)
    let contents = SampleBundle.contents
    #expect(values["version"] == 1 && values["byte order"] == 1 && values["architecture"] == 0)
    #expect(values["flags"] == 11 && values["reserved"] == 0)
    #expect(values["section count"] == page.sections.count)
    #expect(values["total length"] == bytes.count)
    #expect(values["kernel major"] == Int(contents.minimumKernel.major))
    #expect(values["kernel minor"] == Int(contents.minimumKernel.minor))
  }

  @Test func sections() throws {
    let entry = page.tables(under: "## Header")[1]
    let entryLength = try entry.reduce(0) { $0 + (try #require(Int($1[1]))) }
    var end = 96 + entryLength * page.sections.count
    for (index, section) in page.sections.enumerated() {
      let at = 96 + entryLength * index
      #expect(number(at, 4) == section.number)
      let count = number(at + 4, 4)
      #expect(number(at + 8, 8) == end)
      let range = end..<end + number(at + 16, 8)
      let entries = try decode(section.name, range: range, count: count)
      #expect(entries == Self.expected(section.name), "\(section.name)")
      end = (range.upperBound + 7) & ~7
    }
    #expect(end == bytes.count)
  }

  /// The entries of a section: of each field its number, or its text.
  private func decode(_ section: String, range: Range<Int>, count: Int) throws -> [[String]] {
    guard let rows = page.tables(under: "### \(section)").first else {
      return [[bytes[range].map { String($0) }.joined(separator: " ")]]
    }
    var at = range.lowerBound
    var entries: [[String]] = []
    for _ in 0..<count {
      var entry: [String] = []
      var lengths: [String: Int] = [:]
      for row in rows {
        if let length = Int(row[0]) {
          let value = number(at, length)
          if row[1].hasSuffix(" length") { lengths[row[1]] = value } else { entry.append(String(value)) }
          at += length
        } else if let alignment = Int(row[0].split(separator: " ").last ?? ""), row[0].hasPrefix("pad ") {
          at = (at + alignment - 1) / alignment * alignment
        } else {
          let length = try #require(lengths[row[0]], "\(row)")
          entry.append(String(decoding: bytes[at..<at + length], as: UTF8.self))
          at += length
        }
      }
      entries.append(entry)
    }
    #expect(at == range.upperBound, "\(section)")
    return entries
  }

  private static func expected(_ section: String) -> [[String]] {
    func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
    func raw(_ bytes: [UInt8]) -> [[String]] { [[bytes.map { String($0) }.joined(separator: " ")]] }
    let contents = SampleBundle.contents
    switch section {
    case "policy name": return raw(contents.policyName)
    case "sources": return contents.sources.map { [text($0.id), text($0.place)] }
    case "message kinds": return raw(contents.messages.map(\.kind.rawValue))
    case "messages": return raw(contents.messages.flatMap(\.bytes))
    case "sysctls":
      return contents.sysctls.map {
        [
          String($0.strengthClass.rawValue), $0.isNamespaced ? "1" : "0", "0", String($0.source),
          text($0.path), text($0.value),
        ]
      }
    case "mounts":
      return contents.mounts.map {
        [
          String($0.attributesSet), String($0.attributesCleared), String($0.source),
          $0.isSelfBind ? "1" : "0", text($0.path), text($0.options),
        ]
      }
    case "not enforced": return contents.notEnforced.map { [text($0)] }
    case "source map": return raw(contents.sourceMap)
    case "system calls":
      return [contents.systemCalls].compactMap { $0 }.map {
        [String($0.flags), String($0.scope.rawValue), text($0.program)]
      }
    case "late":
      return contents.late.map {
        [
          String($0.kind.rawValue), String($0.source), text($0.name), text($0.messages.flatMap(\.bytes)),
        ]
      }
    case "closed kinds": return raw(contents.closed.map(\.kind.rawValue))
    case "closed messages": return raw(contents.closed.flatMap(\.bytes))
    case "kernel":
      return contents.kernel.map { [String($0.kind.rawValue), String($0.source), text($0.text)] }
    case "programs":
      return contents.programs.map { [String($0.stage.rawValue), text($0.hook), text($0.instructions)] }
    case "relocations":
      return contents.relocations.map {
        [String($0.program), String($0.instruction), String($0.kind.rawValue), text($0.text)]
      }
    default: return []
    }
  }

  /// Every kind has a row, and its message type is the one that the sample's messages carry.
  @Test func messageKinds() throws {
    let rows = try #require(page.tables(under: "## Messages").first)
    #expect(rows.map { Int($0[0]) } == (1...9).map { Int($0) })
    #expect((1...9).allSatisfy { BundleMessageKind(rawValue: $0) != nil })
    #expect(BundleMessageKind(rawValue: 10) == nil)
    for message in SampleBundle.messages {
      let row = rows[Int(message.kind.rawValue) - 1]
      #expect(row[2].split(separator: " ").last.map(String.init) == String(message.bytes[4]), "\(row)")
    }
  }
}

/// The tables of a Markdown page.
struct Page {
  private let lines: [Substring]

  init(_ text: String) { lines = text.split(separator: "\n", omittingEmptySubsequences: false) }

  var sections: [(number: Int, name: String)] {
    (tables(under: "## Sections").first ?? []).compactMap { row in Int(row[0]).map { ($0, row[1]) } }
  }

  /// The tables between a heading and the next: rows of cells, without the head.
  func tables(under heading: String) -> [[[String]]] {
    guard let start = lines.firstIndex(where: { $0 == heading }) else { return [] }
    var tables: [[[String]]] = []
    var isInTable = false
    for line in lines[(start + 1)...] {
      if line.hasPrefix("#") { break }
      guard line.hasPrefix("|") else {
        isInTable = false
        continue
      }
      let cells = line.dropFirst().dropLast().split(separator: "|", omittingEmptySubsequences: false)
        .map { $0.trimmingCharacters(in: .whitespaces) }
      if !isInTable { tables.append([]) }
      isInTable = true
      tables[tables.count - 1].append(cells)
    }
    return tables.map { Array($0.dropFirst(2)) }
  }
}
