import BundleFormat
import SHA2
import Testing

@Suite struct BundleFormatTests {
  let bytes = SampleBundle.contents.encoded()

  @Test func contentsComeBackWhole() throws {
    #expect(try BundleContents.read(bytes) == SampleBundle.contents)
  }

  @Test func everySectionMayBeEmpty() throws {
    let contents = BundleContents(
      policyName: Array("empty".utf8), policyDigest: [UInt8](repeating: 0, count: 32),
      minimumKernel: KernelRelease(major: 6, minor: 1))
    #expect(try BundleContents.read(contents.encoded()) == contents)
  }

  /// The header as docs/bundle-format.md draws it.
  @Test func headerLayout() {
    #expect(Array(bytes[0..<8]) == [0x89] + Array("LKD\r\n\u{1a}\n".utf8))
    #expect(
      Array(bytes[8..<16]) == [1, 0, 1, 1, 0, 0, 8, 0], "version, byte order, flags, architecture, sections")
    #expect(Array(bytes[16..<24]) == SampleBundle.littleEndian(UInt64(bytes.count)))
    #expect(Array(bytes[24..<32]) == [5, 0, 10, 0, 0, 0, 0, 0])
    #expect(Array(bytes[32..<64]) == SampleBundle.contents.policyDigest)
    #expect(Array(bytes[64..<96]) == Self.checksum(bytes))
    #expect(
      Array(bytes[96..<120]) == [1, 0, 0, 0, 1, 0, 0, 0, 0x20, 1, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0])
  }

  @Test func messagesLieOneBehindTheOther() throws {
    let reader = try BundleReader(bytes)
    #expect(Array(reader.bytes[reader.messageBytes]) == SampleBundle.messages.flatMap(\.bytes))
    #expect(reader.messages.map(\.kind) == SampleBundle.messages.map(\.kind))
    let names = reader.messages.map { String(decoding: reader.bytes[$0.name], as: UTF8.self) }
    #expect(
      names == [
        "lockdown", "input", "replies", "policy_digest", "admin_4", "admin_4", "__set%d", "__set%d", "input",
      ])
    #expect(reader.messages.map(\.source) == [0, 0, 0, 0, 0, 0, 1, 1, 2])
  }

  @Test func everyTruncationIsRefused() {
    for count in 0..<bytes.count {
      #expect(throws: BundleError.self, "\(count) bytes") { try BundleReader(Array(bytes.prefix(count))) }
    }
  }

  @Test func trailingBytesAreRefused() {
    #expect(throws: BundleError(.header, at: 16, .trailingBytes)) { try BundleReader(bytes + [0]) }
  }

  @Test func everyChangedByteIsRefused() {
    for index in bytes.indices {
      for change: UInt8 in [0x01, 0x80, 0xff] {
        var damaged = bytes
        damaged[index] ^= change
        #expect(throws: BundleError.self, "byte \(index) ^ \(change)") { try BundleReader(damaged) }
      }
    }
  }

  /// With the checksum made right again only the structure is left to judge by: a changed byte is refused,
  /// or it is part of a value, and then that value encodes to these very bytes.
  @Test func everyChangedBitUnderARightChecksumIsRefusedOrIsAValue() {
    var refused = 0
    var read = 0
    for index in bytes.indices where !(64..<96).contains(index) {
      for bit in 0..<8 {
        var damaged = bytes
        damaged[index] ^= 1 << UInt8(bit)
        Self.seal(&damaged)
        do {
          #expect(try BundleContents.read(damaged).encoded() == damaged, "byte \(index) bit \(bit)")
          read += 1
        } catch { refused += 1 }
      }
    }
    #expect(refused > 2000 && read > 1000, "\(refused) refused, \(read) read")
  }

  /// Spans of random bytes, under a right checksum.
  @Test func randomDamageNeverTraps() {
    var random = Generator(state: 0x5eed)
    for _ in 0..<4000 {
      var damaged = bytes
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        let start = Int.random(in: 8..<damaged.count, using: &random)
        let end = min(damaged.count, start + Int.random(in: 1...8, using: &random))
        for index in start..<end { damaged[index] = UInt8.random(in: 0...255, using: &random) }
      }
      Self.seal(&damaged)
      if let contents = try? BundleContents.read(damaged) { #expect(contents.encoded() == damaged) }
    }
  }

  static func checksum(_ bytes: [UInt8]) -> [UInt8] {
    SHA256.hash(bytes[..<64] + [UInt8](repeating: 0, count: 32) + bytes[96...])
  }

  static func seal(_ bytes: inout [UInt8]) {
    bytes.replaceSubrange(64..<96, with: checksum(bytes))
  }

  /// SplitMix64: the same damage in every run.
  struct Generator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
      state &+= 0x9e37_79b9_7f4a_7c15
      var value = state
      value = (value ^ value >> 30) &* 0xbf58_476d_1ce4_e5b9
      value = (value ^ value >> 27) &* 0x94d0_49bb_1331_11eb
      return value ^ value >> 31
    }
  }
}
