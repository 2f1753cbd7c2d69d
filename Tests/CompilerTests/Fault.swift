import NFTables
import Ruleset

/// What a lowering would send with one thing wrong.
struct Fault {
  var name: String
  var ruleset: Ruleset
  /// Programs other than what the rules' statements are.
  private var programs: [Key: [Expression]] = [:]

  private struct Key: Hashable {
    var id: String
    var part: UInt8

    init(_ rule: KernelRule) { (id, part) = (rule.id, rule.part) }
  }

  init(_ name: String, _ ruleset: Ruleset) {
    self.name = name
    self.ruleset = ruleset
  }

  func messages(sourceIndex: @escaping @Sendable (String) -> UInt32) throws -> [EncodedMessage] {
    let programs = programs
    return try BatchEncoder.encode(
      ruleset, expressions: { programs[Key($0)] ?? $0.expressions }, sourceIndex: sourceIndex)
  }

  static func all(in ruleset: Ruleset) -> [Fault] {
    var faults = elements(in: ruleset)
    for (chain, list) in ruleset.tables[0].chains.enumerated() {
      for (index, rule) in list.rules.enumerated() {
        func add(_ name: String, _ change: (inout Fault, inout KernelRule?) -> Void) {
          var fault = Fault("\(list.name)#\(index + 1): \(name)", ruleset)
          var changed: KernelRule? = rule
          change(&fault, &changed)
          fault.ruleset.tables[0].chains[chain].rules.replaceSubrange(
            index...index, with: changed.map { [$0] } ?? [])
          faults.append(fault)
        }
        // The closing rule says what the chain's policy says.
        if rule.comment?.hasPrefix("closing") ?? false { continue }
        add("no rule") { $1 = nil }
        for (position, expression) in rule.expressions.enumerated() {
          for (name, other) in wrong(expression) {
            add("\(DumpText.text(expression)): \(name)") { fault, _ in
              var program = rule.expressions
              program.replaceSubrange(position...position, with: other.map { [$0] } ?? [])
              fault.programs[Key(rule)] = program
            }
          }
        }
        for (set, content) in rule.anonymousSets.enumerated() {
          for element in content.elements.indices {
            var elements = Array(content.elements)
            elements.remove(at: element)
            add("element \(element) is missing") { $1?.anonymousSets[set].elements = ElementList(elements) }
          }
        }
      }
    }
    return faults
  }

  /// Of sets that have names.
  private static func elements(in ruleset: Ruleset) -> [Fault] {
    var faults: [Fault] = []
    for (index, set) in ruleset.tables[0].sets.enumerated() where set.filling == nil {
      let list = Array(set.elements)
      func add(_ name: String, _ change: (inout KernelSet) -> Void) {
        var fault = Fault("\(set.name ?? ""): \(name)", ruleset)
        change(&fault.ruleset.tables[0].sets[index])
        faults.append(fault)
      }
      func add(_ name: String, elements: [KernelSet.Element]) {
        // What is in another order is not encoded.
        let isAscending = zip(elements, elements.dropFirst()).allSatisfy {
          $0.upper.lexicographicallyPrecedes($1.lower)
        }
        if !isAscending { return }
        add(name) { set in
          set.elements = ElementList(elements)
          set.isInterval = set.isInterval || elements.contains { $0.lower != $0.upper }
        }
      }
      for (place, element) in list.enumerated() {
        func put(_ name: String, _ others: [KernelSet.Element]) {
          add("element \(place) \(name)", elements: list[..<place] + others + list[(place + 1)...])
        }
        put("is missing", [])
        for bit in [UInt8(1), 0x80] {
          var (lower, upper) = (element.lower, element.upper)
          lower[lower.count - 1] ^= bit
          if !element.upper.lexicographicallyPrecedes(lower) {
            put("begins elsewhere", [KernelSet.Element(lower, element.upper)])
          }
          upper[upper.count - 1] ^= bit
          if !upper.lexicographicallyPrecedes(element.lower) {
            put("ends elsewhere", [KernelSet.Element(element.lower, upper)])
          }
        }
        if element.lower != element.upper {
          put(
            "is its ends alone", [.init(element.lower, element.lower), .init(element.upper, element.upper)])
        }
      }
      let last = [UInt8](repeating: 0xff, count: set.keyType.keyLength)
      add("one more", elements: list + [KernelSet.Element(last, last)])
      add("everything", elements: [KernelSet.Element([UInt8](repeating: 0, count: last.count), last)])
      add("nothing", elements: [])
    }
    return faults
  }

  /// Nil: it is missing.
  private static func wrong(_ expression: Expression) -> [(String, Expression?)] {
    switch expression {
    case .compare(let register, let comparison, let value):
      var other = value
      other[other.count - 1] ^= 1
      let turned: Expression.Comparison? =
        switch comparison {
        case .equal: .notEqual
        case .notEqual: .equal
        default: nil
        }
      return [("other value", .compare(register: register, comparison, other)), ("missing", nil)]
        + (turned.map { [("turned round", .compare(register: register, $0, value))] } ?? [])
    case .lookup(let register, let set, let isNegated):
      return [("turned round", .lookup(register: register, set, isNegated: !isNegated)), ("missing", nil)]
    case .range(let register, let isNegated, let lower, let upper):
      return [("turned round", .range(register: register, isNegated: !isNegated, lower: lower, upper: upper))]
    case .bitwise(let register, let destination, var mask, let xor):
      mask[0] ^= 0x40
      return [("other mask", .bitwise(register: register, destination: destination, mask: mask, xor: xor))]
    case .payload(let base, let offset, let length, let register):
      return [("other offset", .payload(base, offset: offset ^ 2, length: length, register: register))]
    case .limit(let rate, let seconds, let burst, let isBytes, let isOver):
      return [
        (
          "other rate",
          .limit(rate: rate + 1, seconds: seconds, burst: burst, isBytes: isBytes, isOver: isOver)
        ),
        (
          "turned round",
          .limit(rate: rate, seconds: seconds, burst: burst, isBytes: isBytes, isOver: !isOver)
        ),
        ("missing", nil),
      ]
    case .verdict(.accept): return [("drop", .verdict(.drop)), ("continue", .verdict(.continue))]
    case .verdict(.drop): return [("accept", .verdict(.accept))]
    case .verdict(.return): return [("drop", .verdict(.drop))]
    case .reject: return [("drop", .verdict(.drop))]
    default: return []
    }
  }
}
