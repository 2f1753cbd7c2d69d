internal import Ruleset

/// A set's elements as the kernel takes them: keys, ranges of keys, or edges of ranges.
struct ElementEncoder {
  struct Item: Equatable {
    var key: [UInt8]
    /// Last key of a range of concatenated keys (pipapo).
    var end: [UInt8]?
    /// The key is the first one after a range (rbtree).
    var endsInterval: Bool
    /// The key begins a range up to the last key of all, which no edge ends; nft prints by this mark.
    var isOpen = false
    /// Of a map's element.
    var data: KernelSet.ElementData?
  }

  /// The items of `set`, in the order that nft sends them.
  static func items(of set: KernelSet) throws(NFTablesError) -> [Item] {
    try check(set)
    if case .concatenation = set.keyType {
      return set.elements.map {
        Item(key: $0.lower, end: set.isInterval ? $0.upper : nil, endsInterval: false, data: $0.data)
      }
    }
    guard set.isInterval else {
      return set.elements.map { Item(key: $0.lower, end: nil, endsInterval: false, data: $0.data) }
    }
    return edges(of: set)
  }

  private static func edges(of set: KernelSet) -> [Item] {
    var items: [Item] = []
    items.reserveCapacity(2 * set.elements.count + 1)
    // nft opens with an end edge at zero, unless a range starts there. It closes nothing, but without it the
    // dumps of the two routes would differ.
    if let first = set.elements.first, first.lower.contains(where: { $0 != 0 }) {
      items.append(Item(key: [UInt8](repeating: 0, count: first.lower.count), end: nil, endsInterval: true))
    }
    for element in set.elements {
      let after = successor(of: element.upper)
      items.append(
        Item(key: element.lower, end: nil, endsInterval: false, isOpen: after == nil, data: element.data))
      if let after { items.append(Item(key: after, end: nil, endsInterval: true)) }
    }
    return items
  }

  /// What to send as the set's size: like nft, the edge that a range up to the last key lacks is counted too.
  static func size(of items: [Item]) -> UInt32 {
    UInt32(clamping: items.count + (items.last?.isOpen == true ? 1 : 0))
  }

  /// The key after `key`, read as a big-endian number; nil after the last.
  static func successor(of key: [UInt8]) -> [UInt8]? {
    var next = key
    for index in next.indices.reversed() {
      if next[index] != 0xff {
        next[index] += 1
        return next
      }
      next[index] = 0
    }
    return nil
  }

  /// INVARIANT of what leaves here: keys have the set's length, and ranges ascend without overlap. rbtree
  /// answers overlaps with EEXIST, which elsewhere means that the table exists.
  private static func check(_ set: KernelSet) throws(NFTablesError) {
    let length = set.keyType.keyLength
    let name = set.name ?? "anonymous"
    let isOrdered: Bool
    if case .concatenation = set.keyType { isOrdered = false } else { isOrdered = set.isInterval }
    var previous: [UInt8]?
    for (index, element) in set.elements.enumerated() {
      guard element.lower.count == length, element.upper.count == length, set.holds(element.data),
        set.isInterval
          ? !element.upper.lexicographicallyPrecedes(element.lower) : element.lower == element.upper
      else { throw .invalidElement(set: name, index: index) }
      if isOrdered {
        if let previous, !previous.lexicographicallyPrecedes(element.lower) {
          throw .invalidElement(set: name, index: index)
        }
        previous = element.upper
      }
    }
  }
}

extension KernelSet {
  /// Whether an element's data is of the map's type; a set's elements have none.
  fileprivate func holds(_ data: ElementData?) -> Bool {
    switch (dataType, data) {
    case (nil, nil), (.verdict?, .verdict?): true
    case (.value(let type)?, .value(let bytes)?): bytes.count == type.keyLength
    default: false
    }
  }
}
