internal import CNFTables

/// Reads the programs that most rules have, byte by byte, without an object for each expression.
///
/// It stands beside ``ExpressionDecoder``, which reads all there is and makes values of it: every compile reads all
/// of its rules back, and that takes longer than to write them. It knows fewer expressions, and takes none that has
/// more or less than these have.
struct ProgramReader {
  private let message: [UInt8]

  init(_ message: [UInt8]) { self.message = message }

  /// Reads the attribute NFTA_RULE_EXPRESSIONS, which stands at `list`; false if there is anything else in it.
  func read(_ list: Range<Int>, into steps: inout [ProgramStep]) -> Bool {
    let bytes = unsafe message.span.bytes
    var position = list.lowerBound
    while position < list.upperBound {
      guard let element = AttributeRange(bytes, at: position, before: list.upperBound),
        element.type == NFTA_LIST_ELEM.rawValue,
        let parts = AttributeTable(bytes, element.payload),
        parts.holdsExactly(Self.bits(NFTA_EXPR_NAME, NFTA_EXPR_DATA), orAlso: 0),
        let data = AttributeTable(bytes, parts[NFTA_EXPR_DATA]),
        let step = step(bytes, parts[NFTA_EXPR_NAME], data)
      else { return false }
      steps.append(step)
      position = element.end
    }
    return true
  }

  // MARK: Expressions

  private func step(_ bytes: RawSpan, _ name: Range<Int>, _ data: AttributeTable) -> ProgramStep? {
    switch Self.word(bytes, name) {
    case Self.meta: load(bytes, data, .loadMeta, NFTA_META_KEY, NFTA_META_DREG)
    case Self.conntrack: load(bytes, data, .loadConntrack, NFTA_CT_KEY, NFTA_CT_DREG)
    case Self.payload: payload(bytes, data)
    case Self.compare: compare(bytes, data)
    case Self.bitwise: mask(bytes, data)
    case Self.range: range(bytes, data)
    case Self.lookup: lookup(bytes, data)
    case Self.immediate: verdict(bytes, data)
    case Self.counter:
      data.holdsExactly(0, orAlso: Self.bits(NFTA_COUNTER_BYTES, NFTA_COUNTER_PACKETS))
        ? ProgramStep(.count) : nil
    case Self.reject: reject(bytes, data)
    default: nil
    }
  }

  private func load(
    _ bytes: RawSpan, _ data: AttributeTable, _ action: ProgramStep.Action,
    _ key: some RawRepresentable<UInt32>, _ register: some RawRepresentable<UInt32>
  ) -> ProgramStep? {
    guard data.holdsExactly(Self.bit(key) | Self.bit(register), orAlso: 0),
      let number = data.uint32(bytes, key), let destination = data.uint32(bytes, register)
    else { return nil }
    var step = ProgramStep(action)
    (step.key, step.register) = (number, destination)
    return step
  }

  private func payload(_ bytes: RawSpan, _ data: AttributeTable) -> ProgramStep? {
    let parts = Self.bits(NFTA_PAYLOAD_DREG, NFTA_PAYLOAD_BASE, NFTA_PAYLOAD_OFFSET, NFTA_PAYLOAD_LEN)
    guard data.holdsExactly(parts, orAlso: 0), let register = data.uint32(bytes, NFTA_PAYLOAD_DREG),
      let base = data.uint32(bytes, NFTA_PAYLOAD_BASE), let offset = data.uint32(bytes, NFTA_PAYLOAD_OFFSET),
      let length = data.uint32(bytes, NFTA_PAYLOAD_LEN)
    else { return nil }
    var step = ProgramStep(.loadPayload)
    (step.register, step.key, step.offset, step.length) = (register, base, offset, length)
    return step
  }

  private func compare(_ bytes: RawSpan, _ data: AttributeTable) -> ProgramStep? {
    guard data.holdsExactly(Self.bits(NFTA_CMP_SREG, NFTA_CMP_OP, NFTA_CMP_DATA), orAlso: 0),
      let register = data.uint32(bytes, NFTA_CMP_SREG), let operation = data.uint32(bytes, NFTA_CMP_OP),
      let value = Self.value(bytes, data[NFTA_CMP_DATA])
    else { return nil }
    var step = ProgramStep(.compare)
    (step.register, step.key, step.lower, step.length) = (register, operation, value.number, value.length)
    return step
  }

