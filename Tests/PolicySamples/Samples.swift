package import Diagnostics
package import PolicyModel

/// Policies built by hand: what a checker would hand over.
package enum Samples {
  package static let span = SourceSpan(SourceID(0), 0, 0)

  package static func rule(
    _ id: String, _ verdict: Verdict, families: Families = .both, _ matches: Match...,
    adjust: (inout Rule) -> Void = { _ in }
  ) -> Rule {
    var rule = Rule(id: id, name: nil, text: id, verdict: verdict, span: span)
    rule.families = families
    rule.matches = matches
    adjust(&rule)
    return rule
  }

  package static func closing(_ hook: Hook, _ policy: ChainPolicy) -> Rule? {
    guard policy != .accept else { return nil }
    return rule("\(hook.rawValue)/closing", policy == .drop ? .drop : .reject(.automatic)) {
      $0.origin = .closing
      $0.counter = .anonymous
      $0.name = "closing"
    }
  }

  package static func chain(
    _ hook: Hook, policy: ChainPolicy = .drop, priority: Int32? = nil, _ rules: [Rule]
  ) -> BaseChain {
    let usual: Int32 = hook == .prerouting || hook == .postrouting ? -155 : -5
    return BaseChain(
      hook: hook, priority: priority ?? usual, policy: policy,
      rules: rules + (closing(hook, policy).map { [$0] } ?? []), span: span)
  }

  package static func policy(
    _ chains: [BaseChain], regular: [RegularChain] = [], sets: [(String, AddressSet)] = []
  ) -> HostPolicy {
    var policy = HostPolicy(name: "sample", target: Target(kernel: KernelVersion(6, 1)), span: span)
    policy.firewall = Firewall(baseChains: chains, regularChains: regular, span: span)
    policy.addressSets = sets.map { NamedAddressSet(name: $0.0, addresses: $0.1, span: span) }
    return policy
  }

  // MARK: Short forms

  package static func ipv4(_ a: UInt8, _ b: UInt8, _ c: UInt8, _ d: UInt8, _ bits: Int = 32) -> AddressSet {
    let lower = UInt32(a) << 24 | UInt32(b) << 16 | UInt32(c) << 8 | UInt32(d)
    let host = bits == 0 ? UInt32.max : (UInt32(1) << UInt32(32 - bits)) &- 1
    return AddressSet(ipv4: [IPv4Range(lower & ~host, lower | host)])
  }

  /// `top` are the first 64 bits, `low` the last.
  package static func ipv6(_ top: UInt64, _ low: UInt64 = 0, _ bits: Int = 128) -> AddressSet {
    let value = UInt128(top) << 64 | UInt128(low)
    let host = bits == 0 ? UInt128.max : (UInt128(1) << UInt128(128 - bits)) &- 1
    return AddressSet(ipv6: [IPv6Range(value & ~host, value | host)])
  }

  package static func ports(_ ranges: ClosedRange<UInt16>...) -> PortSet {
    PortSet(ranges.map { AddressRange($0.lowerBound, $0.upperBound) })
  }

  package static func ports(_ ports: UInt16...) -> PortSet {
    PortSet(ports.map { AddressRange($0, $0) })
  }

  package static func ids(_ ranges: ClosedRange<UInt32>...) -> [AddressRange<UInt32>] {
    IntervalSet(ranges.map { AddressRange($0.lowerBound, $0.upperBound) }).ranges
  }
}
