/// Makes files that show a fault smaller for as long as they still show it: without lines, and without items of lists
/// in brackets.
package enum TextShrinker {
  /// - Parameter isFailing: whether the files show the fault, and the same one. It is asked about files that are no
  ///   policies too.
  package static func shrink(
    _ files: [String: String], while isFailing: ([String: String]) -> Bool
  ) -> [String: String] {
    var smallest = files
    var hasShrunk = true
    while hasShrunk {
      hasShrunk = false
      for name in smallest.keys.sorted() {
        // From the end, so that what is left keeps its place.
        var index = lines(smallest[name]).count
        while index > 0 {
          index -= 1
          let all = lines(smallest[name])
          guard index < all.count else { continue }
          for shorter in shorter(all, at: index) {
            var files = smallest
            files[name] = shorter.map { $0 + "\n" }.joined()
            guard isFailing(files) else { continue }
            smallest = files
            hasShrunk = true
            break
          }
        }
      }
    }
    return smallest
  }

  /// Each file with its name, for a person.
  package static func shown(_ files: [String: String]) -> String {
    files.keys.sorted().map { "--- \($0)\n\(files[$0] ?? "")" }.joined()
  }

  private static func lines(_ text: String?) -> [String] {
    (text ?? "").split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
  }

  /// Without the line and all below it, without the line alone, and without an item of its list.
  private static func shorter(_ lines: [String], at index: Int) -> [[String]] {
    func depth(_ line: String) -> Int { line.prefix { $0 == " " }.count }
    let below = lines[(index + 1)...].prefix { depth($0) > depth(lines[index]) }.count
    var results: [[String]] = []
    for count in Set([below, 0]).sorted(by: >) {
      var rest = lines
      rest.removeSubrange(index...(index + count))
      results.append(rest)
    }
    for line in withoutItems(lines[index]) {
      var changed = lines
      changed[index] = line
      results.append(changed)
    }
    return results
  }

  /// The line without each item of its list.
  private static func withoutItems(_ line: String) -> [String] {
    guard let open = line.firstIndex(of: "["), let close = line.lastIndex(of: "]"), open < close else {
      return []
    }
    let items = line[line.index(after: open)..<close].split(separator: ", ")
    guard items.count > 1 else { return [] }
    return items.indices.map { index in
      var rest = items
      rest.remove(at: index)
      return line[...open] + rest.joined(separator: ", ") + line[close...]
    }
  }
}
