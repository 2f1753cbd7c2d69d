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
  /// How many of them were there before the program's end.
  private var told = 0
  /// Packets of which nobody can tell whether they meet the conditions.
  private(set) var doubts: [Doubt] = []
  /// False: of no packet it is sure that it meets the conditions.
  private var isSure = true
  /// Before the reason why something could not be read.
  var place = ""
  /// A translation of one family was asked; packets of the other go on behind it.
  var passesOthers = false
  /// How far the program has come in the order of a rule.
  private var stage = Stage.conditions
  private var isComplete = false
  /// Why nothing may follow: the kernel may have ended the rule there.
  private var endsWith: String?

  /// The set that may be full, if that is why.
  var fills: String?

  /// Whether the kernel may have ended the rule.
  var endsEarly: Bool { endsWith != nil }

  /// A rule, and further conditions of which one must hold too: no packet meets two of them.
  struct LiftedRule {
    var rule: Rule
    var alternatives: [[Match]]?
  }

  /// What is known of packets in doubt, and why nothing else is.
  struct Doubt {
    var conditions: ConditionLift
    var reason: String
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
    conditions.interfaces = context.interfaces
    conditions.isStrict = context.isStrict
    rule = Rule(id: id, name: nil, text: "", verdict: .continue, span: span)
    rule.text = source.comment ?? id
  }

  /// One rule, or several that are asked one behind the other.
  mutating func run() throws(LiftError) -> [LiftedRule] { try run(source.expressions[...]) }

  private mutating func run(_ program: ArraySlice<Expression>) throws(LiftError) -> [LiftedRule] {
    var rest = program
    while let expression = rest.popFirst() {
      if let verdict {
        guard try goesOn(behind: verdict, to: expression) else { break }
        if self.verdict != nil { continue }
      }
      if tellsOthers(expression) { continue }
      if let endsWith {
        guard let fills, rule.room == nil, !context.isStrict else {
          throw LiftError("something behind \(endsWith)")
        }
        rule.room = fills
        (self.endsWith, self.fills) = (nil, nil)
      }
      if let log = limitedLog(expression, rest) {
        rule.log = log
        rest.removeAll()
      } else if case .mapLookup(let register, let reference, let destination) = expression, !context.isStrict,
        try !readsMap(register, reference, destination, rest.first)
      {
        return try run(register, reference, destination, rest)
      } else {
        try takeOrDoubt(expression)
      }
    }
    if conditions.awaitsLinkAddress {
      let reason = "an interface type without a link-layer address"
      guard !context.isStrict else { throw LiftError(reason) }
      doubt(reason)
    }
    isComplete = true
    told = finished.count
    finish(verdict ?? .continue)
    if verdict ?? .continue != .continue || !rule.changes.isEmpty { finished += undecided }
    // It is counted among those that were read.
    if finished.isEmpty { finished.append(nothing) }
    if case .dispatch = rule.verdict {
      let isPlain = rule.counter == nil && rule.log == nil && rule.changes.isEmpty && !rule.isLimiting
      guard isPlain else { throw LiftError("a map of verdicts beside actions") }
    }
    return finished
  }

  /// Whether anything is asked behind a verdict: the kernel leaves the rule there, but for `notrack`.
  private mutating func goesOn(
    behind verdict: Verdict, to expression: Expression
  ) throws(LiftError) -> Bool {
    guard !context.isStrict else { throw LiftError("something behind a verdict") }
    if passesOthers { throw LiftError("something behind a translation of one family") }
    guard verdict == .notrack else { return false }
    if expression.onlyTells { return true }
    guard !conditions.asksConnection else { throw LiftError("something behind `notrack`") }
    finish(verdict)
    finished += undecided
    self.verdict = nil
    return true
  }

  // MARK: What is not read in full

  /// What is known of a program that could not be read: the conditions that came before.
  mutating func unread(because reason: String) -> [LiftedRule] {
    // What was wrong is what came last.
    if isComplete { finished.removeLast(finished.count - told) }
    return finished + (isSure ? [unreadable(conditions, reason)] : []) + undecided
  }

  private var undecided: [LiftedRule] { doubts.map { unreadable($0.conditions, $0.reason) } }

  private func unreadable(_ conditions: ConditionLift, _ reason: String) -> LiftedRule {
    var known = nothing
    known.rule.unreadable = place + reason
    if !context.isStrict { (known.rule.unreadProgram, known.rule.unreadWhole) = (program, wholeProgram) }
    known.rule.families = conditions.families
    known.rule.matches = conditions.matches
    known.alternatives = conditions.alternatives
    return known
  }

  /// What it asks and decides, with the elements that it looks up; nil: it does more, or they are many.
  private var program: String? {
    var words = ["\(context.families.rawValue)"]
    for expression in source.expressions where !expression.onlyTells {
      words.append("\(expression)")
      switch expression {
      case .verdict(.jump), .verdict(.goto): return nil
      case .verdict, .reject: break
      case .lookup(_, let reference, _):
        guard let set = try? set(reference), set.elements.count + set.otherElements.count <= 1_000 else {
          return nil
        }
        words.append("\(set.elements) \(set.otherElements)")
      // What is in the set it names is not known.
      case .unknown("lookup", _): return nil
      default:
        guard expression.isQuestion else { return nil }
      }
    }
    return words.joined(separator: "\n")
  }

  /// All that it does, in the same way; nil: it asks what is outside of its table, or what is counted.
  private var wholeProgram: String? {
    var words = ["\(context.families.rawValue)"]
    for expression in source.expressions where !expression.onlyTells {
      words.append("\(expression)")
      switch expression {
      case .lookup(_, let reference, _), .mapLookup(_, let reference, _):
        guard let set = try? set(reference), set.elements.count + set.otherElements.count <= 1_000 else {
          return nil
        }
        words.append("\(set)")
      case .unknown("lookup", _): return nil
      case .unknown(let name, _):
        guard expression.isQuestion || Self.namelessPrograms.contains(name) else { return nil }
      // The number of an interface is the namespace's own.
      case .objectReference, .dynamicSet, .meta(.inputInterface, _), .meta(.outputInterface, _): return nil
      default: break
      }
    }
    return words.joined(separator: "\n")
  }

  /// Expressions that say all themselves: nothing that has a name and is elsewhere.
  private static let namelessPrograms: Set<String> = [
    "bitwise", "byteorder", "ct", "exthdr", "hash", "masq", "meta", "nat", "numgen", "payload", "redir",
    "target",
  ]

  /// The rule without what it asks and does.
  private var nothing: LiftedRule {
    var rule = rule
    rule.counter = nil
    rule.log = nil
    rule.connections = nil
    rule.limit = nil
    rule.quota = nil
    rule.room = nil
    rule.changes = Changes()
    rule.verdict = .continue
    return LiftedRule(rule: rule, alternatives: nil)
  }

  private mutating func finish(_ verdict: Verdict) {
    rule.families = conditions.families
    rule.matches = conditions.matches
    rule.verdict = verdict
    guard isSure, !conditions.isNever else { return }
    finished.append(LiftedRule(rule: rule, alternatives: conditions.alternatives))
  }

  /// From here on nobody can tell which packets meet the rule.
  private mutating func doubt(_ reason: String) {
    if isSure, !conditions.isNever { doubts.append(Doubt(conditions: conditions, reason: reason)) }
    isSure = false
  }

  /// Only a program of ours must be read in full: of a question that has no word, others may have said more before and
  /// behind.
  private mutating func takeOrDoubt(_ expression: Expression) throws(LiftError) {
    guard !context.isStrict, stage == .conditions, expression.isQuestion else { return try take(expression) }
    do throws(LiftError) {
      try take(expression)
    } catch {
      doubt(error.reason)
      if expression.loads { registers.forget(because: error.reason) }
    }
  }

  /// Adds to what the rule asks, and to what is known of packets in doubt.
  mutating func ask(_ add: (inout ConditionLift) throws(LiftError) -> Void) throws(LiftError) {
    if !doubts.isEmpty {
      var open: [Doubt] = []
      for doubt in doubts {
        var narrowed = doubt.conditions
        do throws(LiftError) {
          try add(&narrowed)
        } catch {
          // The others stay in doubt.
          open.append(doubt)
          continue
        }
        open += narrowed.takeOpen().map { Doubt(conditions: $0.conditions, reason: doubt.reason) }
        if !narrowed.isNever { open.append(Doubt(conditions: narrowed, reason: doubt.reason)) }
      }
      doubts = open
    }
    if context.isStrict { return try add(&conditions) }
    var narrowed = conditions
    try add(&narrowed)
    let open = narrowed.takeOpen().map { Doubt(conditions: $0.conditions, reason: $0.reason) }
    if isSure { doubts += open }
    conditions = narrowed
  }

  /// Adds what is known of all packets to what is known of those in doubt.
  mutating func narrowDoubts(_ add: (inout ConditionLift) throws(LiftError) -> Void) throws(LiftError) {
    for index in doubts.indices { try add(&doubts[index].conditions) }
  }

  // MARK: Maps

  /// Whether a map has been read as the model has it.
  private mutating func readsMap(
    _ register: UInt32, _ reference: SetReference, _ destination: UInt32, _ next: Expression?
  ) throws(LiftError) -> Bool {
    try beforeCondition()
    guard doubts.isEmpty, conditions.alternatives == nil, isSure else { return false }
    if destination == 0 {
      guard let map = try? verdictMap(register, reference) else { return false }
      let leaves = map.verdicts.contains { verdict in
        switch verdict {
        case .return, .goto: true
        default: false
        }
      }
      guard conditions.matches.isEmpty || !leaves else { return false }
      verdict = .dispatch(map)
      return true
    }
    guard case .nat(isSource: false, _, _, ports: .some, _)? = next,
      let (targets, width) = try? portTargets(register, reference)
    else { return false }
    registers.store(.targets(targets, width: width), bytes: width + 4, destination)
    return true
  }

  /// A look-up in a map, as one program for each of its values: no packet meets two of them, and who is not in the map
  /// meets none.
  private mutating func run(
    _ register: UInt32, _ reference: SetReference, _ destination: UInt32, _ rest: ArraySlice<Expression>
  ) throws(LiftError) -> [LiftedRule] {
    let (fields, entries) = try mapEntries(register, reference)
    var lifted = finished
    for (data, spans) in entries {
      var branch = self
      branch.finished = []
      do throws(LiftError) {
        try branch.ask { (conditions) throws(LiftError) in
          try conditions.lookup(fields, spans, isNegated: false)
        }
      } catch {
        branch.doubt(error.reason)
      }
      switch data {
      case .verdict(.continue): break
      case .verdict(let verdict): branch.verdict = Self.verdict(verdict)
      case .value(let bytes): branch.registers.store(.constant(bytes), bytes: bytes.count, destination)
      }
      do throws(LiftError) {
        lifted += try branch.run(rest)
      } catch {
        lifted += branch.unread(because: error.reason)
      }
    }
    return lifted.isEmpty ? [nothing] : lifted
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

  mutating func mayEnd(behind reason: String) { endsWith = reason }

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
      try ask { (conditions) throws(LiftError) in try conditions.compare(field, comparison, value) }
    case .range(let register, let isNegated, let lower, let upper):
      try beforeCondition()
      let field = try field(register)
      guard lower.count == field.length, upper.count == field.length, field.flipped == nil else {
        throw LiftError("a range of another length than its value")
      }
      try ask { (conditions) throws(LiftError) in
        try conditions.range(field, lower, upper, isNegated: isNegated)
      }
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
    case .unknown(name: "meta", let data) where NetlinkAttributes(data)?.loadsLinkProtocol ?? false:
      let register = NetlinkAttributes(data)?.number(1) ?? 0
      load(.linkProtocol, 2, register)
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
    switch registers[register] {
    case .field(let field)?: return field
    case .unknown(let reason)?: throw LiftError(reason)
    default: throw LiftError("a comparison of what no expression has loaded")
    }
  }

  func constant(_ register: UInt32, _ length: Int) throws(LiftError) -> [UInt8] {
    if case .constant(let bytes)? = registers[register], bytes.count == length { return bytes }
    // Of a map several values come at once.
    guard !context.isStrict, let bytes = registers.constant(register, length) else {
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
