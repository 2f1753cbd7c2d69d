import PolicyModel
import PolicySamples

/// What LANGUAGE.md §4 says about a packet and a rule, read off the policy model alone.
enum Meaning {
  static func holds(_ rule: Rule, _ packet: Packet) -> Bool {
    rule.families.contains(packet.family) && rule.matches.allSatisfy { holds($0, packet) }
  }

  /// The verdict of a map; nil: a field is missing.
  static func verdict(of map: VerdictMap, _ packet: Packet) -> Verdict? {
    for case .port(let number) in map.fields {
      guard isOne(of: [number], packet), port(.destination, packet) != nil else { return nil }
    }
    let entry = map.entries.first { entry in
      entry.keys.contains { key in zip(map.fields, key).allSatisfy { holds($0, $1, packet) } }
    }
    return entry?.verdict ?? map.otherwise
  }

  private static func holds(
    _ field: VerdictMap.Field, _ part: VerdictMap.Part, _ packet: Packet
  ) -> Bool {
    switch (field, part) {
    case (.port, .ports(let ports)): port(.destination, packet).map { contains(ports, $0) } ?? false
    case (.address(let side), .addresses(let set)):
      holds(.addresses(side, AddressMatch(addresses: set)), packet)
    case (.interface(let side), .interfaces(let patterns)): holds(.interfaces(side, patterns), packet)
    case (.mark, .marks(let ranges)): contains(ranges, packet.mark)
    default: false
    }
  }

  private static func holds(_ match: Match, _ packet: Packet) -> Bool {
    let positive = holds(match.condition, packet)
    guard match.isNegated else { return positive }
    switch match.condition {
    // Ports and ICMP types negate inside their protocol.
    case .ports(_, let protocols, _): return isOne(of: protocols, packet) && !positive
    case .icmp(let icmp, _):
      return icmp.families == packet.family && isOne(of: [icmp.protocolNumber], packet) && !positive
    case .tcpFlags: return isOne(of: [6], packet) && !positive
    default: return !positive
    }
  }

  private static func holds(_ condition: Match.Condition, _ packet: Packet) -> Bool {
    switch condition {
    case .protocols(let protocols): return isOne(of: protocols, packet)
    case .ports(let side, let protocols, let ports):
      guard isOne(of: protocols, packet), let port = port(side, packet) else { return false }
      return contains(ports, port)
    case .icmp(let icmp, let types):
      guard icmp.families == packet.family, isOne(of: [icmp.protocolNumber], packet),
        let type = packet.transport.first
      else { return false }
      return types.contains { wanted in
        wanted.type == type
          && (wanted.code == nil || packet.transport.count > 1 && packet.transport[1] == wanted.code)
      }
    case .services(let services):
      return services.contains { service in
        guard service.families.contains(packet.family), isOne(of: [service.protocolNumber], packet) else {
          return false
        }
        guard let ports = service.ports else { return true }
        return port(.destination, packet).map { contains(ports, $0) } ?? false
      }
    case .states(let states): return states.contains(packet.state)
    case .status(let status): return (packet.status ?? 0) & status.rawValue != 0
    case .addresses(let side, let match):
      let bytes = side == .source ? packet.source : packet.destination
      let type = side == .source ? packet.sourceType : packet.destinationType
      let value = bytes.reduce(UInt128(0)) { $0 << 8 | UInt128($1) }
      func holds(_ addresses: AddressSet, _ specials: [AddressMatch.Special], _ sets: [String]) -> Bool {
        let isInSet =
          packet.isV6
          ? addresses.ipv6.contains { $0.lower <= value && value <= $0.upper }
          : addresses.ipv4.contains { UInt128($0.lower) <= value && value <= UInt128($0.upper) }
        return isInSet || specials.contains(.local) && type == 2
          || specials.contains(.broadcast) && !packet.isV6 && type == 3
          || sets.contains { packet.sets[$0]?.contains(RandomPolicy.key(of: bytes, in: $0)) ?? false }
      }
      func isIn(_ tree: AddressTree) -> Bool {
        switch tree {
        case .list(let match): self.holds(.addresses(side, match), packet)
        case .union(let parts): parts.contains(where: isIn)
        case .difference(let included, let excepted): isIn(included) && !isIn(excepted)
        }
      }
      if let tree = match.tree { return isIn(tree) }
      let except = match.exception.map { holds($0.addresses, $0.specials, $0.sets) } ?? false
      return holds(match.addresses, match.specials, match.sets) && !except
    case .interfaces(let side, let patterns):
      let name = side == .input ? packet.inputInterface : packet.outputInterface
      return patterns.contains { $0.isPrefix ? name.hasPrefix($0.name) : name == $0.name }
    case .user(let ranges): return contains(ranges, packet.user)
    case .group(let ranges): return contains(ranges, packet.group)
    case .controlGroups(let groups):
      guard let sender = packet.controlGroup else { return false }
      return groups.contains { group in
        packet.knownGroups.contains(group.path) && (sender + "/").hasPrefix(group.path + "/")
      }
    case .mark(let kind, let values):
      let mark = kind == .mark ? packet.mark : packet.connectionMark
      return contains(values.ranges, mark.map { $0 & values.mask })
    case .tcpFlags(let value, let mask):
      guard packet.transportProtocol == 6, packet.transport.count > 13 else { return false }
      return packet.transport[13] & mask.rawValue == value.rawValue
    case .linkAddresses(let side, let addresses):
      guard packet.inputInterfaceType == 1 else { return false }
      let bytes = side == .source ? packet.linkSource : packet.linkDestination
      return addresses.contains { $0.value == bytes.reduce(0) { $0 << 8 | UInt64($1) } }
    case .dscp(let codes): return codes.contains { $0.lower <= packet.dscp && packet.dscp <= $0.upper }
    case .timeToLive(let ranges):
      return ranges.contains { $0.lower <= packet.timeToLive && packet.timeToLive <= $0.upper }
    case .length(let ranges): return contains(ranges, packet.length)
    case .packetTypes(let types): return types.rawValue >> packet.packetType & 1 == 1
    case .hours(let hours):
      return hours.start < hours.end
        ? hours.start <= packet.hour && packet.hour < hours.end
        : hours.start <= packet.hour || packet.hour < hours.end
    case .days(let days): return days.rawValue >> packet.day & 1 == 1
    case .fragment: return packet.fragmentOffset.map { $0 & (packet.isV6 ? 0xfff8 : 0x1fff) != 0 } ?? false
    case .spoofed: return packet.inputInterface != "lo" && !packet.hasRouteBack
    case .ipsec: return packet.cameByIPsec
    }
  }

  private static func isOne(of protocols: [UInt8], _ packet: Packet) -> Bool {
    packet.transportProtocol.map(protocols.contains) ?? false
  }

  private static func port(_ side: PortSide, _ packet: Packet) -> UInt16? {
    let offset = side == .source ? 0 : 2
    guard packet.transport.count >= offset + 2 else { return nil }
    return UInt16(packet.transport[offset]) << 8 | UInt16(packet.transport[offset + 1])
  }

  private static func contains(_ ports: PortSet, _ port: UInt16) -> Bool {
    ports.ranges.contains { $0.lower <= port && port <= $0.upper }
  }

  private static func contains(_ ranges: [AddressRange<UInt32>], _ id: UInt32?) -> Bool {
    id.map { id in ranges.contains { $0.lower <= id && id <= $0.upper } } ?? false
  }
}
