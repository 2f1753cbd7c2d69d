internal import CSHA2

/// SHA-256 as FIPS 180-4 defines it, in Swift alone.
///
/// swift-crypto would bring BoringSSL, which the Embedded applier cannot link; one implementation in both
/// programs means that what the compiler labels is what the applier computes. Tests hold it to `sha256sum`.
package struct SHA256: ~Copyable {
  /// Bytes of a digest.
  package static var byteCount: Int { 32 }

  // INVARIANT: `buffered` < 64; the block holds that many bytes not yet compressed.
  private var state: (UInt32, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32) = (
    0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19
  )
  private var block = InlineArray<64, UInt8>(repeating: 0)
  private var buffered = 0
  private var total: UInt64 = 0

  package init() {}

  package mutating func update(_ byte: UInt8) {
    block[buffered] = byte
    buffered += 1
    total &+= 1
    if buffered == Self.blockLength { compressBuffered() }
  }

  package mutating func update(_ bytes: some Sequence<UInt8>) {
    for byte in bytes { update(byte) }
  }

  // Apart from the generic one, which other modules cannot specialize.
  package mutating func update(_ bytes: [UInt8]) { update(bytes.span) }

  package mutating func update(_ bytes: ArraySlice<UInt8>) { update(bytes.span) }

  /// Whole blocks are read where they lie.
  @inline(never)
  package mutating func update(_ bytes: Span<UInt8>) {
    var index = 0
    while buffered != 0, index < bytes.count {
      update(bytes[index])
      index += 1
    }
    let blocks = (bytes.count - index) / Self.blockLength
    compress(bytes, at: index, blocks: blocks)
    index += blocks * Self.blockLength
    total &+= UInt64(blocks * Self.blockLength)
    while index < bytes.count {
      update(bytes[index])
      index += 1
    }
  }

  /// The digest of all bytes given, 32 bytes.
  package consuming func finish() -> [UInt8] {
    let bits = total &* 8
    update(0x80)
    // The number of bits is the end of a block.
    if buffered > Self.blockLength - 8 {
      while buffered != 0 { update(0) }
    }
    for index in buffered..<Self.blockLength - 8 { block[index] = 0 }
    for index in 0..<8 {
      block[Self.blockLength - 8 + index] = UInt8(truncatingIfNeeded: bits >> UInt64(56 - 8 * index))
    }
    compressBuffered()
    var digest: [UInt8] = []
    digest.reserveCapacity(Self.byteCount)
    func append(_ word: UInt32) {
      digest.append(UInt8(truncatingIfNeeded: word >> 24))
      digest.append(UInt8(truncatingIfNeeded: word >> 16))
      digest.append(UInt8(truncatingIfNeeded: word >> 8))
      digest.append(UInt8(truncatingIfNeeded: word))
    }
    append(state.0)
    append(state.1)
    append(state.2)
    append(state.3)
    append(state.4)
    append(state.5)
    append(state.6)
    append(state.7)
    return digest
  }

  /// The digest of one byte string, 32 bytes.
  package static func hash(_ bytes: some Sequence<UInt8>) -> [UInt8] { hash(Array(bytes)) }

  package static func hash(_ bytes: [UInt8]) -> [UInt8] {
    var hasher = SHA256()
    hasher.update(bytes)
    return hasher.finish()
  }

  private static var blockLength: Int { 64 }

  private mutating func compressBuffered() {
    let copy = block
    compress(copy.span, at: 0, blocks: 1)
    buffered = 0
  }

  /// - Precondition: `blocks` times 64 bytes begin at `start`.
  private mutating func compress(_ bytes: Span<UInt8>, at start: Int, blocks: Int) {
    precondition(start >= 0 && blocks >= 0 && bytes.count - start >= blocks * Self.blockLength)
    guard blocks > 0 else { return }
    if lockdown_has_sha256() != 0 {
      var words: InlineArray<8, UInt32> = [
        state.0, state.1, state.2, state.3, state.4, state.5, state.6, state.7,
      ]
      // SAFETY: the precondition covers all blocks.
      unsafe bytes.withUnsafeBufferPointer { bytes in
        var span = words.mutableSpan
        unsafe span.withUnsafeMutableBufferPointer { words in
          unsafe lockdown_sha256_blocks(words.baseAddress, bytes.baseAddress?.advanced(by: start), blocks)
        }
      }
      state = (words[0], words[1], words[2], words[3], words[4], words[5], words[6], words[7])
      return
    }
    for block in 0..<blocks { compress(bytes, at: start + block * Self.blockLength) }
  }

  /// - Precondition: 64 bytes begin at `start`.
  private mutating func compress(_ bytes: Span<UInt8>, at start: Int) {
    precondition(start >= 0 && bytes.count - start >= Self.blockLength)
    // The message schedule, of which only the last 16 words are needed.
    var schedule = InlineArray<16, UInt32>(repeating: 0)
    var (a, b, c, d, e, f, g, h) = state
    for index in 0..<64 {
      // SAFETY: the precondition covers the 64 bytes; `& 15` stays below 16, and `index` below 64.
      let word: UInt32
      if index < 16 {
        let at = start &+ index &* 4
        word =
          unsafe UInt32(bytes[unchecked: at]) << 24 | UInt32(bytes[unchecked: at &+ 1]) << 16
          | UInt32(bytes[unchecked: at &+ 2]) << 8 | UInt32(bytes[unchecked: at &+ 3])
      } else {
        let w15 = unsafe schedule[unchecked: (index &+ 1) & 15]
        let w2 = unsafe schedule[unchecked: (index &+ 14) & 15]
        let s0 = rotate(w15, 7) ^ rotate(w15, 18) ^ (w15 >> 3)
        let s1 = rotate(w2, 17) ^ rotate(w2, 19) ^ (w2 >> 10)
        word =
          unsafe schedule[unchecked: index & 15] &+ s0 &+ schedule[unchecked: (index &+ 9) & 15] &+ s1
      }
      unsafe schedule[unchecked: index & 15] = word
      let s1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)
      let choice = (e & f) ^ (~e & g)
      let t1 = unsafe h &+ s1 &+ choice &+ Self.constants[unchecked: index] &+ word
      let s0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)
      let majority = (a & b) ^ (a & c) ^ (b & c)
      let t2 = s0 &+ majority
      (h, g, f, e, d, c, b, a) = (g, f, e, d &+ t1, c, b, a, t1 &+ t2)
    }
    state.0 &+= a
    state.1 &+= b
    state.2 &+= c
    state.3 &+= d
    state.4 &+= e
    state.5 &+= f
    state.6 &+= g
    state.7 &+= h
  }

  private func rotate(_ value: UInt32, _ count: UInt32) -> UInt32 {
    value >> count | value << (32 - count)
  }

  /// The first 32 bits of the fractional parts of the cube roots of the first 64 primes (FIPS 180-4 §4.2.2).
  private static let constants: InlineArray<64, UInt32> = [
    0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
    0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
    0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
    0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
    0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
    0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
    0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
    0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
  ]
}

extension SHA256 {
  /// Lower-case hexadecimal, two digits a byte.
  package static func hex(_ digest: [UInt8]) -> [UInt8] {
    var text: [UInt8] = []
    text.reserveCapacity(digest.count * 2)
    func append(_ nibble: UInt8) { text.append(nibble < 10 ? 0x30 + nibble : 0x57 + nibble) }
    for byte in digest {
      append(byte >> 4)
      append(byte & 15)
    }
    return text
  }
}
