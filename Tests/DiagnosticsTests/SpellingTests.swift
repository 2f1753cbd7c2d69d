import Diagnostics
import Testing

@Suite struct SpellingTests {
  static let words = ["accept", "drop", "reject", "from", "established", "in", "tcp", "to"]

  @Test(arguments: [
    ("acept", "accept"), ("accpet", "accept"), ("dorp", "drop"), ("form", "from"), ("fromm", "from"),
    ("inn", "in"), ("estab", "established"), ("establishd", "established"), ("rejct", "reject"),
  ])
  func finds(_ word: String, _ meant: String) {
    #expect(Spelling.closest(to: word, among: Self.words) == meant)
  }

  @Test(arguments: ["", "x", "zzz", "queue", "eth0", "e", "es", String(repeating: "a", count: 100)])
  func findsNothing(_ word: String) {
    #expect(Spelling.closest(to: word, among: Self.words) == nil)
  }

  @Test func abbreviationsOfTwoAreNone() {
    #expect(Spelling.closest(to: "est", among: ["establish", "estimate"]) == nil)
  }

  /// The recursive definition of the distance, as an oracle.
  private func distance(_ a: ArraySlice<UInt8>, _ b: ArraySlice<UInt8>) -> Int {
    guard let x = a.last, let y = b.last else { return max(a.count, b.count) }
    var best = min(distance(a.dropLast(), b) + 1, distance(a, b.dropLast()) + 1)
    best = min(best, distance(a.dropLast(), b.dropLast()) + (x == y ? 0 : 1))
    if a.count > 1, b.count > 1, x == b.dropLast().last, y == a.dropLast().last {
      best = min(best, distance(a.dropLast(2), b.dropLast(2)) + 1)
    }
    return best
  }

  @Test func distanceIsThatOfItsDefinition() {
    var texts: [[UInt8]] = [[]]
    for length in 1...4 {
      texts += (0..<81).map { number in (0..<length).map { UInt8(97 + number / [1, 3, 9, 27][$0] % 3) } }
    }
    for a in texts.enumerated().filter({ $0.offset % 7 == 0 }) {
      for b in texts.enumerated().filter({ $0.offset % 5 == 0 }) {
        let expected = distance(a.element[...], b.element[...])
        #expect(Spelling.distance(a.element, b.element) == expected)
        for limit in 0...3 {
          let found = Spelling.distance(a.element, b.element, limit: limit)
          #expect(found == expected || (found > limit && expected > limit))
        }
      }
    }
  }
}
