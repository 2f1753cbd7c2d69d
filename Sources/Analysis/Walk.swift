import PolicyModel

/// What may happen to the packets of one box, after a walk along a path of base chains.
struct Fate {
  enum Acceptance {
    case never
    /// A limit or quota decides.
    case sometimes
    case always
  }

  /// As they arrive, before any translation.
  var box: PacketBox
  var acceptance: Acceptance
  /// Whether perhaps no packet of the box has this fate: a translation chose among addresses that are not known.
  /// Then others with the same box say what else may be.
  var isApproximate = false
  /// Whether every refusal on the way is a reject.
  var isRejected: Bool
  /// The rule that decides, or nil for a chain's policy.
  var rule: Rule?
  /// The limiters that may have decided, in the order met.
  var limiters: [Limiter] = []
  /// Base chains in which only a limiter's share was accepted.
  var closedEnds: [String] = []
}

/// A limiter that a packet met, and what it may have done to it.
struct Limiter {
  var ruleID: String
  var text: String
  var limit: Limit?
  var quota: Quota?
  var outcome: ChainPolicy
  /// The base chain it was met in.
  var chain: String
  /// Texts of the rules with limiters of their own that led to it, the outermost first.
  var way: [String]
}

/// First match, symbolically: a region of packets walks a path of base chains, through the regular chains they
/// lead to, and is cut at each rule's guard.
///
/// Exact for every match the language has now, but behind a translation whose outcome is not known, which is taken
/// to have every outcome; the number of boxes is bounded, and past the bound the answer is nil, never a guess. Nil
/// too where a rule asks for what the way has changed to something unknown (``Alteration``). The verdict diagrams
/// of the analysis issue replace it.
struct Walk {
  /// Cuts of a box by a guard, past which the walk gives up: a fraction of a second.
  static let budget = 400_000

  private struct Live {
    var box: PacketBox
    /// A limiter on the way may have accepted, dropped or rejected some of these packets.
    var mayBeAccepted = false
    var mayBeDropped = false
    var mayBeRejected = false
    /// The last rule that may have accepted, and the rule that accepted in the last chain; nil for its policy.
    var limiter: Rule?
    var acceptor: Rule?
    var limiters: [Limiter] = []
    var closedEnds: [String] = []
    /// The box tells what the packet was when it came.
    var alteration = Alteration()
    /// One limiter's share, which is changed and so apart from the rest of the same packets.
    var isShare = false
    /// Fields that a translation has changed, as they arrived.
    var arrived: [PacketBox.Field: IntervalSet<UInt128>] = [:]
    var arrivedOutput: NameSet?
    var isApproximate = false
    /// Whether the new destination may be routed otherwise.
    var mayBeElsewhere = false

    /// The box as it arrived.
    var arrivedBox: PacketBox {
      var box = box
      for (field, values) in arrived { box[field] = values }
      if let arrivedOutput { box.outputInterface = arrivedOutput }
      return box
    }

    mutating func translate(_ field: PacketBox.Field, to values: IntervalSet<UInt128>) {
      if arrived[field] == nil { arrived[field] = box[field] }
      box[field] = values
    }

    /// What the routing table says of the new destination is not known.
    mutating func route() {
      translate(.destinationType, to: PacketBox.universe(.destinationType, box.family))
      if arrivedOutput == nil { arrivedOutput = box.outputInterface }
      box.outputInterface = .all
      isApproximate = true
      mayBeElsewhere = true
    }
  }

  /// Where packets go whose destination was translated, beside the path of those that were not.
  struct Elsewhere {
    /// Chains of the path that come before the routing decision.
    var after: Int
    var chains: [BaseChain]
  }

  /// Where a packet stands: the rules it still has before it in one chain.
  private struct Frame {
    /// Of `regularChains`; -1 for the base chain.
    var chain: Int
    var rules: ArraySlice<Rule>
    /// What decides the packets at its end; nil: they go back to the caller.
    var end: ChainPolicy?
  }

  private let regularChains: [RegularChain]
  private let indexes: [String: Int]
  private var fates: [Fate] = []
  private var cuts = 0
  private var isExhausted = false
  /// Of the base chain being walked.
  private var policy = ChainPolicy.accept
  private var place = ""
  private var accepted: [Live] = []
  /// While a limiter may or may not take packets another way, what that way comes to; the innermost last.
  private var trials: [[Live]] = []
  /// The rules of the limiters that led there.
  private var trialRules: [Rule] = []
  /// Ids of the rules that some packet met.
  private var met: Set<String> = []
  private var recordsMet = false

