internal import PolicyModel

// Numbers as the bytes of a register.
extension FixedWidthInteger {
  /// Most significant byte first: addresses, ports, and what a comparison of order needs.
  var bigEndianBytes: [UInt8] {
    let count = Self.bitWidth / 8
    return [UInt8](unsafeUninitializedCapacity: count) { bytes, written in
      for index in 0..<count {
        bytes.initializeElement(
          at: index, to: UInt8(truncatingIfNeeded: self >> Self(truncatingIfNeeded: 8 * (count - 1 - index))))
      }
      written = count
    }
  }

  /// Host order of both target architectures: marks, ids, states.
  var littleEndianBytes: [UInt8] { bigEndianBytes.reversed() }
}

extension KernelSet.Element {
  init<Value>(bigEndian range: AddressRange<Value>) {
    self.init(range.lower.bigEndianBytes, range.upper.bigEndianBytes)
  }

  package var isSingle: Bool { lower == upper }

  /// The length in bits of the prefix that the range is, if it is one.
  package var prefixLength: Int? { Self.prefixLength(lower[...], upper[...]) }

  package static func prefixLength(_ lower: ArraySlice<UInt8>, _ upper: ArraySlice<UInt8>) -> Int? {
    // A prefix: equal bits, then all zeros below and all ones above.
    var length = 0
    var isInHostPart = false
    for (low, high) in zip(lower, upper) {
      if isInHostPart {
        guard low == 0, high == 0xff else { return nil }
        continue
      }
      let difference = low ^ high
      let equalBits = difference.leadingZeroBitCount
      length += equalBits
      if equalBits < 8 {
        isInHostPart = true
        let hostMask = UInt8(0xff) >> UInt8(equalBits)
        guard low & hostMask == 0, high & hostMask == hostMask else { return nil }
      }
    }
    return length
  }
}

extension Condition.Operand {
  /// One range is compared; several are looked up. `ranges` is not empty.
  static func ranges(_ ranges: [KernelSet.Element], keyType: KernelSet.KeyType) -> Condition.Operand {
    guard let range = ranges.first, ranges.count == 1 else {
      let isInterval = ranges.contains { !$0.isSingle }
      return .anonymous(KernelSet(name: nil, keyType: keyType, isInterval: isInterval, elements: ranges))
    }
    if range.isSingle { return .inline(.value(range.lower)) }
    switch keyType {
    case .ipv4Address, .ipv6Address:
      if let bits = range.prefixLength { return .inline(.network(range.lower, bits: bits)) }
    default: break
    }
    return .inline(.range(range.lower, range.upper))
  }

  /// The same of numbers whose registers begin with the most significant byte. One number or one prefix, which most
  /// lists are, becomes no element first.
  static func ranges<Value>(of ranges: [AddressRange<Value>], keyType: KernelSet.KeyType) -> Condition.Operand
  {
    if ranges.count == 1 {
      let (lower, upper) = (ranges[0].lower, ranges[0].upper)
      if lower == upper { return .inline(.value(lower.bigEndianBytes)) }
      // Of a prefix: zeros, then a one for each bit of the host.
      let host = lower ^ upper
      let isPrefix = host & (host &+ 1) == 0 && lower & host == 0
      if isPrefix, keyType == .ipv4Address || keyType == .ipv6Address {
        return .inline(.network(lower.bigEndianBytes, bits: host.leadingZeroBitCount))
      }
    }
    return self.ranges(ranges.map { KernelSet.Element(bigEndian: $0) }, keyType: keyType)
  }
}
