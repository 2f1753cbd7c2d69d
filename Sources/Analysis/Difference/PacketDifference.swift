package import Diagnostics
package import PolicyModel

/// What two policies do otherwise to packets.
package struct PacketDifference: Sendable {
  package enum Direction: String, Sendable, CaseIterable {
    /// More is accepted, or the same more often.
    case widened
    /// Neither more nor less, or not known which.
    case incomparable
    case narrowed
    /// As much is accepted, and it can be seen that something changed: dropped or rejected, another mark.
    case visible
  }

  package struct RuleReference: Sendable, Equatable {
    package var id: String
    package var text: String
    package var span: SourceSpan
  }

  /// Packets that one rule of the old policy and one of the new decide differently.
  package struct Change: Sendable {
    package var direction: Direction
    /// `input`, `forward`, `output`, or a chain that is compared for itself.
    package var place: String
    package var before: String
    package var after: String
    /// Those that decide about the example. Nil: the policy of a chain does.
    package var oldRule: RuleReference?
    package var newRule: RuleReference?
    /// How many other rules decide about some of the packets.
    package var otherOldRules = 0
    package var otherNewRules = 0
    /// An irredundant cover, in the words of the language; empty text: all packets.
    package var regions: [String]
    /// Whether `regions` are all.
    package var isComplete: Bool
    package var witness: String
    /// Why that packet cannot arrive on a host with the kernel's own settings; nil: it can.
    package var cannotArrive: String?
    /// The packet that `witness` describes.
    package var sample: PacketSample
    /// Whether packets that open a flow are among them.
    package var opensFlows: Bool
  }

  package struct Unknown: Sendable {
    package var place: String
    package var reason: String

    package init(place: String, reason: String) {
      self.place = place
      self.reason = reason
    }
  }

  /// Flow-opening ones first, then by direction, place and rules.
  package var changes: [Change] = []
  package var unknown: [Unknown] = []
  /// How many rules of each side that nobody can read are met by some packet.
  package var unreadRulesMet = (old: 0, new: 0)

  /// Regions of one change that are written out; where there are many changes, fewer.
  package static let regionLimit = 64

  /// - Parameter listsInFull: else regions have the first few elements of a long list.
  package init(from old: HostPolicy, to new: HostPolicy, listsInFull: Bool = false, budget: Int? = nil) {
    var run = DifferenceRun(old, new, listsInFull: listsInFull, budget: budget ?? Diagram.defaultBudget)
    run.compare()
    changes = run.sortedChanges
    unknown = run.unknown
    unreadRulesMet = run.unreadRulesMet
  }
}

/// One comparison, family by family.
private struct DifferenceRun {
  typealias Change = PacketDifference.Change

  private let old: HostPolicy
  private let new: HostPolicy
  private let listsInFull: Bool
  private let budget: Int
  /// Pairs of rules that are told one by one in one place.
  private static let pairLimit = 256
  /// Regions of all changes of one place; each has some.
  private static let cubeLimit = 2048
  var unknown: [PacketDifference.Unknown] = []
  /// Labels of rules that packets meet and nobody can read.
  private var unreadLabels: Set<UInt32> = []
  private var found: [ChangeKey: Found] = [:]

  /// By family, because their addresses are others.
  private struct Found {
    var order: [Int]
    var change: Change
    var regions: [Families.RawValue: [String]] = [:]
  }

  init(_ old: HostPolicy, _ new: HostPolicy, listsInFull: Bool, budget: Int) {
    self.old = old
    self.new = new
    self.listsInFull = listsInFull
    self.budget = budget
  }

  /// One place to compare: the chains of both sides.
  private struct Place {
    var name: String
    var hook: Hook
    var old: [Meaning.Step]
    var new: [Meaning.Step]
  }

  mutating func compare() {
    let places = places()
    let changedRules = ChangedRules.labels(old.firewall, new.firewall)
    for family in [Families.ipv4, .ipv6] {
      self = Attempt.first(budget: budget) { [self] attempt in
        var run = self
        let isExhausted = run.compare(family, places, changedRules, attempt)
        return (run, isExhausted)
      }
    }
  }

