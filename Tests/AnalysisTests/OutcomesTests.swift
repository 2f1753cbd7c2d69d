import PolicyModel
import Testing

@testable import Analysis

@Test("outcomes without a diagram are those of the diagram", arguments: batches(40))
func outcomesWithoutADiagram(batch: Int) {
  var answers = 0
  for seed in (batch * 20)..<(batch * 20 + 20) {
    var random = Seeded(state: UInt64(seed) &+ 23_000_000)
    let chain = plainChain(&random)
    let firewall = Firewall(baseChains: [chain], span: nowhere)
    for family in [Families.ipv4, .ipv6] {
      // New packets, of some addresses now and then.
      var region = PacketBox(all: family).narrowed(.state, IntervalSet([AddressRange(3, 4)]))
      if Bool.random(using: &random) {
        region = region.narrowed(.sourceAddress, IntervalSet([AddressRange(0, 5)]))
      }
      func meaning() -> Meaning { Meaning(family, [firewall], regions: [[region]], isLabelled: true) }
      let listing = meaning()
      guard let numbers = listing.outcomes(0, .chain(0), of: 0) else { continue }
      answers += 1
      // Few rules take some nodes where none is cheaper, and never as many as the path of all packets.
      let drawing = meaning()
      let path = drawing.path(0, [.chain(0)])
      #expect(listing.diagram.nodeCount <= drawing.diagram.nodeCount, "seed \(seed)")
      let outcomes = drawing.diagram.choose(drawing.region(0), path, Diagram.impossible)
      let terminals = drawing.diagram.terminals(outcomes).map { Diagram.outcome($0) }
      #expect(
        told(numbers, listing.diagram.outcomes) == told(terminals, drawing.diagram.outcomes), "seed \(seed)")
    }
  }
  #expect(answers > 0)
}

/// What outcomes say of packets that there are.
private func told(_ numbers: [UInt32], _ table: OutcomeTable) -> Set<[UInt32]> {
  Set(
    numbers.filter { !table.acceptances($0).isEmpty }.map { number in
      [UInt32(table.acceptances(number).rawValue)] + table.accepting(number)
        + [
          table.deciding(number, isAccepted: true) ?? .max, table.deciding(number, isAccepted: false) ?? .max,
        ]
    })
}

@Test func anotherOrderIsTriedWhenNodesRunOut() {
  /// How many tries were made until `wins` says that nodes are enough.
  func tries(_ wins: (Int) -> Bool) -> Int {
    var count = 0
    return Attempt.first { _ in
      count += 1
      return (count, !wins(count))
    }
  }
  #expect(tries { $0 == 1 } == 1)
  #expect(tries { $0 == 2 } == 2)
  #expect(tries { _ in false } == 3)
  #expect(Attempt.all(budget: 100).map(\.budget) == [100, 100])
  #expect(Attempt.all().last?.budget == Diagram.defaultBudget)
}

/// Whose sources each interface has, and then what each destination takes: with the ports first, every port has all
/// sources anew.
@Test func aRouterIsTold() throws {
  let number = 40
  func address(_ side: AddressSide, _ values: ClosedRange<UInt32>) -> Match {
    Match(
      .addresses(
        side,
        AddressMatch(
          addresses: AddressSet(ipv4: [AddressRange(values.lowerBound, values.upperBound)], ipv6: []))))
  }
  func rule(_ id: String, _ matches: [Match], _ verdict: Verdict) -> Rule {
    var rule = Rule(id: id, name: nil, text: id, verdict: verdict, span: nowhere)
    rule.matches = matches
    rule.families = .ipv4
    return rule
  }
  func firewall(_ portOfLast: UInt16) -> Firewall {
    var rules: [Rule] = []
    for index in 0..<UInt32(number) {
      let interface = InterfacePattern("in\(index % 8)")
      // Of an interface's packets one address each is not from here.
      rules.append(
        rule(
          "from\(index)", [Match(.interfaces(.input, [interface])), address(.source, index * 7...index * 7)],
          .drop))
    }
    for index in 0..<UInt32(number) {
      let port = index + 1 == UInt32(number) ? portOfLast : UInt16(100 + index)
      rules.append(
        rule(
          "to\(index)",
          [
            address(.destination, 1000 + index...1000 + index),
            Match(.ports(.destination, protocols: [6], PortSet([AddressRange(port, port)]))),
          ], .accept))
    }
    return Firewall(
      baseChains: [
        BaseChain(name: "forward", hook: .forward, priority: 0, policy: .drop, rules: rules, span: nowhere)
      ],
      span: nowhere)
  }
  func meaning(_ attempt: Attempt) -> Meaning {
    Meaning(.ipv4, [firewall(80)], regions: [], isLabelled: false, attempt: attempt)
  }
  let counts = Attempt.all(budget: 100_000).map { attempt in
    let meaning = meaning(attempt)
    _ = meaning.path(0, [.chain(0)])
    return meaning.diagram.nodeCount
  }
  #expect(counts[1] * 2 < counts[0], "\(counts)")
}