  private init(_ regularChains: [RegularChain]) {
    self.regularChains = regularChains
    indexes = Dictionary(regularChains.indices.map { (regularChains[$0].name, $0) }) { first, _ in first }
  }

  /// The fates of a region; together they cover it. Nil where the budget ends.
  static func fates(
    of region: [PacketBox], along chains: [BaseChain], elsewhere: Elsewhere? = nil,
    through regularChains: [RegularChain] = []
  ) -> [Fate]? {
    guard !Alteration.isUnknown(region, along: chains, through: regularChains) else { return nil }
    var walk = Walk(regularChains)
    var live = region.map { Live(box: $0) }
    var routed: [Live] = []
    for (index, chain) in chains.enumerated() {
      if index == elsewhere?.after { routed = live.filter(\.mayBeElsewhere) }
      live = walk.walk(live, chain)
      if walk.isExhausted { return nil }
    }
    if elsewhere?.after == chains.count { routed = live.filter(\.mayBeElsewhere) }
    walk.accept(live)
    for chain in elsewhere?.chains ?? [] {
      routed = walk.walk(routed, chain)
      if walk.isExhausted { return nil }
    }
    walk.accept(routed)
    return walk.fates
  }

  /// Packets that have passed every chain.
  private mutating func accept(_ live: [Live]) {
    for entry in live {
      fates.append(
        Fate(
          box: entry.arrivedBox,
          acceptance: entry.mayBeDropped || entry.mayBeRejected || entry.isShare ? .sometimes : .always,
          isApproximate: entry.isApproximate, isRejected: false, rule: entry.acceptor,
          limiters: entry.limiters, closedEnds: entry.closedEnds))
    }
  }

  /// The ids of the rules that any packet of a region meets in one chain; nil where the budget ends.
  static func rulesMet(
    by region: [PacketBox], in chain: BaseChain, through regularChains: [RegularChain]
  ) -> Set<String>? {
    var walk = Walk(regularChains)
    walk.recordsMet = true
    _ = walk.walk(region.map { Live(box: $0) }, chain)
    return walk.isExhausted ? nil : walk.met
  }

  /// Returns what the chain accepts; what it refuses goes to `fates`.
  private mutating func walk(_ start: [Live], _ chain: BaseChain) -> [Live] {
    // `mayBeAccepted` is about this chain only: a packet it may accept goes on to the next one as well.
    let live = start.map { entry in
      var entry = entry
      entry.mayBeAccepted = false
      entry.acceptor = nil
      return entry
    }
    accepted = []
    policy = chain.policy
    place = chain.place
    guards = guards.filter { $0.key.chain >= 0 }
    var first = live
    if chain.isNAT { first = live.compactMap { beginsConnection($0, at: chain.hook) } }
    decide(run(first, [Frame(chain: -1, rules: chain.rules[...])], until: 0), policy, nil)
    return accepted
  }

  // MARK: Translation

  /// What of an entry goes through the rules of a nat chain: the packets that open a connection. The others are
  /// accepted; those of known connections with whatever addresses their first packet has got.
  private mutating func beginsConnection(_ entry: Live, at hook: Hook) -> Live? {
    func part(_ states: ConntrackStates) -> Live? {
      let indices = PacketBox.states.indices.filter { states.contains(PacketBox.states[$0]) }
      let values = IntervalSet(indices.map { AddressRange(UInt128($0), UInt128($0)) })
      var part = entry
      part.box = entry.box.narrowed(.state, values)
      return part.box.isEmpty ? nil : part
    }
    if let other = part([.invalid, .untracked]) { accepted.append(other) }
    if var known = part([.established, .related]) {
      let isDestination = hook == .prerouting || hook == .output
      let fields: [PacketBox.Field] =
        isDestination ? [.destinationAddress, .destinationPort] : [.sourceAddress, .sourcePort]
      for field in fields { known.translate(field, to: PacketBox.universe(field, known.box.family)) }
      if isDestination {
        known.route()
      } else {
        known.translate(.sourceType, to: PacketBox.universe(.sourceType, known.box.family))
        known.isApproximate = true
      }
      accepted.append(known)
    }
    return part(.new)
  }