  /// - Returns: whether nodes ran out.
  private mutating func compare(
    _ family: Families, _ places: [Place], _ changedRules: Set<UInt32>?, _ attempt: Attempt
  ) -> Bool {
    let meaning = Meaning(
      family, [old.firewall, new.firewall], regions: [], isLabelled: false, comparesLimiters: true,
      attempt: attempt)
    var changed: [(place: Place, packets: Diagram.Reference)] = []
    let scope = changedRules.map { meaning.restrict(to: $0) } ?? Diagram.isTrue
    for place in places {
      tellUnreadable(place, meaning)
      let differing = differing(place, meaning)
      var packets = meaning.diagram.and(scope, differing)
      if packets != Diagram.isFalse {
        packets = meaning.diagram.and(packets, meaning.possible(at: place.hook))
      }
      if meaning.diagram.isExhausted { break }
      if packets != Diagram.isFalse { changed.append((place, packets)) }
    }
    if !meaning.diagram.isExhausted, !changed.isEmpty {
      var all = Diagram.isFalse
      for (_, packets) in changed { all = meaning.diagram.or(all, packets) }
      meaning.label(within: all)
      for (place, packets) in changed { explain(place, packets, meaning) }
    }
    guard meaning.diagram.isExhausted else { return false }
    unknown.append(
      PacketDifference.Unknown(
        place: family == .ipv4 ? "ipv4" : "ipv6", reason: "it takes more than \(budget) nodes"))
    return true
  }

  // MARK: Places

  private mutating func places() -> [Place] {
    var places: [Place] = []
    var single: [String: Bool] = [:]
    for hook in [Hook.input, .forward, .output] {
      let isWhole = ![old, new].contains { policy in
        policy.firewall?.isTranslating ?? false
          || KernelChanges.isUnknown(
            [Families.ipv4, .ipv6].map { PacketBox(all: $0) }, hook, of: policy.firewall)
      }
      if isWhole {
        places.append(
          Place(
            name: hook.rawValue, hook: hook, old: old.firewall?.path(of: hook) ?? [],
            new: new.firewall?.path(of: hook) ?? []))
        continue
      }
      // What a packet is changes on the way, so each chain is compared for the packets that come to it.
      for place in chains(of: hook) where single.updateValue(true, forKey: place.name) == nil {
        places.append(place)
      }
    }
    return places
  }

  private mutating func chains(of hook: Hook) -> [Place] {
    let (before, after) = (old.firewall?.baseChains ?? [], new.firewall?.baseChains ?? [])
    func order(_ chains: [BaseChain], _ hook: Hook) -> [String] {
      chains.filter { $0.hook == hook }.sorted { $0.priority < $1.priority }.map(\.place)
    }
    var places: [Place] = []
    for hook in hook.path {
      let (first, second) = (order(before, hook), order(after, hook))
      if first.filter(second.contains) != second.filter(first.contains) {
        unknown.append(
          PacketDifference.Unknown(
            place: hook.rawValue, reason: "its chains stand in another order, and packets change between them"
          ))
        continue
      }
      for name in first + second.filter({ !first.contains($0) }) {
        func step(_ chains: [BaseChain]) -> [Meaning.Step] {
          chains.firstIndex { $0.hook == hook && $0.place == name }.map { [.chain($0)] } ?? []
        }
        places.append(Place(name: "chain \(name)", hook: hook, old: step(before), new: step(after)))
      }
    }
    return places
  }

  // MARK: Comparison

  /// What one side does with the packets of a place.
  private func outcomes(_ side: Int, _ place: Place, _ meaning: Meaning) -> Diagram.Reference {
    meaning.path(side, side == 0 ? place.old : place.new, at: place.hook, keepsAlterations: true)
  }

  /// Truth values: packets with another outcome.
  private func differing(_ place: Place, _ meaning: Meaning) -> Diagram.Reference {
    let before = outcomes(0, place, meaning)
    let after = outcomes(1, place, meaning)
    var order = OutcomeComparer(meaning)
    return meaning.diagram.combine(
      before, after, meaning.diagram.newOperation(), equal: Diagram.isFalse
    ) { table, old, new in
      order.verdict(old, new, table) == nil ? OutcomeTable.isFalse : OutcomeTable.isTrue
    }
  }

