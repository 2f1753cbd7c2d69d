internal import Analysis
package import PolicyModel

/// What a policy does with the first packet of a flow, of which the addresses, ports and protocol are known.
///
/// All else (interface, mark, owner, time) may be what it likes: denied is what no such packet is accepted of.
package enum FlowJudgement {
  package struct Flow: Sendable {
    package var hook: Hook
    package var isIPv6: Bool
    /// IPv4 in the lower 32 bits.
    package var source: UInt128
    package var destination: UInt128
    package var protocolNumber: UInt8
    package var ports: (source: UInt16, destination: UInt16)?
    package var icmp: (type: UInt8, code: UInt8)?
    /// On `lo`; otherwise on any other interface.
    package var isLoopback: Bool

    package init(
      hook: Hook, isIPv6: Bool, source: UInt128, destination: UInt128, protocolNumber: UInt8,
      ports: (source: UInt16, destination: UInt16)?, icmp: (type: UInt8, code: UInt8)?, isLoopback: Bool
    ) {
      self.hook = hook
      self.isIPv6 = isIPv6
      self.source = source
      self.destination = destination
      self.protocolNumber = protocolNumber
      self.ports = ports
      self.icmp = icmp
      self.isLoopback = isLoopback
    }
  }

  package enum Answer: Sendable {
    /// Or accepted for some values of what is not known.
    case accepted
    /// `dropped`, `rejected`; and the rule that does it, nil: the policy of a chain.
    case denied(String, Rule?)
    /// With the reason, as the end of a sentence.
    case unknown(String)
  }

  /// Over so many at once a diagram is made.
  private static let step = 256

  /// - Returns: in the order of the flows.
  package static func judge(_ flows: [Flow], by policy: HostPolicy) -> [Answer] {
    var answers: [Answer] = []
    for start in stride(from: 0, to: flows.count, by: step) {
      let part = flows[start..<min(start + step, flows.count)]
      let statements = part.indices.map { statement(of: flows[$0], named: "flow \($0)", at: policy) }
      let decisions = Analysis.decide(statements, of: policy)
      answers += decisions.map { decision in
        switch decision {
        case .holds: .accepted
        case .fails(let example): .denied(example.fate, example.rule)
        case .unknown(let reason): .unknown(reason)
        case .empty: .unknown("there is no such packet")
        }
      }
    }
    return answers
  }

  /// - Parameter text: another one for each: by it regions are told apart.
  private static func statement(of flow: Flow, named text: String, at policy: HostPolicy) -> Statement {
    func address(_ side: AddressSide, _ value: UInt128) -> Match {
      let set =
        flow.isIPv6
        ? AddressSet(ipv6: [IPv6Range(value, value)])
        : AddressSet(ipv4: [IPv4Range(UInt32(truncatingIfNeeded: value), UInt32(truncatingIfNeeded: value))])
      return Match(.addresses(side, AddressMatch(addresses: set)))
    }
    var matches = [address(.source, flow.source), address(.destination, flow.destination)]
    if let ports = flow.ports {
      for (side, port) in [(PortSide.source, ports.source), (.destination, ports.destination)] {
        matches.append(
          Match(.ports(side, protocols: [flow.protocolNumber], PortSet([AddressRange(port, port)]))))
      }
    } else if let icmp = flow.icmp {
      matches.append(
        Match(.icmp(flow.isIPv6 ? .icmpv6 : .icmp, [ICMPType(type: icmp.type, code: icmp.code)])))
    } else {
      matches.append(Match(.protocols([flow.protocolNumber])))
    }
    if flow.isLoopback {
      matches.append(Match(.interfaces(flow.hook == .output ? .output : .input, [InterfacePattern("lo")])))
    }
    let region = Region(
      hook: flow.hook, families: flow.isIPv6 ? .ipv6 : .ipv4, matches: matches, hasStateClause: false,
      includesLoopback: flow.isLoopback, text: text, span: policy.span)
    return Statement(name: nil, body: .packets(region, .may, .accept), text: text, span: policy.span)
  }
}
