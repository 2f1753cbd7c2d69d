/// The prefixes of a list of patterns, for the question which of them stands for a name: a list of thousands is not
/// gone through for each of them.
package struct InterfacePrefixes {
  private let names: Set<[UInt8]>

  package init(of patterns: some Sequence<InterfacePattern>) {
    names = Set(patterns.lazy.filter(\.isPrefix).map { Array($0.name.utf8) })
  }

  /// Whether a prefix, and not the pattern itself, stands for all names that the pattern stands for.
  package func cover(_ pattern: InterfacePattern) -> Bool {
    if names.isEmpty { return false }
    let name = Array(pattern.name.utf8)
    return (0..<(pattern.isPrefix ? name.count : name.count + 1)).contains {
      names.contains(Array(name.prefix($0)))
    }
  }
}
