import Diagnostics
import Testing

@Suite struct LineDifferenceTests {
  private func unified(_ old: String, _ new: String, context: Int = 3) -> String {
    let difference = LineDifference(from: Array(old.utf8), to: Array(new.utf8))
    #expect(difference.isEmpty == (old == new))
    return String(decoding: difference.unified(oldName: "a", newName: "b", context: context), as: UTF8.self)
  }

  @Test func nothing() { #expect(unified("a\nb\n", "a\nb\n") == "") }

  @Test func oneLine() {
    #expect(
      unified("1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nfive\n6\n7\n8\n9\n")
        == "--- a\n+++ b\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n")
  }

  @Test func fromAndToNothing() {
    #expect(unified("", "1\n2\n") == "--- a\n+++ b\n@@ -0,0 +1,2 @@\n+1\n+2\n")
    #expect(unified("1\n", "") == "--- a\n+++ b\n@@ -1 +0,0 @@\n-1\n")
  }

  @Test func noLineEnd() {
    #expect(
      unified("1\n2", "1\n2\n")
        == "--- a\n+++ b\n@@ -1,2 +1,2 @@\n 1\n-2\n\\ No newline at end of file\n+2\n")
  }

  @Test func twoHunks() {
    #expect(
      unified("a\nb\nc\nd\ne\nf\n", "a\nB\nc\nd\ne\nF\n", context: 1)
        == "--- a\n+++ b\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n@@ -5,2 +5,2 @@\n e\n-f\n+F\n")
  }

  /// Reading a difference as `patch` does gives the new text.
  @Test func applied() {
    var state: UInt64 = 7
    func random(_ bound: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % bound
    }
    func text() -> [String] { (0..<random(12)).map { _ in ["a", "b", "c", "d", "e", "f"][random(6)] } }
    for _ in 0..<3000 {
      let old = text()
      var new = old
      for _ in 0..<random(5) {
        switch random(3) {
        case 0: new.insert(["x", "a", "b"][random(3)], at: random(new.count + 1))
        case 1 where !new.isEmpty: new.remove(at: random(new.count))
        default: new = random(4) == 0 ? text() : new
        }
      }
      let (a, b) = (old.map { $0 + "\n" }.joined(), new.map { $0 + "\n" }.joined())
      #expect(applying(unified(a, b, context: random(4)), to: old) == new)
    }
  }

  private func applying(_ difference: String, to old: [String]) -> [String]? {
    var result: [String] = []
    var position = 0
    for line in difference.split(separator: "\n").dropFirst(2) {
      if line.hasPrefix("@@") {
        let range = line.dropFirst(4).prefix { $0 != " " }.split(separator: ",").map { Int($0) ?? 0 }
        let start = range.count == 2 && range[1] == 0 ? range[0] : range[0] - 1
        guard start >= position, start <= old.count else { return nil }
        result += old[position..<start]
        position = start
        continue
      }
      let text = String(line.dropFirst())
      if line.first != "+" {
        guard position < old.count, old[position] == text else { return nil }
        position += 1
      }
      if line.first != "-" { result.append(text) }
    }
    return result + old[position...]
  }
}
