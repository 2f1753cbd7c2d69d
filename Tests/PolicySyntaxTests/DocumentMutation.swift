/// Documents made from documents, the same ones on every machine.
struct DocumentMutator {
  private var random: SplitMix
  private let seeds: [[UInt8]]

  init(seed: UInt64, seeds: [[UInt8]]) {
    random = SplitMix(seed: seed)
    self.seeds = seeds
  }

  /// A stretch of a seed with one to four changes: most are damaged, many are still YAML.
  mutating func next() -> [UInt8] {
    var bytes = window(of: seeds.randomElement(using: &random) ?? [])
    for _ in 0..<Int.random(in: 1...4, using: &random) { mutate(&bytes) }
    return bytes
  }

  /// Short enough that the slowest reader gets through twenty thousand.
  private mutating func window(of seed: [UInt8]) -> [UInt8] {
    let lines = split(seed)
    guard lines.count > 14 else { return seed }
    let start = Int.random(in: 0..<(lines.count - 10), using: &random)
    return Array(lines[start..<(start + Int.random(in: 3...10, using: &random))].joined())
  }

  private func split(_ bytes: [UInt8]) -> [[UInt8]] {
    var lines: [[UInt8]] = [[]]
    for byte in bytes {
      lines[lines.count - 1].append(byte)
      if byte == 0x0a { lines.append([]) }
    }
    return lines
  }

  private mutating func mutate(_ bytes: inout [UInt8]) {
    let significant = DocumentSeeds.significantBytes.randomElement(using: &random) ?? 0x20
    switch Int.random(in: 0..<10, using: &random) {
    case 0, 1:
      guard !bytes.isEmpty else { return }
      bytes.remove(at: Int.random(in: bytes.indices, using: &random))
    case 2, 3:
      bytes.insert(significant, at: Int.random(in: 0...bytes.count, using: &random))
    case 4:
      guard !bytes.isEmpty else { return }
      bytes[Int.random(in: bytes.indices, using: &random)] = significant
    case 5, 6, 7:
      var lines = split(bytes)
      let index = Int.random(in: lines.indices, using: &random)
      switch Int.random(in: 0..<6, using: &random) {
      case 0: lines.insert(lines[index], at: Int.random(in: lines.indices, using: &random))
      case 1: lines.remove(at: index)
      case 2: lines[index].insert(contentsOf: [0x20, 0x20], at: 0)
      case 3: lines[index].trimPrefix { $0 == 0x20 }
      case 4: lines[index].insert(contentsOf: "- ".utf8, at: lines[index].prefix { $0 == 0x20 }.count)
      default: lines[index] = lines[index].filter { $0 != 0x0a }
      }
      bytes = Array(lines.joined())
    case 8:
      let other = seeds.randomElement(using: &random) ?? []
      let piece = window(of: other)
      let lines = split(bytes)
      let cut = Int.random(in: 0...lines.count, using: &random)
      bytes = Array(lines[..<cut].joined()) + piece + Array(lines[cut...].joined())
    default:
      let other = seeds.randomElement(using: &random) ?? []
      guard !other.isEmpty else { return }
      let start = Int.random(in: other.indices, using: &random)
      let end = min(other.count, start + Int.random(in: 1...12, using: &random))
      bytes.insert(contentsOf: other[start..<end], at: Int.random(in: 0...bytes.count, using: &random))
    }
  }
}

/// Documents from the grammar of LANGUAGE.md §1, in every style a value can be written in.
struct DocumentGenerator {
  private var random: SplitMix
  private var output = ""
  private var lineEnd = "\n"
  /// Whether text that needs quotes may stand without them.
  private let isHazardous: Bool
  private var endsWithBlockScalar = false

  init(seed: UInt64, isHazardous: Bool) {
    random = SplitMix(seed: seed)
    self.isHazardous = isHazardous
  }

  mutating func next() -> [UInt8] {
    output = chance(5) ? "---\n" : ""
    lineEnd = chance(8) ? "\r\n" : "\n"
    if chance(6) {
      flowMapping(indent: -1, depth: 0)
      if chance(2) { output += "\n" }
    } else {
      mapping(indent: chance(10) ? 2 : 0, depth: 0, isCompact: false)
      if chance(12), output.hasSuffix("\n"), isHazardous || !output.contains(/[|>]-?\n/) {
        output.removeLast()
      }
    }
    return lineEnd == "\n"
      ? Array(output.utf8) : Array(output.utf8).flatMap { $0 == 0x0a ? [0x0d, 0x0a] : [$0] }
  }

