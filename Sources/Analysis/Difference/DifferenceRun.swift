import Diagnostics
import PolicyModel

/// One comparison, family by family.
struct DifferenceRun {
  typealias Change = PacketDifference.Change

  private let old: HostPolicy
  private let new: HostPolicy
  private let listsInFull: Bool
  private let sideEffect: SideEffect?
  private let budget: Int
  /// Whether some rules with limiters are others.
  private let hasOtherLimiters: Bool
  private(set) var sharing = LimiterSharing()
  /// Marks that some rule of either policy asks.
  private let askedMarks: Set<MarkKind>
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

  init(
    _ old: HostPolicy, _ new: HostPolicy, listsInFull: Bool, _ sideEffect: SideEffect?, _ budget: Int
  ) {
    self.old = old
    self.new = new
    self.listsInFull = listsInFull
    self.sideEffect = sideEffect
    var askedMarks: Set<MarkKind> = []
    for policy in [old, new] {
      policy.firewall?.forEachRule { askedMarks.formUnion(Self.askedMarks($0)) }
    }
    self.askedMarks = askedMarks
    hasOtherLimiters = sideEffect == nil && LimiterSharing.mayDiffer(old.firewall, new.firewall)
    self.budget = budget
  }

  /// One place to compare: the chains of both sides.
  private struct Place {
    var name: String
    var hook: Hook
    /// One chain of a path.
    var isSingle: Bool
    var old: [Meaning.Step]
    var new: [Meaning.Step]
  }

  mutating func compare() {
    let places = places()
    // Which limiters packets ask is a question about all of them.
    let changedRules =
      hasOtherLimiters
      ? nil
      : ChangedRules.labels(old.firewall, new.firewall) { [sideEffect] rule in
        sideEffect.map { $0.isDone(by: rule) ? "\($0.number(of: rule))" : "" } ?? ""
      }
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
    // Of packets that something else becomes of, that is told.
    var told = places.map { _ in Diagram.isFalse }
    if sideEffect?.isTelling ?? false {
      for (index, place) in places.enumerated() { told[index] = differing(place, meaning) }
    }
    meaning.ask(for: sideEffect)
    for (place, told) in zip(places, told) {
      tellUnreadable(place, meaning)
      let differing = differing(place, meaning)
      let others = meaning.diagram.subtract(differing, told)
      var packets = meaning.diagram.and(scope, others)
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
            name: hook.rawValue, hook: hook, isSingle: false, old: old.firewall?.path(of: hook) ?? [],
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
        places.append(
          Place(name: "chain \(name)", hook: hook, isSingle: true, old: step(before), new: step(after)))
      }
    }
    return places
  }

  /// A connection's mark is asked of its later packets, a packet's in later chains.
  private func laterMarks(_ place: Place) -> Set<MarkKind> {
    place.isSingle ? askedMarks : askedMarks.intersection([.connmark])
  }

  private static func askedMarks(_ rule: Rule) -> Set<MarkKind> {
    guard rule.isEnabled else { return [] }
    var kinds: Set<MarkKind> = rule.changes.restoresMark ? [.connmark] : []
    if rule.changes.savesMark { kinds.insert(.mark) }
    for match in rule.matches { if case .mark(let kind, _) = match.condition { kinds.insert(kind) } }
    if case .dispatch(let map) = rule.verdict, map.fields.contains(.mark) { kinds.insert(.mark) }
    return kinds
  }

  // MARK: Comparison

  /// What each side does with the packets of a place.
  private func outcomes(
    _ place: Place, _ meaning: Meaning
  ) -> (old: Diagram.Reference, new: Diagram.Reference) {
    (meaning.outcomes(0, place.old, at: place.hook), meaning.outcomes(1, place.new, at: place.hook))
  }

  /// Truth values: packets with another outcome.
  private mutating func differing(_ place: Place, _ meaning: Meaning) -> Diagram.Reference {
    let (before, after) = outcomes(place, meaning)
    if hasOtherLimiters { sharing.relate(before, after, meaning) }
    var order = OutcomeComparer(meaning, laterMarks: laterMarks(place))
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
    let (before, after) = outcomes(place, meaning)
    let paths = [before, after].map { outcomes in
      meaning.diagram.choose(meaning.possible(at: place.hook), outcomes, Diagram.impossible)
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
    if isOneAndTheSame(place) { return }
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

  /// Whether all that packets meet there is the same, rule by rule, with what nobody can read.
  private func isOneAndTheSame(_ place: Place) -> Bool {
    guard let before = old.firewall, let after = new.firewall, before.hasRegularChains(of: after) else {
      return false
    }
    if place.isSingle, let first = place.old.first, let second = place.new.first {
      return zip(first.chains, second.chains).allSatisfy {
        before.baseChains[$0].isTheSame(as: after.baseChains[$1])
      }
    }
    return before.baseChains.count == after.baseChains.count
      && zip(before.baseChains, after.baseChains).allSatisfy { $0.isTheSame(as: $1) }
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
    let (before, after) = outcomes(place, meaning)
    var comparer = OutcomeComparer(meaning, laterMarks: laterMarks(place), tellsTranslations: true)
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
    let text = RegionText(meaning, NamedAddressSet.told(of: old, new), listsInFull: listsInFull)
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
      return PacketDifference.RuleReference(meaning.rules[Int(label)])
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