  /// Rules that packets meet and nobody can read. What becomes of those packets is not compared, unless both sides have
  /// the same ones and leave the rest to the same.
  private mutating func tellUnreadable(_ place: Place, _ meaning: Meaning) {
    guard [old, new].contains(where: { $0.firewall?.containsRule { $0.unreadable != nil } ?? false }) else {
      return
    }
    let paths = [0, 1].map { side in
      let packets = meaning.possible(at: place.hook)
      return meaning.diagram.choose(packets, outcomes(side, place, meaning), Diagram.impossible)
    }
    let count = old.firewall?.ruleCount ?? 0
    for (policy, outcomes) in paths.enumerated() {
      var met: Set<UInt32> = []
      _ = meaning.diagram.map(outcomes, meaning.diagram.newOperation()) { table, number in
        met.formUnion(table.unreadable(number))
        return number
      }
      unreadLabels.formUnion(met.flatMap(meaning.labels).filter { ($0 <= count) == (policy == 0) })
    }
    var labels: Set<UInt32> = []
    let comparer = OutcomeComparer(meaning)
    _ = meaning.diagram.combine(
      paths[0], paths[1], meaning.diagram.newOperation(), equal: Diagram.isFalse
    ) { table, old, new in
      let open = table.unreadable(old).union(table.unreadable(new))
      if !open.isEmpty, !comparer.leavesOpenAlike(old, new, table) { labels.formUnion(open) }
      return OutcomeTable.isFalse
    }
    for label in labels.sorted() {
      let rule = meaning.rules[Int(label)]
      let told = PacketDifference.Unknown(place: place.name, reason: "\(rule.id): \(rule.unreadable ?? "")")
      if !unknown.contains(where: { $0.place == told.place && $0.reason == told.reason }) {
        unknown.append(told)
      }
    }
  }

  var unreadRulesMet: (old: Int, new: Int) {
    // Those of the new side stand behind those of the old one; what was one rule may be several.
    let count = old.firewall?.ruleCount ?? 0
    let rules = [old, new].map { $0.firewall?.rules ?? [] }
    func met(_ side: Int) -> Int {
      let start = side == 0 ? 1 : 1 + count
      let own = unreadLabels.filter { side == 0 ? $0 <= count : $0 > count }
      return Set(own.map { rules[side][Int($0) - start].id }).count
    }
    return (met(0), met(1))
  }

  private mutating func explain(_ place: Place, _ packets: Diagram.Reference, _ meaning: Meaning) {
    let before = outcomes(0, place, meaning)
    let after = outcomes(1, place, meaning)
    var comparer = OutcomeComparer(meaning)
    var kinds: [ChangeKey: Int] = [:]
    var list: [ChangePair] = []
    let groups = meaning.diagram.combine(before, after, meaning.diagram.newOperation()) { table, old, new in
      guard let direction = comparer.verdict(old, new, table) else { return OutcomeTable.impossible }
      let labels = (comparer.label(old, table), comparer.label(new, table))
      let key = ChangeKey(
        place: place.name, direction: direction, before: comparer.text(old, table),
        after: comparer.text(new, table), oldRule: "\(labels.0)", newRule: "\(labels.1)")
      let number = kinds[key] ?? list.count
      if number == list.count {
        kinds[key] = number
        list.append(ChangePair(key: key, rules: labels))
      }
      return table.intern(OutcomeTable.Outcome(kind: .miss, detail: UInt32(number)))
    }
    let pairs = list
    let inside = meaning.diagram.choose(packets, groups, Diagram.impossible)
    var merged = inside
    var others = list.map { _ in (old: 0, new: 0) }
    // Labels are those of one family's meaning; ids are the same in both.
    func id(_ label: UInt32) -> String? { label == 0 ? nil : meaning.rules[Int(label)].id }
    for index in list.indices {
      (list[index].key.oldRule, list[index].key.newRule) = (
        id(pairs[index].rules.0), id(pairs[index].rules.1)
      )
    }
    for form in MergedKinds.Form.allCases where list.count > Self.pairLimit {
      let kinds = MergedKinds(pairs, form, id)
      list = kinds.list
      others = kinds.others
      merged = meaning.diagram.map(inside, meaning.diagram.newOperation()) { table, outcome in
        guard table[outcome].kind == .miss else { return outcome }
        return table.intern(
          OutcomeTable.Outcome(kind: .miss, detail: kinds.numbers[Int(table[outcome].detail)]))
      }
    }
    let limit = min(PacketDifference.regionLimit, max(Self.cubeLimit / max(list.count, 1), 8))
    let text = RegionText(meaning, old.addressSets + new.addressSets, listsInFull: listsInFull)
    let real = meaning.possible(at: place.hook)
    for (number, every) in regions(of: merged, 0..<list.count, meaning).enumerated() {
      let region = meaning.diagram.and(every, real)
      guard let box = meaning.representative(of: region, at: place.hook) else { continue }
      let (cubes, isComplete) = meaning.diagram.cover(
        of: region, among: real, limit: limit)
      // Of several pairs the one that decides about the example.
      let pair = meaning.diagram.outcomes[meaning.outcome(of: box, on: inside)].detail
      add(
        list[number].key, pairs[Int(pair)].rules, others[number], place, box, text.texts(of: cubes),
        isComplete: isComplete, meaning)
    }
  }

