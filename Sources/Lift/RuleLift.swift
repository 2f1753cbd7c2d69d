import Diagnostics
import NFTables
import PolicyModel
import Ruleset

/// Reads one program of the kernel as rules of the model, or refuses.
///
/// The kernel takes its expressions one by one; a rule of the model asks all its matches, then its limiters, then
/// changes, and decides last. So a program is read as one rule only as long as it keeps that order.
struct RuleLift {
  let source: DumpedRule
  let context: LiftContext
  var conditions: ConditionLift
  var registers = Registers()
  var rule: Rule
  var verdict: Verdict?
  /// Conditions of which one must hold too, and no packet meets two of them: rules of their own.
  private(set) var finished: [LiftedRule] = []
  /// How far the program has come in the order of a rule.
  private var stage = Stage.conditions
  private var isComplete = false
  /// Why nothing may follow: the kernel may have ended the rule there.
  private var endsWith: String?

  /// A rule, and further conditions of which one must hold too: no packet meets two of them.
  struct LiftedRule {
    var rule: Rule
    var alternatives: [[Match]]?
  }

  /// Parts of a rule, in their order.
  enum Stage: Int, Comparable {
    case conditions
    case connections
    case limit
    case quota
    case restoredMark
    case connectionMark
    case dscp
    case mark
    case segmentSize
    case savedMark
    case added
    case updated
    case deleted

    static func < (a: Stage, b: Stage) -> Bool { a.rawValue < b.rawValue }
  }

  init(_ source: DumpedRule, id: String, span: SourceSpan, in context: LiftContext) {
    self.source = source
    self.context = context
    conditions = ConditionLift(context.families)
    rule = Rule(id: id, name: nil, text: "", verdict: .continue, span: span)
    rule.text = source.comment ?? id
  }

  /// One rule, or several that are asked one behind the other.
  mutating func run() throws(LiftError) -> [LiftedRule] {
    var rest = source.expressions[...]
    while let expression = rest.popFirst() {
      guard verdict == nil else { throw LiftError("something behind a verdict") }
      if let endsWith { throw LiftError("something behind \(endsWith)") }
      if let log = limitedLog(expression, rest) {
        rule.log = log
        rest.removeAll()
      } else {
        try take(expression)
      }
    }
    guard !conditions.awaitsLinkAddress else {
      throw LiftError("an interface type without a link-layer address")
    }
    finish(verdict ?? .continue)
    isComplete = true
    if case .dispatch = rule.verdict {
      let isPlain = rule.counter == nil && rule.log == nil && rule.changes.isEmpty && !rule.isLimiting
      guard isPlain else { throw LiftError("a map of verdicts beside actions") }
    }
    return finished
  }

  /// What is known of a program that could not be read: the conditions that came before.
  mutating func unread(because reason: String) -> [LiftedRule] {
    var rule = rule
    rule.unreadable = reason
    rule.counter = nil
    rule.log = nil
    rule.connections = nil
    rule.limit = nil
    rule.quota = nil
    rule.changes = Changes()
    rule.families = conditions.families
    rule.matches = conditions.matches
    rule.verdict = .continue
    // What was wrong is the last one.
    if isComplete { finished.removeLast() }
    return finished + [LiftedRule(rule: rule, alternatives: conditions.alternatives)]
  }

  private mutating func finish(_ verdict: Verdict) {
    rule.families = conditions.families
    rule.matches = conditions.matches
    rule.verdict = verdict
    finished.append(LiftedRule(rule: rule, alternatives: conditions.alternatives))
  }

  // MARK: Order

  /// Before something that ends the rule for some packets: what was counted and logged was so for all that came.
  private mutating func separateTold() {
    guard rule.counter != nil || rule.log != nil else { return }
    finish(.continue)
    rule.counter = nil
    rule.log = nil
  }

  mutating func beforeCondition() throws(LiftError) {
    guard stage == .conditions else { throw LiftError("a condition behind a limiter or a change") }
    separateTold()
  }

  /// - Parameter ends: what it is, if the kernel may end the rule there.
  mutating func enter(_ next: Stage, orEndingWith ends: String? = nil) throws(LiftError) {
    guard stage < next else { throw LiftError("actions in an order that the model has not") }
    if next <= .quota { separateTold() }
    stage = next
    endsWith = ends
  }

  // MARK: Expressions