  /// A packet after its translation.
  private static func translated(_ entry: Live, _ translation: Translation) -> [Live] {
    func ports(_ range: AddressRange<UInt16>) -> IntervalSet<UInt128> {
      IntervalSet([AddressRange(UInt128(range.lower), UInt128(range.upper))])
    }
    /// The port stays if it is free; else the kernel takes another.
    let anyPort = PacketBox.universe(.sourcePort, entry.box.family)
    var entry = entry
    switch translation {
    case .masquerade:
      entry.translate(.sourceAddress, to: PacketBox.universe(.sourceAddress, entry.box.family))
      entry.translate(.sourceType, to: PacketBox.universe(.sourceType, entry.box.family))
      entry.translate(.sourcePort, to: anyPort)
      entry.isApproximate = true
    case .source(let target):
      entry.translate(.sourceAddress, to: values(of: target.addresses))
      entry.translate(.sourceType, to: PacketBox.universe(.sourceType, entry.box.family))
      entry.translate(.sourcePort, to: target.ports.map(ports) ?? anyPort)
      entry.isApproximate = true
    case .redirect(let port):
      // To an address of the interface that it came in by, or of loopback.
      entry.translate(
        .destinationAddress, to: PacketBox.universe(.destinationAddress, entry.box.family))
      entry.translate(.destinationType, to: IntervalSet([AddressRange(0, 0)]))
      if let port { entry.translate(.destinationPort, to: ports(AddressRange(port, port))) }
      entry.isApproximate = true
    case .destination(let target):
      entry.translate(.destinationAddress, to: values(of: target.addresses))
      if let range = target.ports { entry.translate(.destinationPort, to: ports(range)) }
      entry.route()
    case .destinationByPort(let targets):
      return targets.compactMap { target in
        var part = entry
        part.box = part.box.narrowed(.destinationPort, ports(AddressRange(target.port, target.port)))
        guard !part.box.isEmpty else { return nil }
        part.translate(.destinationAddress, to: values(of: target.address))
        part.translate(.destinationPort, to: ports(AddressRange(target.targetPort, target.targetPort)))
        part.route()
        return part
      }
    }
    return [entry]
  }

  private static func values(of addresses: NATAddresses) -> IntervalSet<UInt128> {
    switch addresses {
    case .ipv4(let range): IntervalSet([AddressRange(UInt128(range.lower), UInt128(range.upper))])
    case .ipv6(let range): IntervalSet([range])
    }
  }

  // MARK: Verdicts

  private mutating func decide(_ entries: [Live], _ verdict: ChainPolicy, _ rule: Rule?) {
    for entry in entries { decide(entry, verdict, rule) }
  }

  private mutating func decide(_ entry: Live, _ verdict: ChainPolicy, _ rule: Rule?) {
    var entry = entry
    if let trial = trials.indices.last {
      mark(&entry, verdict, rule)
      trials[trial].append(entry)
      return
    }
    switch verdict {
    case .accept:
      entry.acceptor = rule
      accepted.append(entry)
    case .drop, .reject:
      if entry.mayBeAccepted {
        // The limiter's share goes on; the rest is refused here.
        entry.acceptor = entry.limiter
        entry.closedEnds.append(place)
        if verdict == .drop { entry.mayBeDropped = true } else { entry.mayBeRejected = true }
        accepted.append(entry)
      } else {
        fates.append(
          Fate(
            box: entry.arrivedBox, acceptance: .never, isApproximate: entry.isApproximate,
            isRejected: verdict == .reject && !entry.mayBeDropped, rule: rule, limiters: entry.limiters))
      }
    }
  }

  /// What a limiter may have done to some of the packets.
  private func mark(_ entry: inout Live, _ verdict: ChainPolicy, _ rule: Rule?) {
    let limiting = rule.flatMap { trialRules.isEmpty ? $0 : nil } ?? trialRules.last
    entry.limiters.append(
      Limiter(
        ruleID: rule?.id ?? place, text: rule?.text ?? "", limit: limiting?.limit, quota: limiting?.quota,
        outcome: verdict, chain: place, way: trialRules.map(\.text)))
    switch verdict {
    case .accept:
      entry.mayBeAccepted = true
      entry.limiter = rule
    case .drop: entry.mayBeDropped = true
    case .reject: entry.mayBeRejected = true
    }
  }

