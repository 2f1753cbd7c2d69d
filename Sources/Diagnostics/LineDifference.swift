/// How one text becomes another, line by line, as `diff -u` prints it.
package struct LineDifference: Sendable {
  private enum Change {
    /// By the line of the old text.
    case keep(Int)
    case remove(Int)
    case insert(Int)
  }

  private let old: [ArraySlice<UInt8>]
  private let new: [ArraySlice<UInt8>]
  private var changes: [Change] = []

  package init(from old: [UInt8], to new: [UInt8]) {
    self.old = Self.lines(of: old)
    self.new = Self.lines(of: new)
    compare(0..<self.old.count, 0..<self.new.count)
  }

  /// With their line feeds; only the last line can be without.
  private static func lines(of bytes: [UInt8]) -> [ArraySlice<UInt8>] {
    var lines: [ArraySlice<UInt8>] = []
    var start = 0
    for (offset, byte) in bytes.enumerated() where byte == 0x0a {
      lines.append(bytes[start...offset])
      start = offset + 1
    }
    if start < bytes.count { lines.append(bytes[start...]) }
    return lines
  }

  // MARK: Comparing

  // Patience: lines that stand once in both texts are anchors; between two of them the same again. Not always the
  // shortest difference, but one that keeps what people take for the same line, in n log n.
  private mutating func compare(_ old: Range<Int>, _ new: Range<Int>) {
    var (old, new) = (old, new)
    while let a = old.first, let b = new.first, self.old[a] == self.new[b] {
      changes.append(.keep(a))
      (old, new) = (old.dropFirst(), new.dropFirst())
    }
    var tail: [Change] = []
    while let a = old.last, let b = new.last, self.old[a] == self.new[b] {
      tail.append(.keep(a))
      (old, new) = (old.dropLast(), new.dropLast())
    }
    let anchors = old.isEmpty || new.isEmpty ? [] : anchors(old, new)
    var (start, newStart) = (old.lowerBound, new.lowerBound)
    if anchors.isEmpty {
      changes += old.map(Change.remove) + new.map(Change.insert)
    } else {
      for (a, b) in anchors {
        compare(start..<a, newStart..<b)
        changes.append(.keep(a))
        (start, newStart) = (a + 1, b + 1)
      }
      compare(start..<old.upperBound, newStart..<new.upperBound)
    }
    changes += tail.reversed()
  }

  /// The longest run of lines that stand once on either side, ascending on both.
  private func anchors(_ old: Range<Int>, _ new: Range<Int>) -> [(Int, Int)] {
    // Place on each side; nil where the line stands there more than once.
    var places: [ArraySlice<UInt8>: (old: Int?, new: Int?, isOnce: Bool)] = [:]
    for index in old {
      let known = places[self.old[index]]
      places[self.old[index]] = (index, nil, known == nil)
    }
    for index in new {
      guard let known = places[self.new[index]] else { continue }
      places[self.new[index]] = (known.old, index, known.isOnce && known.new == nil)
    }
    var pairs: [(Int, Int)] = []
    for index in new {
      if let place = places[self.new[index]], place.isOnce, let a = place.old, place.new == index {
        pairs.append((a, index))
      }
    }
    return Self.longestAscending(pairs)
  }

  /// By patience sorting on the first number; the second ascends already.
  private static func longestAscending(_ pairs: [(Int, Int)]) -> [(Int, Int)] {
    var piles: [Int] = []
    var previous = [Int](repeating: -1, count: pairs.count)
    for (index, pair) in pairs.enumerated() {
      var (low, high) = (0, piles.count)
      while low < high {
        let middle = (low + high) / 2
        if pairs[piles[middle]].0 < pair.0 { low = middle + 1 } else { high = middle }
      }
      if low > 0 { previous[index] = piles[low - 1] }
      if low == piles.count { piles.append(index) } else { piles[low] = index }
    }
    var run: [(Int, Int)] = []
    var index = piles.last ?? -1
    while index >= 0 {
      run.append(pairs[index])
      index = previous[index]
    }
    return run.reversed()
  }

  // MARK: Printing

  package var isEmpty: Bool {
    changes.allSatisfy { if case .keep = $0 { true } else { false } }
  }

  /// The unified format of `diff -u` and `patch`; empty if nothing differs.
  ///
  /// - Parameter context: Unchanged lines around a change.
  package func unified(oldName: String, newName: String, context: Int = 3) -> [UInt8] {
    var output: [UInt8] = []
    // Lines in front of `position`, an index into the changes.
    var before = (old: 0, new: 0)
    var position = 0
    for hunk in hunks(context: context) {
      if output.isEmpty { output += "--- \(oldName)\n+++ \(newName)\n".utf8 }
      for change in changes[position..<hunk.lowerBound] { Self.count(change, in: &before) }
      var behind = before
      var body: [UInt8] = []
      for change in changes[hunk] {
        Self.count(change, in: &behind)
        append(change, to: &body)
      }
      let ranges = (
        Self.range(before.old, behind.old - before.old), Self.range(before.new, behind.new - before.new)
      )
      output += "@@ -\(ranges.0) +\(ranges.1) @@\n".utf8 + body
      (before, position) = (behind, hunk.upperBound)
    }
    return output
  }

  /// Stretches of changes with their context; those that touch are one.
  private func hunks(context: Int) -> [Range<Int>] {
    var hunks: [Range<Int>] = []
    for (index, change) in changes.enumerated() {
      if case .keep = change { continue }
      let hunk = max(0, index - context)..<min(changes.count, index + 1 + context)
      if let last = hunks.last, last.upperBound >= hunk.lowerBound {
        hunks[hunks.count - 1] = last.lowerBound..<hunk.upperBound
      } else {
        hunks.append(hunk)
      }
    }
    return hunks
  }

  private static func count(_ change: Change, in lines: inout (old: Int, new: Int)) {
    switch change {
    case .keep: lines = (lines.old + 1, lines.new + 1)
    case .remove: lines.old += 1
    case .insert: lines.new += 1
    }
  }

  /// Line numbers from 1; an empty range names the line before it.
  private static func range(_ before: Int, _ count: Int) -> String {
    let start = count == 0 ? before : before + 1
    return count == 1 ? "\(start)" : "\(start),\(count)"
  }

  private func append(_ change: Change, to body: inout [UInt8]) {
    let (sign, line) =
      switch change {
      case .keep(let index): (" ", old[index])
      case .remove(let index): ("-", old[index])
      case .insert(let index): ("+", new[index])
      }
    body += sign.utf8
    body += line
    if line.last != 0x0a { body += "\n\\ No newline at end of file\n".utf8 }
  }
}
