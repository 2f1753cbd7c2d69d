/// Writes one JSON object member by member, in both forms at once.
///
/// What a tree of values would say, without the tree: a policy of many thousand rules has a hundred nodes for each.
/// Members may come in any order; those that come in the order of their keys are not moved. The elements of long lists
/// are handed on in pieces as they are finished, so that what is written to stays small.
package struct JSONStream: ~Copyable {
  /// A member of an object that is not closed yet, or of the outermost, and where its text is, without the comma
  /// before it. Places count from the beginning of the whole text.
  private struct Member {
    var key: StaticString
    var canonical: Range<Int>
    var pretty: Range<Int>
    var isLeftOut: Bool
  }

  private var canonicalForm = JSONWriter(isPretty: false, leftOut: [])
  private var prettyForm = JSONWriter(isPretty: true, leftOut: [])
  /// What was handed on is in these, but for what was given away.
  private var prettyPieces: [[UInt8]] = []
  private var givenLength = 0
  /// The length of what was handed on.
  private var prettyStart = 0
  private var canonicalStart = 0
  /// Nil: the canonical form is kept, if it is wanted at all.
  private let takeCanonical: ((Span<UInt8>) -> Void)?
  /// Nil: the pretty form is kept.
  private let takePretty: (([UInt8]) -> Void)?
  /// From that member of the outermost object on it is kept.
  private let firstKept: StaticString
  private var isPrettyKept = false
  private let leftOut: [[UInt8]]
  /// Bit n is set where a key of n bytes is left out, and one whose first letter is the nth.
  private let leftOutLengths: UInt64
  private let leftOutInitials: UInt32
  private var depth = 0
  /// Those of the innermost object are the last ones.
  private var members: [Member] = []
  private var firstMember = 0
  /// Whether those of the innermost object are in the order of their keys so far.
  private var isSorted = true
  /// Members of the innermost object that the canonical form has.
  private var keptCount = 0
  /// Of the innermost list.
  private var elementCount = 0
  private var isLongList = false
  /// Of a list of plain values: where in the canonical form each element ends.
  private var elementEnds: [Int] = []
  private var elementsStart = 0

  /// The length from which on what is finished is handed on.
  private let pieceLength: Int

  /// - Parameters:
  ///   - keys: members of these keys are left out of the canonical form, at every depth.
  ///   - takeCanonical: is given the canonical form piece by piece, which ``canonical`` then lacks.
  ///   - takePretty: is given the pretty form piece by piece up to the place of the member `kept`, which ``pieces``
  ///     then lacks. The outermost object takes its members in the order of their keys.
  ///   - body: writes the members.
  package init(
    leavingOut keys: Set<String> = [], pieceLength: Int = 1 << 18,
    canonical takeCanonical: ((Span<UInt8>) -> Void)? = nil,
    before kept: StaticString = "", pretty takePretty: (([UInt8]) -> Void)? = nil,
    _ body: (inout JSONStream) -> Void
  ) {
    leftOut = keys.map { Array($0.utf8) }
    leftOutLengths = keys.reduce(0) { $0 | 1 << UInt64(min($1.utf8.count, 63)) }
    leftOutInitials = keys.reduce(0) { $0 | 1 << UInt32(($1.utf8.first ?? 0) & 31) }
    canonicalForm = JSONWriter(isPretty: false, leftOut: keys)
    self.takeCanonical = takeCanonical
    self.takePretty = takePretty
    firstKept = kept
    self.pieceLength = pieceLength
    beginObject()
    body(&self)
    endObject()
    prettyForm.bytes.append(0x0a)
    if let takeCanonical {
      canonicalForm.bytes.withSpan(takeCanonical)
      canonicalForm.bytes.removeAll()
    }
  }

  /// As ``JSONValue/canonical(leavingOut:)`` of the whole.
  package var canonical: [UInt8] { canonicalForm.bytes.bytes }

  /// As ``JSONValue/pretty()`` of the whole.
  package var pretty: [UInt8] { Self.joined(pieces) }

  private static func joined(_ pieces: [[UInt8]]) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(pieces.reduce(0) { $0 + $1.count })
    for piece in pieces { bytes += piece }
    return bytes
  }

  /// The same in pieces, without what was given away.
  package var pieces: [[UInt8]] { prettyPieces + [prettyForm.bytes.bytes] }

  package func pretty(adding key: StaticString, _ text: String) -> [UInt8] {
    Self.joined(pieces(adding: key, text))
  }

  /// The same with one more member, which is known only when all others are written.
  package func pieces(adding key: StaticString, _ text: String) -> [[UInt8]] {
    var writer = JSONWriter(isPretty: true, leftOut: [])
    writer.breakLine(depth: 1)
    writer.write(key: key.description)
    writer.write(text)
    let member = writer.bytes.bytes
    var pieces = pieces
    func insert(_ bytes: [UInt8], at place: Int) {
      precondition(place >= givenLength, "the member stands behind what was given away")
      var start = givenLength
      for index in pieces.indices {
        if place - start <= pieces[index].count {
          pieces[index].insert(contentsOf: bytes, at: place - start)
          return
        }
        start += pieces[index].count
      }
    }
    if let next = members.first(where: { key.precedes($0.key) }) {
      insert(member + [0x2c], at: next.pretty.lowerBound)
    } else if let last = members.last {
      insert([0x2c] + member, at: last.pretty.upperBound)
    } else {
      insert(member + [0x0a], at: 1)
    }
    return pieces
  }

  // MARK: Members

  package mutating func member(_ key: StaticString, _ value: JSONValue) {
    begin(key)
    switch value {
    case .array, .object:
      canonicalForm.write(value, depth: depth)
      prettyForm.write(value, depth: depth)
    case .null, .bool, .integer, .string:
      // In both forms the same.
      let start = canonicalForm.bytes.count
      canonicalForm.write(plain: value)
      prettyForm.bytes.append(canonicalForm.bytes, start..<canonicalForm.bytes.count)
    }
    end()
  }

  package mutating func member(_ key: StaticString, _ text: String) {
    begin(key)
    let start = canonicalForm.bytes.count
    canonicalForm.write(text)
    prettyForm.bytes.append(canonicalForm.bytes, start..<canonicalForm.bytes.count)
    end()
  }

  /// Each byte as two digits of lower case.
  package mutating func member(_ key: StaticString, hexadecimal bytes: [UInt8]) {
    begin(key)
    let start = canonicalForm.bytes.count
    canonicalForm.bytes.append(0x22)
    for byte in bytes { canonicalForm.bytes.append(hexadecimal: byte) }
    canonicalForm.bytes.append(0x22)
    prettyForm.bytes.append(canonicalForm.bytes, start..<canonicalForm.bytes.count)
    end()
  }

  package mutating func member(_ key: StaticString, ifPresent value: JSONValue?) {
    if let value { member(key, value) }
  }

  package mutating func member(_ key: StaticString, ifPresent text: String?) {
    if let text { member(key, text) }
  }

  /// A member that is a list of texts.
  package mutating func member(_ key: StaticString, texts: [String]) {
    begin(key)
    beginPlainList()
    for text in texts {
      beginPlain()
      canonicalForm.write(text)
      endPlain()
    }
    endPlainList()
    end()
  }

  /// A member that is a list of numbers.
  package mutating func member(_ key: StaticString, numbers: [UInt8]) {
    begin(key)
    beginPlainList()
    for number in numbers {
      beginPlain()
      canonicalForm.bytes.append(decimal: Int(number))
      endPlain()
    }
    endPlainList()
    end()
  }

  /// A member that is a list of the lines of a text, which is printable ASCII without quotes and backslashes, and each
  /// line of which ends in a line feed.
  package mutating func member(_ key: StaticString, lines text: [UInt8]) {
    begin(key)
    beginPlainList()
    var isInside = false
    for byte in text {
      if !isInside {
        beginPlain()
        canonicalForm.bytes.append(0x22)
        isInside = true
      }
      if byte == 0x0a {
        canonicalForm.bytes.append(0x22)
        endPlain()
        isInside = false
      } else {
        canonicalForm.bytes.append(byte)
      }
    }
    precondition(!isInside, "each line ends in a line feed")
    endPlainList()
    end()
  }

  /// A member that is a list of ranges, `22` or `80-90`, each as text.
  package mutating func member(_ key: StaticString, rangeCount: Int, _ range: (Int) -> (Int, Int)) {
    begin(key)
    beginPlainList()
    for index in 0..<rangeCount {
      let (lower, upper) = range(index)
      beginPlain()
      canonicalForm.bytes.append(0x22)
      canonicalForm.bytes.append(decimal: lower)
      if lower != upper {
        canonicalForm.bytes.append(0x2d)
        canonicalForm.bytes.append(decimal: upper)
      }
      canonicalForm.bytes.append(0x22)
      endPlain()
    }
    endPlainList()
    end()
  }

  /// A member that is an object, whose members the body writes.
  package mutating func object(_ key: StaticString, _ body: (inout JSONStream) -> Void) {
    begin(key)
    object(body)
    end()
  }

  /// A member that is a list of objects, which the body writes one by one.
  package mutating func list(_ key: StaticString, _ body: (inout JSONStream) -> Void) {
    begin(key)
    list(body)
    end()
  }

  /// The same of a list that may be long. All objects around it take their members in the order of their keys, for
  /// what was handed on moves no more, and none of them is left out.
  package mutating func longList(_ key: StaticString, _ body: (inout JSONStream) -> Void) {
    begin(key)
    list(isLong: true, body)
    end()
  }

  /// One more object in the list.
  package mutating func element(_ body: (inout JSONStream) -> Void) {
    beginElement()
    object(body)
  }

  /// One more list of objects in the list.
  package mutating func listElement(_ body: (inout JSONStream) -> Void) {
    beginElement()
    list(body)
  }

  // MARK: Plain values

  private mutating func beginPlainList() {
    canonicalForm.bytes.append(0x5b)
    elementsStart = canonicalForm.bytes.count
    elementEnds.removeAll(keepingCapacity: true)
  }

  private mutating func beginPlain() {
    if !elementEnds.isEmpty { canonicalForm.bytes.append(0x2c) }
  }

  private mutating func endPlain() { elementEnds.append(canonicalForm.bytes.count) }

  /// Says in the pretty form what the canonical one has.
  private mutating func endPlainList() {
    let count = elementEnds.count
    let length = 1 + canonicalForm.bytes.count - elementsStart + max(count - 1, 0)
    let isLine = count == 0 || count < JSONWriter.lineLength / 2 && length <= JSONWriter.lineLength
    prettyForm.bytes.append(0x5b)
    var start = elementsStart
    for (index, end) in elementEnds.enumerated() {
      if index > 0 { prettyForm.bytes.append(0x2c) }
      if !isLine {
        prettyForm.breakLine(depth: depth + 1)
      } else if index > 0 {
        prettyForm.bytes.append(0x20)
      }
      prettyForm.bytes.append(canonicalForm.bytes, start..<end)
      start = end + 1
    }
    if !isLine { prettyForm.breakLine(depth: depth) }
    prettyForm.bytes.append(0x5d)
    canonicalForm.bytes.append(0x5d)
  }

  // MARK: Structure

  private mutating func append(_ byte: UInt8) {
    canonicalForm.bytes.append(byte)
    prettyForm.bytes.append(byte)
  }

  private mutating func list(isLong: Bool = false, _ body: (inout JSONStream) -> Void) {
    let outer = (elementCount, isLongList)
    (elementCount, isLongList) = (0, isLong)
    depth += 1
    append(0x5b)
    body(&self)
    depth -= 1
    if elementCount > 0 { prettyForm.breakLine(depth: depth) }
    append(0x5d)
    (elementCount, isLongList) = outer
  }

  private mutating func beginElement() {
    if isLongList, prettyForm.bytes.count >= pieceLength { handOn() }
    if elementCount > 0 { append(0x2c) }
    elementCount += 1
    prettyForm.breakLine(depth: depth)
  }

  /// Gives away what is written so far.
  private mutating func handOn() {
    if let takePretty, !isPrettyKept {
      takePretty(prettyForm.bytes.bytes)
      givenLength += prettyForm.bytes.count
    } else {
      prettyPieces.append(prettyForm.bytes.bytes)
    }
    prettyStart += prettyForm.bytes.count
    prettyForm.bytes.removeAll()
    if let takeCanonical {
      canonicalForm.bytes.withSpan(takeCanonical)
      canonicalStart += canonicalForm.bytes.count
      canonicalForm.bytes.removeAll()
    }
  }

  private mutating func object(_ body: (inout JSONStream) -> Void) {
    let outer = (firstMember, keptCount, isSorted)
    (firstMember, keptCount, isSorted) = (members.count, 0, true)
    beginObject()
    body(&self)
    endObject()
    members.removeLast(members.count - firstMember)
    (firstMember, keptCount, isSorted) = outer
  }

  private mutating func beginObject() {
    depth += 1
    append(0x7b)
  }

  private mutating func endObject() {
    if !isSorted { sortMembers() }
    depth -= 1
    if members.count > firstMember { prettyForm.breakLine(depth: depth) }
    append(0x7d)
  }

  private mutating func begin(_ key: StaticString) {
    precondition(key.isASCII, "keys are ASCII")
    let hasPrettyComma = members.count > firstMember
    if hasPrettyComma, !members[members.count - 1].key.precedes(key) { isSorted = false }
    if depth == 1, !key.precedes(firstKept) { isPrettyKept = true }
    let canonical = canonicalStart + canonicalForm.bytes.count + (keptCount > 0 ? 1 : 0)
    let pretty = prettyStart + prettyForm.bytes.count + (hasPrettyComma ? 1 : 0)
    // A comma, a line feed, the indent, the key in quotes, a colon and a blank, in one piece: there are many.
    prettyForm.bytes.append(key: key, onLineOf: 2 * depth, hasComma: hasPrettyComma)
    canonicalForm.bytes.append(key: key, hasComma: keptCount > 0)
    members.append(
      Member(
        key: key, canonical: canonical..<canonical, pretty: pretty..<pretty, isLeftOut: isLeftOut(key)))
  }

  private func isLeftOut(_ key: StaticString) -> Bool {
    let length = key.utf8CodeUnitCount
    guard length > 0, leftOutLengths & 1 << UInt64(min(length, 63)) != 0,
      unsafe leftOutInitials & 1 << UInt32(key.utf8Start[0] & 31) != 0
    else { return false }
    return leftOut.contains { other in
      other.count == key.utf8CodeUnitCount && key.withUTF8Buffer { unsafe $0.elementsEqual(other) }
    }
  }

  private mutating func end() {
    let last = members.count - 1
    let start = members[last].canonical.lowerBound
    members[last].pretty = members[last].pretty.lowerBound..<prettyStart + prettyForm.bytes.count
    if members[last].isLeftOut {
      // With the comma before it.
      let end = keptCount > 0 ? start - 1 : start
      canonicalForm.bytes.truncate(to: end - canonicalStart)
    } else {
      members[last].canonical = start..<canonicalStart + canonicalForm.bytes.count
      keptCount += 1
    }
  }

  /// Brings the members of the innermost object into the order of their keys. These are ASCII, whose order as text is
  /// that of their bytes.
  private mutating func sortMembers() {
    var sorted = members[firstMember...].sorted { $0.key.precedes($1.key) }
    precondition(
      zip(sorted, sorted.dropFirst()).allSatisfy { $0.key.precedes($1.key) }, "an object has each key once")
    var kept = sorted.filter { !$0.isLeftOut }.map(\.canonical)
    canonicalForm.bytes.rearrange(&kept, from: canonicalStart)
    var all = sorted.map(\.pretty)
    prettyForm.bytes.rearrange(&all, from: prettyStart)
    for index in sorted.indices { sorted[index].pretty = all[index] }
    members.replaceSubrange(firstMember..., with: sorted)
  }
}

