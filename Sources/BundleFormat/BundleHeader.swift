#if !hasFeature(Embedded)
  internal import SHA2
#endif

/// The fixed part of a bundle and its section table, checked: the file is whole, undamaged, and exactly its
/// sections, each where the table says.
struct BundleHeader {
  let minimumKernel: KernelRelease
  private let flags: UInt8
  let policyDigest: Range<Int>
  let checksum: Range<Int>
  private let sections: [(range: Range<Int>, count: Int)]

  init(_ bytes: [UInt8]) throws(BundleError) {
    guard bytes.count <= BundleLayout.maximumLength else { throw BundleError(.header, at: 0, .tooLong) }
    let magic = BundleLayout.magic
    guard bytes.prefix(magic.count).elementsEqual(magic) else {
      let isPrefix = magic.prefix(bytes.count).elementsEqual(bytes.prefix(magic.count))
      throw BundleError(.header, at: 0, isPrefix ? .truncated : .notABundle)
    }
    guard bytes.count >= BundleLayout.headerLength else {
      throw BundleError(.header, at: bytes.count, .truncated)
    }
    var cursor = ByteCursor(bytes, magic.count..<BundleLayout.headerLength)
    let version: UInt16 = cursor.integer()
    guard version == BundleLayout.version else {
      throw BundleError(.header, at: BundleLayout.versionOffset, .unknownVersion)
    }
    let byteOrder: UInt8 = cursor.integer()
    guard byteOrder == BundleLayout.littleEndian else {
      throw BundleError(.header, at: BundleLayout.byteOrderOffset, .otherByteOrder)
    }
    flags = cursor.integer()
    let architecture: UInt16 = cursor.integer()
    guard architecture == BundleLayout.anyArchitecture else {
      throw BundleError(.header, at: BundleLayout.architectureOffset, .otherArchitecture)
    }
    let sectionCount: UInt16 = cursor.integer()
    let totalLength: UInt64 = cursor.integer()
    guard totalLength == UInt64(bytes.count) else {
      let reason: BundleError.Reason = totalLength > UInt64(bytes.count) ? .truncated : .trailingBytes
      throw BundleError(.header, at: BundleLayout.totalLengthOffset, reason)
    }
    checksum = BundleLayout.checksumOffset..<(BundleLayout.checksumOffset + BundleLayout.digestLength)
    guard bytes[checksum].elementsEqual(Self.checksum(of: bytes)) else {
      throw BundleError(.header, at: BundleLayout.checksumOffset, .checksumMismatch)
    }
    guard flags & ~BundleLayout.knownFlags == 0 else {
      throw BundleError(.header, at: BundleLayout.flagsOffset, .reservedNotZero)
    }
    guard Int(sectionCount) == BundleSection.allInFile.count else {
      throw BundleError(.header, at: BundleLayout.sectionCountOffset, .badSectionTable)
    }
    let major: UInt16 = cursor.integer()
    let minor: UInt16 = cursor.integer()
    minimumKernel = KernelRelease(major: major, minor: minor)
    let reserved: UInt32 = cursor.integer()
    guard reserved == 0 else { throw BundleError(.header, at: BundleLayout.reservedOffset, .reservedNotZero) }
    policyDigest = cursor.take(BundleLayout.digestLength)
    _ = cursor.take(BundleLayout.digestLength)
    sections = try Self.readTable(&cursor, bytes)
  }

  private static func readTable(_ cursor: inout ByteCursor, _ bytes: [UInt8]) throws(BundleError)
    -> [(range: Range<Int>, count: Int)]
  {
    var sections: [(range: Range<Int>, count: Int)] = []
    sections.reserveCapacity(BundleSection.allInFile.count)
    var expected = BundleLayout.headerLength
    for section in BundleSection.allInFile {
      let entry = cursor.offset
      let kind: UInt32 = cursor.integer()
      let count: UInt32 = cursor.integer()
      let offset: UInt64 = cursor.integer()
      let length: UInt64 = cursor.integer()
      guard kind == UInt32(section.rawValue), offset == UInt64(expected) else {
        throw BundleError(.header, at: entry, .badSectionTable)
      }
      guard length <= UInt64(bytes.count - expected) else {
        throw BundleError(section, at: entry, .truncated)
      }
      let range = expected..<(expected + Int(length))
      // No entry is shorter than a byte, so that a count cannot make a reader reserve more than the file.
      let isText = section == .policyName || section == .sourceMap
      guard isText ? count == 1 : UInt64(count) <= length else {
        throw BundleError(section, at: entry + 4, .countMismatch)
      }
      expected = BundleLayout.aligned(range.upperBound)
      guard expected <= bytes.count else { throw BundleError(section, at: entry, .truncated) }
      for index in range.upperBound..<expected where bytes[index] != 0 {
        throw BundleError(section, at: index, .paddingNotZero)
      }
      sections.append((range, Int(count)))
    }
    guard expected == bytes.count else { throw BundleError(.header, at: expected, .trailingBytes) }
    return sections
  }

  /// SHA-256 of all bytes, the checksum field read as zeros.
  static func checksum(of bytes: [UInt8]) -> [UInt8] {
    let field = BundleLayout.checksumOffset
    var hasher = SHA256()
    hasher.update(bytes[..<field])
    hasher.update([UInt8](repeating: 0, count: BundleLayout.digestLength))
    hasher.update(bytes[(field + BundleLayout.digestLength)...])
    return hasher.finish()
  }

  /// - Precondition: `section` is not the header.
  func range(of section: BundleSection) -> Range<Int> { sections[Int(section.rawValue) - 1].range }

  func has(_ flag: UInt8) -> Bool { flags & flag != 0 }

  func count(of section: BundleSection) -> Int { sections[Int(section.rawValue) - 1].count }

  /// Goes to the start of a section; how many entries there are to read, which is none after a failure.
  func enter(_ section: BundleSection, _ cursor: inout ByteCursor) -> Int {
    cursor.enter(section, range(of: section))
    return cursor.isGood ? count(of: section) : 0
  }
}
