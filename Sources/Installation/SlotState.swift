/// Which bundle the host boots with, which one it tries next, and which it goes back to.
///
/// The whole state is one short file that is replaced by rename: after a crash it is the old one or the new one, and
/// never names a bundle that is not there, for a bundle is written before the state that names it and removed after
/// the last one. Nothing here reads or writes: the command line and the Embedded applier, which compiles this file
/// too, do that.
package struct SlotState: Equatable {
  /// A bundle by the SHA-256 of its file, in 64 lowercase hexadecimal digits; empty: none.
  package typealias Name = [UInt8]

  /// What the host runs, and boots with when nothing is staged. It has reached the health mark, or was installed.
  package private(set) var current: Name = []
  /// What the next boot tries.
  package private(set) var next: Name = []
  /// What `current` took the place of.
  package private(set) var previous: Name = []
  /// What was tried last and given up.
  package private(set) var failed: Name = []
  /// How many boots have begun with `next`, and after how many without a health mark it is given up.
  package private(set) var attempts: UInt8 = 0
  package private(set) var limit: UInt8 = Self.defaultLimit
  /// The kernel's id of the boot that tries `next`; empty: none does.
  package private(set) var trial: [UInt8] = []

  /// One more than is needed: a power cut in the first boot says nothing about the policy.
  package static let defaultLimit: UInt8 = 2
  package static let maximumLimit: UInt8 = 9
  /// Bytes. The file has at most seven lines.
  package static let maximumLength = 1024

  package init() {}

  /// All bundles that must be kept.
  package var names: [Name] { [current, next, previous].filter { !$0.isEmpty } }

  // MARK: Changes

  /// The state of a fresh installation, or of one that is installed over another.
  package mutating func install(_ name: Name) {
    if !current.isEmpty, current != name { previous = current }
    current = name
    forgetNext()
    failed = []
  }

  /// - Returns: false: it is the current one already, and nothing is tried next.
  package mutating func stage(_ name: Name, limit: UInt8 = defaultLimit) -> Bool {
    forgetNext()
    if name == current { return false }
    next = name
    self.limit = limit
    if failed == name { failed = [] }
    return true
  }

  package enum Rollback: Equatable {
    /// What was staged is not tried.
    case unstaged(Name)
    /// `previous` is the current one again.
    case wentBack(to: Name)
    case nothingToGoBackTo
  }

  /// Takes back what is staged, else what was activated last.
  package mutating func rollBack() -> Rollback {
    if !next.isEmpty {
      let name = next
      forgetNext()
      return .unstaged(name)
    }
    guard !previous.isEmpty else { return .nothingToGoBackTo }
    swap(&current, &previous)
    return .wentBack(to: current)
  }

  package enum Choice: Equatable {
    case current
    case next
    /// `next` did not reach the health mark in as many boots as it was given.
    case currentAfterGivingUp
    case nothing
  }

  /// What a boot begins with; asked again in the same boot, the answer is the same.
  package mutating func beginBoot(_ boot: [UInt8]) -> Choice {
    if next.isEmpty { return current.isEmpty ? .nothing : .current }
    if trial == boot { return .next }
    guard attempts < limit else {
      giveUp()
      return current.isEmpty ? .nothing : .currentAfterGivingUp
    }
    attempts += 1
    trial = boot
    return .next
  }

  /// `next` was refused, or could not be applied: it is not tried again.
  package mutating func giveUp() {
    failed = next
    forgetNext()
  }

  /// The host is up. True: what this boot tried is the current one now.
  package mutating func reachHealth(_ boot: [UInt8]) -> Bool {
    guard !next.isEmpty, trial == boot else { return false }
    previous = current
    current = next
    forgetNext()
    failed = []
    return true
  }

  private mutating func forgetNext() {
    next = []
    attempts = 0
    limit = Self.defaultLimit
    trial = []
  }
}

// MARK: - The file

