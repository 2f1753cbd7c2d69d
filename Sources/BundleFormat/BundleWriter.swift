/// Lays out sections one behind the other and fills in the header at the end.
struct BundleWriter {
  private var bytes = [UInt8](repeating: 0, count: BundleLayout.headerLength)
  private var sections: [(section: BundleSection, count: Int, range: Range<Int>)] = []
  private var open: (section: BundleSection, count: Int, start: Int)?

  /// - Parameter capacity: about how many bytes the bundle will have.
  init(capacity: Int = 0) { bytes.reserveCapacity(capacity) }

  mutating func append<Value: FixedWidthInteger & UnsignedInteger>(_ value: Value) {
    for index in 0..<MemoryLayout<Value>.size {
      bytes.append(UInt8(truncatingIfNeeded: value >> Value(truncatingIfNeeded: 8 * index)))
    }
  }

  mutating func append(_ data: [UInt8]) { bytes += data }

  mutating func pad(to alignment: Int) {
    while bytes.count % alignment != 0 { bytes.append(0) }
  }

  mutating func begin(_ section: BundleSection, count: Int) {
    end()
    open = (section, count, bytes.count)
  }

  private mutating func end() {
    guard let open else { return }
    sections.append((open.section, open.count, open.start..<bytes.count))
    pad(to: BundleLayout.alignment)
    self.open = nil
  }

  consuming func finish(policyDigest: [UInt8], minimumKernel: KernelRelease, flags: UInt8) -> [UInt8] {
    end()
    var header = BundleWriter()
    header.bytes = BundleLayout.magic
    header.append(BundleLayout.version)
    header.append(BundleLayout.littleEndian)
    header.append(flags)
    header.append(BundleLayout.anyArchitecture)
    header.append(UInt16(sections.count))
    header.append(UInt64(bytes.count))
    header.append(minimumKernel.major)
    header.append(minimumKernel.minor)
    header.append(UInt32(0))
    header.append(policyDigest)
    header.append([UInt8](repeating: 0, count: BundleLayout.digestLength))
    for entry in sections {
      header.append(UInt32(entry.section.rawValue))
      header.append(UInt32(entry.count))
      header.append(UInt64(entry.range.lowerBound))
      header.append(UInt64(entry.range.count))
    }
    bytes.replaceSubrange(0..<BundleLayout.headerLength, with: header.bytes)
    let checksum = BundleHeader.checksum(of: bytes)
    bytes.replaceSubrange(
      BundleLayout.checksumOffset..<(BundleLayout.checksumOffset + BundleLayout.digestLength), with: checksum)
    return bytes
  }
}