  private enum Way {
    case decision(ChainPolicy)
    case `continue`
    /// Through that chain and back to the next rule.
    case jump(Frame)
    /// Out of the chain, and through that one first.
    case leave(through: Frame?)
    case translate(Translation)
  }

  private func way(_ verdict: Verdict, in frame: Frame) -> Way {
    func chain(_ name: String) -> Frame {
      // INVARIANT: the checker lets no other name through.
      let index = indexes[name] ?? 0
      return Frame(
        chain: index, rules: regularChains[index].rules[...], end: regularChains[index].policy)
    }
    let end = frame.chain < 0 ? policy : regularChains[frame.chain].policy
    return switch verdict {
    case .accept: .decision(.accept)
    case .drop: .decision(.drop)
    case .reject: .decision(.reject)
    case .continue, .notrack: .continue
    case .return: end.map { Way.decision($0) } ?? .leave(through: nil)
    case .jump(let name): .jump(chain(name))
    case .goto(let name): .leave(through: chain(name))
    // INVARIANT: its branches are none.
    case .dispatch: .continue
    case .translate(let translation): .translate(translation)
    }
  }

  // MARK: Rules

  /// How many limiters may stand one behind the other on ways that end elsewhere; each doubles the walk.
  private static let maximumTrials = 64

  /// Takes packets through the rules before them, the last frame first, until they are decided or only `depth`
  /// frames are left; those come back.
  private mutating func run(_ start: [Live], _ frames: [Frame], until depth: Int) -> [Live] {
    guard !start.isEmpty, !isExhausted else { return [] }
    guard frames.count > depth, let frame = frames.last else { return start }
    let callers = Array(frames.dropLast())
    var live = start
    var left: [Live] = []
    for index in frame.rules.indices where frame.rules[index].isEnabled {
      let rule = frame.rules[index]
      let isStateful = rule.limit != nil || rule.quota != nil
      // What goes on with the next rule; `live` is what no branch has taken yet.
      var onward: [Live] = []
      for (number, verdict) in Self.branches(of: rule).enumerated() {
        var untouched: [Live] = []
        var taken: [Live] = []
        for entry in live {
          cut(entry, by: rule, at: GuardKey(frame.chain, index, number, entry), &taken, &untouched)
        }
        live = untouched
        let changed = taken.map { entry in
          var entry = entry
          entry.alteration = entry.alteration.applying(rule.changes, to: entry.box)
          return entry
        }
        switch way(verdict, in: frame) {
        case .continue where isStateful:
          // What is within the limit is changed or untracked, and the rest is not; both go on.
          onward += taken
          if !rule.changes.isEmpty { onward += changed }
        case .continue:
          onward += verdict == .notrack ? changed.flatMap { untrack($0) } : changed
        case .decision(let verdict) where isStateful:
          if !rule.changes.isEmpty {
            for entry in changed {
              var share = entry
              mark(&share, verdict, rule)
              share.isShare = true
              share.mayBeAccepted = entry.mayBeAccepted
              decide(share, verdict, rule)
            }
          }
          for entry in taken {
            var entry = entry
            mark(&entry, verdict, rule)
            onward.append(entry)
          }
        case .decision(let verdict):
          decide(changed, verdict, rule)
        case .translate(let translation):
          // A limiter that leads here in some cases only would give one packet two addresses.
          if !trials.isEmpty, !taken.isEmpty { isExhausted = true }
          accepted += changed.flatMap { Self.translated($0, translation) }
        case .jump(let chain):
          var behind = frame
          behind.rules = frame.rules[(index + 1)...]
          let way = callers + [behind, chain]
          onward +=
            isStateful ? tried(changed, taken, way, by: rule) : run(changed, way, until: callers.count + 1)
        case .leave(let chain):
          var way = callers + (chain.map { [$0] } ?? [])
          if let end = frame.end {
            way.insert(Frame(chain: frame.chain, rules: [], end: end), at: callers.count)
          }
          if isStateful {
            onward += tried(changed, taken, way, by: rule)
          } else {
            left += run(changed, way, until: depth)
          }
        }
      }
      live += onward
      if isExhausted { return [] }
    }
    if let end = frame.end {
      decide(live, end, nil)
      return left
    }
    return left + run(live, callers, until: depth)
  }

