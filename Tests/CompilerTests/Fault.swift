import NFTables

import enum Ruleset.Expression

/// A table with one thing wrong.
struct Fault {
  var name: String
  var table: DumpedTable

  static func all(in table: DumpedTable) -> [Fault] {
    var faults: [Fault] = []
    for (chain, list) in table.chains.enumerated() {
      for (index, rule) in list.rules.enumerated() {
        func add(_ name: String, _ change: (inout DumpedTable) -> Void) {
          var wrong = table
          change(&wrong)
          faults.append(Fault(name: "\(list.name)#\(index + 1): \(name)", table: wrong))
        }
        // The closing rule says what the chain's policy says.
        if rule.comment?.hasPrefix("closing") ?? false { continue }
        add("no rule") { $0.chains[chain].rules.remove(at: index) }
        for (position, expression) in rule.expressions.enumerated() {
          for (name, other) in wrong(expression) {
            add("\(DumpText.text(expression)): \(name)") {
              if let other {
                $0.chains[chain].rules[index].expressions[position] = other
              } else {
                $0.chains[chain].rules[index].expressions.remove(at: position)
              }
            }
          }
        }
        for (set, content) in rule.anonymousSets.enumerated() {
          for element in content.elements.indices {
            add("element \(element) is missing") {
              $0.chains[chain].rules[index].anonymousSets[set].elements.remove(at: element)
            }
          }
        }
      }
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
