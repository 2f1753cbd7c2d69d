package import PolicyModel

/// The elements of a set, in its order.
///
/// A list of addresses may have millions: packed, their keys are bytes one after the other, and an element is made
/// when somebody asks for it.
package struct ElementList: Sendable, RandomAccessCollection, ExpressibleByArrayLiteral {
  private enum Storage: Sendable {
    case listed([KernelSet.Element])
    /// Of each element the lower key, then the upper.
    case packed(keyLength: Int, bytes: [UInt8])
  }

  private let storage: Storage

  package init(_ elements: [KernelSet.Element]) { storage = .listed(elements) }

  package init(arrayLiteral elements: KernelSet.Element...) { storage = .listed(elements) }

  /// Keys with the most significant byte first, as addresses have them in a register.
  package init<Value>(packing ranges: [AddressRange<Value>]) {
    let keyLength = Value.bitWidth / 8
    var bytes: [UInt8] = []
    bytes.reserveCapacity(ranges.count * 2 * keyLength)
    for range in ranges {
      for key in [range.lower, range.upper] {
        for shift in stride(from: Value.bitWidth - 8, through: 0, by: -8) {
          bytes.append(UInt8(truncatingIfNeeded: key >> Value(shift)))
        }
      }
    }
    storage = .packed(keyLength: keyLength, bytes: bytes)
  }

  package var startIndex: Int { 0 }

  package var endIndex: Int {
    switch storage {
    case .listed(let elements): elements.count
    case .packed(let keyLength, let bytes): bytes.count / (2 * keyLength)
    }
  }

  package subscript(index: Int) -> KernelSet.Element {
    switch storage {
    case .listed(let elements): return elements[index]
    case .packed(let keyLength, let bytes):
      let start = index * 2 * keyLength
      return KernelSet.Element(
        Array(bytes[start..<start + keyLength]), Array(bytes[start + keyLength..<start + 2 * keyLength]))
    }
  }

  /// The keys of all elements; nil where each is an object.
  package var packed: (keyLength: Int, bytes: [UInt8])? {
    if case .packed(let keyLength, let bytes) = storage { (keyLength, bytes) } else { nil }
  }
}

extension ElementList: Equatable {
  package static func == (a: ElementList, b: ElementList) -> Bool { a.elementsEqual(b) }
}
