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

/// First match, symbolically: a region of packets walks a path of base chains and is cut at each rule's guard.
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
    /// The last limiter met, and the rule that accepted in the last chain; nil for its policy.
    var limiter: Rule?
    var acceptor: Rule?
  }

  /// The fates of a region; together they cover it. Nil where the budget ends.
  static func fates(of region: [PacketBox], along chains: [BaseChain]) -> [Fate]? {
    var live = region.map { Live(box: $0) }
    var fates: [Fate] = []
    var cuts = 0
    for chain in chains {
      guard let passed = walk(live, chain, &fates, &cuts) else { return nil }
      live = passed
    }
    for entry in live {
      fates.append(
        Fate(
          box: entry.box,
          acceptance: entry.mayBeDropped || entry.mayBeRejected ? .sometimes : .always,
          isRejected: false, rule: entry.acceptor))
    }
    return fates
  }

  /// Returns what the chain accepts; what it refuses goes to `fates`.
  private static func walk(
    _ start: [Live], _ chain: BaseChain, _ fates: inout [Fate], _ cuts: inout Int
  ) -> [Live]? {
    // `mayBeAccepted` is about this chain only: a packet it may accept goes on to the next one as well.
    var live = start.map { entry in
      var entry = entry
      entry.mayBeAccepted = false
      entry.acceptor = nil
      return entry
    }
    var accepted: [Live] = []

    func decide(_ entry: Live, _ verdict: ChainPolicy, _ rule: Rule?, _ fates: inout [Fate]) {
      var entry = entry
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

    for rule in chain.rules where rule.isEnabled {
      var untouched: [Live] = []
      var guards: [Families.RawValue: Guard] = [:]
      for family in [Families.ipv4, .ipv6] where rule.families.contains(family) {
        guards[family.rawValue] = Guard(matches: rule.matches, family: family)
      }
      for entry in live {
        var rest = [entry.box]
        for box in guards[entry.box.family.rawValue]?.boxes ?? [] {
          var remaining: [PacketBox] = []
          for piece in rest {
            cuts += 1
            guard let hit = piece.intersection(box) else {
              remaining.append(piece)
              continue
            }
            remaining += piece.subtracting(box)
            var part = entry
            part.box = hit
            let isStateful = rule.limit != nil || rule.quota != nil
            switch (rule.verdict, isStateful) {
            case (.continue, _):
              untouched.append(part)
            case (.accept, false): decide(part, .accept, rule, &fates)
            case (.drop, false): decide(part, .drop, rule, &fates)
            case (.reject, false): decide(part, .reject, rule, &fates)
            case (.return, false): decide(part, chain.policy, rule, &fates)
            case (let verdict, true):
              let outcome: ChainPolicy? =
                switch verdict {
                case .accept: .accept
                case .drop: .drop
                case .reject: .reject
                case .return: chain.policy
                case .continue: nil
                }
              switch outcome {
              case .accept: part.mayBeAccepted = true
              case .drop: part.mayBeDropped = true
              case .reject: part.mayBeRejected = true
              case nil: break
              }
              part.limiter = rule
              untouched.append(part)
            }
          }
          rest = remaining
        }
        for box in rest {
          var part = entry
          part.box = box
          untouched.append(part)
        }
      }
      live = untouched
      if cuts > budget { return nil }
    }
    for entry in live { decide(entry, chain.policy, nil, &fates) }
    return accepted
  }
}
