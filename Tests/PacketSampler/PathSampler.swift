import PolicyModel
import PolicySamples

@testable import Analysis

/// Which edges of the diagrams some packet has taken.
struct EdgeCoverage {
  var taken = 0
  var all = 0
  var packets = 0
  /// Packets about which the analyser cannot tell, and so none was made of.
  var unknown = 0
  /// Packets whose trace ends at another rule than the diagram names.
  var disagreements: [String] = []

  mutating func add(_ other: EdgeCoverage) {
    taken += other.taken
    all += other.all
    packets += other.packets
    unknown += other.unknown
    disagreements += other.disagreements
  }

  var line: String {
    let found = disagreements.map { "\"\($0)\"" }.joined(separator: ",")
    return
      "{\"packets\":\(packets),\"edges\":\(all),\"taken\":\(taken),\"unknown\":\(unknown),\"disagreements\":[\(found)]}"
  }
}

/// One packet, and what the analyser says of it.
struct SampledPacket {
  var tag: Int
  var point: PacketBox
  var acceptances: Acceptances
  var isRejected: Bool
  var ruleID: String?

  /// `[tag, acceptances, is rejected, rule, value of each field…]`: acceptances are the bits of `Acceptances`, the rule is
  /// null where a chain's policy decides.
  var line: String {
    let values = PacketBox.Field.allCases.map { "\(point[$0].ranges[0].lower)" }.joined(separator: ",")
    let rule = ruleID.map { "\"\($0)\"" } ?? "null"
    return "[\(tag),\(acceptances.rawValue),\(isRejected ? 1 : 0),\(rule),\(values)]"
  }
}

/// Takes random ways through the diagram of a place until no edge is left that no packet has taken, and makes packets of
/// each: the first values of what the way leaves open, the last ones, and some between.
struct PathSampler {
  /// Packets made of one way while fewer are made than were asked for.
  private static let packetsOfPath = 4
  /// Packets made of a way beyond those: where a range begins, and where it ends.
  private static let packetsOfFurtherPath = 2

  private let policy: HostPolicy
  private let firewall: Firewall
  private let family: Families
  private let cases: [SampleCase]
  private let regions: [PacketBox]
  private let meaning: Meaning
  private var random: SeededGenerator
  private(set) var coverage = EdgeCoverage()

  init(_ policy: HostPolicy, _ family: Families, _ cases: [SampleCase], seed: UInt64) throws {
    self.policy = policy
    self.family = family
    self.cases = cases
    let firewall = policy.firewall ?? Firewall(baseChains: [], span: policy.span)
    self.firewall = firewall
    regions = try cases.map { request in
      var box = try request.region(family, firewall)
      for set in policy.dynamicSets {
        for side in [AddressSide.source, .destination] {
          box.memberships[Membership(set: set.name, side: side)] = false
        }
      }
      return box
    }
    meaning = Meaning(family, [policy.firewall], regions: regions.map { [$0] }, isLabelled: true)
    random = SeededGenerator(seed: seed ^ UInt64(family.rawValue))
  }

  mutating func sample(_ index: Int, _ use: (SampledPacket) -> Void) throws {
    let request = cases[index]
    guard let hook = Hook(rawValue: request.hook) else {
      throw SampleError(description: "no place is called \(request.hook)")
    }
    if KernelChanges.isUnknown([regions[index]], hook, of: firewall) {
      coverage.unknown += request.count
      return
    }
    let path = meaning.path(0, firewall.path(of: hook), elsewhere: firewall.elsewhere(than: hook))
    let region = meaning.region(index)
    guard region != Diagram.isFalse, !meaning.diagram.isExhausted else { return }
    // Where the region is not, nothing leads.
    let within = meaning.diagram.choose(region, path, Diagram.impossible)
    var edges = Edges(within, meaning.diagram)
    var made = 0
    while made < request.count || edges.taken < edges.all {
      let way = edges.way(&random)
      guard let box = meaning.diagram.box(way).intersection(regions[index]) else {
        throw SampleError(description: "a way through the diagram leads to no packet")
      }
      let packets = made < request.count ? Self.packetsOfPath : Self.packetsOfFurtherPath
      for number in 0..<packets {
        let point = point(of: box, number)
        try use(sampled(request.tag, point, path, hook))
        made += 1
      }
    }
    coverage.packets += made
    coverage.all += edges.all
    coverage.taken += edges.taken
  }

