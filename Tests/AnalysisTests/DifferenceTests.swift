import PolicyModel
import Testing

@testable import Analysis

/// Two firewalls in one family.
private final class Pair {
  private let meaning: Meaning
  private var before: Diagram.Reference
  private var after: Diagram.Reference

  init(_ family: Families, _ old: BaseChain, _ new: BaseChain, _ regular: [RegularChain]) {
    func firewall(_ chain: BaseChain) -> Firewall {
      Firewall(baseChains: [chain], regularChains: regular, span: nowhere)
    }
    meaning = Meaning(
      family, [firewall(old), firewall(new)], regions: [], isLabelled: false, comparesLimiters: true)
    before = meaning.path(0, [.chain(0)], keepsAlterations: true)
    after = meaning.path(1, [.chain(0)], keepsAlterations: true)
  }

  func direction(of box: PacketBox) -> PacketDifference.Direction? {
    var comparer = OutcomeComparer(meaning)
    return comparer.verdict(
      meaning.outcome(of: box, on: before), meaning.outcome(of: box, on: after), meaning.diagram.outcomes)
  }

  /// Packets with another outcome.
  var region: Diagram.Reference {
    var comparer = OutcomeComparer(meaning)
    return meaning.diagram.combine(before, after, meaning.diagram.newOperation(), equal: Diagram.isFalse) {
      table, old, new in
      comparer.verdict(old, new, table) == nil ? OutcomeTable.isFalse : OutcomeTable.isTrue
    }
  }

  /// The same, looked for only where rules differ.
  func region(of labels: Set<UInt32>) -> Diagram.Reference {
    let scope = meaning.restrict(to: labels)
    before = meaning.path(0, [.chain(0)], keepsAlterations: true)
    after = meaning.path(1, [.chain(0)], keepsAlterations: true)
    let region = region
    return meaning.diagram.and(scope, region)
  }

  func holds(_ region: Diagram.Reference, _ box: PacketBox) -> Bool {
    meaning.outcome(of: box, on: region) == OutcomeTable.isTrue
  }

  /// What is wrong about a cover of a region; nil: it is one, of primes, and none is needless.
  func fault(ofCoverOf region: Diagram.Reference) -> String? {
    let limit = 10_000
    let (cubes, isComplete) = meaning.diagram.cover(of: region, limit: limit)
    // A region of thousands of cubes takes more nodes than there are: two of 10,000 random ones.
    if meaning.diagram.isExhausted { return isComplete ? "complete without nodes" : nil }
    guard isComplete else { return cubes.count == limit ? nil : "not finished" }
    let fault = fault(of: cubes, region)
    // Without nodes nothing is larger than anything.
    return meaning.diagram.isExhausted ? nil : fault
  }

  private func fault(of cubes: [Cube], _ region: Diagram.Reference) -> String? {
    func union(without index: Int?) -> Diagram.Reference {
      var result = Diagram.isFalse
      for other in cubes.indices where other != index {
        result = meaning.diagram.or(result, meaning.diagram.diagram(of: cubes[other]))
      }
      return result
    }
    if union(without: nil) != region { return "not the region" }
    for (index, cube) in cubes.enumerated() {
      if union(without: index) == region { return "cube \(index) is needless" }
      for (place, literal) in cube.members.enumerated() {
        let count = UInt32(meaning.diagram.layout.classCount[literal.field])
        for extra in (0..<count).filter({ !literal.classes.contains($0) }) {
          var wider = cube
          wider.members[place].classes = (literal.classes + [extra]).sorted()
          let excess = meaning.diagram.subtract(meaning.diagram.diagram(of: wider), region)
          if excess == Diagram.isFalse { return "cube \(index) is no prime" }
        }
      }
      for literal in cube.bits {
        var wider = cube
        wider.bits.removeAll { $0.variable == literal.variable }
        let excess = meaning.diagram.subtract(meaning.diagram.diagram(of: wider), region)
        if excess == Diagram.isFalse { return "cube \(index) asks for a bit it need not" }
      }
    }
    return nil
  }
}

/// Nil: the same ends.
private func expected(_ old: Set<ChainPolicy>, _ new: Set<ChainPolicy>) -> PacketDifference.Direction? {
  let (before, after) = (rank(old), rank(new))
  if before != after { return before < after ? .widened : .narrowed }
  return old == new ? nil : .visible
}

