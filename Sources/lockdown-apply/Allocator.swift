import CLinux

// The two allocation functions that the runtime of Embedded Swift calls, instead of musl's: a program that
// ends after some milliseconds needs a tenth of the code, and no page given back to the kernel in between.
// The linker gives them their names in C (Package.swift).

nonisolated(unsafe) private var heap = Heap()

/// posix_memalign(3) for alignments of at most 16 bytes, which is what the runtime asks for.
@c(lockdown_allocate)
public func allocate(
  _ result: UnsafeMutablePointer<UnsafeMutableRawPointer?>, _ alignment: Int, _ size: Int
) -> CInt {
  let address = unsafe alignment <= 16 && size >= 0 ? heap.take(UInt(size)) : 0
  unsafe result.pointee = UnsafeMutableRawPointer(bitPattern: address)
  // ENOMEM.
  return address == 0 ? 12 : 0
}

/// free(3).
@c(lockdown_release)
public func release(_ memory: UnsafeMutableRawPointer?) {
  let address = UInt(bitPattern: memory)
  if address != 0 { unsafe heap.give(address) }
}

/// Blocks of powers of two, the first 16 bytes of each for its class. Blocks of a class that were released form
/// a list. New ones are cut from a chunk; what is not shorter than a chunk is mapped for itself.
private struct Heap {
  /// Heads of the lists, by class; the second word of a released block is the next one's address.
  private var released = InlineArray<48, UInt>(repeating: 0)
  private var chunk: UInt = 0
  private var chunkEnd: UInt = 0

  private static var headerLength: UInt { 16 }
  // 32 bytes; 512 KiB, which count only where they were touched.
  private static var smallestClass: Int { 5 }
  private static var chunkClass: Int { 19 }

  /// 0: no memory.
  mutating func take(_ size: UInt) -> UInt {
    // Nothing of this program comes near; it keeps the class below 48.
    guard size < 1 << 46 else { return 0 }
    var sizeClass = Self.smallestClass
    while (1 as UInt) << sizeClass < size + Self.headerLength { sizeClass += 1 }
    var address = released[sizeClass]
    if address == 0 {
      address = cut(sizeClass)
    } else {
      released[sizeClass] = Self.word(address + 8)
    }
    guard address != 0 else { return 0 }
    Self.setWord(address, UInt(sizeClass))
    return address + Self.headerLength
  }

  mutating func give(_ memory: UInt) {
    let address = memory - Self.headerLength
    let sizeClass = Int(Self.word(address))
    if sizeClass >= Self.chunkClass {
      lockdown_unmap(Int(address), 1 << sizeClass)
    } else {
      Self.setWord(address + 8, released[sizeClass])
      released[sizeClass] = address
    }
  }

  /// A block that was never used; 0: no memory.
  private mutating func cut(_ sizeClass: Int) -> UInt {
    let length: UInt = 1 << UInt(sizeClass)
    if sizeClass >= Self.chunkClass { return UInt(lockdown_map(Int(length))) }
    if chunkEnd - chunk < length {
      // What is left of the old one is lost; it was not touched.
      chunk = UInt(lockdown_map(1 << Self.chunkClass))
      guard chunk != 0 else {
        chunkEnd = 0
        return 0
      }
      chunkEnd = chunk + (1 << UInt(Self.chunkClass))
    }
    defer { chunk += length }
    return chunk
  }

  private static func word(_ address: UInt) -> UInt {
    guard let place = unsafe UnsafePointer<UInt>(bitPattern: address) else { return 0 }
    return unsafe place.pointee
  }

  private static func setWord(_ address: UInt, _ value: UInt) {
    guard let place = unsafe UnsafeMutablePointer<UInt>(bitPattern: address) else { return }
    unsafe place.pointee = value
  }
}