  private mutating func take(_ expression: Expression) throws(LiftError) {
    switch expression {
    case .meta(let key, let register): load(.meta(key), Self.length(of: key), register)
    case .payload(let base, let offset, let length, let register):
      load(.payload(base, offset: Int(offset)), Int(length), register)
    case .conntrack(let key, let register):
      load(.conntrack(key), key == .direction ? 1 : 4, register)
    case .fib(let result, let flags, let register): load(.fib(result, flags: flags), 4, register)
    case .extensionHeader(let type, let offset, let length, let register):
      load(.extensionHeader(type: type, offset: Int(offset)), Int(length), register)
    case .route(let key, let register): load(.route(key), 2, register)
    case .socketControlGroup(let level, let register): load(.controlGroup(level: level), 8, register)
    case .immediate(let register, let bytes):
      registers.store(.constant(bytes), bytes: bytes.count, register)
    case .bitwise(let register, let destination, let mask, let xor):
      var field = try field(register)
      guard field.mask == nil, field.flipped == nil else { throw LiftError("a mask on a mask") }
      guard mask.count == field.length else { throw LiftError("a mask of another length than its value") }
      field.mask = mask
      if xor.contains(where: { $0 != 0 }) { field.flipped = xor }
      registers.store(.field(field), bytes: field.length, destination)
    case .byteOrder(let register, let destination, _, let length, let size):
      var field = try field(register)
      // nft turns the one byte of a protocol in words of two.
      let isWhole = field.length == 1 || Int(length) == field.length && (size == length || field.length == 2)
      guard isWhole, field.mask == nil else { throw LiftError("bytes of a value in another order") }
      field.isTurned.toggle()
      registers.store(.field(field), bytes: field.length, destination)
    case .compare(let register, let comparison, let value):
      try beforeCondition()
      var field = try field(register)
      // A truth value takes as many bytes as it is compared with.
      if case .fib = field.source { field.length = value.count }
      try conditions.compare(field, comparison, value)
    case .range(let register, let isNegated, let lower, let upper):
      try beforeCondition()
      let field = try field(register)
      guard lower.count == field.length, upper.count == field.length, field.flipped == nil else {
        throw LiftError("a range of another length than its value")
      }
      try conditions.range(field, lower, upper, isNegated: isNegated)
    case .lookup(let register, let reference, let isNegated): try lookup(register, reference, isNegated)
    case .mapLookup(let register, let reference, let destination):
      if destination == 0 {
        try beforeCondition()
        verdict = .dispatch(try verdictMap(register, reference))
      } else {
        // Who is not in the map is not translated, and what has been done to it stays.
        let (targets, width) = try portTargets(register, reference)
        registers.store(.targets(targets, width: width), bytes: width + 4, destination)
      }
    case .dynamicSet(let register, let set, let operation, let timeout, let state):
      try dynamicSet(register, set, operation, timeout, state)
    case .unknown(name: "match", let data): try match(data)
    case .unknown(name: "target", let data): try target(data)
    default: try act(expression)
    }
  }

  /// The kernel takes no rate of 0.
  func rate(_ amount: UInt64, _ isBytes: Bool, _ seconds: UInt64) throws(LiftError) -> Rate {
    guard amount > 0, [1, 60, 3600, 86_400].contains(seconds) else {
      throw LiftError("a rate in a unit that the model has not")
    }
    return Rate(amount: amount, isBytes: isBytes, seconds: seconds)
  }

  private mutating func load(_ source: LoadedField.Source, _ length: Int, _ register: UInt32) {
    registers.store(.field(LoadedField(source, length: length)), bytes: length, register)
  }

  func field(_ register: UInt32) throws(LiftError) -> LoadedField {
    guard case .field(let field)? = registers[register] else {
      throw LiftError("a comparison of what no expression has loaded")
    }
    return field
  }

  func constant(_ register: UInt32, _ length: Int) throws(LiftError) -> [UInt8] {
    guard case .constant(let bytes)? = registers[register], bytes.count == length else {
      throw LiftError("a value that is no constant")
    }
    return bytes
  }

  private static func length(of key: Expression.MetaKey) -> Int {
    switch key {
    case .inputInterfaceName, .outputInterfaceName: 16
    case .inputInterfaceType: 2
    case .family, .transportProtocol, .packetType, .securityPath, .day: 1
    case .length, .mark, .inputInterface, .outputInterface, .socketUser, .socketGroup, .hour: 4
    }
  }

  /// `log … at most RATE`: a limiter that only a log at the end stands behind, with the burst that such logs have.
  private func limitedLog(_ expression: Expression, _ rest: ArraySlice<Expression>) -> Log? {
    guard case .limit(let rate, let seconds, let burst, let isBytes, false) = expression,
      let limit = try? self.rate(rate, isBytes, seconds), burst == (isBytes ? 0 : 5), rest.count == 1,
      case .log(let prefix, let level, let group)? = rest.first,
      rule.log == nil
    else { return nil }
    var log = Self.log(prefix, level, group)
    log.atMost = limit
    return log
  }

  static func log(_ prefix: String, _ level: UInt32?, _ group: UInt16?) -> Log {
    // LOGLEVEL_WARNING, which is what a log without a level has.
    Log(
      prefix: prefix, level: level.flatMap { $0 == 4 ? nil : UInt8(truncatingIfNeeded: $0) }, group: group)
  }
}
