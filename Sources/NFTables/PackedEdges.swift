internal import CNFTables
internal import Ruleset

/// The elements of a packed set of addresses, written straight into messages: as ``ElementEncoder`` has them, in the
/// bytes that libnftnl would write, but without an object for each of a million.
struct PackedEdges {
  private enum Next {
    /// An end at zero, which nft sends first unless a range starts there.
    case leading
    case lower
    /// The key after the range.
    case after
  }

  private let keys: [UInt8]
  private let keyLength: Int
  private let isInterval: Bool
  private var index = 0
  private var next: Next
  private let endsOpen: Bool

  /// Nil for a set that is not packed.
  ///
  /// INVARIANT, checked here: keys have the set's length, ranges ascend without overlap, and a plain set has single
  /// keys.
  init?(_ set: KernelSet) throws(NFTablesError) {
    guard let packed = set.elements.packed, set.dataType == nil else { return nil }
    keys = packed.bytes
    keyLength = packed.keyLength
    isInterval = set.isInterval
    let count = packed.bytes.count / (2 * packed.keyLength)
    guard packed.keyLength == set.keyType.keyLength else {
      throw .invalidElement(set: set.name ?? "anonymous", index: 0)
    }
    for index in 0..<count {
      let start = index * 2 * keyLength
      let order = Self.compare(keys, start, start + keyLength, keyLength)
      guard set.isInterval ? order <= 0 : order == 0,
        index == 0 || Self.compare(keys, start - keyLength, start, keyLength) < 0
      else { throw .invalidElement(set: set.name ?? "anonymous", index: index) }
    }
    endsOpen = isInterval && count > 0 && keys.suffix(keyLength).allSatisfy { $0 == 0xff }
    next = isInterval && keys.prefix(keyLength).contains { $0 != 0 } ? .leading : .lower
  }

  /// Less than, equal to or greater than zero, as the keys at `a` and `b` are to each other.
  private static func compare(_ keys: [UInt8], _ a: Int, _ b: Int, _ length: Int) -> Int {
    for offset in 0..<length where keys[a + offset] != keys[b + offset] {
      return keys[a + offset] < keys[b + offset] ? -1 : 1
    }
    return 0
  }

  /// As ``ElementEncoder/size(of:)``.
  var size: UInt32 {
    let count = keys.count / (2 * keyLength)
    return UInt32(clamping: isInterval ? 2 * count + (next == .leading ? 1 : 0) : count)
  }

  /// False after the last.
  mutating func writeNext(to buffer: inout MessageBuffer) -> Bool {
    let start = index * 2 * keyLength
    switch next {
    case .leading:
      buffer.appendElement(keyLength: keyLength, endsInterval: true) { _ in 0 }
      next = .lower
      return true
    case .lower:
      guard start < keys.count else { return false }
      let isLast = start + 2 * keyLength == keys.count
      buffer.appendElement(
        keyLength: keyLength, endsInterval: false, userdata: isLast && endsOpen ? Userdata.openInterval : []
      ) { keys[start + $0] }
      if isInterval, !(isLast && endsOpen) { next = .after } else { index += 1 }
      return true
    case .after:
      // The last byte that is not 0xff grows, and all behind it become 0.
      let upper = start + keyLength
      var grown = keyLength - 1
      while keys[upper + grown] == 0xff { grown -= 1 }
      buffer.appendElement(keyLength: keyLength, endsInterval: true) {
        $0 < grown ? keys[upper + $0] : $0 == grown ? keys[upper + $0] + 1 : 0
      }
      next = .lower
      index += 1
      return true
    }
  }
}
