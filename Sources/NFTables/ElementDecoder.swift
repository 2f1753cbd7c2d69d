internal import CNFTables
internal import Ruleset

/// Joins the element messages of one set.
struct ElementDecoder {
  private var keys: [KernelSet.Element] = []
  private var edges: [(key: [UInt8], endsInterval: Bool, data: KernelSet.ElementData?)] = []
  private(set) var other: [[UInt8]] = []

  /// Takes what one NFTA_SET_ELEM_LIST_ELEMENTS holds.
  mutating func take(_ list: ArraySlice<UInt8>) throws(NFTablesError) {
    for item in try Attributes(list, what: "set elements").all {
      let element = try Attributes(item.payload, what: "set element")
      let flags = element.uint32(NFTA_SET_ELEM_FLAGS, orAbsent: 0)
      guard
        element.holdsOnly([
          NFTA_SET_ELEM_KEY, NFTA_SET_ELEM_KEY_END, NFTA_SET_ELEM_FLAGS, NFTA_SET_ELEM_USERDATA,
          NFTA_SET_ELEM_DATA,
        ]), element[NFTA_SET_ELEM_USERDATA].map({ $0.elementsEqual(Userdata.openInterval) }) ?? true,
        let key = element.value(NFTA_SET_ELEM_KEY), let flags,
        let data = Self.data(of: element),
        flags & ~NFT_SET_ELEM_INTERVAL_END.rawValue == 0
      else {
        other.append(Array(item.payload))
        continue
      }
      let endsInterval = flags & NFT_SET_ELEM_INTERVAL_END.rawValue != 0
      if element[NFTA_SET_ELEM_KEY_END] != nil {
        guard let end = element.value(NFTA_SET_ELEM_KEY_END), !endsInterval else {
          other.append(Array(item.payload))
          continue
        }
        keys.append(KernelSet.Element(key, end, data: data))
      } else {
        edges.append((key, endsInterval, data))
      }
    }
  }

  /// Those, read without comments and counters; nil: one has more.
  func withoutNotes() -> ElementDecoder? {
    var result = self
    for bytes in other {
      guard let element = try? Attributes(bytes[...], what: "set element"),
        element.holdsOnly([
          NFTA_SET_ELEM_KEY, NFTA_SET_ELEM_KEY_END, NFTA_SET_ELEM_FLAGS, NFTA_SET_ELEM_USERDATA,
          NFTA_SET_ELEM_DATA, NFTA_SET_ELEM_EXPR, NFTA_SET_ELEM_EXPRESSIONS, NFTA_SET_ELEM_PAD,
        ]), Self.onlyCounts(element), let key = element.value(NFTA_SET_ELEM_KEY),
        let flags = element.uint32(NFTA_SET_ELEM_FLAGS, orAbsent: 0),
        flags & ~NFT_SET_ELEM_INTERVAL_END.rawValue == 0, let data = Self.data(of: element)
      else { return nil }
      if element[NFTA_SET_ELEM_KEY_END] == nil {
        result.edges.append((key, flags != 0, data))
      } else {
        guard let end = element.value(NFTA_SET_ELEM_KEY_END), flags == 0 else { return nil }
        result.keys.append(KernelSet.Element(key, end, data: data))
      }
    }
    return result
  }

  /// Whether what is done for each packet of an element is to count it.
  private static func onlyCounts(_ element: Attributes) -> Bool {
    var expressions = [element.nest(NFTA_SET_ELEM_EXPR)]
    guard element[NFTA_SET_ELEM_EXPR] == nil || expressions[0] != nil else { return false }
    if element[NFTA_SET_ELEM_EXPRESSIONS] != nil {
      guard let list = element.nest(NFTA_SET_ELEM_EXPRESSIONS) else { return false }
      expressions += list.all.map { try? Attributes($0.payload, what: "expression") }
      guard !expressions.dropFirst().contains(where: { $0 == nil }) else { return false }
    }
    return expressions.allSatisfy { $0.map { $0.string(NFTA_EXPR_NAME) == "counter" } ?? true }
  }

  /// Nil for data that we never write; `.some(nil)` where there is none.
  private static func data(of element: Attributes) -> KernelSet.ElementData?? {
    guard element[NFTA_SET_ELEM_DATA] != nil else { return .some(nil) }
    if let value = element.value(NFTA_SET_ELEM_DATA) { return .value(value) }
    return element.nest(NFTA_SET_ELEM_DATA)?.verdict.map { .verdict($0) }
  }

  /// The elements in ascending order; `joinsEdges` for an interval set without concatenation.
  func elements(joinsEdges: Bool) -> [KernelSet.Element] {
    guard joinsEdges else {
      let plain = edges.map { KernelSet.Element($0.key, $0.key, data: $0.data) }
      return (keys + plain).sorted { $0.lower.lexicographicallyPrecedes($1.lower) }
    }
    // At one key an end comes before a start: the range before ends just below the one after.
    let sorted = edges.sorted { left, right in
      left.key == right.key
        ? left.endsInterval && !right.endsInterval : left.key.lexicographicallyPrecedes(right.key)
    }
    var ranges: [KernelSet.Element] = []
    var start: (key: [UInt8], data: KernelSet.ElementData?)?
    for edge in sorted {
      if let open = start {
        ranges.append(KernelSet.Element(open.key, Self.predecessor(of: edge.key), data: open.data))
      }
      start = edge.endsInterval ? nil : (edge.key, edge.data)
    }
    // A range without an end runs to the last key.
    if let open = start {
      ranges.append(
        KernelSet.Element(open.key, [UInt8](repeating: 0xff, count: open.key.count), data: open.data))
    }
    return ranges
  }

  /// The key before `key`, read as a big-endian number. Zero stays zero: an edge there opens, or closes nothing.
  static func predecessor(of key: [UInt8]) -> [UInt8] {
    guard key.contains(where: { $0 != 0 }) else { return key }
    var previous = key
    for index in previous.indices.reversed() {
      if previous[index] != 0 {
        previous[index] -= 1
        break
      }
      previous[index] = 0xff
    }
    return previous
  }
}
