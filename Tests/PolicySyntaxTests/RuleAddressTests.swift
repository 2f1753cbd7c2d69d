import Diagnostics
import Glibc
import PolicySyntax
import Testing

/// IP literals against inet_pton(3) and inet_ntop(3).
@Suite struct RuleAddressTests {
  private func oracle(_ family: IPFamily, _ text: String) -> UInt128? {
    var bytes = [UInt8](repeating: 0, count: 16)
    let domain = family == .ipv4 ? AF_INET : AF_INET6
    guard inet_pton(domain, text, &bytes) == 1 else { return nil }
    return bytes.prefix(family == .ipv4 ? 4 : 16).reduce(0) { $0 << 8 | UInt128($1) }
  }

  private func oraclePrint(_ family: IPFamily, _ value: UInt128) -> String {
    let width = family == .ipv4 ? 4 : 16
    let bytes = (0..<width).map { UInt8(truncatingIfNeeded: value >> UInt128(8 * (width - 1 - $0))) }
    var text = [CChar](repeating: 0, count: 64)
    inet_ntop(family == .ipv4 ? AF_INET : AF_INET6, bytes, &text, 64)
    return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  private func parse(_ text: String) -> (family: IPFamily, value: UInt128)? {
    try? AddressText.parseAddress(Array(text.utf8)[...])
  }

  @Test func printsAsTheLibraryDoes() {
    var generator = RuleGenerator(seed: 7)
    for _ in 0..<20_000 {
      let range = generator.addressRange()
      // The library writes ::/96 with an IPv4 tail; RFC 5952 §5 leaves that to known prefixes.
      guard range.family == .ipv4 || range.lower >> 32 != 0 || range.lower < 0x10000 else { continue }
      let text = AddressText.print(range.family, range.lower)
      #expect(text == oraclePrint(range.family, range.lower))
      #expect(parse(text)?.value == range.lower)
    }
  }

  @Test func readsWhatTheLibraryReads() {
    var generator = RuleGenerator(seed: 8)
    var accepted = 0
    for _ in 0..<40_000 {
      var bytes = Array(
        AddressText.print(generator.pick([.ipv4, .ipv6]), generator.addressRange().lower).utf8)
      if generator.chance(30) { bytes = Array("64:ff9b::192.0.2.1".utf8) }
      for _ in 0..<generator.pick([0, 1, 1, 2, 3]) where !bytes.isEmpty {
        let at = Int.random(in: 0..<bytes.count, using: &generator.random)
        let byte = generator.pick(Array("0123456789abcdefABCDEF::::....g".utf8))
        switch Int.random(in: 0..<3, using: &generator.random) {
        case 0: bytes[at] = byte
        case 1: bytes.insert(byte, at: at)
        default: bytes.remove(at: at)
        }
      }
      let text = String(decoding: bytes, as: UTF8.self)
      let expected = oracle(.ipv4, text) ?? oracle(.ipv6, text)
      let found = parse(text)?.value
      // IPv4-mapped addresses are refused on purpose.
      if let expected, text.contains(":"), expected >> 32 == 0xffff {
        #expect(found == nil)
      } else {
        #expect(found == expected, "\(text)")
        if found != nil { accepted += 1 }
      }
    }
    #expect(accepted > 5000)
  }

  @Test func quantities() {
    func bytes(_ text: String) -> ArraySlice<UInt8> { Array(text.utf8)[...] }
    func duration(_ text: String) -> UInt64? { try? QuantityText.parseDuration(bytes(text)).seconds }
    #expect(duration("1d2h3m4s") == 93784)
    #expect(duration("0s") == 0)
    #expect(duration("120s") == 120)
    for bad in [
      "", "5", "s", "5s5m", "5m5m", "05s", "5w", "-5s", "5 s", "99999999999999999999s", "9223372037s", "1.5h",
    ] {
      #expect(duration(bad) == nil, "\(bad)")
    }
    func size(_ text: String) -> UInt64? { try? QuantityText.parseSize(bytes(text)) }
    #expect(size("500mbytes") == 500 << 20)
    #expect(size("0bytes") == 0)
    #expect(size("17179869183gbytes") == 17_179_869_183 << 30)
    for bad in ["17179869184gbytes", "5", "bytes", "5mb", "5tbytes", "05bytes", ""] {
      #expect(size(bad) == nil, "\(bad)")
    }
    func date(_ text: String) -> String? { (try? QuantityText.parseDate(bytes(text)))?.canonicalText }
    for good in ["2027-03-31", "2024-02-29", "2000-02-29", "0001-01-01", "9999-12-31"] {
      #expect(date(good) == good)
    }
    for bad in [
      "2027-02-29", "1900-02-29", "2027-13-01", "2027-00-10", "2027-04-31", "2027-4-01", "27-04-01",
      "0000-01-01", "2027-03-31 ", "2027/03/31", "2027-03-00",
    ] {
      #expect(date(bad) == nil, "\(bad)")
    }
  }
}
