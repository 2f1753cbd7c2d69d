import Diagnostics
import PolicyModel
import PolicySamples
import PolicySyntax
import Testing

@testable import PolicyChecker

/// The fast path of list files reads what the grammar of addresses reads, and nothing else.
@Suite struct ListTests {
  private func read(_ text: String) -> (list: AddressList?, findings: [Diagnostic]) {
    var diagnostics = DiagnosticList()
    let file = SourceFile(id: SourceID(0), path: "a.netset", bytes: Array(text.utf8))
    return (AddressList.read(file, diagnostics: &diagnostics), diagnostics.all)
  }

  @Test func forms() throws {
    let (list, findings) = read(
      """
      # a comment
      192.0.2.0/24\t# and another
        203.0.113.7\r
      198.51.100.4-198.51.100.9

      ::/0
      2001:DB8::5
      """)
    #expect(findings.isEmpty)
    let addresses = try #require(list).addresses
    #expect(
      addresses.ipv4 == [
        IPv4Range(0xc000_0200, 0xc000_02ff), IPv4Range(0xc633_6404, 0xc633_6409),
        IPv4Range(0xcb00_7107, 0xcb00_7107),
      ])
    #expect(addresses.ipv6 == [IPv6Range(0, .max)])
    #expect(list?.entryCount == 5)
  }

  @Test func nothing() throws {
    for text in ["", "\n", "# only words", "\r\n \t\n"] {
      let (list, findings) = read(text)
      #expect(try #require(list).addresses.isEmpty && findings.isEmpty, "\(text)")
    }
  }

  /// Lines near the edges of the grammar, each alone in a list: the same ranges, or refused by both.
  @Test func agreesWithTheGrammar() {
    var random = SeededGenerator(seed: 20)
    var accepted = 0
    for _ in 0..<60_000 {
      let line = Self.line(&random)
      let (list, findings) = read(line)
      let expected = try? AddressText.parse(Array(line.utf8)[...])
      if let expected {
        accepted += 1
        #expect(list?.addresses == AddressSet(expected), "\(line)")
      } else {
        #expect(list == nil && findings.count == 1, "\(line)")
      }
    }
    #expect(accepted > 10_000 && accepted < 50_000, "\(accepted)")
  }

  private static func line(_ random: inout SeededGenerator) -> String {
    func pick<T>(_ values: [T]) -> T { values[Int.random(in: values.indices, using: &random)] }
    func octet() -> String {
      pick(
        ["0", "1", "9", "10", "99", "127", "255", "256", "01", "", "1000", "a"].prefix(pick([7, 7, 7, 12]))
          .map(\.self))
    }
    func group() -> String {
      pick(
        ["0", "1", "a", "db8", "2001", "ffff", "FFFF", "00", "12345", "g", ""].prefix(pick([8, 8, 8, 11]))
          .map(\.self))
    }
    func address() -> String {
      switch Int.random(in: 0..<4, using: &random) {
      case 0: return (0..<pick([4, 4, 4, 3, 5])).map { _ in octet() }.joined(separator: ".")
      case 1: return (0..<pick([8, 8, 7, 9])).map { _ in group() }.joined(separator: ":")
      case 2:
        let head = (0..<Int.random(in: 0...4, using: &random)).map { _ in group() }.joined(separator: ":")
        let tail = (0..<Int.random(in: 0...4, using: &random)).map { _ in group() }.joined(separator: ":")
        return head + pick(["::", "::", "::", ":", ":::"]) + tail
      default:
        return pick([
          "::", "::1", "::ffff:1.2.3.4", "64:ff9b::1.2.3.4", "fe80::1%eth0", "0.0.0.0", "10.0.0.0",
        ])
      }
    }
    switch Int.random(in: 0..<4, using: &random) {
    case 0:
      return address() + "/"
        + pick(["0", "1", "8", "31", "32", "33", "64", "127", "128", "129", "08", "", "x"])
    case 1: return address() + "-" + address()
    default: return address()
    }
  }
}
