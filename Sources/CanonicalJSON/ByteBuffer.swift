/// Bytes that are written one behind the other, owned by one place: room is asked for once for what is written at
/// once, and no append counts a reference.
///
/// Writers of large outputs do little else.
@safe package struct ByteBuffer: ~Copyable {
  // INVARIANT: the first `count` of `capacity` bytes are initialized.
  private var memory: UnsafeMutablePointer<UInt8>
  private var capacity: Int
  package private(set) var count = 0

  package init(capacity: Int = 256) {
    unsafe memory = .allocate(capacity: max(capacity, 1))
    self.capacity = max(capacity, 1)
  }

  deinit { unsafe memory.deallocate() }

  /// A copy of what was written.
  package var bytes: [UInt8] { copy(from: 0) }

  /// What was written, where it lies.
  func withSpan(_ body: (Span<UInt8>) -> Void) {
    // SAFETY: the invariant; nothing is written while the body reads.
    unsafe body(UnsafeBufferPointer(start: memory, count: count).span)
  }

  func copy(from start: Int) -> [UInt8] {
    precondition(start >= 0 && start <= count)
    // SAFETY: the precondition and the invariant.
    return unsafe Array(UnsafeBufferPointer(start: memory + start, count: count - start))
  }

  subscript(index: Int) -> UInt8 {
    precondition(index >= 0 && index < count)
    // SAFETY: the precondition and the invariant.
    return unsafe memory[index]
  }

  @inline(__always)
  private mutating func reserve(_ more: Int) {
    if capacity - count < more { grow(more) }
  }

  @inline(never)
  private mutating func grow(_ more: Int) {
    let larger = max(capacity * 2, count + more)
    let moved = UnsafeMutablePointer<UInt8>.allocate(capacity: larger)
    unsafe moved.moveInitialize(from: memory, count: count)
    unsafe memory.deallocate()
    unsafe memory = moved
    capacity = larger
  }

  @inline(__always)
  package mutating func append(_ byte: UInt8) {
    reserve(1)
    // SAFETY: there is room for one.
    unsafe memory[count] = byte
    count += 1
  }

  @inline(__always)
  mutating func append(_ bytes: UnsafeBufferPointer<UInt8>) {
    reserve(bytes.count)
    guard let start = bytes.baseAddress else { return }
    // SAFETY: there is room for all, and nobody else knows the memory.
    unsafe (memory + count).update(from: start, count: bytes.count)
    count += bytes.count
  }

  package mutating func append(_ bytes: [UInt8]) {
    unsafe bytes.withUnsafeBufferPointer { unsafe append($0) }
  }

  package mutating func append(_ text: StaticString) {
    text.withUTF8Buffer { unsafe append($0) }
  }

  package mutating func append(_ text: String) {
    // Most are contiguous; asking costs no copy of the text.
    if unsafe text.utf8.withContiguousStorageIfAvailable({ unsafe append($0) }) == nil {
      for byte in text.utf8 { append(byte) }
    }
  }

  package mutating func append(spaces: Int) {
    reserve(spaces)
    // SAFETY: there is room for all.
    unsafe (memory + count).update(repeating: 0x20, count: spaces)
    count += spaces
  }

  /// What another one holds from one place to another.
  mutating func append(_ other: borrowing ByteBuffer, _ range: Range<Int>) {
    precondition(range.lowerBound >= 0 && range.upperBound <= other.count)
    // SAFETY: the precondition and the other's invariant.
    unsafe append(UnsafeBufferPointer(start: other.memory + range.lowerBound, count: range.count))
  }

  package mutating func append(decimal value: Int) {
    reserve(20)
    var rest = value.magnitude
    var start = count
    if value < 0 {
      unsafe memory[start] = 0x2d
      start += 1
    }
    var digits = 1
    var bound: UInt = 10
    while digits < 20, rest >= bound {
      digits += 1
      let (next, overflow) = bound.multipliedReportingOverflow(by: 10)
      if overflow { break }
      bound = next
    }
    // SAFETY: a sign and 19 digits are the most.
    for index in stride(from: start + digits - 1, through: start, by: -1) {
      unsafe memory[index] = 0x30 + UInt8(truncatingIfNeeded: rest % 10)
      rest /= 10
    }
    count = start + digits
  }

  @inline(__always)
  mutating func append(hexadecimal byte: UInt8) {
    func digit(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 + value : 0x57 + value }
    append(digit(byte >> 4))
    append(digit(byte & 15))
  }

  /// A line feed, spaces and a key as `"key": `; the line feed may have a comma before it.
  @inline(__always)
  mutating func append(key: StaticString, onLineOf indent: Int, hasComma: Bool) {
    let length = key.utf8CodeUnitCount
    reserve(indent + length + 6)
    key.withUTF8Buffer { bytes in
      guard let source = bytes.baseAddress else { return }
      // SAFETY: there is room for six signs, the indent and the key.
      var end = unsafe memory + count
      if hasComma {
        unsafe end[0] = 0x2c
        unsafe end += 1
      }
      unsafe end[0] = 0x0a
      unsafe (end + 1).update(repeating: 0x20, count: indent)
      unsafe end += 1 + indent
      unsafe end[0] = 0x22
      unsafe (end + 1).update(from: source, count: length)
      unsafe end += 1 + length
      unsafe end[0] = 0x22
      unsafe end[1] = 0x3a
      unsafe end[2] = 0x20
    }
    count += indent + length + (hasComma ? 6 : 5)
  }

  /// A key as `"key":`, perhaps with a comma before it.
  @inline(__always)
  mutating func append(key: StaticString, hasComma: Bool) {
    let length = key.utf8CodeUnitCount
    reserve(length + 4)
    key.withUTF8Buffer { bytes in
      guard let source = bytes.baseAddress else { return }
      // SAFETY: there is room for four signs and the key.
      var end = unsafe memory + count
      if hasComma {
        unsafe end[0] = 0x2c
        unsafe end += 1
      }
      unsafe end[0] = 0x22
      unsafe (end + 1).update(from: source, count: length)
      unsafe end += 1 + length
      unsafe end[0] = 0x22
      unsafe end[1] = 0x3a
    }
    count += length + (hasComma ? 4 : 3)
  }

  mutating func truncate(to newCount: Int) {
    precondition(newCount >= 0 && newCount <= count)
    count = newCount
  }

  /// Keeps the room.
  package mutating func removeAll() { count = 0 }
}
