/// A bundle's bytes with everything in them found and checked.
///
/// All checks happen in the initializer; nothing here can fail afterwards. Ranges index `bytes`. One value
/// has one encoding: what this accepts, `BundleContents.encoded()` writes again byte for byte.
package final class BundleReader {
  /// A finished message.
  package struct Message {
    package var kind: BundleMessageKind
    package var range: Range<Int>
    /// Of the table, chain, object or set; of elements their set, of a rule its chain.
    package var name: Range<Int>
    /// Index into `sources`, 1-based; 0: none.
    package var source: UInt32
  }

  package struct Source {
    package var id: Range<Int>
    package var place: Range<Int>
  }

  package struct Sysctl {
    package var path: Range<Int>
    package var value: Range<Int>
    package var strengthClass: BundleSysctlClass
    package var isNamespaced: Bool
    package var source: UInt32
  }

  package struct Mount {
    package var path: Range<Int>
    package var options: Range<Int>
    package var attributesSet: UInt64
    package var attributesCleared: UInt64
    package var isSelfBind: Bool
    package var source: UInt32
  }

  package struct Filter {
    package var scope: BundleFilterScope
    package var flags: UInt32
    package var program: Range<Int>
  }

  package struct LateItem {
    package var kind: BundleLateKind
    package var name: Range<Int>
    package var messages: [Message]
    package var source: UInt32
  }

  package struct KernelItem {
    package var kind: BundleKernelKind
    package var text: Range<Int>
    package var source: UInt32
  }

  package struct Program {
    package var stage: BundleProgramStage
    package var hook: Range<Int>
    package var instructions: Range<Int>
  }

  package struct Relocation {
    /// Index into `programs`, 0-based.
    package var program: Int
    package var instruction: Int
    package var kind: BundleRelocationKind
    package var text: Range<Int>
  }

  package let bytes: [UInt8]
  package let minimumKernel: KernelRelease
  package let isManagementProved: Bool
  package let hasNetworkRoot: Bool
  package let staysUnprotected: Bool
  package let haltsOnFailure: Bool
  /// SHA-256 of the canonical policy.
  package let policyDigest: Range<Int>
  /// SHA-256 of the file with this field as zeros: what `--pin` names.
  package let checksum: Range<Int>
  package let policyName: Range<Int>
  package let sources: [Source]
  package let messages: [Message]
  /// All messages, one behind the other.
  package let messageBytes: Range<Int>
  /// Of the closed stage.
  package let closed: [Message]
  package let sysctls: [Sysctl]
  package let mounts: [Mount]
  package let notEnforced: [Range<Int>]
  package let sourceMap: Range<Int>
  package let systemCalls: Filter?
  package let late: [LateItem]
  package let kernel: [KernelItem]
  package let programs: [Program]
  package let relocations: [Relocation]

  package init(_ bytes: [UInt8]) throws(BundleError) {
    let header = try BundleHeader(bytes)
    self.bytes = bytes
    minimumKernel = header.minimumKernel
    isManagementProved = header.has(BundleLayout.managementProvedFlag)
    hasNetworkRoot = header.has(BundleLayout.networkRootFlag)
    staysUnprotected = header.has(BundleLayout.staysUnprotectedFlag)
    haltsOnFailure = header.has(BundleLayout.haltsOnFailureFlag)
    policyDigest = header.policyDigest
    checksum = header.checksum

    var cursor = ByteCursor(bytes, header.range(of: .policyName))
    _ = header.enter(.policyName, &cursor)
    policyName = cursor.text(UInt32(clamping: cursor.end - cursor.offset))
    sources = Self.readSources(header, &cursor)
    messageBytes = header.range(of: .messages)
    messages = Self.readMessages(
      header, &cursor, kinds: .messageKinds, messages: .messages, sourceCount: sources.count)
    closed = Self.readMessages(
      header, &cursor, kinds: .closedKinds, messages: .closedMessages, sourceCount: sources.count)
    sysctls = Self.readSysctls(header, &cursor, sourceCount: sources.count)
    mounts = Self.readMounts(header, &cursor, sourceCount: sources.count)
    notEnforced = Self.readLines(header, &cursor)
    sourceMap = header.range(of: .sourceMap)
    systemCalls = Self.readFilter(header, &cursor)
    late = Self.readLate(header, &cursor, sourceCount: sources.count)
    kernel = Self.readKernel(header, &cursor, sourceCount: sources.count)
    programs = Self.readPrograms(header, &cursor)
    relocations = Self.readRelocations(header, &cursor, programs)
    if let failure = cursor.failure { throw failure }
  }

  private static func readSources(_ header: BundleHeader, _ cursor: inout ByteCursor) -> [Source] {
    let count = header.enter(.sources, &cursor)
    var sources: [Source] = []
    sources.reserveCapacity(count)
    for _ in 0..<count {
      let idLength: UInt32 = cursor.integer()
      let placeLength: UInt32 = cursor.integer()
      let id = cursor.text(idLength)
      let place = cursor.text(placeLength)
      cursor.pad(to: 4)
      guard cursor.isGood else { break }
      sources.append(Source(id: id, place: place))
    }
    cursor.leave()
    return sources
  }

  @inline(never)
  private static func readMessages(
    _ header: BundleHeader, _ cursor: inout ByteCursor, kinds kindSection: BundleSection,
    messages section: BundleSection, sourceCount: Int
  ) -> [Message] {
    let count = header.enter(kindSection, &cursor)
    if header.count(of: section) != count { cursor.fail(at: cursor.offset, .countMismatch) }
    let kinds = cursor.take(count)
    for index in kinds where BundleMessageKind(rawValue: cursor.bytes[index]) == nil {
      cursor.fail(at: index, .badValue)
    }
    cursor.leave()
    var list: [Message] = []
    list.reserveCapacity(header.enter(section, &cursor))
    var check = MessageCheck(section, sourceCount: sourceCount)
    for index in kinds {
      guard cursor.isGood, let kind = BundleMessageKind(rawValue: cursor.bytes[index]) else { break }
      check.take(&cursor, kind, into: &list)
    }
    cursor.leave()
    check.finish(&cursor)
    return list
  }

  private static func readSysctls(_ header: BundleHeader, _ cursor: inout ByteCursor, sourceCount: Int)
    -> [Sysctl]
  {
    let count = header.enter(.sysctls, &cursor)
    var list: [Sysctl] = []
    list.reserveCapacity(count)
    for _ in 0..<count {
      let offset = cursor.offset
      let number: UInt8 = cursor.integer()
      let flags: UInt8 = cursor.integer()
      let reserved: UInt16 = cursor.integer()
      guard let strengthClass = BundleSysctlClass(rawValue: number), flags <= 1 else {
        cursor.fail(at: offset, .badValue)
        break
      }
      if reserved != 0 { cursor.fail(at: offset + 2, .reservedNotZero) }
      let source = cursor.source(of: sourceCount)
      let pathLength: UInt32 = cursor.integer()
      let valueLength: UInt32 = cursor.integer()
      let path = cursor.text(pathLength)
      guard cursor.isGood else { break }
      if !isPlainPath(cursor.bytes, path) || !hasWholeWildcard(cursor.bytes, path) {
        cursor.fail(at: path.lowerBound, .badPath)
      }
      let value = cursor.text(valueLength, mayBeEmpty: true, mayHaveTabs: true)
      cursor.pad(to: 4)
      list.append(
        Sysctl(
          path: path, value: value, strengthClass: strengthClass, isNamespaced: flags == 1, source: source))
    }
    cursor.leave()
    return list
  }

  private static func readMounts(_ header: BundleHeader, _ cursor: inout ByteCursor, sourceCount: Int)
    -> [Mount]
  {
    let count = header.enter(.mounts, &cursor)
    var list: [Mount] = []
    list.reserveCapacity(count)
    for _ in 0..<count {
      let offset = cursor.offset
      let set: UInt64 = cursor.integer()
      let cleared: UInt64 = cursor.integer()
      if (set | cleared) & ~BundleLayout.knownMountAttributes != 0 || set & cleared != 0 {
        cursor.fail(at: offset, .badValue)
      }
      let source = cursor.source(of: sourceCount)
      let flags: UInt32 = cursor.integer()
      if flags > 1 { cursor.fail(at: offset + 20, .badValue) }
      let pathLength: UInt32 = cursor.integer()
      let optionsLength: UInt32 = cursor.integer()
      let path = cursor.text(pathLength)
      guard cursor.isGood else { break }
      if cursor.bytes[path.lowerBound] != slash
        || path.count > 1 && !isPlainPath(cursor.bytes, (path.lowerBound + 1)..<path.upperBound)
      {
        cursor.fail(at: path.lowerBound, .badPath)
      }
      let options = cursor.text(optionsLength, mayBeEmpty: true)
      cursor.pad(to: 8)
      list.append(
        Mount(
          path: path, options: options, attributesSet: set, attributesCleared: cleared,
          isSelfBind: flags == 1, source: source))
    }
    cursor.leave()
    return list
  }

  private static func readLines(_ header: BundleHeader, _ cursor: inout ByteCursor) -> [Range<Int>] {
    var list: [Range<Int>] = []
    for _ in 0..<header.enter(.notEnforced, &cursor) {
      let length: UInt32 = cursor.integer()
      list.append(cursor.text(length))
      cursor.pad(to: 4)
      guard cursor.isGood else { break }
    }
    cursor.leave()
    return list
  }

  private static func readFilter(_ header: BundleHeader, _ cursor: inout ByteCursor) -> Filter? {
    let count = header.enter(.systemCalls, &cursor)
    guard count > 0 else {
      cursor.leave()
      return nil
    }
    if count != 1 { cursor.fail(at: cursor.offset, .countMismatch) }
    let flags: UInt32 = cursor.integer()
    let scopeOffset = cursor.offset
    guard let scope = BundleFilterScope(rawValue: cursor.kind()), flags & ~BundleLayout.knownFilterFlags == 0
    else {
      cursor.fail(at: scopeOffset, .badValue)
      return nil
    }
    let length: UInt32 = cursor.integer()
    let program = cursor.take(Int(length))
    cursor.leave()
    FilterCheck.check(program, &cursor)
    return Filter(scope: scope, flags: flags, program: program)
  }

  private static func readLate(_ header: BundleHeader, _ cursor: inout ByteCursor, sourceCount: Int)
    -> [LateItem]
  {
    let count = header.enter(.late, &cursor)
    var list: [LateItem] = []
    list.reserveCapacity(count)
    for _ in 0..<count {
      let offset = cursor.offset
      guard let kind = BundleLateKind(rawValue: cursor.kind()) else {
        cursor.fail(at: offset, .badValue)
        break
      }
      let source = cursor.source(of: sourceCount)
      let nameLength: UInt32 = cursor.integer()
      let length: UInt32 = cursor.integer()
      let name = cursor.text(nameLength)
      cursor.pad(to: 4)
      let end = cursor.offset + Int(length)
      if end > cursor.end { cursor.fail(at: cursor.offset, .truncated) }
      var check = MessageCheck(.late, sourceCount: sourceCount)
      var messages: [Message] = []
      while cursor.isGood, cursor.offset < end {
        let first: BundleMessageKind = kind == .device ? .baseChain : .elements
        check.take(&cursor, messages.isEmpty ? first : .rule, upTo: end, into: &messages)
      }
      guard cursor.isGood else { break }
      if kind == .device ? messages.count < 2 : messages.count != 1 {
        cursor.fail(at: offset, .countMismatch)
      } else if kind == .controlGroup, !isPlainPath(cursor.bytes, name) || !endsInNumber(cursor.bytes, end) {
        cursor.fail(at: offset, .badValue)
      }
      list.append(LateItem(kind: kind, name: name, messages: messages, source: source))
    }
    cursor.leave()
    return list
  }

  private static let slash: UInt8 = 0x2f
  private static let dot: UInt8 = 0x2e
  private static let star: UInt8 = 0x2a

  /// Relative, and no component is empty, `.` or `..`: the path cannot leave the folder it is taken below.
  private static func isPlainPath(_ bytes: [UInt8], _ path: Range<Int>) -> Bool {
    var start = path.lowerBound
    for index in path.lowerBound...path.upperBound {
      guard index == path.upperBound || bytes[index] == slash else { continue }
      let component = start..<index
      if component.isEmpty { return false }
      if component.count <= 2, component.allSatisfy({ bytes[$0] == dot }) { return false }
      start = index + 1
    }
    return true
  }

  /// Whether a message ends in NFTA_DATA_VALUE of 8 zeros: the place of the number that comes there.
  private static func endsInNumber(_ bytes: [UInt8], _ end: Int) -> Bool {
    // nla_len and nla_type of struct nlattr, little-endian.
    let header: [UInt8] = [12, 0, 1, 0]
    return bytes[(end - 12)..<(end - 8)].elementsEqual(header)
      && bytes[(end - 8)..<end].allSatisfy { $0 == 0 }
  }

  /// At most one `*`, and it is a whole component between two others.
  private static func hasWholeWildcard(_ bytes: [UInt8], _ path: Range<Int>) -> Bool {
    var count = 0
    for index in path where bytes[index] == star {
      count += 1
      guard index > path.lowerBound, bytes[index - 1] == slash, index + 1 < path.upperBound,
        bytes[index + 1] == slash
      else { return false }
    }
    return count <= 1
  }
}