  private func mask(_ bytes: RawSpan, _ data: AttributeTable) -> ProgramStep? {
    let parts = Self.bits(NFTA_BITWISE_SREG, NFTA_BITWISE_DREG, NFTA_BITWISE_LEN)
    let values = Self.bits(NFTA_BITWISE_MASK, NFTA_BITWISE_XOR)
    guard data.holdsExactly(parts | values, orAlso: Self.bit(NFTA_BITWISE_OP)),
      let register = data.uint32(bytes, NFTA_BITWISE_SREG),
      // In place.
      data.uint32(bytes, NFTA_BITWISE_DREG) == register, let length = data.uint32(bytes, NFTA_BITWISE_LEN),
      !data.has(NFTA_BITWISE_OP) || data.uint32(bytes, NFTA_BITWISE_OP) == NFT_BITWISE_MASK_XOR.rawValue,
      let mask = Self.value(bytes, data[NFTA_BITWISE_MASK]), mask.length == length,
      let flipped = Self.value(bytes, data[NFTA_BITWISE_XOR]), flipped.length == length, flipped.number == 0
    else { return nil }
    var step = ProgramStep(.mask)
    (step.register, step.length, step.lower) = (register, length, mask.number)
    return step
  }

  private func range(_ bytes: RawSpan, _ data: AttributeTable) -> ProgramStep? {
    let parts = Self.bits(NFTA_RANGE_SREG, NFTA_RANGE_OP, NFTA_RANGE_FROM_DATA, NFTA_RANGE_TO_DATA)
    guard data.holdsExactly(parts, orAlso: 0), let register = data.uint32(bytes, NFTA_RANGE_SREG),
      let operation = data.uint32(bytes, NFTA_RANGE_OP),
      operation == NFT_RANGE_EQ.rawValue || operation == NFT_RANGE_NEQ.rawValue,
      let lower = Self.value(bytes, data[NFTA_RANGE_FROM_DATA]),
      let upper = Self.value(bytes, data[NFTA_RANGE_TO_DATA]), lower.length == upper.length
    else { return nil }
    var step = ProgramStep(.range)
    (step.register, step.length, step.lower, step.upper) = (
      register, lower.length, lower.number, upper.number
    )
    step.isNegated = operation == NFT_RANGE_NEQ.rawValue
    return step
  }

  private func lookup(_ bytes: RawSpan, _ data: AttributeTable) -> ProgramStep? {
    guard
      data.holdsExactly(
        Self.bits(NFTA_LOOKUP_SET, NFTA_LOOKUP_SREG),
        orAlso: Self.bits(NFTA_LOOKUP_SET_ID, NFTA_LOOKUP_FLAGS)),
      let register = data.uint32(bytes, NFTA_LOOKUP_SREG)
    else { return nil }
    var step = ProgramStep(.lookup)
    step.register = register
    if data.has(NFTA_LOOKUP_SET_ID) {
      guard let number = data.uint32(bytes, NFTA_LOOKUP_SET_ID) else { return nil }
      step.key = number
    }
    if data.has(NFTA_LOOKUP_FLAGS) {
      guard let flags = data.uint32(bytes, NFTA_LOOKUP_FLAGS), flags & ~UInt32(NFT_LOOKUP_F_INV.rawValue) == 0
      else { return nil }
      step.isNegated = flags != 0
    }
    (step.nameStart, step.nameLength) = Self.name(bytes, data[NFTA_LOOKUP_SET])
    return step
  }

