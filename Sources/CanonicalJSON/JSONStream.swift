/// Writes one JSON object member by member, in both forms at once.
///
/// What a tree of values would say, without the tree: a policy of many thousand rules has a hundred nodes for each.
/// Members may come in any order; those that come in the order of their keys are not moved.
package struct JSONStream {
  /// A member of an object that is not closed yet, or of the outermost, and where its text is, without the comma
  /// before it.
  private struct Member {
    var key: StaticString
    var canonical: Range<Int>
    var pretty: Range<Int>
    var isLeftOut: Bool
  }

  private var canonicalForm = JSONWriter(isPretty: false, leftOut: [])
  private var prettyForm = JSONWriter(isPretty: true, leftOut: [])
  private let leftOut: [[UInt8]]
  private var depth = 0
  /// Those of the innermost object are the last ones.
  private var members: [Member] = []
  private var firstMember = 0
  /// Members of the innermost object that the canonical form has.
  private var keptCount = 0
  /// Of the innermost list.
  private var elementCount = 0

  /// - Parameters:
  ///   - keys: members of these keys are left out of the canonical form, at every depth.
  ///   - body: writes the members.
  package init(leavingOut keys: Set<String> = [], _ body: (inout JSONStream) -> Void) {
    canonicalForm = JSONWriter(isPretty: false, leftOut: keys)
    leftOut = keys.map { Array($0.utf8) }
    beginObject()
    body(&self)
    endObject()
    prettyForm.bytes.append(0x0a)
  }

  /// As ``JSONValue/canonical(leavingOut:)`` of the whole.
  package var canonical: [UInt8] { canonicalForm.bytes }

  /// As ``JSONValue/pretty()`` of the whole.
  package var pretty: [UInt8] { prettyForm.bytes }

  /// The same with one more member, which is known only when all others are written.
  package func pretty(adding key: StaticString, _ text: String) -> [UInt8] {
    var member = JSONWriter(isPretty: true, leftOut: [])
    member.breakLine(depth: 1)
    member.write(key: key.description)
    member.write(text)
    var bytes = pretty
    if let next = members.first(where: { key.precedes($0.key) }) {
      bytes.insert(contentsOf: member.bytes + [0x2c], at: next.pretty.lowerBound)
    } else if let last = members.last {
      bytes.insert(contentsOf: [0x2c] + member.bytes, at: last.pretty.upperBound)
    } else {
      bytes.insert(contentsOf: member.bytes + [0x0a], at: 1)
    }
    return bytes
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
      canonicalForm.write(value, depth: depth)
      prettyForm.append(canonicalForm, from: start)
    }
    end()
  }

  package mutating func member(_ key: StaticString, _ text: String) {
    begin(key)
    let start = canonicalForm.bytes.count
    canonicalForm.write(text)
    prettyForm.append(canonicalForm, from: start)
    end()
  }

  package mutating func member(_ key: StaticString, ifPresent value: JSONValue?) {
    if let value { member(key, value) }
  }

  package mutating func member(_ key: StaticString, ifPresent text: String?) {
    if let text { member(key, text) }
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

  // MARK: Structure

  private mutating func append(_ byte: UInt8) {
    canonicalForm.bytes.append(byte)
    prettyForm.bytes.append(byte)
  }

  private mutating func list(_ body: (inout JSONStream) -> Void) {
    let outer = elementCount
    elementCount = 0
    depth += 1
    append(0x5b)
    body(&self)
    depth -= 1
    if elementCount > 0 { prettyForm.breakLine(depth: depth) }
    append(0x5d)
    elementCount = outer
  }

  private mutating func beginElement() {
    if elementCount > 0 { append(0x2c) }
    elementCount += 1
    prettyForm.breakLine(depth: depth)
  }

  private mutating func object(_ body: (inout JSONStream) -> Void) {
    let outer = (firstMember, keptCount)
    (firstMember, keptCount) = (members.count, 0)
    beginObject()
    body(&self)
    endObject()
    members.removeLast(members.count - firstMember)
    (firstMember, keptCount) = outer
  }

  private mutating func beginObject() {
    depth += 1
    append(0x7b)
  }

  private mutating func endObject() {
    sortMembers()
    depth -= 1
    if members.count > firstMember { prettyForm.breakLine(depth: depth) }
    append(0x7d)
  }

  private mutating func begin(_ key: StaticString) {
    let hasPrettyComma = members.count > firstMember
    if keptCount > 0 { canonicalForm.bytes.append(0x2c) }
    let start = (
      canonical: canonicalForm.bytes.count, pretty: prettyForm.bytes.count + (hasPrettyComma ? 1 : 0)
    )
    append(key, hasPrettyComma: hasPrettyComma)
    members.append(
      Member(
        key: key, canonical: start.canonical..<start.canonical, pretty: start.pretty..<start.pretty,
        isLeftOut: isLeftOut(key)))
  }

  /// A key with its colon; in the pretty form on a line of its own.
  private mutating func append(_ key: StaticString, hasPrettyComma: Bool) {
    precondition(key.isASCII, "keys are ASCII")
    let (indent, count) = (2 * depth, key.utf8CodeUnitCount)
    // A comma, a line feed, the indent, the key in quotes, a colon and a blank, in one piece: there are many.
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: indent + count + 6) { text in
      text.initialize(repeating: 0x20)
      text[0] = 0x2c
      text[1] = 0x0a
      let quote = indent + 2
      text[quote] = 0x22
      key.withUTF8Buffer { bytes in for index in 0..<count { text[quote + 1 + index] = bytes[index] } }
      text[quote + 1 + count] = 0x22
      text[quote + 2 + count] = 0x3a
      let pretty = UnsafeBufferPointer(rebasing: text[(hasPrettyComma ? 0 : 1)...])
      prettyForm.bytes.append(contentsOf: pretty)
      canonicalForm.bytes.append(contentsOf: UnsafeBufferPointer(rebasing: text[quote..<quote + 3 + count]))
    }
  }

  private func isLeftOut(_ key: StaticString) -> Bool {
    leftOut.contains { other in
      other.count == key.utf8CodeUnitCount && key.withUTF8Buffer { $0.elementsEqual(other) }
    }
  }

  private mutating func end() {
    let last = members.count - 1
    let start = members[last].canonical.lowerBound
    members[last].pretty = members[last].pretty.lowerBound..<prettyForm.bytes.count
    if members[last].isLeftOut {
      // With the comma before it.
      let end = keptCount > 0 ? start - 1 : start
      canonicalForm.bytes.removeLast(canonicalForm.bytes.count - end)
    } else {
      members[last].canonical = start..<canonicalForm.bytes.count
      keptCount += 1
    }
  }

  /// Brings the members of the innermost object into the order of their keys. These are ASCII, whose order as text is
  /// that of their bytes.
  private mutating func sortMembers() {
    var isSorted = true
    for index in members.indices.dropFirst(firstMember + 1)
    where !members[index - 1].key.precedes(members[index].key) { isSorted = false }
    if isSorted { return }
    var sorted = members[firstMember...].sorted { $0.key.precedes($1.key) }
    precondition(
      zip(sorted, sorted.dropFirst()).allSatisfy { $0.key.precedes($1.key) }, "an object has each key once")
    var kept = sorted.filter { !$0.isLeftOut }.map(\.canonical)
    canonicalForm.rearrange(&kept)
    var all = sorted.map(\.pretty)
    prettyForm.rearrange(&all)
    for index in sorted.indices { sorted[index].pretty = all[index] }
    members.replaceSubrange(firstMember..., with: sorted)
  }
}

extension StaticString {
  /// By bytes.
  fileprivate func precedes(_ other: StaticString) -> Bool {
    withUTF8Buffer { bytes in other.withUTF8Buffer { bytes.lexicographicallyPrecedes($0) } }
  }
}

extension JSONWriter {
  /// What another has written behind a place.
  fileprivate mutating func append(_ other: JSONWriter, from start: Int) {
    other.bytes.withUnsafeBufferPointer { written in
      bytes.append(contentsOf: UnsafeBufferPointer(rebasing: written[start...]))
    }
  }

  /// Puts members into another order, each without its comma; afterwards they are where the ranges say. Together they
  /// are the end of what was written.
  fileprivate mutating func rearrange(_ members: inout [Range<Int>]) {
    let start = members.map(\.lowerBound).min() ?? bytes.count
    var text: [UInt8] = []
    for index in members.indices {
      if index > 0 { text.append(0x2c) }
      let newStart = start + text.count
      text += bytes[members[index]]
      members[index] = newStart..<start + text.count
    }
    bytes.replaceSubrange(start..., with: text)
  }
}
