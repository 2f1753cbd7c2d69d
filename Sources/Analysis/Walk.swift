import PolicyModel

/// What may happen to the packets of one box, after a walk along a path of base chains.
struct Fate {
  enum Acceptance {
    case never
    /// A limit or quota decides.
    case sometimes
    case always
  }

  var box: PacketBox
  var acceptance: Acceptance
  /// Whether every refusal on the way is a reject.
  var isRejected: Bool
  /// The rule that decides, or nil for a chain's policy.
  var rule: Rule?
}

/// First match, symbolically: a region of packets walks a path of base chains, through the regular chains they
/// lead to, and is cut at each rule's guard.
///
/// Exact for every match the language has now; the number of boxes is bounded, and past the bound the answer
/// is nil, never a guess. The verdict diagrams of the analysis issue replace it.
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
  }

  /// Where a packet stands: the rules it still has before it in one chain.
  private struct Frame {
    /// Of `regularChains`; -1 for the base chain.
    var chain: Int
    var rules: ArraySlice<Rule>
  }

  private let regularChains: [RegularChain]
  private let indexes: [String: Int]
  private var fates: [Fate] = []
  private var cuts = 0
  private var isExhausted = false
  /// Of the base chain being walked.
  private var policy = ChainPolicy.accept
  private var accepted: [Live] = []
  /// While a limiter may or may not take packets another way, what that way comes to; the innermost last.
  private var trials: [[Live]] = []

  private init(_ regularChains: [RegularChain]) {
    self.regularChains = regularChains
    indexes = Dictionary(regularChains.indices.map { (regularChains[$0].name, $0) }) { first, _ in first }
  }

  /// The fates of a region; together they cover it. Nil where the budget ends.
  static func fates(
    of region: [PacketBox], along chains: [BaseChain], through regularChains: [RegularChain] = []
  ) -> [Fate]? {
    var walk = Walk(regularChains)
    var live = region.map { Live(box: $0) }
    for chain in chains {
      live = walk.walk(live, chain)
      if walk.isExhausted { return nil }
    }
    for entry in live {
      walk.fates.append(
        Fate(
          box: entry.box,
          acceptance: entry.mayBeDropped || entry.mayBeRejected ? .sometimes : .always,
          isRejected: false, rule: entry.acceptor))
    }
    return walk.fates
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
    guards = guards.filter { $0.key.chain >= 0 }
    decide(run(live, [Frame(chain: -1, rules: chain.rules[...])], until: 0), policy, nil)
    return accepted
  }

  // MARK: Verdicts

  private mutating func decide(_ entries: [Live], _ verdict: ChainPolicy, _ rule: Rule?) {
    for entry in entries { decide(entry, verdict, rule) }
  }

  private mutating func decide(_ entry: Live, _ verdict: ChainPolicy, _ rule: Rule?) {
    var entry = entry
    if let trial = trials.indices.last {
      Self.mark(&entry, verdict, rule)
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
        if verdict == .drop { entry.mayBeDropped = true } else { entry.mayBeRejected = true }
        accepted.append(entry)
      } else {
        fates.append(
          Fate(
            box: entry.box, acceptance: .never,
            isRejected: verdict == .reject && !entry.mayBeDropped, rule: rule))
      }
    }
  }

  /// What a limiter may have done to some of the packets.
  private static func mark(_ entry: inout Live, _ verdict: ChainPolicy, _ rule: Rule?) {
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
  }

  private func way(_ verdict: Verdict, isInBaseChain: Bool) -> Way {
    func chain(_ name: String) -> Frame {
      // INVARIANT: the checker lets no other name through.
      let index = indexes[name] ?? 0
      return Frame(chain: index, rules: regularChains[index].rules[...])
    }
    return switch verdict {
    case .accept: .decision(.accept)
    case .drop: .decision(.drop)
    case .reject: .decision(.reject)
    case .continue: .continue
    case .return: isInBaseChain ? .decision(policy) : .leave(through: nil)
    case .jump(let name): .jump(chain(name))
    case .goto(let name): .leave(through: chain(name))
    // INVARIANT: its branches are none.
    case .dispatch: .continue
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
        switch way(verdict, isInBaseChain: callers.isEmpty && frame.chain < 0) {
        case .continue:
          onward += taken
        case .decision(let verdict) where isStateful:
          for entry in taken {
            var entry = entry
            Self.mark(&entry, verdict, rule)
            onward.append(entry)
          }
        case .decision(let verdict):
          decide(taken, verdict, rule)
        case .jump(let chain):
          var behind = frame
          behind.rules = frame.rules[(index + 1)...]
          let way = callers + [behind, chain]
          onward += isStateful ? tried(taken, way) : run(taken, way, until: callers.count + 1)
        case .leave(let chain):
          let way = callers + (chain.map { [$0] } ?? [])
          if isStateful { onward += tried(taken, way) } else { left += run(taken, way, until: depth) }
        }
      }
      live += onward
      if isExhausted { return [] }
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
  private mutating func tried(_ taken: [Live], _ way: [Frame]) -> [Live] {
    guard trials.count < Self.maximumTrials else {
      isExhausted = true
      return []
    }
    trials.append([])
    decide(run(taken, way, until: 0), policy, nil)
    return trials.removeLast()
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
    for box in guards[key] ?? [] {
      var remaining: [PacketBox] = []
      for piece in rest {
        cuts += 1
        guard let hit = piece.intersection(box) else {
          remaining.append(piece)
          continue
        }
        remaining += piece.subtracting(box)
        hits.append(part(hit))
      }
      rest = remaining
    }
    if cuts > Self.budget { isExhausted = true }
    misses += rest.map(part)
  }
}
