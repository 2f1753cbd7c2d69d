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

    var cursor = header.cursor(bytes, .policyName)
    policyName = try cursor.text(UInt32(clamping: cursor.end - cursor.offset))
    sources = try Self.readSources(header.cursor(bytes, .sources), count: header.count(of: .sources))
    messageBytes = header.range(of: .messages)
    messages = try Self.readMessages(
      header, bytes, kinds: .messageKinds, messages: .messages, sourceCount: sources.count)
    closed = try Self.readMessages(
      header, bytes, kinds: .closedKinds, messages: .closedMessages, sourceCount: sources.count)
    sysctls = try Self.readSysctls(
      header.cursor(bytes, .sysctls), count: header.count(of: .sysctls), sourceCount: sources.count)
    mounts = try Self.readMounts(
      header.cursor(bytes, .mounts), count: header.count(of: .mounts), sourceCount: sources.count)
    notEnforced = try Self.readLines(
      header.cursor(bytes, .notEnforced), count: header.count(of: .notEnforced))
    sourceMap = header.range(of: .sourceMap)
    systemCalls = try Self.readFilter(
      header.cursor(bytes, .systemCalls), count: header.count(of: .systemCalls))
    late = try Self.readLate(
      header.cursor(bytes, .late), count: header.count(of: .late), sourceCount: sources.count)
    kernel = try Self.readKernel(
      header.cursor(bytes, .kernel), count: header.count(of: .kernel), sourceCount: sources.count)
    programs = try Self.readPrograms(header.cursor(bytes, .programs), count: header.count(of: .programs))
    relocations = try Self.readRelocations(
      header.cursor(bytes, .relocations), count: header.count(of: .relocations), programs)
  }

  private static func readSources(_ start: ByteCursor, count: Int) throws(BundleError) -> [Source] {
    var cursor = start
    var sources: [Source] = []
    sources.reserveCapacity(count)
    for _ in 0..<count {
      let idLength: UInt32 = try cursor.integer()
      let placeLength: UInt32 = try cursor.integer()
      let id = try cursor.text(idLength)
      let place = try cursor.text(placeLength)
      try cursor.pad(to: 4)
      sources.append(Source(id: id, place: place))
    }
    try finish(cursor)
    return sources
  }

  private static func readMessages(
    _ header: BundleHeader, _ bytes: [UInt8], kinds kindSection: BundleSection,
    messages section: BundleSection, sourceCount: Int
  ) throws(BundleError) -> [Message] {
    var kinds = header.cursor(bytes, kindSection)
    let messages = header.cursor(bytes, section)
    let count = header.count(of: section)
    guard header.count(of: kindSection) == count else {
      throw BundleError(kindSection, at: kinds.offset, .countMismatch)
    }
    var check = MessageCheck(bytes, section, sourceCount: sourceCount)
    var offset = messages.offset
    var list: [Message] = []
    list.reserveCapacity(count)
    for _ in 0..<count {
      let kindOffset = kinds.offset
      let number: UInt8 = try kinds.integer()
      guard let kind = BundleMessageKind(rawValue: number) else {
        throw BundleError(kindSection, at: kindOffset, .badValue)
      }
      let message = try check.check(at: offset, end: messages.end, kind: kind)
      list.append(message)
      offset = message.range.upperBound
    }
    try finish(kinds)
    guard offset == messages.end else { throw BundleError(section, at: offset, .countMismatch) }
    try check.finish(at: offset)
    return list
  }

  private static func readSysctls(_ start: ByteCursor, count: Int, sourceCount: Int) throws(BundleError)
    -> [Sysctl]
  {
    var cursor = start
    var list: [Sysctl] = []
    list.reserveCapacity(count)
    for _ in 0..<count {
      let offset = cursor.offset
      let number: UInt8 = try cursor.integer()
      let flags: UInt8 = try cursor.integer()
      let reserved: UInt16 = try cursor.integer()
      guard let strengthClass = BundleSysctlClass(rawValue: number), flags <= 1 else {
        throw BundleError(.sysctls, at: offset, .badValue)
      }
      guard reserved == 0 else { throw BundleError(.sysctls, at: offset + 2, .reservedNotZero) }
      let source = try readSource(&cursor, sourceCount)
      let pathLength: UInt32 = try cursor.integer()
      let valueLength: UInt32 = try cursor.integer()
      let path = try cursor.text(pathLength)
      guard isPlainPath(cursor.bytes, path), hasWholeWildcard(cursor.bytes, path) else {
        throw BundleError(.sysctls, at: path.lowerBound, .badPath)
      }
      let value = try cursor.text(valueLength, mayBeEmpty: true, mayHaveTabs: true)
      try cursor.pad(to: 4)
      list.append(
        Sysctl(
          path: path, value: value, strengthClass: strengthClass, isNamespaced: flags == 1, source: source))
    }
    try finish(cursor)
    return list
  }

  private static func readMounts(_ start: ByteCursor, count: Int, sourceCount: Int) throws(BundleError)
    -> [Mount]
  {
    var cursor = start
    var list: [Mount] = []
    list.reserveCapacity(count)
    for _ in 0..<count {
      let offset = cursor.offset
      let set: UInt64 = try cursor.integer()
      let cleared: UInt64 = try cursor.integer()
      guard (set | cleared) & ~BundleLayout.knownMountAttributes == 0, set & cleared == 0 else {
        throw BundleError(.mounts, at: offset, .badValue)
      }
      let source = try readSource(&cursor, sourceCount)
      let flags: UInt32 = try cursor.integer()
      guard flags <= 1 else { throw BundleError(.mounts, at: offset + 20, .badValue) }
      let pathLength: UInt32 = try cursor.integer()
      let optionsLength: UInt32 = try cursor.integer()
      let path = try cursor.text(pathLength)
      guard cursor.bytes[path.lowerBound] == slash,
        path.count == 1 || isPlainPath(cursor.bytes, (path.lowerBound + 1)..<path.upperBound)
      else { throw BundleError(.mounts, at: path.lowerBound, .badPath) }
      let options = try cursor.text(optionsLength, mayBeEmpty: true)
      try cursor.pad(to: 8)
      list.append(
        Mount(
          path: path, options: options, attributesSet: set, attributesCleared: cleared,
          isSelfBind: flags == 1, source: source))
    }
    try finish(cursor)
    return list
  }

  private static func readLines(_ start: ByteCursor, count: Int) throws(BundleError) -> [Range<Int>] {
    var cursor = start
    var list: [Range<Int>] = []
    list.reserveCapacity(count)
    for _ in 0..<count {
      let length: UInt32 = try cursor.integer()
      list.append(try cursor.text(length))
      try cursor.pad(to: 4)
    }
    try finish(cursor)
    return list
  }

  private static func readFilter(_ start: ByteCursor, count: Int) throws(BundleError) -> Filter? {
    var cursor = start
    guard count > 0 else {
      try finish(cursor)
      return nil
    }
    guard count == 1 else { throw BundleError(.systemCalls, at: start.offset, .countMismatch) }
    let flags: UInt32 = try cursor.integer()
    let scopeOffset = cursor.offset
    let number: UInt32 = try cursor.integer()
    guard flags & ~BundleLayout.knownFilterFlags == 0, number <= 0xff,
      let scope = BundleFilterScope(rawValue: UInt8(number))
    else { throw BundleError(.systemCalls, at: scopeOffset, .badValue) }
    let length: UInt32 = try cursor.integer()
    let program = try cursor.take(Int(length))
    try finish(cursor)
    try FilterCheck.check(cursor.bytes, program)
    return Filter(scope: scope, flags: flags, program: program)
  }

  private static func readLate(_ start: ByteCursor, count: Int, sourceCount: Int) throws(BundleError)
    -> [LateItem]
  {
    var cursor = start
    var list: [LateItem] = []
    list.reserveCapacity(count)
    for _ in 0..<count {
      let offset = cursor.offset
      let number: UInt32 = try cursor.integer()
      guard number <= 0xff, let kind = BundleLateKind(rawValue: UInt8(number)) else {
        throw BundleError(.late, at: offset, .badValue)
      }
      let source = try readSource(&cursor, sourceCount)
      let nameLength: UInt32 = try cursor.integer()
      let length: UInt32 = try cursor.integer()
      let name = try cursor.text(nameLength)
      try cursor.pad(to: 4)
      let content = try cursor.take(Int(length))
      var check = MessageCheck(cursor.bytes, .late, sourceCount: sourceCount)
      var messages: [Message] = []
      var next = content.lowerBound
      while next < content.upperBound {
        let first: BundleMessageKind = kind == .device ? .baseChain : .elements
        let message = try check.check(
          at: next, end: content.upperBound, kind: messages.isEmpty ? first : .rule)
        messages.append(message)
        next = message.range.upperBound
      }
      guard kind == .device ? messages.count > 1 : messages.count == 1 else {
        throw BundleError(.late, at: offset, .countMismatch)
      }
      guard kind == .device || isPlainPath(cursor.bytes, name) && endsInNumber(cursor.bytes, next) else {
        throw BundleError(.late, at: offset, .badValue)
      }
      list.append(LateItem(kind: kind, name: name, messages: messages, source: source))
    }
    try finish(cursor)
    return list
  }

  static func readSource(_ cursor: inout ByteCursor, _ sourceCount: Int) throws(BundleError) -> UInt32 {
    let offset = cursor.offset
    let source: UInt32 = try cursor.integer()
    guard source <= UInt32(clamping: sourceCount) else {
      throw BundleError(cursor.section, at: offset, .unknownSource)
    }
    return source
  }

  static func finish(_ cursor: ByteCursor) throws(BundleError) {
    guard cursor.isAtEnd else { throw BundleError(cursor.section, at: cursor.offset, .countMismatch) }
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