extension SlotState {
  /// `slots`: a line each, a word and its values, in this order.
  package var text: [UInt8] {
    var text: [UInt8] = []
    Self.line(Self.headWord, Self.version, &text)
    if !current.isEmpty { Self.line(Self.currentWord, current, &text) }
    if !previous.isEmpty { Self.line(Self.previousWord, previous, &text) }
    if !failed.isEmpty { Self.line(Self.failedWord, failed, &text) }
    if !next.isEmpty {
      Self.line(Self.nextWord, next, &text)
      Self.line(Self.attemptsWord, [0x30 + attempts, 0x20, 0x30 + limit], &text)
      if !trial.isEmpty { Self.line(Self.trialWord, trial, &text) }
    }
    return text
  }

  /// Nil: not such a file, whole and as `text` writes it.
  package init?(_ bytes: [UInt8]) {
    guard bytes.count <= Self.maximumLength else { return nil }
    self.init()
    var offset = 0
    while offset < bytes.count {
      var wordEnd = offset
      while wordEnd < bytes.count, bytes[wordEnd] != 0x20 { wordEnd += 1 }
      var end = wordEnd
      while end < bytes.count, bytes[end] != 0x0a { end += 1 }
      guard end < bytes.count, wordEnd < end else { return nil }
      guard take(bytes, offset..<wordEnd, (wordEnd + 1)..<end) else { return nil }
      offset = end + 1
    }
    // One spelling each: what is not written like that was not written by us.
    guard Self.isSame(text, bytes) else { return nil }
  }

  private mutating func take(_ bytes: [UInt8], _ word: Range<Int>, _ value: Range<Int>) -> Bool {
    let text = Self.copy(bytes, value)
    switch bytes[word.lowerBound] {
    case 0x6c: return true  // the first line; whether it is right shows the comparison with `text`
    case 0x63: current = text
    case 0x70: previous = text
    case 0x66: failed = text
    case 0x6e: next = text
    case 0x61:
      guard text.count == 3, Self.isDigit(text[0]), Self.isDigit(text[2]) else { return false }
      attempts = text[0] - 0x30
      limit = text[2] - 0x30
      return limit > 0 && attempts <= limit
    case 0x74:
      trial = text
      return Self.isBootID(text)
    default: return false
    }
    return Self.isName(text)
  }

  package static func isName(_ text: [UInt8]) -> Bool {
    guard text.count == 64 else { return false }
    for byte in text where !isDigit(byte) && (byte < 0x61 || byte > 0x66) { return false }
    return true
  }

  /// As /proc/sys/kernel/random/boot_id has it: 36 hexadecimal digits and dashes.
  package static func isBootID(_ text: [UInt8]) -> Bool {
    guard text.count == 36 else { return false }
    for byte in text where !isDigit(byte) && (byte < 0x61 || byte > 0x66) && byte != 0x2d { return false }
    return true
  }

  private static func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }

  private static func isSame(_ a: [UInt8], _ b: [UInt8]) -> Bool {
    guard a.count == b.count else { return false }
    for index in 0..<a.count where a[index] != b[index] { return false }
    return true
  }

  private static func copy(_ bytes: [UInt8], _ range: Range<Int>) -> [UInt8] {
    var copy: [UInt8] = []
    for index in range { copy.append(bytes[index]) }
    return copy
  }

  private static func line(_ word: StaticString, _ value: [UInt8], _ text: inout [UInt8]) {
    word.withUTF8Buffer { unsafe text.append(contentsOf: $0) }
    text.append(0x20)
    for byte in value { text.append(byte) }
    text.append(0x0a)
  }

  private static var headWord: StaticString { "lockdown-slots" }
  private static var version: [UInt8] { [0x31] }
  private static var currentWord: StaticString { "current" }
  private static var previousWord: StaticString { "previous" }
  private static var failedWord: StaticString { "failed" }
  private static var nextWord: StaticString { "next" }
  private static var attemptsWord: StaticString { "attempts" }
  private static var trialWord: StaticString { "trial" }
}
