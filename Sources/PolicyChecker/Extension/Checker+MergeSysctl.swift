import Diagnostics
import PolicySyntax

/// `sysctl` of several files (LANGUAGE.md §5.3, §8).
extension Checker {
  /// One statement of a file, by the setting it is about.
  private struct Stated {
    var key: SysctlKey
    var entry: SyntaxEntry
    /// As the kernel prints it.
    var value: String

    var place: (text: String, span: SourceSpan) { (value, entry.key.span) }
  }

  private typealias Side = [String: Stated]

  mutating func mergedSysctls(_ parts: Inheritance) -> SyntaxNode? {
    guard let first = parts.all.first, parts.all.count > 1 else { return parts.all.first?.value }
    let own = parts.own.map { Self.side($0) } ?? [:]
    let inherited = parts.inherited.map { Self.side($0) }
    var result = own
    for name in Set(inherited.flatMap(\.keys)).sorted() where own[name] == nil {
      result[name] = meet(name, inherited)
    }
    let fragments = parts.fragments.map { Self.side($0) }
    for (name, stated) in own.sorted(by: { $0.key < $1.key }) {
      for fragment in fragments {
        guard let other = Self.effective(name, stated.key, in: fragment),
          Self.strength(of: stated, comparedWith: other) ?? 0 < 0
        else { continue }
        weakened("`\(stated.key.text)`", stated.place, other.place)
        break
      }
    }
    reportWeakerTogether(result, inherited, own)
    // A key that stands twice in one file, under two names, is that file's fault, and is found there.
    let entries = result.sorted { $0.key < $1.key }.map(\.value.entry)
    return SyntaxNode(.mapping(entries), span: first.value.span, isFlow: first.value.isFlow)
  }

  private static func side(_ entry: SyntaxEntry) -> Side {
    var side: Side = [:]
    for item in entry.value.mapping ?? [] {
      guard let key = try? SysctlKey(item.key.text), let scalar = item.value.scalar else { continue }
      side[key.canonical.text] = Stated(
        key: key, entry: item, value: SysctlTable.row(for: key)?.normalized(scalar.text) ?? scalar.text)
    }
    return side
  }

  /// What a side says of a setting: its own line for it, or that for all interfaces.
  private static func effective(_ name: String, _ key: SysctlKey, in side: Side) -> Stated? {
    side[name] ?? key.canonical.withInterface("*").flatMap { side[$0.text] }
  }

  private static func strength(of a: Stated, comparedWith b: Stated) -> Int? {
    if a.value == b.value { return 0 }
    return SysctlTable.row(for: a.key)?.strength(of: a.value, comparedWith: b.value)
  }

  /// The strongest of what the sides say of one setting; a side that says nothing asks for nothing.
  private mutating func meet(_ name: String, _ sides: [Side]) -> Stated? {
    // The spelling is that of a file which states the setting itself.
    guard let spelling = sides.compactMap({ $0[name] }).min(by: { $0.key.text < $1.key.text }) else {
      return nil
    }
    let candidates = sides.compactMap { Self.effective(name, spelling.key, in: $0) }
    let strongest = meet(
      "`\(spelling.key.text)`", candidates, place: \.place
    ) { Self.strength(of: $0, comparedWith: $1) }
    guard let strongest else { return nil }
    return Stated(
      key: spelling.key, entry: SyntaxEntry(key: spelling.entry.key, value: strongest.entry.value),
      value: strongest.value)
  }

  /// `all` and an interface make one value together, so that two files can be weaker together than each alone: rp_filter
  /// 1 for `all` and 2 for `eth0` are 2 for `eth0`.
  private mutating func reportWeakerTogether(_ result: Side, _ inherited: [Side], _ own: Side) {
    let together = EffectiveSysctls(result.values.map { ($0.key, $0.value) })
    for side in inherited {
      let alone = EffectiveSysctls(side.values.map { ($0.key, $0.value) })
      for stated in side.values.sorted(by: { $0.key.text < $1.key.text }) {
        guard let row = SysctlTable.row(for: stated.key), row.isOrdered, stated.key.interface != nil else {
          continue
        }
        for place in together.places(of: stated.key) {
          let deciding = together.deciding(place).compactMap { result[$0.canonical.text] }
          // Where the policy says something itself, it decides.
          guard deciding.allSatisfy({ own[$0.key.canonical.text] == nil }),
            let now = together.value(at: place), let before = alone.value(at: place),
            let strength = row.strength(of: now, comparedWith: before), strength < 0
          else { continue }
          let other = deciding.first { $0.entry.key.span.source != stated.entry.key.span.source }
          incomparable(
            "what `\(place.text)` comes to", (before, stated.entry.key.span),
            (now, (other ?? deciding.first ?? stated).entry.key.span))
          return
        }
      }
    }
  }
}