  private func verdict(_ bytes: RawSpan, _ data: AttributeTable) -> ProgramStep? {
    guard data.holdsExactly(Self.bits(NFTA_IMMEDIATE_DREG, NFTA_IMMEDIATE_DATA), orAlso: 0),
      data.uint32(bytes, NFTA_IMMEDIATE_DREG) == UInt32(NFT_REG_VERDICT.rawValue),
      let nest = AttributeTable(bytes, data[NFTA_IMMEDIATE_DATA]),
      nest.holdsExactly(Self.bit(NFTA_DATA_VERDICT), orAlso: 0),
      let parts = AttributeTable(bytes, nest[NFTA_DATA_VERDICT]),
      parts.holdsExactly(Self.bit(NFTA_VERDICT_CODE), orAlso: Self.bit(NFTA_VERDICT_CHAIN)),
      let code = parts.uint32(bytes, NFTA_VERDICT_CODE)
    else { return nil }
    var step = ProgramStep(.verdict)
    step.key = code
    if parts.has(NFTA_VERDICT_CHAIN) {
      (step.nameStart, step.nameLength) = Self.name(bytes, parts[NFTA_VERDICT_CHAIN])
      if step.nameLength == 0 { return nil }
    }
    return step
  }

  private func reject(_ bytes: RawSpan, _ data: AttributeTable) -> ProgramStep? {
    guard data.holdsExactly(Self.bit(NFTA_REJECT_TYPE), orAlso: Self.bit(NFTA_REJECT_ICMP_CODE)),
      let type = data.uint32(bytes, NFTA_REJECT_TYPE)
    else { return nil }
    var step = ProgramStep(.reject)
    step.key = type
    // A reset has no code, and the kernel forgets one.
    if type != NFT_REJECT_TCP_RST.rawValue {
      guard data[NFTA_REJECT_ICMP_CODE].count == 1 else { return nil }
      step.lower = UInt128(message[data[NFTA_REJECT_ICMP_CODE].lowerBound])
    }
    return step
  }

  // MARK: Parts

  /// The names of expressions with their NUL, as the numbers their bytes make.
  private static let meta = word("meta")
  private static let conntrack = word("ct")
  private static let payload = word("payload")
  private static let compare = word("cmp")
  private static let bitwise = word("bitwise")
  private static let range = word("range")
  private static let lookup = word("lookup")
  private static let immediate = word("immediate")
  private static let counter = word("counter")
  private static let reject = word("reject")

  private static func word(_ name: StaticString) -> UInt128 {
    var result: UInt128 = 0
    name.withUTF8Buffer { unsafe $0.forEach { result = result << 8 | UInt128($0) } }
    return result << 8
  }

  /// 0 for a name of more than 15 bytes, which none of those has.
  private static func word(_ bytes: RawSpan, _ place: Range<Int>) -> UInt128 {
    place.count <= 16 ? number(bytes, place) : 0
  }

  private static func number(_ bytes: RawSpan, _ place: Range<Int>) -> UInt128 {
    var (position, result) = (place.lowerBound, 0 as UInt128)
    while position < place.upperBound {
      result = result << 8 | UInt128(bytes.byte(position))
      position += 1
    }
    return result
  }

  /// Up to the NUL that must be its last byte; of length 0 where it is not.
  private static func name(_ bytes: RawSpan, _ place: Range<Int>) -> (start: Int, length: Int) {
    guard place.count > 1, bytes.byte(place.upperBound - 1) == 0 else { return (place.lowerBound, 0) }
    return (place.lowerBound, place.count - 1)
  }

  /// Register bytes, at most as many as the widest register has; nil for a nest with anything else in it.
  private static func value(_ bytes: RawSpan, _ nest: Range<Int>) -> (number: UInt128, length: UInt32)? {
    guard let inner = AttributeRange(bytes, at: nest.lowerBound, before: nest.upperBound),
      inner.type == NFTA_DATA_VALUE.rawValue, inner.end >= nest.upperBound,
      (1...16).contains(inner.payload.count)
    else { return nil }
    return (number(bytes, inner.payload), UInt32(inner.payload.count))
  }

  private static func bit(_ type: some RawRepresentable<UInt32>) -> UInt32 { 1 << type.rawValue }

  private static func bits<Number: RawRepresentable<UInt32>>(_ first: Number, _ second: Number) -> UInt32 {
    bit(first) | bit(second)
  }

  private static func bits<Number: RawRepresentable<UInt32>>(
    _ first: Number, _ second: Number, _ third: Number
  ) -> UInt32 { bits(first, second) | bit(third) }

  private static func bits<Number: RawRepresentable<UInt32>>(
    _ first: Number, _ second: Number, _ third: Number, _ fourth: Number
  ) -> UInt32 { bits(first, second) | bits(third, fourth) }
}
