internal import PolicyModel

/// The sets of a rule's `limit` and `connections`: an element for each key, with a bucket or a list of connections.
///
/// `connections` without a key has a set too, with one element: what an expression of a rule counts is gone when the
/// rule is replaced, and connections that are forgotten are not limited (`APPLY.md` §6.6).
struct LimiterSets {
  private let rule: Rule

  init(of rule: Rule) { self.rule = rule }

  private enum Kind: String {
    case connections
    case limit
  }

  var all: [KernelSet] {
    var sets: [KernelSet] = []
    if let limiter = rule.connections {
      let state = Self.state(of: limiter)
      if let key = limiter.key {
        sets += self.sets(.connections, key, timeout: nil, state)
      } else {
        sets.append(
          KernelSet(
            name: name(.connections, nil), keyType: .mark,
            filling: .init(isByRules: true, size: 1, hasTimeouts: false, timeout: nil, state: state)))
      }
    }
    if let limit = rule.limit, let key = limit.key {
      sets += self.sets(.limit, key, timeout: limit.keptFor, Self.state(of: limit))
    }
    return sets
  }

  /// What counts a packet of a family; nil: of either, which only `connections` without a key can.
  func connections(in family: Families?) -> RuleStatement? {
    guard let limiter = rule.connections else { return nil }
    let state = Self.state(of: limiter)
    guard let key = limiter.key else {
      // The same for every packet; nft takes no constant.
      return .setUpdate(
        .init(
          .update, name(.connections, nil), key: .packetMark(mask: nil), mask: [0, 0, 0, 0], state: state))
    }
    return update(.connections, key, family, state)
  }

  func limit(in family: Families?) -> RuleStatement? {
    guard let limit = rule.limit, let key = limit.key else { return nil }
    return update(.limit, key, family, Self.state(of: limit))
  }

  private func update(
    _ kind: Kind, _ key: AddressKey, _ family: Families?, _ state: ElementState
  ) -> RuleStatement {
    // INVARIANT: rules with such a key are split by family.
    let isV6 = family == .ipv6
    return .setUpdate(
      .init(
        .update, name(kind, isV6 ? .ipv6 : .ipv4), key: .address(key.side, isV6: isV6),
        mask: key.mask(isV6: isV6), state: state))
  }

  private func sets(
    _ kind: Kind, _ key: AddressKey, timeout: UInt64?, _ state: ElementState
  ) -> [KernelSet] {
    [(Families.ipv4, KernelSet.KeyType.ipv4Address), (.ipv6, .ipv6Address)].map { family, keyType in
      KernelSet(
        name: name(kind, family), keyType: keyType,
        filling: .init(
          isByRules: true, size: DynamicSet.limiterSize, hasTimeouts: timeout != nil, timeout: timeout,
          state: state))
    }
  }

  private func name(_ kind: Kind, _ family: Families?) -> String {
    KernelName.limiterSet(ruleID: rule.id, kind: kind.rawValue, family: family)
  }

  private static func state(of limiter: ConnectionLimit) -> ElementState {
    .connections(count: limiter.count, isOver: limiter.isOver)
  }

  private static func state(of limit: Limit) -> ElementState {
    .limit(
      rate: limit.rate.amount, seconds: limit.rate.seconds, burst: limit.kernelBurst,
      isBytes: limit.rate.isBytes, isOver: limit.isOver)
  }
}

extension AddressKey {
  /// The bits that count, as an address; nil: all.
  func mask(isV6: Bool) -> [UInt8]? {
    let (bits, all) = isV6 ? (Int(ipv6Bits), 128) : (Int(ipv4Bits), 32)
    guard bits < all else { return nil }
    return (0..<all / 8).map { UInt8(truncatingIfNeeded: 0xff00 >> max(0, min(8, bits - $0 * 8))) }
  }
}

extension Limit {
  /// A burst of no packets would match none; the kernel takes 5 for it (NFT_LIMIT_PKT_BURST_DEFAULT).
  var kernelBurst: UInt32 { burst == 0 && !rate.isBytes ? 5 : burst }
}

extension RuleStatement.Field {
  static func address(_ side: AddressSide, isV6: Bool) -> RuleStatement.Field {
    switch (side, isV6) {
    case (.source, false): .ipv4Source
    case (.destination, false): .ipv4Destination
    case (.source, true): .ipv6Source
    case (.destination, true): .ipv6Destination
    }
  }
}