  /// The packets of each kind, truth values: by halves, so that a diagram of all is gone through a few times only.
  private func regions(
    of groups: Diagram.Reference, _ kinds: Range<Int>, _ meaning: Meaning
  ) -> [Diagram.Reference] {
    func part(_ kinds: Range<Int>, _ one: UInt32?) -> Diagram.Reference {
      meaning.diagram.map(groups, meaning.diagram.newOperation()) { table, number in
        let isInside = table[number].kind == .miss && kinds.contains(Int(table[number].detail))
        return isInside ? one ?? number : one == nil ? OutcomeTable.impossible : OutcomeTable.isFalse
      }
    }
    guard kinds.count > 1 else { return kinds.isEmpty ? [] : [part(kinds, OutcomeTable.isTrue)] }
    let middle = kinds.lowerBound + kinds.count / 2
    return [kinds.lowerBound..<middle, middle..<kinds.upperBound].flatMap { half in
      regions(of: part(half, nil), half, meaning)
    }
  }

  private mutating func add(
    _ key: ChangeKey, _ labels: (UInt32, UInt32), _ others: (old: Int, new: Int), _ place: Place,
    _ box: PacketBox,
    _ regions: [String], isComplete: Bool, _ meaning: Meaning
  ) {
    func reference(_ label: UInt32) -> PacketDifference.RuleReference? {
      guard label != 0 else { return nil }
      let rule = meaning.rules[Int(label)]
      return PacketDifference.RuleReference(id: rule.id, text: rule.text, span: rule.span)
    }
    let witness = Witness(from: box, hook: place.hook)
    let (oldRule, newRule) = (reference(labels.0), reference(labels.1))
    let opensFlows = [3, 4].contains { box[.state].contains($0) }
    let directions = PacketDifference.Direction.allCases
    let order = [
      opensFlows ? 0 : 1, directions.firstIndex(of: key.direction) ?? 0,
      Hook.allCases.firstIndex(of: place.hook) ?? 0, Int(labels.1), Int(labels.0),
    ]
    var entry =
      found[key]
      ?? Found(
        order: order,
        change: Change(
          direction: key.direction, place: key.place, before: key.before, after: key.after, oldRule: oldRule,
          newRule: newRule, otherOldRules: others.old, otherNewRules: others.new, regions: [],
          isComplete: true, witness: witness.text, cannotArrive: witness.cannotArrive, sample: witness.sample,
          opensFlows: opensFlows))
    if opensFlows, !entry.change.opensFlows {
      entry.change.opensFlows = true
      (entry.change.witness, entry.change.cannotArrive) = (witness.text, witness.cannotArrive)
      entry.change.sample = witness.sample
      entry.order = order
    }
    if entry.change.cannotArrive != nil, witness.cannotArrive == nil, opensFlows == entry.change.opensFlows {
      (entry.change.witness, entry.change.cannotArrive) = (witness.text, nil)
      entry.change.sample = witness.sample
    }
    entry.regions[meaning.family.rawValue, default: []] += regions
    entry.change.isComplete = entry.change.isComplete && isComplete
    found[key] = entry
  }

  var sortedChanges: [Change] {
    found.values.map { entry in
      var change = entry.change
      let ipv4 = entry.regions[Families.ipv4.rawValue] ?? []
      let ipv6 = entry.regions[Families.ipv6.rawValue] ?? []
      func inFamily(_ word: String, _ text: String) -> String { text.isEmpty ? word : "\(word) \(text)" }
      // What both families have needs no word for the family.
      change.regions =
        ipv4.map { ipv6.contains($0) ? $0 : inFamily("ipv4", $0) }
        + ipv6.filter { !ipv4.contains($0) }.map { inFamily("ipv6", $0) }
      return (entry.order, change)
    }.sorted { a, b in
      a.0 == b.0 ? a.1.regions.lexicographicallyPrecedes(b.1.regions) : a.0.lexicographicallyPrecedes(b.0)
    }.map(\.1)
  }
}