@Test("each packet's change is what a packet-by-packet loop says", arguments: batches(60))
func differencesAgreeWithBruteForce(batch: Int) {
  for seed in (batch * 20)..<(batch * 20 + 20) {
    var random = Seeded(state: UInt64(seed) &+ 17_000_000)
    var old = plainChain(&random)
    let regular = plainRegularChains(&random).map { chain in
      RegularChain(name: chain.name, rules: chain.rules.filter { !$0.isLimiting }, span: nowhere)
    }
    var new = edited(old, &random)
    // Whose limiter is whose is no question of packets.
    old.rules.removeAll(where: \.isLimiting)
    new.rules.removeAll(where: \.isLimiting)
    let (ipv4, ipv6) = (Pair(.ipv4, old, new, regular), Pair(.ipv6, old, new, regular))
    let regions = (ipv4.region, ipv6.region)
    for packet in (0..<40).map({ _ in randomPacket(&random) }) {
      guard let before = outcomes(packet, [old], regular), let after = outcomes(packet, [new], regular) else {
        continue
      }
      let isIPv4 = packet.family == .ipv4
      let pair = isIPv4 ? ipv4 : ipv6
      let direction = pair.direction(of: packet.box)
      let isInside = pair.holds(isIPv4 ? regions.0 : regions.1, packet.box)
      let wanted = expected(before, after)
      #expect(direction == wanted, "seed \(seed): \(packet)")
      #expect(isInside == (wanted != nil), "seed \(seed): \(packet)")
    }
  }
}

@Test("a cover is the region, of primes, and none is needless", arguments: batches(40))
func coversAreIrredundantPrimes(batch: Int) {
  for seed in (batch * 5)..<(batch * 5 + 5) {
    var random = Seeded(state: UInt64(seed) &+ 19_000_000)
    let old = plainChain(&random)
    let regular = plainRegularChains(&random)
    let new = edited(old, &random)
    for family in [Families.ipv4, .ipv6] {
      let pair = Pair(family, old, new, regular)
      let fault = pair.fault(ofCoverOf: pair.region)
      #expect(fault == nil, "seed \(seed)")
    }
  }
}

@Test("without redundant and shadowed rules every packet meets the same", arguments: batches(40))
func lintIsRight(batch: Int) {
  for seed in (batch * 10)..<(batch * 10 + 10) {
    var random = Seeded(state: UInt64(seed) &+ 23_000_000)
    let chain = plainChain(&random)
    let regular = plainRegularChains(&random)
    let firewall = Firewall(baseChains: [chain], regularChains: regular, span: nowhere)
    let meanings = [Families.ipv4, .ipv6].map { Meaning($0, [firewall], regions: [], isLabelled: true) }
    var met: Set<String> = []
    for meaning in meanings {
      for label in meaning.rulesMet(0) ?? [] { met.insert(meaning.rules[Int(label)].id) }
    }
    let redundant = Lint.redundantRules(meanings, met)
    let needless = chain.rules.map(\.id).filter { redundant.contains($0) || !met.contains($0) }
    // All of them, each alone, and some: whoever reads the findings may follow any.
    var choices = [Set(needless)] + needless.map { [$0] }
    choices.append(Set(needless.filter { _ in Bool.random(using: &random) }))
    let shorter = choices.map { choice in
      var shorter = chain
      shorter.rules.removeAll { choice.contains($0.id) }
      return shorter
    }
    for packet in (0..<60).map({ _ in randomPacket(&random) }) where packet.comes(to: chain, regular) {
      let before = outcomes(packet, [chain], regular)
      for (choice, chain) in zip(choices, shorter) {
        let after = outcomes(packet, [chain], regular)
        #expect(before == after, "seed \(seed): \(packet) without \(choice.sorted())")
      }
      // What some packet meets is not shadowed.
      guard let first = chain.rules.first, first.families.contains(packet.family),
        first.matches.allSatisfy(packet.meets)
      else { continue }
      if case .dispatch = first.verdict { continue }
      #expect(met.contains(first.id), "seed \(seed)")
    }
  }
}

/// A longer list of rules that lead to no other chain and ask for what needs no diagram, now and then with more.
private func longChain(_ random: inout some RandomNumberGenerator) -> BaseChain {
  var chain = randomChain(&random)
  chain.rules = []
  // Where one field says something about another, diagrams say what packets there are.
  let isFree = Int.random(in: 0..<4, using: &random) > 0
  for part in 0..<Int.random(in: 1...5, using: &random) {
    chain.rules += plain(randomRules(&random, place: "input/\(part)", targets: [])).filter { rule in
      if case .dispatch = rule.verdict { return false }
      return rule.matches.allSatisfy { match in
        switch match.condition {
        case .mark, .controlGroups: false
        case .status, .fragment: !isFree
        default: true
        }
      }
    }
  }
  for index in chain.rules.indices where Int.random(in: 0..<8, using: &random) == 0 {
    chain.rules[index].counter = .anonymous
  }
  return chain
}

