import CLinux

/// A text of the program: the address of its bytes, which a zero ends. Texts are handed over everywhere, and
/// `StaticString` takes three words for each.
@safe struct Literal: ExpressibleByStringLiteral, @unchecked Sendable {
  let start: UnsafePointer<UInt8>

  @inline(__always)
  init(_ text: StaticString) { unsafe start = text.utf8Start }

  @inline(__always)
  init(stringLiteral text: StaticString) { self.init(text) }

  @unsafe
  init(start: UnsafePointer<UInt8>) { unsafe self.start = unsafe start }

  var isEmpty: Bool { unsafe start.pointee == 0 }

  /// Bytes, without the zero.
  var count: Int { unsafe strlen(UnsafeRawPointer(start).assumingMemoryBound(to: CChar.self)) }
}

/// Bytes of a message, built piece by piece. No `String`: that would link Unicode tables.
struct Text {
  private(set) var bytes: [UInt8] = []

  init() {}

  init(_ text: Literal) { add(text) }

  // One copy of each: inlined, they would be most of the program.
  @inline(never)
  mutating func add(_ text: Literal) {
    var next = unsafe text.start
    while unsafe next.pointee != 0 {
      unsafe bytes.append(next.pointee)
      unsafe next += 1
    }
  }

  @inline(never)
  mutating func add(_ other: [UInt8]) {
    for byte in other { bytes.append(byte) }
  }

  @inline(never)
  mutating func add(_ other: [UInt8], _ range: Range<Int>) {
    for index in range { bytes.append(other[index]) }
  }

  @inline(never)
  mutating func add(byte: UInt8) { bytes.append(byte) }

  @inline(never)
  mutating func add(_ number: Int) {
    if number < 0 { bytes.append(0x2d) }
    var rest = number.magnitude
    var digits: UInt = 1
    while rest / digits >= 10 { digits *= 10 }
    while digits > 0 {
      bytes.append(0x30 + UInt8(truncatingIfNeeded: rest / digits))
      rest %= digits
      digits /= 10
    }
  }

  /// A file's or kernel's text, which may hold anything: what is not printable ASCII becomes `?`.
  @inline(never)
  mutating func addForeign(_ other: [UInt8], _ range: Range<Int>) {
    for index in range {
      let byte = other[index]
      bytes.append(byte >= 0x20 && byte < 0x7f ? byte : 0x3f)
    }
  }

  mutating func addForeign(_ other: [UInt8]) { addForeign(other, 0..<other.count) }

  @inline(never)
  mutating func addHex(_ other: [UInt8], _ range: Range<Int>) {
    for index in range {
      addDigit(other[index] >> 4)
      addDigit(other[index] & 15)
    }
  }

  private mutating func addDigit(_ digit: UInt8) { bytes.append(digit < 10 ? 0x30 + digit : 0x57 + digit) }

  @inline(never)
  mutating func add(errorNumber: Int) { add(ErrorNumber.name(errorNumber)) }

  mutating func removeLast() { bytes.removeLast() }

  /// Whether all of it was written.
  @discardableResult
  func write(to descriptor: Int32) -> Bool {
    var start = 0
    while start < bytes.count {
      let written = unsafe bytes.withUnsafeBufferPointer { buffer in
        unsafe lockdown_write(descriptor, buffer.baseAddress?.advanced(by: start), buffer.count - start)
      }
      guard written > 0 else { return false }
      start += written
    }
    return true
  }
}

/// One line of the report on standard error, which is the console at boot.
struct Line {
  var text = Text("lockdown-apply: ")

  init(_ text: Literal) { self.text.add(text) }

  /// What nobody takes within a second, or at all, is not said: no run waits for its report, or ends for it.
  consuming func print() {
    text.add(byte: 0x0a)
    if lockdown_takes_text(2) { text.write(to: 2) }
  }
}

/// Names of error numbers, asm-generic/errno*.h: a number alone helps nobody.
enum ErrorNumber {
  static let notPermitted = 1
  static let notFound = 2
  static let noProcess = 3
  static let interrupted = 4
  static let tryAgain = 11
  static let accessDenied = 13
  static let busy = 16
  static let exists = 17
  static let noDevice = 19
  static let notAFolder = 20
  static let invalid = 22
  static let noSpace = 28
  static let notImplemented = 38
  static let tooManyLinks = 40
  static let restart = 85
  static let tooLong = 90
  static let addressInUse = 98
  static let noBuffers = 105
  static let timedOut = 110
  static let connectionRefused = 111

