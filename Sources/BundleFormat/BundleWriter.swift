internal import SHA2

/// Lays out sections one behind the other and fills in the header at the end.
///
/// The file is made in pieces: messages are most of it, and stand in memory already.
struct BundleWriter {
  /// The first begins with the header.
  private var pieces: [[UInt8]] = []
  private var bytes = [UInt8](repeating: 0, count: BundleLayout.headerLength)
  /// Bytes before those.
  private var finished = 0
  private var sections: [(section: BundleSection, count: Int, range: Range<Int>)] = []
  private var open: (section: BundleSection, count: Int, start: Int)?

  private var count: Int { finished + bytes.count }

  /// What is at least so long becomes a piece of its own where it can.
  private static var pieceLength: Int { 128 }

  mutating func append<Value: FixedWidthInteger & UnsignedInteger>(_ value: Value) {
    for index in 0..<MemoryLayout<Value>.size {
      bytes.append(UInt8(truncatingIfNeeded: value >> Value(truncatingIfNeeded: 8 * index)))
    }
  }

  mutating func append(_ data: [UInt8]) {
    guard data.count >= Self.pieceLength else {
      bytes += data
      return
    }
    if !bytes.isEmpty {
      finished += bytes.count
      pieces.append(bytes)
      bytes = []
    }
    finished += data.count
    pieces.append(data)
  }

  mutating func pad(to alignment: Int) {
    while count % alignment != 0 { bytes.append(0) }
  }

  mutating func begin(_ section: BundleSection, count: Int) {
    end()
    open = (section, count, self.count)
  }

  private mutating func end() {
    guard let open else { return }
    sections.append((open.section, open.count, open.start..<count))
    pad(to: BundleLayout.alignment)
    self.open = nil
  }

  /// Without the checksum, whose place is zeros.
  consuming func finish(policyDigest: [UInt8], minimumKernel: KernelRelease, flags: UInt8) -> [[UInt8]] {
    end()
    let length = count
    if pieces.isEmpty || !bytes.isEmpty { pieces.append(bytes) }
    var header = BundleWriter()
    header.bytes = BundleLayout.magic
    header.append(BundleLayout.version)
    header.append(BundleLayout.littleEndian)
    header.append(flags)
    header.append(BundleLayout.anyArchitecture)
    header.append(UInt16(sections.count))
    header.append(UInt64(length))
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
    pieces[0].replaceSubrange(0..<BundleLayout.headerLength, with: header.bytes)
    return pieces
  }

  /// SHA-256 of the whole file, the checksum's own place being zeros.
  static func checksum(of pieces: [[UInt8]]) -> [UInt8] {
    var hasher = SHA256()
    for piece in pieces { hasher.update(piece) }
    return hasher.finish()
  }
}
