/// The bundle's messages by what they make.
final class WantedTable {
  struct Set {
    /// Index of its message.
    var message: Int
    /// Messages of its elements.
    var elements: Range<Int>
    /// Number local to the batch (NFTA_SET_ID).
    var id: UInt32
  }

  struct Rule {
    var message: Int
    /// Its anonymous sets, as indices of `anonymousSets`.
    var sets: Range<Int>
  }

  let reader: BundleReader
  private(set) var table = 0
  private(set) var chains: [Int] = []
  private(set) var objects: [Int] = []
  private(set) var sets: [Set] = []
  private(set) var anonymousSets: [Set] = []
  private(set) var rules: [Rule] = []
  /// The first message of the rules: an anonymous set or a rule.
  private(set) var firstRuleMessage: Int

  /// - Precondition: the bundle has messages; the first is the table then (`MessageCheck`).
  init(_ reader: BundleReader) {
    self.reader = reader
    firstRuleMessage = reader.messages.count
    var ruleSets = 0
    for index in reader.messages.indices {
      let message = reader.messages[index]
      switch message.kind {
      case .table: table = index
      case .baseChain, .chain: chains.append(index)
      case .object: objects.append(index)
      case .set: sets.append(makeSet(index))
      case .elements: sets[sets.count - 1].elements = sets[sets.count - 1].elements.lowerBound..<(index + 1)
      case .anonymousSet:
        firstRuleMessage = min(firstRuleMessage, index)
        anonymousSets.append(makeSet(index))
      case .anonymousElements:
        let last = anonymousSets.count - 1
        anonymousSets[last].elements = anonymousSets[last].elements.lowerBound..<(index + 1)
      case .rule:
        firstRuleMessage = min(firstRuleMessage, index)
        rules.append(Rule(message: index, sets: ruleSets..<anonymousSets.count))
        ruleSets = anonymousSets.count
      }
    }
  }

  private func makeSet(_ index: Int) -> Set {
    Set(
      message: index, elements: (index + 1)..<(index + 1),
      id: reader.bytes.number(10, in: attributes(index)) ?? 0)
  }

  var bytes: [UInt8] { reader.bytes }

  func attributes(_ message: Int) -> Range<Int> {
    let range = reader.messages[message].range
    return (range.lowerBound + NetlinkHeader.byteCountWithFamily)..<range.upperBound
  }

  func name(_ message: Int) -> Range<Int> { reader.messages[message].name }

  /// The elements of a set: the payload of each.
  func elements(of set: Set) -> [Range<Int>] {
    var list: [Range<Int>] = []
    for message in set.elements {
      // NFTA_SET_ELEM_LIST_ELEMENTS.
      if let nest = reader.bytes.attribute(3, in: attributes(message)) {
        reader.bytes.appendItems(of: nest, to: &list)
      }
    }
    return list
  }
}

extension [UInt8] {
  /// The payloads of a list's items.
  func appendItems(of nest: Range<Int>, to list: inout [Range<Int>]) {
    var offset = nest.lowerBound
    while let item = NetlinkAttribute(self, at: offset, end: nest.upperBound) {
      list.append(item.payload)
      offset = item.next
    }
  }
}