  private mutating func sampled(
    _ tag: Int, _ point: PacketBox, _ path: Diagram.Reference, _ hook: Hook
  ) throws -> SampledPacket {
    let finding = meaning.finding(of: point, on: path)
    // Behind a limiter or a translation more than one rule may be the last.
    if finding.acceptances == .never || finding.acceptances == .always,
      !meaning.diagram.outcomes.isUnknown(meaning.outcome(of: point, on: path))
    {
      var tracer = PathTracer(firewall, point)
      tracer.follow(firewall.path(of: hook))
      if tracer.steps.last?.ruleID != finding.rule?.id {
        coverage.disagreements.append(
          "\(finding.rule?.id ?? "policy") and \(tracer.steps.last?.ruleID ?? "policy")")
      }
    }
    return SampledPacket(
      tag: tag, point: point, acceptances: finding.acceptances, isRejected: finding.isRejected,
      ruleID: finding.rule?.id)
  }

  // MARK: Values

  /// The first of a way's packets has the first value of a range in each field, the second the last value, all further ones
  /// have either of them or one between.
  private mutating func point(of box: PacketBox, _ number: Int) -> PacketBox {
    var result = box
    for field in PacketBox.Field.allCases {
      let ranges = box[field].ranges
      let range = ranges.count == 1 ? ranges[0] : random.pick(ranges)
      let value: UInt128
      switch number < 2 ? number : Int.random(in: 0..<4, using: &random) {
      case 0: value = range.lower
      case 1: value = range.upper
      default: value = UInt128.random(in: range.lower...range.upper, using: &random)
      }
      result[field] = IntervalSet([AddressRange(value, value)])
    }
    // Who sends to himself is no peer whose answers could be told from what they answer.
    for field in [PacketBox.Field.destinationAddress, .sourceAddress]
    where result[.sourceAddress] == result[.destinationAddress] {
      let used = result[field].ranges[0].lower
      let bounds = box[field].ranges.flatMap { [$0.lower, $0.upper] }.filter { $0 != used }
      if !bounds.isEmpty {
        let value = random.pick(bounds)
        result[field] = IntervalSet([AddressRange(value, value)])
      }
    }
    return result
  }
}

/// The edges of one diagram, and which of them have been taken.
private struct Edges {
  private let root: Diagram.Reference
  /// By node: its variable and where both edges lead.
  private var nodes: [Diagram.Reference: (variable: UInt32, children: [Diagram.Reference])] = [:]
  private var seen: Set<UInt64> = []
  /// Nodes below which every edge has been taken.
  private var finished: Set<Diagram.Reference> = []
  let all: Int

  init(_ root: Diagram.Reference, _ diagram: borrowing Diagram) {
    self.root = root
    var waiting = [root]
    var edges = 0
    while let reference = waiting.popLast() {
      guard !Diagram.isTerminal(reference), nodes[reference] == nil else { continue }
      let (low, high) = diagram.children(reference)
      nodes[reference] = (diagram.variable(reference), [low, high])
      for child in [low, high] where child != Diagram.impossible {
        edges += 1
        waiting.append(child)
      }
    }
    all = edges
  }

  var taken: Int { seen.count }

  private static func edge(_ node: Diagram.Reference, _ number: Int) -> UInt64 {
    UInt64(node) << 1 | UInt64(number)
  }

  private func isFinished(_ reference: Diagram.Reference) -> Bool {
    nodes[reference] == nil || finished.contains(reference)
  }

  /// A way to a terminal that packets reach, as what it asks of each variable: by an edge that has not been taken if there
  /// is one, else to where one may be left.
  ///
  /// Each way takes a new edge or finds a node that is finished, so that there is an end. Every node has a way: a diagram
  /// that is the same everywhere is a terminal.
  mutating func way(_ random: inout SeededGenerator) -> [UInt32: Bool] {
    var bits: [UInt32: Bool] = [:]
    var passed: [Diagram.Reference] = []
    var reference = root
    while let node = nodes[reference] {
      let open = [0, 1].filter { node.children[$0] != Diagram.impossible }
      let fresh = open.filter { !seen.contains(Self.edge(reference, $0)) }
      let unfinished = open.filter { !isFinished(node.children[$0]) }
      let edge = random.pick(fresh.isEmpty ? (unfinished.isEmpty ? open : unfinished) : fresh)
      seen.insert(Self.edge(reference, edge))
      bits[node.variable] = edge == 1
      passed.append(reference)
      reference = node.children[edge]
    }
    for reference in passed.reversed() {
      guard let node = nodes[reference] else { continue }
      let isDone = [0, 1].allSatisfy {
        node.children[$0] == Diagram.impossible
          || (seen.contains(Self.edge(reference, $0)) && isFinished(node.children[$0]))
      }
      if !isDone { break }
      finished.insert(reference)
    }
    return bits
  }
}
