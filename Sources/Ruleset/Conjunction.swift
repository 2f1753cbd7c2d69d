internal import PolicyModel

/// One comparison before its set has a place in a rule.
struct Condition: Equatable {
  enum Operand: Equatable {
    case inline(RuleStatement.Operand)
    indirect case anonymous(KernelSet)
  }

  var field: RuleStatement.Field
  var comparison: RuleStatement.Operator
  var operand: Operand

  init(_ field: RuleStatement.Field, _ comparison: RuleStatement.Operator, _ operand: Operand) {
    self.field = field
    self.comparison = comparison
    self.operand = operand
  }
}

/// Comparisons that hold together: what one kernel rule tests.
struct Conjunction: Equatable {
  /// The one family it is about, as a guard of its own; nil: the packet may be of either.
  var family: Families?
  /// The layer-4 protocols it is about, ascending; nil: any, and also none that the kernel can tell.
  var protocols: [UInt8]?
  /// Protocols that are not meant, ascending. Only where the protocol is always known.
  var excludedProtocols: [UInt8] = []
  var conditions: [Condition] = []

  init(protocols: [UInt8]? = nil, _ conditions: [Condition] = []) {
    self.protocols = protocols
    self.conditions = conditions
  }

  init(excludedProtocols: [UInt8]) {
    self.excludedProtocols = excludedProtocols
  }

  /// Both; nil if no packet can meet both.
  func and(_ other: Conjunction) -> Conjunction? {
    var result = self
    return result.formMeet(other) ? result : nil
  }

  /// Becomes both; false if no packet can meet both.
  mutating func formMeet(_ other: Conjunction) -> Bool {
    if let own = protocols {
      if let others = other.protocols { protocols = own.filter(others.contains) }
    } else {
      protocols = other.protocols
    }
    if !excludedProtocols.isEmpty || !other.excludedProtocols.isEmpty {
      for number in other.excludedProtocols where !excludedProtocols.contains(number) {
        excludedProtocols.append(number)
      }
      excludedProtocols.sort()
      // A known protocol that is not excluded needs no exclusion.
      if let known = protocols {
        protocols = known.filter { !excludedProtocols.contains($0) }
        excludedProtocols = []
      }
    }
    guard protocols?.isEmpty != true else { return false }
    // Two matches may rest on the same one, such as the kind of the device.
    let known = conditions.count
    for condition in other.conditions where !conditions[..<known].contains(condition) {
      conditions.append(condition)
    }
    return true
  }

  /// Asks one more question, if it is not asked already.
  mutating func ask(_ condition: Condition) {
    if !conditions.contains(condition) { conditions.append(condition) }
  }

  func adding(_ condition: Condition) -> Conjunction {
    var result = self
    result.conditions.append(condition)
    return result
  }

  func inFamily(_ family: Families?) -> Conjunction {
    var result = self
    result.family = family
    return result
  }
}

/// What one match of a rule becomes in one family.
enum LoweredMatch {
  case never
  case always
  /// Disjoint: a packet meets at most one, so that the rule acts once.
  case anyOf([Conjunction])
  /// Holds where the guard does and none of the list. A comparison in the list may lack its field; only a
  /// rule that returns tells "no" from "cannot say".
  case unless(guard: Conjunction, [Conjunction])
}
