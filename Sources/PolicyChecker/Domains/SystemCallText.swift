import PolicyModel

/// An item of `syscalls` as text: `NAME { ("arg" | "long") N [ "not" ] NUMBER { "," NUMBER } }`, where a number may be
/// a range `A-B` or bits under a mask `V/M`.
struct SystemCallText {
  struct Fault: Error {
    var message: String
    var help: [String] = []
  }

  let name: String
  /// In the order of their arguments.
  let conditions: [SystemCallFilter.Condition]
  /// Canonical.
  let text: String

  init(_ text: String) throws(Fault) {
    var words: [String] = []
    for word in text.split(whereSeparator: { $0 == " " }) {
      // A comma belongs to the list of values, wherever the blanks are.
      var rest = word[...]
      while let comma = rest.firstIndex(of: ",") {
        if comma != rest.startIndex { words.append(String(rest[..<comma])) }
        words.append(",")
        rest = rest[rest.index(after: comma)...]
      }
      if !rest.isEmpty { words.append(String(rest)) }
    }
    guard let name = words.first, name != "," else { throw Fault(message: "a system call is missing") }
    var remaining = words.dropFirst()
    var clauses: [(condition: SystemCallFilter.Condition, text: String)] = []
    while let word = remaining.popFirst() {
      let clause = try Self.clause(word, &remaining)
      if clauses.contains(where: { $0.condition.argument == clause.condition.argument }) {
        throw Fault(
          message: "argument \(clause.condition.argument) has two conditions",
          help: ["values that may stand for each other are a list: `arg0 1, 2`"])
      }
      clauses.append(clause)
    }
    clauses.sort { $0.condition.argument < $1.condition.argument }
    self.name = name
    conditions = clauses.map(\.condition)
    self.text = ([name] + clauses.map(\.text)).joined(separator: " ")
  }

  private static func clause(
    _ word: String, _ words: inout ArraySlice<String>
  ) throws(Fault) -> (condition: SystemCallFilter.Condition, text: String) {
    let isLong = word.hasPrefix("long")
    guard isLong || word.hasPrefix("arg"), let argument = Int(word.dropFirst(isLong ? 4 : 3)) else {
      throw Fault(
        message: "`\(word)` is no argument of a call",
        help: ["conditions are written `arg0 VALUE`: `socket arg0 38`"])
    }
    guard (0...5).contains(argument) else {
      throw Fault(message: "a system call has no `\(word)`", help: ["arguments are counted from 0 to 5"])
    }
    var isNegated = false
    if words.first == "not" {
      isNegated = true
      words.removeFirst()
    }
    var values: [SystemCallFilter.Condition.Value] = []
    var texts: [String] = []
    while true {
      guard let text = words.popFirst(), text != "," else {
        throw Fault(
          message: "`\(word)` lacks a value", help: ["write a number, a range `A-B` or bits `VALUE/MASK`"])
      }
      let value = try value(text, isLong: isLong, argument)
      guard !values.contains(value) else { throw Fault(message: "`\(text)` is listed twice") }
      values.append(value)
      texts.append(text)
      guard words.first == "," else { break }
      words.removeFirst()
    }
    return (
      SystemCallFilter.Condition(
        argument: argument, isLong: isLong, isNegated: isNegated, values: values),
      "\(word)\(isNegated ? " not" : "") \(texts.joined(separator: ", "))"
    )
  }

  private static func value(
    _ text: String, isLong: Bool, _ argument: Int
  ) throws(Fault) -> SystemCallFilter.Condition.Value {
    func number(_ text: Substring) throws(Fault) -> UInt64 {
      guard let number = unsigned(text) else {
        throw Fault(
          message: "`\(text)` is no number", help: ["numbers are decimal or lower-case `0x`, at most 64 bits"]
        )
      }
      guard isLong || number <= 0xffff_ffff else {
        throw Fault(
          message: "`\(text)` does not fit into the 32 bits of `arg\(argument)`",
          help: ["`long\(argument)` asks for all 64 bits of the argument"])
      }
      return number
    }
    if let slash = text.firstIndex(of: "/") {
      let bits = try number(text[..<slash])
      let mask = try number(text[text.index(after: slash)...])
      guard mask != 0 else { throw Fault(message: "the mask of `\(text)` is empty, so all values fit") }
      guard bits & ~mask == 0 else { throw Fault(message: "`\(text)` asks for bits outside its mask") }
      return .bits(bits, mask: mask)
    }
    if let dash = text.firstIndex(of: "-"), dash != text.startIndex {
      let first = try number(text[..<dash])
      let last = try number(text[text.index(after: dash)...])
      guard first <= last else { throw Fault(message: "the range `\(text)` ends before it begins") }
      return .range(first...last)
    }
    let value = try number(text[...])
    return .range(value...value)
  }

  /// As `Integer`, up to 64 bits.
  private static func unsigned(_ text: Substring) -> UInt64? {
    if text.hasPrefix("0x") {
      let digits = text.dropFirst(2)
      guard digits.utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }) else {
        return nil
      }
      return UInt64(digits, radix: 16)
    }
    guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), text == "0" || text.utf8.first != 0x30 else {
      return nil
    }
    return UInt64(text)
  }
}