  /// Each a byte with the number, and its name that a zero ends; another zero is the end of all. A switch would take
  /// twice the room.
  private static let names: Literal = """
    \u{1}EPERM (not permitted)\0\u{2}ENOENT (not found)\0\u{3}ESRCH (gone)\0\u{4}EINTR (interrupted)\0\
    \u{5}EIO (input or output failed)\0\u{6}ENXIO (no such device)\0\u{7}E2BIG (too long)\0\
    \u{8}ENOEXEC (not a program or module)\0\u{9}EBADF (bad descriptor)\0\u{b}EAGAIN (try again)\0\
    \u{c}ENOMEM (out of memory)\0\u{d}EACCES (access denied)\0\u{e}EFAULT (bad address)\0\
    \u{10}EBUSY (in use)\0\u{11}EEXIST (exists)\0\u{13}ENODEV (no such device)\0\
    \u{14}ENOTDIR (not a folder)\0\u{15}EISDIR (a folder)\0\u{16}EINVAL (invalid)\0\u{17}ENFILE (full)\0\
    \u{18}EMFILE (too many open files)\0\u{1c}ENOSPC (no space)\0\u{1e}EROFS (read-only)\0\
    \u{1f}EMLINK (too many links)\0\u{22}ERANGE (out of range)\0\u{24}ENAMETOOLONG (name too long)\0\
    \u{26}ENOSYS (not in this kernel)\0\u{28}ELOOP (too many links)\0\u{41}ENOPKG (not in this kernel)\0\
    \u{4a}EBADMSG (malformed)\0\u{4b}EOVERFLOW (too large)\0\u{55}ERESTART (changed meanwhile)\0\
    \u{5a}EMSGSIZE (message too long)\0\u{5d}EPROTONOSUPPORT (protocol not in this kernel)\0\
    \u{5f}EOPNOTSUPP (not supported)\0\u{61}EAFNOSUPPORT (address family not in this kernel)\0\
    \u{62}EADDRINUSE (address in use)\0\u{68}ECONNRESET (connection reset)\0\
    \u{69}ENOBUFS (no buffer space)\0\u{6e}ETIMEDOUT (took too long)\0\
    \u{6f}ECONNREFUSED (connection refused)\0
    """

  static func name(_ number: Int) -> Literal {
    let number = number < 0 ? -number : number
    if number == 129 { return "EKEYREJECTED (not by this key)" }
    var next = unsafe names.start
    while unsafe next.pointee != 0 {
      let name = unsafe Literal(start: next + 1)
      if unsafe Int(next.pointee) == number { return name }
      unsafe next += name.count + 2
    }
    return "an error without a name here"
  }
}

extension [UInt8] {
  /// Whether the bytes of `range` are `text`.
  @inline(never)
  func holds(_ text: Literal, at range: Range<Int>) -> Bool {
    var next = unsafe text.start
    for index in range {
      // A zero is never equal: where the literal ends, so does the comparison.
      guard unsafe next.pointee != 0, unsafe self[index] == next.pointee else { return false }
      unsafe next += 1
    }
    return unsafe next.pointee == 0
  }

  func holds(_ text: Literal) -> Bool { holds(text, at: 0..<count) }

  @inline(never)
  func isEqual(_ range: Range<Int>, _ other: [UInt8], _ otherRange: Range<Int>) -> Bool {
    guard range.count == otherRange.count else { return false }
    let distance = otherRange.lowerBound - range.lowerBound
    for index in range where self[index] != other[index + distance] { return false }
    return true
  }

  func isEqual(_ other: [UInt8]) -> Bool { isEqual(0..<count, other, 0..<other.count) }

  @inline(never)
  func copy(_ range: Range<Int>) -> [UInt8] {
    var text = Text()
    text.add(self, range)
    return text.bytes
  }

  /// A copy that C reads as a string.
  @inline(never)
  func terminated(_ range: Range<Int>) -> [UInt8] {
    var text = Text()
    text.add(self, range)
    text.add(byte: 0)
    return text.bytes
  }

  func terminated() -> [UInt8] { terminated(0..<count) }

  @inline(never)
  init(_ text: Literal) { self = Text(text).bytes }

  @inline(never)
  func index(of byte: UInt8, in range: Range<Int>) -> Int? {
    for index in range where self[index] == byte { return index }
    return nil
  }

  /// The next part of `rest` that `separator` ends, empty ones left out; nil at the end.
  @inline(never)
  func takeWord(_ rest: inout Range<Int>, separator: UInt8) -> Range<Int>? {
    var start = rest.lowerBound
    while start < rest.upperBound, self[start] == separator { start += 1 }
    guard start < rest.upperBound else { return nil }
    let end = index(of: separator, in: start..<rest.upperBound) ?? rest.upperBound
    rest = end..<rest.upperBound
    return start..<end
  }
}

/// A path for a call of C.
@unsafe func literal(_ text: Literal) -> UnsafePointer<UInt8> { unsafe text.start }
