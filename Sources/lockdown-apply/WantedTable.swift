/// The bundle's messages by what they make.
final class WantedTable {
  /// A set with the messages of its elements, or a rule with its anonymous sets.
  struct Part {
    /// Index of its message.
    var message: Int
    /// Of a set: messages of its elements. Of a rule: its sets, as indices of `anonymousSets`.
    var parts: Range<Int>
    /// Of a set: its number within the batch (NFTA_SET_ID).
    var id: UInt32 = 0
  }

  let reader: BundleReader
  let kind: OwnTable
  let messages: [BundleReader.Message]
  let bytes: [UInt8]
  private(set) var chains: [Int] = []
  private(set) var objects: [Int] = []
  private(set) var sets: [Part] = []
  private(set) var anonymousSets: [Part] = []
  private(set) var rules: [Part] = []
  /// The first message of the rules: an anonymous set or a rule.
  private(set) var firstRuleMessage: Int

  /// The table is the first message of a bundle that has messages (`MessageCheck`).
  static let table = 0

  init(_ reader: BundleReader, _ kind: OwnTable) {
    self.reader = reader
    self.kind = kind
    var bytes = reader.bytes
    switch kind {
    case .policy, .trying:
      let all = WaitingChains(reader)
      messages = all.messages
      bytes = all.bytes
    case .closed: messages = reader.closed
    }
    if case .trying = kind { Trial.rename(messages, in: &bytes) }
    self.bytes = bytes
    firstRuleMessage = messages.count
    var ruleSets = 0
    for index in 0..<messages.count {
      let kind = messages[index].kind
      if kind.rawValue >= BundleMessageKind.anonymousSet.rawValue {
        firstRuleMessage = min(firstRuleMessage, index)
      }
      switch kind {
      case .table: break
      case .baseChain, .chain: chains.append(index)
      case .object: objects.append(index)
      case .set: sets.append(makeSet(index))
      case .anonymousSet: anonymousSets.append(makeSet(index))
      case .elements: Self.extend(&sets, to: index)
      case .anonymousElements: Self.extend(&anonymousSets, to: index)
      case .rule:
        rules.append(Part(message: index, parts: ruleSets..<anonymousSets.count))
        ruleSets = anonymousSets.count
      }
    }
  }

  private func makeSet(_ index: Int) -> Part {
    Part(message: index, parts: (index + 1)..<(index + 1), id: bytes.number(10, in: attributes(index)) ?? 0)
  }

  /// Elements follow their set.
  private static func extend(_ sets: inout [Part], to index: Int) {
    let last = sets.count - 1
    sets[last].parts = sets[last].parts.lowerBound..<(index + 1)
  }

  var isClosedStage: Bool {
    switch kind {
    case .closed: true
    case .policy, .trying: false
    }
  }

  /// Whether the kernel publishes the elements of a set a moment after the rules of the same batch.
  func isInterval(_ position: Int) -> Bool {
    // NFTA_SET_FLAGS; NFT_SET_INTERVAL.
    (bytes.number(3, in: attributes(sets[position].message)) ?? 0) & 4 != 0
  }

  func range(_ message: Int) -> Range<Int> { messages[message].range }

  func attributes(_ message: Int) -> Range<Int> {
    let range = range(message)
    return (range.lowerBound + NetlinkHeader.byteCountWithFamily)..<range.upperBound
  }

  func name(_ message: Int) -> Range<Int> { messages[message].name }

  /// The elements of a set: the payload of each.
  func elements(of set: Part) -> [Range<Int>] {
    var list: [Range<Int>] = []
    for message in set.parts {
      // NFTA_SET_ELEM_LIST_ELEMENTS.
      if let nest = bytes.attribute(3, in: attributes(message)) { bytes.appendItems(of: nest, to: &list) }
    }
    return list
  }
}

extension [UInt8] {
  /// The payloads of a list's items.
  @inline(never)
  func appendItems(of nest: Range<Int>, to list: inout [Range<Int>]) {
    var offset = nest.lowerBound
    while let item = NetlinkAttribute(self, at: offset, end: nest.upperBound) {
      list.append(item.payload)
      offset = item.next
    }
  }
}
