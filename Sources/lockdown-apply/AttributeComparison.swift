/// Compares attributes that were sent with those the kernel dumps, by the kernel's habits
/// (docs/kernel-dump-differences.md): order and the NESTED bit do not count, handles and counters are state,
/// and some defaults come back that were never sent.
final class AttributeComparison {
  let sent: [UInt8]
  let dumped: [UInt8]

  init(sent: [UInt8], dumped: [UInt8]) {
    self.sent = sent
    self.dumped = dumped
  }

  @inline(never)
  func isEqual(_ sentRange: Range<Int>, _ dumpedRange: Range<Int>, _ shape: Shape) -> Bool {
    guard let left = numbers(sent, sentRange), let right = numbers(dumped, dumpedRange) else { return false }
    var rest = left | right
    while rest != 0 {
      let number = rest.trailingZeroBitCount
      rest &= rest &- 1
      let sentPayload = sent.attribute(UInt16(number), in: sentRange)
      // What newer kernels add is beyond what can be compared; what was sent always is compared.
      if number > shape.highestKnown && sentPayload == nil { continue }
      let treatment = shape.treatment(of: number)
      if case .masked = treatment { continue }
      let dumpedPayload = dumped.attribute(UInt16(number), in: dumpedRange)
      guard isEqual(sentPayload, dumpedPayload, treatment) else { return false }
    }
    return true
  }

  private func isEqual(_ left: Range<Int>?, _ right: Range<Int>?, _ treatment: Shape.Treatment) -> Bool {
    switch treatment {
    case .masked: return true
    case .exact:
      guard let left, let right else { return false }
      return sent.isEqual(left, dumped, right)
    case .text:
      guard let left, let right else { return false }
      return sent.isEqual(sent.withoutZeros(left), dumped, dumped.withoutZeros(right))
    case .zeroDefault:
      guard let left, let right else {
        return isZero(sent, left ?? 0..<0) && isZero(dumped, right ?? 0..<0)
      }
      return sent.isEqual(left, dumped, right)
    case .numberDefault(let value):
      return sent.value(left, absent: value) == dumped.value(right, absent: value)
    case .bits(let mask):
      return sent.value(left, absent: 0) & mask == dumped.value(right, absent: 0) & mask
    case .nest(let shape):
      return isEqual(left ?? 0..<0, right ?? 0..<0, shape)
    case .list(let shape):
      return isEqualList(left ?? 0..<0, right ?? 0..<0, shape)
    case .expression:
      guard let left, let right else { return false }
      return isEqualExpression(left, right)
    case .expressions:
      return isEqualExpressions(left ?? 0..<0, right ?? 0..<0)
    }
  }

  private func isEqualList(_ left: Range<Int>, _ right: Range<Int>, _ shape: Shape) -> Bool {
    var (at, other) = (left.lowerBound, right.lowerBound)
    while at < left.upperBound || other < right.upperBound {
      guard let item = NetlinkAttribute(sent, at: at, end: left.upperBound),
        let dumpedItem = NetlinkAttribute(dumped, at: other, end: right.upperBound),
        isEqual(item.payload, dumpedItem.payload, shape)
      else { return false }
      (at, other) = (item.next, dumpedItem.next)
    }
    return true
  }

  private func isEqualExpressions(_ left: Range<Int>, _ right: Range<Int>) -> Bool {
    var (at, other) = (left.lowerBound, right.lowerBound)
    while at < left.upperBound || other < right.upperBound {
      guard let item = NetlinkAttribute(sent, at: at, end: left.upperBound),
        let dumpedItem = NetlinkAttribute(dumped, at: other, end: right.upperBound),
        isEqualExpression(item.payload, dumpedItem.payload)
      else { return false }
      (at, other) = (item.next, dumpedItem.next)
    }
    return true
  }

  /// NFTA_EXPR_NAME and NFTA_EXPR_DATA.
  @inline(never)
  func isEqualExpression(_ left: Range<Int>, _ right: Range<Int>) -> Bool {
    guard let name = sent.name(1, in: left), let dumpedName = dumped.name(1, in: right),
      sent.isEqual(name, dumped, dumpedName)
    else { return false }
    let data = sent.attribute(2, in: left) ?? 0..<0
    let dumpedData = dumped.attribute(2, in: right) ?? 0..<0
    return isEqual(data, dumpedData, .expression(ExpressionShape(sent, name: name, data: data)))
  }

  /// The numbers of all attributes, a bit each. Nil where attributes do not add up or one stands twice.
  private func numbers(_ bytes: [UInt8], _ range: Range<Int>) -> UInt32? {
    var found: UInt32 = 0
    var offset = range.lowerBound
    while offset < range.upperBound {
      guard let attribute = NetlinkAttribute(bytes, at: offset, end: range.upperBound) else { return nil }
      // 0 is padding, and no nf_tables structure that we write has a higher number than 31.
      if attribute.number > 0, attribute.number < 32 {
        let bit: UInt32 = 1 << UInt32(attribute.number)
        guard found & bit == 0 else { return nil }
        found |= bit
      }
      offset = attribute.next
    }
    return found
  }

  private func isZero(_ bytes: [UInt8], _ range: Range<Int>) -> Bool {
    for index in range where bytes[index] != 0 { return false }
    return true
  }
}

extension [UInt8] {
  /// A big-endian number of up to eight bytes.
  @inline(never)
  func value(_ range: Range<Int>?, absent: UInt64) -> UInt64 {
    guard let range else { return absent }
    var value: UInt64 = 0
    for index in range { value = value << 8 | UInt64(self[index]) }
    return value
  }
}
