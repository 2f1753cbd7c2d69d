import Diagnostics
import PolicyModel
import PolicySyntax

/// A list file: one address, prefix or range a line, `#` begins a comment (LANGUAGE.md §2).
///
/// Lists have millions of lines, so no line becomes an object: a line of the plain forms is read from its bytes
/// into two numbers. Anything else goes to the grammar of addresses, which also has the words for what is wrong.
struct AddressList {
  private(set) var addresses = AddressSet()
  /// Lines that are not empty.
  private(set) var entryCount = 0

  /// A list with more faults is another kind of file.
  private static let reportedFaults = 20

  /// Nil if a line is wrong; that was reported.
  static func read(_ file: SourceFile, diagnostics: inout DiagnosticList) -> AddressList? {
    var list = AddressList()
    var ipv4: [IPv4Range] = []
    var ipv6: [IPv6Range] = []
    var faults = 0
    var reader = ListReader(file.bytes)
    while let line = reader.line() {
      if case .empty = line { continue }
      list.entryCount += 1
      switch line {
      case .empty: break
      case .ipv4(let range): ipv4.append(range)
      case .ipv6(let range): ipv6.append(range)
      case .other(let entry):
        guard let range = grammar(file, entry, &faults, &diagnostics) else { continue }
        switch range.family {
        case .ipv4: ipv4 += AddressSet(range).ipv4
        case .ipv6: ipv6 += AddressSet(range).ipv6
        }
      }
    }
    if faults > reportedFaults {
      diagnostics.report(
        Diagnostic(
          .badAddress, at: SourceSpan(file.id, 0, 0),
          "\(faults - reportedFaults) more lines of this list are no addresses",
          help: ["a list holds one address, prefix or range a line, and comments that begin with `#`"]))
    }
    guard faults == 0 else { return nil }
    list.addresses = AddressSet(ipv4: ipv4, ipv6: ipv6)
    return list
  }

  /// Nil after a report; at most `reportedFaults` are printed.
  private static func grammar(
    _ file: SourceFile, _ entry: Range<Int>, _ faults: inout Int, _ diagnostics: inout DiagnosticList
  ) -> AddressRangeSyntax? {
    let text = file.bytes[entry]
    do {
      return try AddressText.parse(text)
    } catch {
      faults += 1
      guard faults <= reportedFaults else { return nil }
      var help = error.help
      if text.contains(UInt8(ascii: ";")) { help = ["a comment begins with `#`"] }
      if text.contains(UInt8(ascii: ",")) { help = ["a list has one entry a line"] }
      let span = SourceSpan(file.id, entry.lowerBound, entry.upperBound)
      diagnostics.report(
        Diagnostic(
          error.id, at: SourceSpan(file.id, error.range.lowerBound, error.range.upperBound), error.message,
          label: error.label, help: help,
          fixIts: error.replacements.map { FixIt($0.message, replace: span, with: $0.text) }))
      return nil
    }
  }
}

/// Reads a list line by line.
private struct ListReader {
  enum Line {
    case empty
    case ipv4(IPv4Range)
    case ipv6(IPv6Range)
    /// Not one of the plain forms; what stands between the blanks.
    case other(Range<Int>)
  }

  private let bytes: [UInt8]
  private var at = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  /// 0 at the end of the file: no byte of an entry.
  private func byte(_ index: Int) -> UInt8 { index < bytes.count ? bytes[index] : 0 }

  /// Nil after the last one.
  mutating func line() -> Line? {
    guard at < bytes.count else { return nil }
    skipBlanks()
    let first = at
    if isAtEnd {
      skipLine()
      return .empty
    }
    if let range = plain() {
      skipBlanks()
      if isAtEnd {
        skipLine()
        return range
      }
    }
    at = first
    while !isAtEnd { at += 1 }
    var end = at
    while end > first, Self.isBlank(bytes[end - 1]) { end -= 1 }
    skipLine()
    return .other(first..<end)
  }

  /// At the line's end or a comment.
  private var isAtEnd: Bool { at >= bytes.count || bytes[at] == 0x0a || bytes[at] == UInt8(ascii: "#") }

