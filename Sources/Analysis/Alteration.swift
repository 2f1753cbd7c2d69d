import PolicyModel

/// What rules on the way have made of a packet: its mark, its connection's mark, its code point.
///
/// A box tells what a packet was when it came; a rule asks for what it is now. Where a rule has written a
/// constant, the question has an answer; where it has copied a mark, the relation of two fields is no box, and
/// the answer is unknown.
struct Alteration: Equatable {
  private enum Value<T: Equatable>: Equatable {
    case asArrived
    case set(T)
    case unknown
  }

  /// What a guard asks for, in terms of the packet as it came.
  enum Question {
    case known(PacketBox)
    /// The box without the fields that nobody knows.
    case unknown(PacketBox)
  }

  private var mark: Value<UInt32> = .asArrived
  /// Where there is a connection.
  private var connectionMark: Value<UInt32> = .asArrived
  private var dscp: Value<UInt8> = .asArrived

  /// In the order of LANGUAGE.md §4.1.
  func applying(_ changes: Changes, to box: PacketBox) -> Alteration {
    guard !changes.isEmpty else { return self }
    var result = self
    // Without a connection nothing is restored or saved.
    let hasConnection = !box.connectionMark.cubes.isEmpty
    if changes.restoresMark, hasConnection {
      switch (connectionMark, box.connectionMark.includesAbsent) {
      case (.set(let value), false): result.mark = .set(value)
      default: result.mark = .unknown
      }
    }
    if let value = changes.connectionMark { result.connectionMark = .set(value) }
    if let value = changes.dscp { result.dscp = .set(value) }
    if let value = changes.mark { result.mark = .set(value) }
    if changes.savesMark, hasConnection {
      if case .set(let value) = result.mark {
        result.connectionMark = .set(value)
      } else {
        result.connectionMark = .unknown
      }
    }
    return result
  }

  /// Nil: no packet of this alteration meets the guard.
  func asArrived(_ asked: PacketBox) -> Question? {
    guard self != Alteration() else { return .known(asked) }
    var box = asked
    var isUnknown = false
    switch mark {
    case .asArrived: break
    case .set(let value):
      guard asked.mark.contains(value) else { return nil }
      box.mark = .present
    case .unknown:
      isUnknown = asked.mark != .present
      box.mark = .present
    }
    switch connectionMark {
    case .asArrived: break
    case .set(let value):
      box.connectionMark =
        asked.connectionMark.contains(value)
        ? MarkSet.present.union(absentIf: asked.connectionMark.includesAbsent)
        : asked.connectionMark.intersection(.absent)
      guard !box.connectionMark.isEmpty else { return nil }
    case .unknown:
      isUnknown = isUnknown || asked.connectionMark != .all
      box.connectionMark = .all
    }
    switch dscp {
    case .asArrived: break
    case .set(let value):
      guard asked[.dscp].contains(UInt128(value)) else { return nil }
      box[.dscp] = PacketBox.universe(.dscp, box.family)
    case .unknown:
      isUnknown = true
    }
    return isUnknown ? .unknown(box) : .known(box)
  }

  // MARK: What the kernel changes

  /// Whether a path asks twice for a field that the kernel changes between the two places: a forwarded packet
  /// loses one of its TTL before `forward`, and fragments are one packet behind −400 in prerouting.
  ///
  /// What a regular chain asks counts for each base chain that leads anywhere.
  static func isUnknown(
    _ region: [PacketBox], along chains: [BaseChain], through regularChains: [RegularChain]
  ) -> Bool {
    func isNarrowed(_ field: PacketBox.Field) -> Bool {
      region.contains { $0[field] != PacketBox.universe(field, $0.family) }
    }
    func asks(_ chains: [BaseChain], _ holds: (Match.Condition) -> Bool) -> Bool {
      chains.contains { chain in
        let leads = chain.rules.contains { !$0.verdict.targets.isEmpty }
        return (chain.rules + (leads ? regularChains.flatMap(\.rules) : [])).contains {
          $0.isEnabled && $0.matches.contains { holds($0.condition) }
        }
      }
    }
    let isArrival = { (chain: BaseChain) in chain.hook == .ingress || chain.hook == .prerouting }
    let isRaw = { (chain: BaseChain) in
      chain.hook == .ingress || chain.hook == .prerouting && chain.priority < -400
    }
    func isTwice(
      _ field: PacketBox.Field, isEarly: (BaseChain) -> Bool, _ holds: (Match.Condition) -> Bool
    ) -> Bool {
      let isEarlier = isNarrowed(field) || asks(chains.filter(isEarly), holds)
      return isEarlier && asks(chains.filter { !isEarly($0) }, holds)
    }
    if chains.contains(where: { $0.hook == .forward }),
      isTwice(.timeToLive, isEarly: isArrival, { if case .timeToLive = $0 { true } else { false } })
    {
      return true
    }
    guard chains.contains(where: isRaw) else { return false }
    return isTwice(.length, isEarly: isRaw) { if case .length = $0 { true } else { false } }
      || isTwice(.fragment, isEarly: isRaw) { $0 == .fragment }
  }
}

extension PacketBox {
  /// Packets that connection tracking has not seen.
  static func untracked(_ family: Families) -> PacketBox {
    var box = PacketBox(all: family)
    let state = UInt128(states.firstIndex(of: .untracked) ?? 0)
    box[.state] = IntervalSet([AddressRange(state, state)])
    box[.status] = IntervalSet([AddressRange(0, 0)])
    box.connectionMark = .absent
    return box
  }
}
