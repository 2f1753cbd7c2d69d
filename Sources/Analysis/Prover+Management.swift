import Diagnostics
import PolicyModel

/// What must stay reachable.
extension Prover {
  mutating func proveManagement(_ diagnostics: inout DiagnosticList) {
    switch policy.management {
    case .none:
      summary.isManagementProved = true
    case .unstated:
      let closesInput = firewall.baseChains.contains { chain in
        Hook.input.path.contains(chain.hook) && chain.policy != .accept
      }
      summary.isManagementProved = !closesInput
      if closesInput {
        diagnostics.report(
          Diagnostic(
            .managementMissing, .warning, at: policy.firewall?.span ?? policy.span,
            "this policy closes `input` and does not say what must stay reachable",
            help: [
              "add `management:` with the regions that must stay reachable, such as `- tcp 22`, or `management: none` for a console-only host",
              "until then the bundle says not proved, and the applier refuses it without `--force`",
            ]))
      }
    case .regions(let regions):
      var isProved = true
      for region in regions where !proveReachable(region, &diagnostics) { isProved = false }
      summary.isManagementProved = isProved
    }
  }

  private mutating func proveReachable(_ region: Region, _ diagnostics: inout DiagnosticList) -> Bool {
    guard let index = regions[Self.key(.opening, region)], isEmpty[index] == false else {
      diagnostics.report(emptyRegion(region))
      return false
    }
    // What a rule takes out of tracking is no new packet of a connection behind it, but an untracked one.
    let losesTracking =
      hasNotrack
      && ask(.opening, region, at: region.hook, { $0.acceptances($1).isEmpty }).isPossible
    for kind in losesTracking ? [Kind.opening, .untrackedOpening, .following] : [.opening, .following] {
      guard isReachable(kind, region, &diagnostics) else { return false }
    }
    guard region.hook == .input else { return true }
    for kind in losesTracking ? [Kind.reply, .untrackedReply] : [.reply] {
      guard isAnswered(kind, region, &diagnostics) else { return false }
    }
    return true
  }

  private mutating func isReachable(
    _ kind: Kind, _ region: Region, _ diagnostics: inout DiagnosticList
  ) -> Bool {
    // What the connection's first packet was translated to, nobody knows of those that follow.
    let isFollowing = kind == .following
    let closed = ask(kind, region, at: region.hook, isWhole: !isFollowing) {
      isFollowing ? $0.acceptances($1) == .never : $0.acceptances($1).contains(.never)
    }
    switch closed {
    case .none: break
    case .unknown:
      diagnostics.report(
        undecided(.managementUnproved, region.span, "whether `\(region.text)` stays reachable"))
      return false
    case .found(let closed):
      diagnostics.report(
        unreachable(
          region,
          "`\(region.text)` must stay reachable, and `\(region.hook.rawValue)` refuses "
            + (isFollowing ? "what follows the first packet" : "some of it"),
          closed, region.hook))
      return false
    }
    if case .found = ask(kind, region, at: region.hook, { $0.acceptances($1).contains(.sometimes) }),
      !summary.limitedManagement.contains(region.placedText)
    {
      summary.limitedManagement.append(region.placedText)
    }
    return true
  }

  private mutating func isAnswered(
    _ kind: Kind, _ region: Region, _ diagnostics: inout DiagnosticList
  ) -> Bool {
    switch ask(kind, region, at: .output, { $0.acceptances($1).contains(.never) }) {
    case .none: return true
    case .unknown:
      diagnostics.report(
        undecided(.managementUnproved, region.span, "whether replies to `\(region.text)` pass"))
    case .found(let closed):
      diagnostics.report(
        unreachable(
          region, "`\(region.text)` must stay reachable, and `output` refuses its replies", closed, .output))
    }
    return false
  }

  /// Of TCP the packets that open a connection: SYN alone of FIN, SYN, RST and ACK.
  static func opening(of box: PacketBox) -> [PacketBox] {
    let flags = (UInt128(0)...255).filter { $0 & 0x17 == 0x02 }.map { AddressRange($0, $0) }
    let tcp = IntervalSet<UInt128>([AddressRange(6, 6)])
    var others = box
    others[.transportProtocol] = box[.transportProtocol].subtracting(tcp)
    return [box.narrowed(.transportProtocol, tcp).narrowed(.tcpFlags, IntervalSet(flags)), others]
      .filter { !$0.isEmpty }
  }

  /// Addresses that no host answers from: what has another meaning, and the metadata service that clouds put beside
  /// every host (Amazon EC2, Azure, Google Compute Engine), which an anti-spoofing rule of `output` may well name.
  private static func foreignToHosts(_ family: Families) -> IntervalSet<UInt128> {
    let alone: (UInt128) -> AddressRange<UInt128> = { AddressRange($0, $0) }
    guard family == .ipv4 else {
      return IntervalSet([
        alone(0), alone(0xfd00_0ec2 << 96 | 0x254), alone(0xfd20_00ce << 96 | 0x254),
        AddressRange(0xff << 120, .max),
      ])
    }
    return IntervalSet([
      AddressRange(0, 0x00ff_ffff), alone(0xa9fe_a9fe), AddressRange(0xe000_0000, 0xefff_ffff),
      alone(0xffff_ffff),
    ])
  }

  /// The packets of some states that answer those of the box.
  ///
  /// What a host cannot answer from is left out, but where the box names nothing else.
  static func reply(to box: PacketBox, _ states: ConntrackStates) -> PacketBox {
    var reply = PacketBox(all: box.family)
    reply[.transportProtocol] = box[.transportProtocol]
    reply[.sourcePort] = box[.destinationPort]
    reply[.destinationPort] = box[.sourcePort]
    let own = box[.destinationAddress].subtracting(foreignToHosts(box.family))
    reply[.sourceAddress] = own.isEmpty ? box[.destinationAddress] : own
    reply[.destinationAddress] = box[.sourceAddress]
    reply.outputInterface = box.inputInterface
    reply[.state] = IntervalSet(
      PacketBox.states.indices.filter { states.contains(PacketBox.states[$0]) }.map {
        AddressRange(UInt128($0), UInt128($0))
      })
    return reply
  }

  private func unreachable(
    _ region: Region, _ message: String, _ finding: Finding, _ hook: Hook
  ) -> Diagnostic {
    Diagnostic(
      .managementUnreachable, at: region.span, message,
      related: decidedBy(finding),
      help: ["for example: \(Witness(from: finding.box, hook: hook).text)"])
  }
}
