import Diagnostics
import PolicyModel
import PolicySyntax

/// `between`: lists of rules for pairs of zones (LANGUAGE.md §4.13).
///
/// Each list with `any` in it becomes a chain of its own; each pair of two zones, or of one and the host, a chain that
/// jumps to those lists, holds its own rules and ends in its policy. The base chains lead each packet to its pair.
struct ZonePair {
  var from: ZoneSide
  var to: ZoneSide
  /// What happens to a packet that no list decides.
  var policy: ChainPolicy
  var policySpan: SourceSpan
  /// Names of the chains of the lists with `any`, in their order.
  var lists: [String]

  /// The hooks whose packets are of it.
  var hooks: [Hook] {
    switch (from, to) {
    case (.host, .host): [.input, .output]
    case (_, .host): [.input]
    case (.host, _): [.output]
    default: [.forward]
    }
  }

  static func name(_ from: ZoneSide, _ to: ZoneSide) -> String { "\(from.name)-to-\(to.name)" }
}

extension Checker {
  private struct List {
    var from: ZoneSide
    var to: ZoneSide
    var entry: SyntaxEntry

    var name: String { ZonePair.name(from, to) }
    var policy: (ChainPolicy, SourceSpan)? {
      guard let scalar = entry.value.entry("policy")?.value.scalar else { return nil }
      return ChainPolicy(rawValue: scalar.text).map { ($0, scalar.span) }
    }
    var items: [SyntaxNode] {
      entry.value.sequence ?? entry.value.entry("rules")?.value.sequence ?? []
    }
  }

  /// The chains that `between` makes.
  mutating func pairSources(_ entry: SyntaxEntry?) -> [ChainSource] {
    guard let entry, let entries = entry.value.mapping else { return [] }
    let lists = entries.compactMap { list($0) }
    var sources: [ChainSource] = []
    func written(_ from: ZoneSide, _ to: ZoneSide) -> List? { lists.first { $0.from == from && $0.to == to } }
    for list in lists where list.from == .any || list.to == .any {
      var source = ChainSource(name: list.name, key: list.entry, items: readItems(list.items))
      source.isOfPairs = true
      sources.append(source)
    }
    let sides = [ZoneSide.host] + zones.map { .zone($0.name) }
    for from in sides {
      for to in sides {
        let own = written(from, to)
        // Traffic inside a zone must be written.
        if from == to, from != .host, own == nil { continue }
        let general = [written(.any, .any), written(from, .any), written(.any, to)].compactMap { $0 }
        guard own != nil || !general.isEmpty, let key = own?.entry ?? general.last?.entry else { continue }
        let policies = [own, written(from, .any), written(.any, to), written(.any, .any)]
        let policy = policies.lazy.compactMap { $0?.policy }.first ?? (.drop, key.key.span)
        var source = ChainSource(
          name: ZonePair.name(from, to), key: key, items: own.map { readItems($0.items) } ?? [])
        source.isOfPairs = true
        source.pair = ZonePair(
          from: from, to: to, policy: policy.0, policySpan: policy.1, lists: general.map(\.name))
        source.led = general.map { Spanned($0.name, $0.entry.key.span) }
        sources.append(source)
      }
    }
    return sources
  }

  /// `A to B` and what stands below it.
  private mutating func list(_ entry: SyntaxEntry) -> List? {
    let words = entry.key.text.split(separator: " ").map(String.init)
    guard words.count == 3, words[1] == "to" else {
      error(
        .badName, entry.key.span, "`\(entry.key.text)` is no pair of zones",
        help: ["write `A to B`, as in `lan to host` or `any to wan`"])
      return nil
    }
    guard let from = side(words[0], at: entry.key.span), let to = side(words[2], at: entry.key.span) else {
      return nil
    }
    return List(from: from, to: to, entry: entry)
  }

  /// The rule of a base chain that leads a pair's packets to its chain.
  func rule(leadingTo source: ChainSource, of pair: ZonePair, in hook: Hook, ordinal: Int) -> Rule {
    let id = "between/\(source.name)" + (ordinal == 1 ? "" : ".\(ordinal)")
    var rule = Rule(
      id: id, name: nil, text: "jump \(source.name)", verdict: .jump(source.name), span: source.span)
    rule.matches = matches(.from, pair.from) + matches(.to, pair.to)
    if pair.from == .host, pair.to == .host {
      rule.matches = [Match(.interfaces(hook == .input ? .input : .output, [InterfacePattern("lo")]))]
    }
    rule.families = families(of: pair.from).intersection(families(of: pair.to))
    rule.origin = .expanded(from: "between/\(source.name)")
    return rule
  }

  /// The rules of a pair's chain before its own: the lists with `any`.
  func listRules(of source: ChainSource, _ pair: ZonePair) -> [Rule] {
    pair.lists.map { list in
      var rule = Rule(
        id: "between/\(source.name)/\(list)", name: nil, text: "jump \(list)", verdict: .jump(list),
        span: source.span)
      rule.origin = .expanded(from: "between/\(source.name)")
      return rule
    }
  }
}
