import BundleFormat
import Compiler
import Diagnostics
import Glibc
import NFTables
import PolicyModel

/// Flows that began before a policy was applied, and that it would not let begin now (APPLY §9).
///
/// Each connection that the kernel tracks is judged as the first packet of its original direction, with the destination
/// that a translation gave it. The kernel does not keep by which interface it came, with which mark, or whose it is, so
/// one counts as denied only where no such packet is accepted.
struct EstablishedFlows {
  private let connections: [TrackedConnection]
  private let judged: LiftedPolicy
  /// With the reason, and the line that decides.
  private var denied: [(connection: TrackedConnection, hook: Hook, reason: String)] = []
  private(set) var unknownCount = 0

  var deniedCount: Int { denied.count }

  /// Nil: the kernel tracks no connections.
  init?(judgedBy bundle: LiftedPolicy, _ socket: inout NetlinkSocket) throws(NFTablesError) {
    guard let all = try socket.connections() else { return nil }
    (judged, connections) = (bundle, all)
    let own = Self.ownAddresses()
    var flows: [FlowJudgement.Flow] = []
    var owners: [Int] = []
    for (index, connection) in connections.enumerated() {
      for flow in Self.flows(of: connection, own) {
        flows.append(flow)
        owners.append(index)
      }
    }
    let answers = Terminal.whileAnnouncing("judging \(connections.count) connections") { [flows] in
      FlowJudgement.judge(flows, by: bundle.policy)
    }
    for (index, answer) in answers.enumerated() {
      let connection = connections[owners[index]]
      switch answer {
      case .accepted: break
      case .unknown: unknownCount += 1
      case .denied(let fate, let rule):
        // A flow of the host with itself goes through two hooks.
        guard denied.last?.connection != connection else { continue }
        denied.append((connection, flows[index].hook, "\(fate) by \(place(rule))"))
      }
    }
  }

  private func place(_ rule: Rule?) -> String {
    guard let rule else { return "the policy of its chain" }
    let file = judged.sources[rule.span.source]
    return "\(rule.id), \(file.path):\(file.position(of: rule.span.start).line)"
  }

  // MARK: What the flows are

  /// Addresses of this network namespace, 4 or 16 bytes each.
  private static func ownAddresses() -> Set<[UInt8]> {
    var own: Set<[UInt8]> = []
    var list: UnsafeMutablePointer<ifaddrs>?
    guard getifaddrs(&list) == 0 else { return own }
    defer { freeifaddrs(list) }
    var next = list
    while let entry = next {
      if let address = entry.pointee.ifa_addr {
        switch Int32(address.pointee.sa_family) {
        case AF_INET:
          address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { address in
            _ = own.insert(withUnsafeBytes(of: address.pointee.sin_addr) { Array($0) })
          }
        case AF_INET6:
          address.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { address in
            _ = own.insert(withUnsafeBytes(of: address.pointee.sin6_addr) { Array($0) })
          }
        default: break
        }
      }
      next = entry.pointee.ifa_next
    }
    return own
  }

  // IPPROTO_TCP, UDP, DCCP, SCTP, UDPLITE of netinet/in.h: those whose ports rules ask for.
  private static let protocolsWithPorts: Set<UInt8> = [6, 17, 33, 132, 136]