extension StaticString {
  /// By bytes.
  fileprivate func precedes(_ other: StaticString) -> Bool {
    let (count, otherCount) = (utf8CodeUnitCount, other.utf8CodeUnitCount)
    // Most differ in the first.
    for index in 0..<min(count, otherCount) {
      // SAFETY: both have a byte there.
      let (byte, otherByte) = unsafe (utf8Start[index], other.utf8Start[index])
      if byte != otherByte { return byte < otherByte }
    }
    return count < otherCount
  }
}

extension ByteBuffer {
  /// Puts members into another order, each without its comma; afterwards they are where the ranges say. Together they
  /// are the end of what was written.
  ///
  /// - Parameter origin: what the ranges count from is so many bytes before the buffer.
  fileprivate mutating func rearrange(_ members: inout [Range<Int>], from origin: Int) {
    let start = members.map(\.lowerBound).min() ?? origin + count
    precondition(start >= origin, "an object with a long list takes its members in the order of their keys")
    let old = copy(from: start - origin)
    truncate(to: start - origin)
    for index in members.indices {
      if index > 0 { append(0x2c) }
      let newStart = origin + count
      append(Array(old[members[index].lowerBound - start..<members[index].upperBound - start]))
      members[index] = newStart..<origin + count
    }
  }
}