  /// What a rule may say: its verdict, or those of its lines and of the rest of a verdict map.
  private static func branches(of rule: Rule) -> [Verdict] {
    if case .dispatch(let map) = rule.verdict { map.verdicts } else { [rule.verdict] }
  }

  /// The packets that a branch is about, of those that the ones before it have left.
  private static func guardBoxes(of rule: Rule, branch: Int, _ family: Families) -> [PacketBox] {
    guard case .dispatch(let map) = rule.verdict else {
      return Guard(matches: rule.matches, family: family).boxes
    }
    return map.entries.indices.contains(branch)
      ? Guard(map.entries[branch], of: map, family: family).boxes
      : Guard(fieldsOf: map, family: family).boxes
  }

  /// Packets of which a limiter takes some another way, with what may become of them there: that way is walked to
  /// its end.
  ///
  /// - Parameters:
  ///   - changed: as they go that way.
  ///   - taken: the same, as the others go on.
  private mutating func tried(_ changed: [Live], _ taken: [Live], _ way: [Frame], by rule: Rule) -> [Live] {
    guard trials.count < Self.maximumTrials else {
      isExhausted = true
      return []
    }
    var back: [Live] = []
    for (changed, taken) in zip(changed, taken) {
      trials.append([])
      trialRules.append(rule)
      decide(run([changed], way, until: 0), policy, nil)
      trialRules.removeLast()
      back += trials.removeLast().map { entry in
        var entry = entry
        entry.alteration = taken.alteration
        return entry
      }
    }
    return back
  }

  /// What of a packet taken out of connection tracking goes on: only what is untracked then.
  private mutating func untrack(_ entry: Live) -> [Live] {
    let untracked = PacketBox.untracked(entry.box.family)
    for box in entry.box.subtracting(untracked) {
      // Such a packet has not come this far: a limiter has decided it, or taken it another way.
      var other = entry
      other.box = box
      if entry.mayBeAccepted || entry.mayBeDropped || entry.mayBeRejected {
        other.mayBeAccepted = false
        let refusal = entry.mayBeRejected && !entry.mayBeDropped ? ChainPolicy.reject : .drop
        decide(other, entry.mayBeAccepted ? .accept : refusal, entry.limiter)
      } else if let trial = trials.indices.last {
        trials[trial].append(other)
      }
    }
    guard let box = entry.box.intersection(untracked) else { return [] }
    var rest = entry
    rest.box = box
    return [rest]
  }

  private struct GuardKey: Hashable {
    var chain: Int
    var rule: Int
    var branch: Int
    var family: Families.RawValue

    init(_ chain: Int, _ rule: Int, _ branch: Int, _ entry: Live) {
      self.chain = chain
      self.rule = rule
      self.branch = branch
      family = entry.box.family.rawValue
    }
  }

  /// A regular chain may be met many times.
  private var guards: [GuardKey: [PacketBox]] = [:]

  /// Parts one entry by a rule's guard.
  private mutating func cut(
    _ entry: Live, by rule: Rule, at key: GuardKey, _ hits: inout [Live], _ misses: inout [Live]
  ) {
    func part(_ box: PacketBox) -> Live {
      var part = entry
      part.box = box
      return part
    }
    guard rule.families.contains(entry.box.family) else {
      misses.append(entry)
      return
    }
    if guards[key] == nil {
      guards[key] = Self.guardBoxes(of: rule, branch: key.branch, entry.box.family)
    }
    var rest = [entry.box]
    for asked in guards[key] ?? [] {
      let box: PacketBox
      switch entry.alteration.asArrived(asked) {
      case nil: continue
      case .known(let arrived)?: box = arrived
      case .unknown(let arrived)?:
        // Whether the rule is met cannot be told, unless nothing of this entry comes near it.
        if rest.contains(where: { $0.intersection(arrived) != nil }) { isExhausted = true }
        continue
      }
      var remaining: [PacketBox] = []
      for piece in rest {
        cuts += 1
        guard let hit = piece.intersection(box) else {
          remaining.append(piece)
          continue
        }
        remaining += piece.subtracting(box)
        hits.append(part(hit))
        if recordsMet { met.insert(rule.id) }
      }
      rest = remaining
    }
    if cuts > Self.budget { isExhausted = true }
    misses += rest.map(part)
  }
}
