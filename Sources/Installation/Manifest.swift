internal import SHA2

/// What an installation has put there: enough to take it away again, and to leave what somebody changed since.
///
/// While an installation runs, the manifest holds what was there before and what will be; after a crash each item is
/// one of both, and listed.
package struct Manifest: Equatable {
  package enum Mark: Hashable {
    /// SHA-256 of the contents, in hexadecimal digits.
    case file(String)
    case link(String)
  }

  /// All that a path may hold and be ours, sorted by path.
  package private(set) var marks: [(path: String, marks: [Mark])] = []
  /// Directories that were not there before, parents first.
  package private(set) var directories: [String] = []

  package init() {}

  package init(_ items: [InstalledItem]) {
    for item in items { add(item.path, Self.mark(of: item)) }
  }

  package static func == (a: Manifest, b: Manifest) -> Bool { a.text == b.text }

  package static func mark(of item: InstalledItem) -> Mark {
    switch item.content {
    case .file(let bytes, _): mark(ofFile: bytes)
    case .link(let target): .link(target)
    }
  }

  package static func mark(ofFile bytes: [UInt8]) -> Mark {
    .file(String(decoding: SHA256.hex(SHA256.hash(bytes)), as: UTF8.self))
  }

  /// Whether something that was found is ours, unchanged.
  package func owns(_ mark: Mark, at path: String) -> Bool {
    marks.first { $0.path == path }?.marks.contains(mark) ?? false
  }

  package func has(_ path: String) -> Bool { marks.contains { $0.path == path } }

  package mutating func add(_ path: String, _ mark: Mark) {
    if let index = marks.firstIndex(where: { $0.path == path }) {
      if !marks[index].marks.contains(mark) { marks[index].marks.append(mark) }
      return
    }
    marks.append((path, [mark]))
    marks.sort { $0.path < $1.path }
  }

  package mutating func add(directory: String) {
    if !directories.contains(directory) { directories.append(directory) }
    // A parent is the beginning of what is in it, and so comes first.
    directories.sort()
  }

  /// With everything of another one.
  package func union(_ other: Manifest) -> Manifest {
    var union = self
    for (path, marks) in other.marks { for mark in marks { union.add(path, mark) } }
    for directory in other.directories { union.add(directory: directory) }
    return union
  }

  // MARK: The file

  package var text: String {
    var lines = ["lockdown-manifest 1"]
    lines += directories.map { "directory \($0)" }
    for (path, marks) in marks {
      for mark in marks {
        switch mark {
        case .file(let digest): lines.append("file \(digest) \(path)")
        case .link(let target): lines.append("link \(target) \(path)")
        }
      }
    }
    return lines.joined(separator: "\n") + "\n"
  }

  /// Nil: not such a file.
  package init?(_ text: String) {
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    guard lines.first == "lockdown-manifest 1", lines.last?.isEmpty == true else { return nil }
    for line in lines.dropFirst().dropLast() {
      let words = line.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
      guard let path = words.last, Self.isSafe(path) else { return nil }
      switch (words[0], words.count) {
      case ("directory", 2): add(directory: path)
      case ("file", 3) where SlotState.isName(Array(words[1].utf8)): add(path, .file(words[1]))
      case ("link", 3) where !words[1].isEmpty: add(path, .link(words[1]))
      default: return nil
      }
    }
  }

  /// Relative, and without a step upwards: a manifest must not lead out of the root that it stands in.
  private static func isSafe(_ path: String) -> Bool {
    let parts = path.split(separator: "/", omittingEmptySubsequences: false)
    return !path.isEmpty && parts.allSatisfy { !$0.isEmpty && $0 != "." && $0 != ".." }
  }
}