@Test("what rules do, without a diagram, is what diagrams tell", arguments: batches(60))
func dutiesAreThoseOfDiagrams(batch: Int) {
  var (answers, redundantRules) = (0, 0)
  for seed in (batch * 20)..<(batch * 20 + 20) {
    var random = Seeded(state: UInt64(seed) &+ 37_000_000)
    let firewall = Firewall(baseChains: [longChain(&random)], span: nowhere)
    func told(byDiagrams: Bool) -> (met: Set<String>, redundant: Set<String>) {
      let meanings = [Families.ipv4, .ipv6].map { Meaning($0, [firewall], regions: [], isLabelled: true) }
      var met: Set<String> = []
      for meaning in meanings {
        let place = Meaning.ChainPlace(policy: 0, chain: 0)
        if byDiagrams { meaning.knownDuties[place] = .some(nil) }
        for label in meaning.rulesMet(0) ?? [] { met.insert(meaning.rules[Int(label)].id) }
        if !byDiagrams, meaning.knownDuties[place] ?? nil != nil {
          answers += 1
          #expect(meaning.diagram.nodeCount == 1, "seed \(seed): a node was made")
        }
      }
      return (met, Lint.redundantRules(meanings, met))
    }
    let (direct, drawn) = (told(byDiagrams: false), told(byDiagrams: true))
    #expect(direct.met == drawn.met, "seed \(seed)")
    #expect(direct.redundant == drawn.redundant, "seed \(seed)")
    redundantRules += drawn.redundant.count
  }
  // Addresses by several lists and exceptions are too many ways to meet a rule.
  #expect(answers >= 20)
  #expect(redundantRules > 0 || batch > 0)
}

/// Outcomes of a few leaves and two limiters.
private struct Samples {
  var table = OutcomeTable()
  var all: [UInt32] = []

  init() {
    all = [OutcomeTable.Kind.accept, .drop, .reject].map { table.intern(OutcomeTable.Outcome(kind: $0)) }
    for oracle in [UInt32(1), 2] {
      let leaves = all
      for first in leaves { for second in leaves { all.append(table.branch(oracle, first, second)) } }
    }
    all = Array(Set(all)).sorted()
  }
}

@Test func acceptanceOfOutcomesIsThatOfTheirLeaves() {
  let samples = Samples()
  #expect(samples.all.count > 60)
  for number in samples.all {
    let ends = leaves(number, samples.table) ?? []
    let wanted: Acceptances =
      ends == [.accept] ? .always : ends.contains(.accept) ? .sometimes : .never
    #expect(samples.table.acceptances(number) == wanted)
    #expect(samples.table.isRejecting(number) == !ends.contains(.drop))
  }
}

/// One behind the other is associative, whatever the outcomes.
@Test func composingIsAssociative() {
  let leaves = Leaves()
  for a in leaves.all {
    for b in leaves.all {
      let both = leaves.compose(a, b)
      for c in leaves.all {
        let (left, right) = (leaves.compose(both, c), leaves.compose(a, leaves.compose(b, c)))
        #expect(left == right)
      }
    }
    let (behind, before) = (leaves.compose(a, Diagram.pass), leaves.compose(Diagram.pass, a))
    #expect(behind == a)
    #expect(before == a)
  }
}

/// Diagrams of one outcome each.
private final class Leaves {
  private let meaning = Meaning(.ipv4, [nil], regions: [], isLabelled: false)
  private(set) var all: [Diagram.Reference] = []

  init() {
    var mark = PacketAlteration()
    mark.mark = .value(5)
    let alteration = meaning.diagram.outcomes.number(of: mark)
    var kinds = [OutcomeTable.Kind.accept, .drop, .reject, .pass, .returned].map {
      OutcomeTable.Outcome(kind: $0)
    }
    kinds.append(OutcomeTable.Outcome(kind: .pass, detail: alteration))
    kinds.append(OutcomeTable.Outcome(kind: .impossible))
    let plain = kinds.map { meaning.diagram.terminal($0) }
    var all = Set(plain)
    for first in plain { for second in plain { all.insert(meaning.diagram.branch(1, first, second)) } }
    self.all = all.sorted()
  }

  func compose(_ a: Diagram.Reference, _ b: Diagram.Reference) -> Diagram.Reference {
    meaning.diagram.compose(a, b, .pass)
  }
}

@Test("packets that meet no changed rule meet the same", arguments: batches(40))
func changedRulesAreAllThatCounts(batch: Int) {
  for seed in (batch * 10)..<(batch * 10 + 10) {
    var random = Seeded(state: UInt64(seed) &+ 17_000_000)
    func named(_ rules: [Rule]) -> [Rule] {
      rules.map { rule in
        var rule = rule
        rule.text = rule.id
        return rule
      }
    }
    var old = plainChain(&random)
    old.rules = named(
      old.rules + plain(randomRules(&random, place: "input/a", targets: regularNames))
        + plain(randomRules(&random, place: "input/b", targets: regularNames)))
    let regular = plainRegularChains(&random)
    var new = old
    if Bool.random(using: &random) { new.rules.shuffle(using: &random) }
    for _ in 0..<Int.random(in: 0...3, using: &random) { new = edited(new, &random) }
    new.policy = old.policy
    func firewall(_ chain: BaseChain) -> Firewall {
      Firewall(baseChains: [chain], regularChains: regular, span: nowhere)
    }
    guard let labels = ChangedRules.labels(firewall(old), firewall(new)) else {
      Issue.record("seed \(seed): firewalls without changes of packets can be compared")
      continue
    }
    for family in [Families.ipv4, .ipv6] {
      let pair = Pair(family, old, new, regular)
      let whole = pair.region
      #expect(pair.region(of: labels) == whole, "seed \(seed)")
    }
  }
}
