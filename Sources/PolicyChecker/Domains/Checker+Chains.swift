import Diagnostics
import PolicyModel
import PolicySyntax

/// Which chain leads to which (LANGUAGE.md §4.11).
extension Checker {
  /// Places of items that are no chains (LANGUAGE.md §7): a chain of that name would share their ids.
  private static let otherPlaces: Set<String> = [
    "set", "sysctl", "mount", "module", "kernel", "syscall", "expect", "guarantee", "delegate", "loosen",
    "between",
  ]

  /// False and reported if a chain below `chains` cannot have its name.
  mutating func hasFreeName(_ key: SyntaxScalar) -> Bool {
    if Hook(rawValue: key.text) != nil || Self.otherPlaces.contains(key.text) {
      error(
        .duplicatePlace, key.span, "`\(key.text)` is the name of another place",
        help: ["the ids of a chain's rules begin with its name: give it one of its own"])
    } else if RuleKeyword(rawValue: key.text) != nil {
      error(
        .badName, key.span, "`\(key.text)` is a word of the rule language",
        help: ["no rule could lead to a chain of that name: give it another"])
    } else {
      return true
    }
    return false
  }

  /// Chains of one name, of which one is a pair of zones.
  mutating func checkPairNames(_ sources: [ChainSource]) {
    for (index, source) in sources.enumerated() where source.isOfPairs {
      guard let other = sources.enumerated().first(where: { $0 != index && $1.name == source.name })?.element,
        !other.isOfPairs || other.span.start < source.span.start
      else { continue }
      error(
        .duplicatePlace, source.span,
        "the rules of this pair stand in `\(source.name)`, which is another place",
        help: ["the ids of its rules begin with that name: name a zone or the chain otherwise"],
        related: [Diagnostic.Label(other.span, "the other place")])
    }
  }

  /// Reports every target that is no regular chain.
  mutating func checkTargets(_ sources: [ChainSource]) {
    let regular = Set(sources.filter { $0.base == nil && !$0.isOfPairs }.map(\.name))
    for source in sources {
      for target in source.writtenTargets where !regular.contains(target.value) {
        let isBase = sources.contains { $0.name == target.value }
        error(
          .unknownChain, target.span,
          isBase ? "`\(target.value)` is no chain to jump to" : "there is no chain `\(target.value)`",
          help: isBase
            ? ["packets come to it by hook or zones; rules lead to regular chains, below `chains`"]
            : suggestion(for: target.value, among: regular.sorted(), otherwise: "write it below `chains`"),
          fixIts: isBase ? [] : correction(of: target.span, word: target.value, among: regular.sorted()))
      }
    }
  }

  /// Reports every `jump` and `goto` that leads back to a chain on its own way.
  mutating func checkLoops(_ sources: [ChainSource]) {
    let byName = Dictionary(sources.filter { $0.base == nil }.map { ($0.name, $0) }) { first, _ in first }
    var finished: Set<String> = []
    for source in sources where source.base == nil {
      var path: [String] = []
      followTargets(of: source, byName, &path, &finished)
    }
  }

  private mutating func followTargets(
    of source: ChainSource, _ byName: [String: ChainSource], _ path: inout [String],
    _ finished: inout Set<String>
  ) {
    guard !finished.contains(source.name) else { return }
    path.append(source.name)
    for target in source.targets {
      if let start = path.firstIndex(of: target.value) {
        let loop = (path[start...] + [target.value]).map { "`\($0)`" }.joined(separator: " → ")
        error(
          .chainDepth, target.span, "this leads back to `\(target.value)`: the chains would never end",
          help: ["the loop is \(loop)"])
      } else if let next = byName[target.value] {
        followTargets(of: next, byName, &path, &finished)
      }
    }
    path.removeLast()
    finished.insert(source.name)
  }

  /// The base chains that lead to each regular chain, in the order of the base chains.
  func origins(_ sources: [ChainSource]) -> [String: [Place.Origin]] {
    let byName = Dictionary(sources.filter { $0.base == nil }.map { ($0.name, $0) }) { first, _ in first }
    var origins: [String: [Place.Origin]] = [:]
    for source in sources {
      guard let base = source.base else { continue }
      var seen: Set<String> = []
      var waiting = source.targets
      while let target = waiting.popLast() {
        guard seen.insert(target.value).inserted, let chain = byName[target.value] else { continue }
        origins[target.value, default: []].append(
          Place.Origin(
            name: source.name, hook: base.hook, priority: base.priority, isNAT: base.isNAT,
            jump: target.span))
        waiting += chain.targets
      }
    }
    return origins
  }

  /// A regular chain that no packet comes to.
  mutating func reportUnused(_ source: ChainSource, _ origins: [Place.Origin]) {
    // What was lost to an error may lead to it.
    guard origins.isEmpty, !source.isOfPairs, !diagnostics.hasErrors else { return }
    warning(
      .unusedChain, source.span, "no rule of a base chain leads to `\(source.name)`",
      help: ["enter it by `jump \(source.name)`, or take it out"])
  }
}