  private static func flows(
    of connection: TrackedConnection, _ own: Set<[UInt8]>
  ) -> [FlowJudgement.Flow] {
    let (original, reply) = (connection.original, connection.reply)
    func isOwn(_ address: [UInt8]) -> Bool {
      address.count == 4 && address[0] == 127 || own.contains(address)
    }
    // 224.0.0.0/4 with 255.255.255.255, and ff00::/8.
    func isForMany(_ address: [UInt8]) -> Bool {
      address.count == 4 ? address[0] >= 224 : address[0] == 0xff
    }
    // Where a translation has sent it, from there the answers come.
    let destination = isForMany(original.destination) ? original.destination : reply.source
    let comesIn = isOwn(destination) || isForMany(destination) && !isOwn(original.source)
    let hooks: [Hook] =
      isOwn(original.source) ? comesIn ? [.output, .input] : [.output] : comesIn ? [.input] : [.forward]
    var ports: (source: UInt16, destination: UInt16)?
    if protocolsWithPorts.contains(original.protocolNumber), let source = original.sourcePort,
      let port = isForMany(destination) ? original.destinationPort : reply.sourcePort
    {
      ports = (source, port)
    }
    var icmp: (type: UInt8, code: UInt8)?
    if original.protocolNumber == (connection.isIPv6 ? 58 : 1), let type = original.icmpType {
      icmp = (type, original.icmpCode ?? 0)
    }
    return hooks.map { hook in
      FlowJudgement.Flow(
        hook: hook, isIPv6: connection.isIPv6, source: number(original.source),
        // Before it goes out, its destination is still the first one.
        destination: number(hook == .output ? original.destination : destination),
        protocolNumber: original.protocolNumber,
        ports: hook == .output
          ? ports.map { ($0.source, original.destinationPort ?? $0.destination) } : ports,
        icmp: icmp, isLoopback: hooks.count == 2)
    }
  }

  private static func number(_ address: [UInt8]) -> UInt128 { address.reduce(0) { $0 << 8 | UInt128($1) } }

  private static func text(_ connection: TrackedConnection) -> String {
    func end(_ address: [UInt8], _ port: UInt16?) -> String {
      let text = NumericAddress.text(address)
      guard let port else { return text }
      return address.count == 4 ? "\(text):\(port)" : "[\(text)]:\(port)"
    }
    let original = connection.original
    let isWithPorts = protocolsWithPorts.contains(original.protocolNumber)
    let word =
      switch original.protocolNumber {
      case 1: "icmp"
      case 6: "tcp"
      case 17: "udp"
      case 58: "icmpv6"
      case 132: "sctp"
      case let number: "protocol \(number)"
      }
    return
      "\(word) \(end(original.source, isWithPorts ? original.sourcePort : nil)) to "
      + end(original.destination, isWithPorts ? original.destinationPort : nil)
  }

  // MARK: Cutting

  /// What `cut` has come to.
  struct Cut {
    var lines: [String]
    /// Whether each flow is gone and cannot come back by itself.
    var isCertain: Bool
  }

  /// The denied flows, a line each.
  var lines: [String] {
    denied.map { "\(Self.text($0.connection)) (\($0.hook.rawValue)): \($0.reason)" }
  }

  /// Makes the kernel forget the denied flows, these and no others, and looks whether they are gone.
  func cut(_ socket: inout NetlinkSocket) throws(NFTablesError) -> Cut {
    for flow in denied { _ = try socket.forget(flow.connection) }
    let left = try socket.connections() ?? []
    let takesUp = Self.takesUpFlows
    var cut = Cut(lines: [], isCertain: true)
    for flow in denied {
      let text = Self.text(flow.connection)
      if left.contains(where: { $0.original == flow.connection.original && $0.zone == flow.connection.zone })
      {
        cut.lines.append("\(text): it is there again")
        cut.isCertain = false
      } else if flow.connection.original.protocolNumber == 6, takesUp {
        cut.lines.append(
          "\(text): cut, and not certain: net.netfilter.nf_conntrack_tcp_loose is not 0, so a segment from the inside brings it back"
        )
        cut.isCertain = false
      } else {
        cut.lines.append("\(text): cut")
      }
    }
    return cut
  }

  /// Whether the kernel takes up TCP connections whose beginning it has not seen.
  private static var takesUpFlows: Bool {
    let value = try? FileBytes.read("/proc/sys/net/netfilter/nf_conntrack_tcp_loose")
    return value?.first != UInt8(ascii: "0")
  }
}