  private mutating func chance(_ count: Int) -> Bool { Int.random(in: 0..<count, using: &random) == 0 }

  private mutating func pick(_ texts: [String]) -> String { texts.randomElement(using: &random) ?? "" }

  private mutating func mapping(indent: Int, depth: Int, isCompact: Bool) {
    for index in 0..<Int.random(in: 1...3, using: &random) {
      if index > 0 || !isCompact { output += String(repeating: " ", count: indent) }
      key(number: index, inFlow: false)
      output += pick(["", "", "", " "]) + ":"
      value(indent: indent, depth: depth, isInMapping: true)
      between()
    }
  }

  private mutating func sequence(indent: Int, depth: Int) {
    for _ in 0..<Int.random(in: 1...3, using: &random) {
      output += String(repeating: " ", count: indent) + "-"
      if depth < 4, chance(4) {
        let gap = Int.random(in: 1...3, using: &random)
        output += String(repeating: " ", count: gap)
        mapping(indent: indent + 1 + gap, depth: depth + 1, isCompact: true)
      } else {
        value(indent: indent, depth: depth, isInMapping: false)
      }
      between()
    }
  }

  private mutating func between() {
    // Behind a block scalar such lines could be a part of it.
    if !isHazardous, endsWithBlockScalar { return }
    if chance(12) { output += pick(["\n", "# comment\n", "      # comment: 'x\n", "   \n"]) }
  }

  private mutating func key(number: Int, inFlow: Bool) {
    let word = pick([
      "a", "key", "k-1", "é", "a b", "22", "a:b", "x#y", "it's", "A.b/c", "-x", "?x", "true", "k\"q",
    ])
    let text = "\(word)\(number)"
    let needsQuotes = inFlow && !isHazardous && word == "?x"
    switch Int.random(in: needsQuotes ? 0..<2 : 0..<6, using: &random) {
    case 0: output += "'" + text.replacing("'", with: "''") + "'"
    case 1: output += doubleQuoted(text)
    default: output += text
    }
  }

  private mutating func value(indent: Int, depth: Int, isInMapping: Bool) {
    endsWithBlockScalar = false
    switch Int.random(in: 0..<10, using: &random) {
    case 0 where depth < 5:
      endOfLine()
      mapping(indent: indent + Int.random(in: 1...3, using: &random), depth: depth + 1, isCompact: false)
    case 1 where depth < 5, 2 where depth < 3:
      endOfLine()
      let extra = isInMapping ? Int.random(in: 0...3, using: &random) : Int.random(in: 1...3, using: &random)
      sequence(indent: indent + extra, depth: depth + 1)
    case 3:
      blockScalar(indent: indent)
    case 4, 5:
      output += " "
      if chance(2) {
        flowSequence(indent: indent, depth: depth + 1)
      } else {
        flowMapping(indent: indent, depth: depth + 1)
      }
      endOfLine()
    case 6 where chance(4):
      endOfLine()
      output += String(repeating: " ", count: indent + Int.random(in: 1...3, using: &random))
      scalar(inFlow: false)
      endOfLine()
    default:
      output += pick([" ", " ", " ", "   "])
      scalar(inFlow: false)
      endOfLine()
    }
  }

  private mutating func endOfLine() { output += pick(["", "", "", " ", "  # c", " #"]) + "\n" }

  private mutating func scalar(inFlow: Bool) {
    let texts = [
      "accept", "accept tcp 22 from $admin", "a: b", "c #d", "#x", "10.0.0.0/8", "2001:db8::/32", "::1",
      "fe80::",
      "no", "22:30", "it's", "say \"x\"", "", " x ", "a, b", "[x]", "{y}", "é日本", "-5", "- x", "a:b", "a\\b",
      "x:",
      "*", "&a", "!t", "%x", "@y", "`z", "|", ">=", "?", "? x", ":x", "=", "<<", "~", "a?b", "'", "\"", "...",
      "---",
      "x\u{a0}y", "a-b", "-", "$a except $b", "0x1f", "1_000", "😀", "--- x", "a::b", "x :y", "x: y", ",",
      "a,b",
    ]
    let text = pick(texts)
    switch Int.random(in: 0..<6, using: &random) {
    case 0, 1: output += "'" + text.replacing("'", with: "''") + "'"
    case 2: output += doubleQuoted(text)
    default: output += isSafe(text, inFlow: inFlow) || isHazardous && chance(6) ? text : doubleQuoted(text)
    }
  }

