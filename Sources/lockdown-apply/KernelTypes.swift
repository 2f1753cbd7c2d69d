import CLinux

/// Looks up numbers in the description of its types that the running kernel carries (BTF, linux/btf.h).
///
/// The file has 4 MB: it is read twice, names first and then types, through 64 KiB.
struct KernelTypes {
  enum Kind {
    case enumerator
    case member
    case function
  }

  struct Symbol {
    var kind: Kind
    var name: [UInt8]
    /// Of the structure, for a member.
    var owner: [UInt8] = []
    /// Nil: the kernel has none of it, yet.
    var value: Int?
    fileprivate var nameOffset: UInt32 = 0
    fileprivate var ownerOffset: UInt32 = 0

    init(_ kind: Kind, _ name: [UInt8], of owner: [UInt8] = []) {
      self.kind = kind
      self.name = name
      self.owner = owner
    }

    func isSame(_ other: Symbol) -> Bool {
      kind == other.kind && name.isEqual(other.name) && owner.isEqual(other.owner)
    }
  }

  // BTF_KIND_* of linux/btf.h.
  private static let structure: UInt32 = 4
  private static let enumeration: UInt32 = 6
  private static let function: UInt32 = 12
  private static let wideEnumeration: UInt32 = 19

  /// Fills in the values; 0, or why not.
  static func resolve(_ symbols: inout [Symbol]) -> Int {
    let path = Array("/sys/kernel/btf/vmlinux").terminated()
    let descriptor = unsafe lockdown_open_at(lockdown_here, path, lockdown_open_key, 0)
    guard descriptor >= 0 else { return -descriptor }
    defer { close(Int32(descriptor)) }
    var stream = Stream(Int32(descriptor))
    // magic u16, version u8, flags u8, header length, type offset, type length, string offset, string length.
    guard stream.has(24), stream.word(0) & 0xffff == 0xeb9f else { return ErrorNumber.invalid }
    let (header, types, typeLength) = (Int(stream.word(4)), Int(stream.word(8)), Int(stream.word(12)))
    let (strings, stringLength) = (Int(stream.word(16)), Int(stream.word(20)))
    guard stream.seek(header + strings) else { return ErrorNumber.invalid }
    readNames(&stream, stringLength, &symbols)
    guard stream.seek(header + types) else { return ErrorNumber.invalid }
    return readTypes(&stream, typeLength, &symbols) ? 0 : ErrorNumber.invalid
  }

  private static func readNames(_ stream: inout Stream, _ length: Int, _ symbols: inout [Symbol]) {
    var offset = 0
    while offset < length {
      guard let count = stream.textLength() else { return }
      for index in 0..<symbols.count {
        if stream.isNext(symbols[index].name, count) { symbols[index].nameOffset = UInt32(offset) }
        if stream.isNext(symbols[index].owner, count) { symbols[index].ownerOffset = UInt32(offset) }
      }
      guard stream.skip(count + 1) else { return }
      offset += count + 1
    }
  }

  /// False: something that this version does not know, behind which nothing can be read.
  private static func readTypes(_ stream: inout Stream, _ length: Int, _ symbols: inout [Symbol]) -> Bool {
    var (offset, number) = (0, 0)
    while offset < length {
      guard stream.has(12) else { return false }
      number += 1
      let name = stream.word(0)
      let info = stream.word(4)
      let (kind, count) = (info >> 24 & 31, Int(info & 0xffff))
      guard let (fixed, each) = sizes(kind), stream.skip(12 + fixed) else { return false }
      offset += 12 + fixed + each * count
      var isWanted = kind == enumeration || kind == wideEnumeration
      for index in 0..<symbols.count {
        switch symbols[index].kind {
        case .function:
          if kind == function, name == symbols[index].nameOffset, name != 0 { symbols[index].value = number }
        case .member: if kind == structure, name == symbols[index].ownerOffset, name != 0 { isWanted = true }
        case .enumerator: break
        }
      }
      guard isWanted else {
        guard stream.skip(each * count) else { return false }
        continue
      }
      for _ in 0..<count {
        guard stream.has(each) else { return false }
        let entry = stream.word(0)
        for index in 0..<symbols.count where symbols[index].nameOffset == entry && entry != 0 {
          switch symbols[index].kind {
          case .enumerator:
            if kind != structure { symbols[index].value = Int(Int32(bitPattern: stream.word(4))) }
          case .member:
            // Name, type, offset in bits; of several structures of a name the first that has it.
            if kind == structure, name == symbols[index].ownerOffset, symbols[index].value == nil {
              symbols[index].value = Int(stream.word(8) & 0xff_ffff) / 8
            }
          case .function: break
          }
        }
        guard stream.skip(each) else { return false }
      }
    }
    return true
  }

  /// Bytes behind a type, and behind that for each of its parts; nil: not known.
  private static func sizes(_ kind: UInt32) -> (fixed: Int, each: Int)? {
    switch kind {
    // Void is in no file. Pointer, forward, typedef, volatile, const, restrict, function, float, type tag.
    case 2, 7, 8, 9, 10, 11, 12, 16, 18: (0, 0)
    // Integer, variable, declaration tag.
    case 1, 14, 17: (4, 0)
    // Array.
    case 3: (12, 0)
    // Structure, union, data section, enumeration of 64 bits.
    case 4, 5, 15, 19: (0, 12)
    // Enumeration, parameters.
    case 6, 13: (0, 8)
    default: nil
    }
  }

  /// A file, in pieces.
  private struct Stream {
    private let descriptor: Int32
    private var buffer = [UInt8](repeating: 0, count: 65_536)
    private var start = 0
    private var end = 0

    init(_ descriptor: Int32) { self.descriptor = descriptor }

    mutating func seek(_ offset: Int) -> Bool {
      (start, end) = (0, 0)
      return lockdown_seek(descriptor, UInt64(offset)) == 0
    }

    /// Whether so many bytes follow; then they are in the buffer.
    mutating func has(_ count: Int) -> Bool {
      if end - start >= count { return true }
      for index in start..<end { buffer[index - start] = buffer[index] }
      (start, end) = (0, end - start)
      while end < buffer.count {
        let room = buffer.count - end
        let got = unsafe buffer.withUnsafeMutableBufferPointer { bytes in
          unsafe lockdown_read(descriptor, bytes.baseAddress?.advanced(by: end), room)
        }
        guard got > 0 else { break }
        end += got
      }
      return end >= count
    }

    mutating func skip(_ count: Int) -> Bool {
      var rest = count
      while rest > end - start {
        rest -= end - start
        start = end
        guard has(1) else { return false }
      }
      start += rest
      return true
    }

    func word(_ at: Int) -> UInt32 {
      let place = start + at
      return UInt32(buffer[place]) | UInt32(buffer[place + 1]) << 8 | UInt32(buffer[place + 2]) << 16
        | UInt32(buffer[place + 3]) << 24
    }

    /// Bytes up to the next zero.
    mutating func textLength() -> Int? {
      // KSYM_NAME_LEN of linux/kallsyms.h is 512: what is longer is none of those looked for.
      _ = has(1024)
      return buffer.index(of: 0, in: start..<end).map { $0 - start }
    }

    func isNext(_ text: [UInt8], _ count: Int) -> Bool {
      text.count == count && count > 0 && buffer.isEqual(start..<(start + count), text, 0..<count)
    }
  }
}