  private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0d }

  private mutating func skipBlanks() {
    while at < bytes.count, Self.isBlank(bytes[at]) { at += 1 }
  }

  private mutating func skipLine() {
    while at < bytes.count, bytes[at] != 0x0a { at += 1 }
    at += 1
  }

  // MARK: Plain forms

  /// `address` or `address/length`; nil leaves the place anywhere in the line.
  private mutating func plain() -> Line? {
    let first = at
    if let address = ipv4() {
      guard byte(at) != UInt8(ascii: ":") else { return nil }
      guard byte(at) == UInt8(ascii: "/") else {
        return isAtWordEnd ? .ipv4(IPv4Range(address, address)) : nil
      }
      at += 1
      guard let bits = length(upTo: 32), isAtWordEnd else { return nil }
      let host = bits == 0 ? UInt32.max : (1 << UInt32(32 - bits)) - 1
      return address & host == 0 ? .ipv4(IPv4Range(address, address | host)) : nil
    }
    at = first
    guard let address = ipv6(), address >> 32 != 0xffff else { return nil }
    guard byte(at) == UInt8(ascii: "/") else {
      return isAtWordEnd ? .ipv6(IPv6Range(address, address)) : nil
    }
    at += 1
    guard let bits = length(upTo: 128), isAtWordEnd else { return nil }
    let host = bits == 0 ? UInt128.max : (1 << UInt128(128 - bits)) - 1
    return address & host == 0 ? .ipv6(IPv6Range(address, address | host)) : nil
  }

  private var isAtWordEnd: Bool { isAtEnd || Self.isBlank(bytes[at]) }

  /// Decimal without a leading zero.
  private mutating func length(upTo limit: Int) -> Int? {
    guard let digit = digit(at) else { return nil }
    var value = Int(digit)
    at += 1
    guard value != 0 else { return self.digit(at) == nil ? 0 : nil }
    while let digit = self.digit(at) {
      value = value * 10 + Int(digit)
      guard value <= limit else { return nil }
      at += 1
    }
    return value <= limit ? value : nil
  }

  private func digit(_ index: Int) -> UInt8? {
    let digit = byte(index) &- UInt8(ascii: "0")
    return digit <= 9 ? digit : nil
  }

  private mutating func ipv4() -> UInt32? {
    var value: UInt32 = 0
    for part in 0..<4 {
      if part > 0 {
        guard byte(at) == UInt8(ascii: ".") else { return nil }
        at += 1
      }
      guard let octet = length(upTo: 255) else { return nil }
      value = value << 8 | UInt32(octet)
    }
    return value
  }

  /// RFC 4291 §2.2 without an IPv4 tail.
  private mutating func ipv6() -> UInt128? {
    // The groups before `::` and those behind it.
    var (head, tail): (UInt128, UInt128) = (0, 0)
    var (headCount, tailCount) = (0, 0)
    var hasGap = false
    if byte(at) == UInt8(ascii: ":") {
      guard byte(at + 1) == UInt8(ascii: ":") else { return nil }
      at += 2
      hasGap = true
    }
    while let group = group() {
      if hasGap {
        tail = tail << 16 | UInt128(group)
        tailCount += 1
      } else {
        head = head << 16 | UInt128(group)
        headCount += 1
      }
      guard headCount + tailCount < 8, byte(at) == UInt8(ascii: ":") else { break }
      at += 1
      if byte(at) == UInt8(ascii: ":") {
        guard !hasGap else { return nil }
        at += 1
        hasGap = true
      } else if hexadecimal(at) == nil {
        return nil
      }
    }
    guard hasGap else { return headCount == 8 ? head : nil }
    guard headCount + tailCount < 8 else { return nil }
    return headCount == 0 ? tail : head << UInt128(16 * (8 - headCount)) | tail
  }

  private mutating func group() -> UInt16? {
    guard let first = hexadecimal(at) else { return nil }
    var value = UInt16(first)
    at += 1
    var digits = 1
    while let digit = hexadecimal(at) {
      guard digits < 4 else { return nil }
      value = value << 4 | UInt16(digit)
      at += 1
      digits += 1
    }
    return value
  }

  private func hexadecimal(_ index: Int) -> UInt8? {
    let byte = byte(index)
    if let digit = digit(index) { return digit }
    let letter = (byte | 0x20) &- UInt8(ascii: "a")
    return letter < 6 ? letter + 10 : nil
  }
}
