/// Suggestions for words that are nearly right.
package enum Spelling {
  /// The candidate nearest to a word, or nil if none is near enough to be meant.
  ///
  /// Near enough is an edit distance of a third of the word's bytes, at least 1 and at most 3, where an
  /// exchange of two neighbours counts once (the optimal string alignment distance of Damerau, 1964, over
  /// bytes). Of equally near candidates the first wins. An abbreviation that begins one candidate only is near too.
  package static func closest(to word: String, among candidates: some Sequence<String>) -> String? {
    let bytes = Array(word.utf8)
    // A long word is no misspelling, and the distance costs its length squared.
    guard !bytes.isEmpty, bytes.count <= 64 else { return nil }
    let bound = bound(bytes.count)
    var best: (candidate: String, distance: Int)?
    for candidate in candidates {
      let limit = best.map { $0.distance - 1 } ?? bound
      guard limit >= 0 else { break }
      let other = Array(candidate.utf8)
      // Replacing every byte is no misspelling of one.
      guard abs(other.count - bytes.count) <= limit, other.count > limit else { continue }
      let distance = Self.distance(bytes, other, limit: limit)
      if distance <= limit { best = (candidate, distance) }
    }
    if let best { return best.candidate }
    // An abbreviation: at least three bytes that begin one candidate only.
    guard bytes.count >= 3 else { return nil }
    let completions = candidates.filter { $0.utf8.count > bytes.count && $0.utf8.starts(with: bytes) }
    return completions.count == 1 ? completions[0] : nil
  }

  /// All candidates that are near enough to be meant, the nearest first; see ``closest(to:among:)``. An abbreviation is
  /// not near here.
  package static func near(_ word: String, among candidates: some Sequence<String>) -> [String] {
    let bytes = Array(word.utf8)
    guard !bytes.isEmpty, bytes.count <= 64 else { return [] }
    let bound = bound(bytes.count)
    var near: [(candidate: String, distance: Int)] = []
    for candidate in candidates {
      let other = Array(candidate.utf8)
      guard abs(other.count - bytes.count) <= bound, other.count > bound else { continue }
      let distance = distance(bytes, other, limit: bound)
      if distance <= bound { near.append((candidate, distance)) }
    }
    return (0...bound).flatMap { distance in near.filter { $0.distance == distance }.map(\.candidate) }
  }

  /// The known name that an unknown one differs from by one letter, or two in the wrong order, the first by its bytes; nil
  /// if there is none. Of names of up to three bytes, almost any two are as near.
  package static func oneOff(_ name: String, of known: Set<String>) -> String? {
    guard name.utf8.count > 3, !known.contains(name) else { return nil }
    let bytes = Array(name.utf8)
    return known.filter { other in
      abs(other.utf8.count - bytes.count) <= 1 && distance(bytes, Array(other.utf8), limit: 1) == 1
    }.min()
  }

  /// The largest distance that is near, of a word of so many bytes.
  private static func bound(_ count: Int) -> Int { min(3, max(1, count / 3)) }

  /// How many insertions, deletions, replacements and exchanges of neighbours lead from one to the other.
  ///
  /// - Parameters:
  ///   - limit: a larger distance may be given as any number above it, found sooner.
  package static func distance(_ a: [UInt8], _ b: [UInt8], limit: Int = .max) -> Int {
    if a.isEmpty || b.isEmpty { return max(a.count, b.count) }
    // Rows of the table of prefixes; ranges are spelled out because generic loops are slow without optimiser.
    let width = b.count + 1
    var beforeLast = [Int](repeating: 0, count: width)
    var last = beforeLast
    var row = beforeLast
    var j = 0
    while j < width {
      last[j] = j
      j += 1
    }
    var i = 1
    while i <= a.count {
      row[0] = i
      var least = i
      j = 1
      while j < width {
        var best = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)
        if last[j] < best { best = last[j] + 1 }
        if row[j - 1] < best { best = row[j - 1] + 1 }
        if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1], beforeLast[j - 2] + 1 < best {
          best = beforeLast[j - 2] + 1
        }
        row[j] = best
        if best < least { least = best }
        j += 1
      }
      // An exchange reaches back two rows, but costs one more than what it starts from.
      if least > limit, i > 1, last.allSatisfy({ $0 > limit }) { return least }
      swap(&beforeLast, &last)
      swap(&last, &row)
      i += 1
    }
    return last[b.count]
  }
}