  /// Text that needs no quotes; the rest is mostly quoted, so that most documents are accepted.
  private func isSafe(_ text: String, inFlow: Bool) -> Bool {
    guard let first = text.utf8.first, text.trimmed == text, !"[]{},#&*!|>'\"%@`?:-".utf8.contains(first)
    else {
      return false
    }
    if text.contains(": ") || text.hasSuffix(":") || text.contains(" #") || text == "..." { return false }
    return !inFlow || !text.utf8.contains { ",[]{}?".utf8.contains($0) }
  }

  private mutating func doubleQuoted(_ text: String) -> String {
    var quoted = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": quoted += "\\\""
      case "\\": quoted += "\\\\"
      case "/" where chance(3): quoted += "\\/"
      default:
        if scalar.value > 0x20, scalar.value < 0x10000, chance(12) {
          let digits = String(scalar.value, radix: 16, uppercase: chance(2))
          quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        } else {
          quoted.unicodeScalars.append(scalar)
        }
      }
    }
    return quoted + "\""
  }

  private mutating func blockScalar(indent: Int) {
    let isFolded = chance(2)
    output += " " + (isFolded ? ">" : "|") + pick(["", "-"]) + "\n"
    let own = String(repeating: " ", count: indent + Int.random(in: 1...4, using: &random))
    for index in 0..<Int.random(in: 1...4, using: &random) {
      if index > 0, !isFolded, chance(5) { output += pick(["\n", " \n", own + "\n", "\n\n", own + "  \n"]) }
      let deeper = index > 0 && !isFolded && chance(3) ? "  " : ""
      output +=
        own + deeper
        + pick(["text", "a: b", "- c", "# d", "\"e", "'", "x  ", "[", "\\n", "é", "%", "...", "---"]) + "\n"
    }
    if chance(5) { output += pick(["\n", isHazardous ? "  \n" : "\n", "\n\n"]) }
    endsWithBlockScalar = true
  }

  private mutating func flowSpace(indent: Int) {
    guard chance(5) else { return output += pick(["", "", " ", "  "]) }
    output += pick(["", " ", " # c: [", "  #"]) + "\n"
    if chance(6) { output += pick(["\n", "# c\n", "     # d\n"]) }
    output += String(repeating: " ", count: indent + Int.random(in: 1...4, using: &random))
  }

  private mutating func flowSequence(indent: Int, depth: Int) {
    output += "["
    let count = Int.random(in: 0...3, using: &random)
    for index in 0..<count {
      flowSpace(indent: indent)
      flowValue(indent: indent, depth: depth)
      flowSpace(indent: indent)
      if index + 1 < count || chance(6) { output += "," }
    }
    flowSpace(indent: indent)
    output += "]"
  }

  private mutating func flowMapping(indent: Int, depth: Int) {
    output += "{"
    let count = Int.random(in: 0...3, using: &random)
    for index in 0..<count {
      flowSpace(indent: indent)
      let start = output.utf8.count
      key(number: index, inFlow: true)
      let isQuoted = Array(output.utf8)[start] == 0x22 || Array(output.utf8)[start] == 0x27
      output += isQuoted ? pick([":", ": ", " : ", ":  "]) : pick([": ", ": ", " : "])
      flowSpace(indent: indent)
      flowValue(indent: indent, depth: depth)
      flowSpace(indent: indent)
      if index + 1 < count || chance(6) { output += "," }
    }
    flowSpace(indent: indent)
    output += "}"
  }

  private mutating func flowValue(indent: Int, depth: Int) {
    switch Int.random(in: 0..<8, using: &random) {
    case 0 where depth < 5: flowSequence(indent: indent, depth: depth + 1)
    case 1 where depth < 5: flowMapping(indent: indent, depth: depth + 1)
    default: scalar(inFlow: true)
    }
  }
}

extension String {
  fileprivate var trimmed: String { String(drop { $0 == " " }.reversed().drop { $0 == " " }.reversed()) }
}
