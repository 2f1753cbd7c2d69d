import BundleFormat
import CanonicalJSON
import HostState
import NFTables
import SHA2

/// What the kernel of the sandbox holds and lets through.
struct SandboxReport {
  private let name: String
  /// 64 digits.
  private let wanted: String
  private let hasFirewall: Bool
  private let leftOut: [String]
  private let hasGaps: Bool
  /// Read back from the kernel; nil: no policy is loaded.
  private let loaded: LoadedPolicy?
  private let chains: [(name: String, rules: Int)]
  var probe: ProbeReport?

  /// Reads the kernel of this network namespace.
  ///
  /// - Parameter hasGaps: the applier has named something it could not do.
  init(contents: BundleContents, leftOut: [String], hasGaps: Bool) throws(SandboxError) {
    name = String(decoding: contents.policyName, as: UTF8.self)
    wanted = String(decoding: SHA256.hex(contents.policyDigest), as: UTF8.self)
    hasFirewall = !contents.messages.isEmpty
    self.leftOut = leftOut
    self.hasGaps = hasGaps
    do throws(HostStateError) {
      loaded = try HostState.readDigest()
      chains = try HostState.readRuleset().tables.flatMap(\.chains).map { ($0.name, $0.rules.count) }
    } catch {
      throw SandboxError(doing: "reading the kernel back: \(error)", code: 0)
    }
  }

  /// Whether the kernel names the policy of the bundle.
  var isSamePolicy: Bool { hasFirewall ? loaded?.policyDigest == wanted : loaded == nil }

  // MARK: Text

  var text: String {
    var lines = ["policy \(name)", "  digest of the bundle  sha256:\(wanted)"]
    if let loaded {
      lines.append("  digest in the kernel  \(digestText(loaded))")
      let parts = chains.map { "\($0.name) \($0.rules)" }.joined(separator: ", ")
      lines.append("  rules in the kernel   \(parts)")
    } else {
      lines.append("  digest in the kernel  none\(hasFirewall ? "" : ": the policy has no firewall")")
    }
    if !isSamePolicy { lines.append("  the kernel does not name the policy of the bundle") }
    if !leftOut.isEmpty { lines += ["not in this sandbox"] + leftOut.map { "  \($0)" } }
    if hasGaps { lines.append("the applier has named gaps above") }
    if let probe { lines += Self.lines(of: probe) }
    return lines.joined(separator: "\n") + "\n"
  }

  private func digestText(_ loaded: LoadedPolicy) -> String {
    loaded.policyDigest.map { "sha256:\($0)" } ?? "unreadable: \(loaded.comment)"
  }

  private static func lines(of probe: ProbeReport) -> [String] {
    var lines: [String] = []
    for family in probe.families {
      lines.append("packets to \(probe.interface) from \(family.source)")
      for (protocolName, fates) in [("tcp", family.tcp), ("udp", family.udp)] {
        func list(_ fate: ProbeReport.Fate) -> String? {
          let ports = ProbeReport.ports(fates, fate)
          return ports.isEmpty ? nil : ProbeReport.ranges(ports).joined(separator: ", ")
        }
        lines.append("  \(protocolName)   open \(list(.open) ?? "none")")
        if let ports = list(.unanswered) { lines.append("        arrives, no answer comes back \(ports)") }
        if let ports = list(.rejected) { lines.append("        rejected \(ports)") }
        if let ports = list(.dropped) { lines.append("        dropped \(ports)") }
      }
      lines.append("  echo  \(Self.word(family.echo))")
    }
    if probe.lost > 0 {
      lines.append(
        "could not tell for all ports: the kernel lost \(probe.lost) packets on their way to this program")
    }
    return lines
  }

  private static func word(_ fate: ProbeReport.Fate) -> String {
    switch fate {
    case .open: "open"
    case .unanswered: "unanswered"
    case .rejected: "rejected"
    case .dropped: "dropped"
    }
  }

  // MARK: JSON

  var json: JSONValue {
    .object([
      .init("name", .string(name)), .init("digest", .string("sha256:\(wanted)")),
      .init(
        "kernel",
        loaded.map { loaded in
          [
            "comment": .string(loaded.comment),
            "digest": loaded.policyDigest.map { .string("sha256:\($0)") } ?? .null,
            "messages": .string(String(decoding: SHA256.hex(loaded.messageDigest), as: UTF8.self)),
            "chains": .array(chains.map { ["name": .string($0.name), "rules": JSONValue($0.rules)] }),
          ]
        } ?? .null),
      .init("same-policy", .bool(isSamePolicy)), .init("left-out", JSONValue(leftOut)),
      .init("gaps", .bool(hasGaps)), .init("probe", probe.map(Self.json) ?? .null),
    ])
  }

  private static func json(_ probe: ProbeReport) -> JSONValue {
    .object([
      .init("interface", .string(probe.interface)), .init("lost", JSONValue(probe.lost)),
      .init(
        "families",
        .array(
          probe.families.map { family in
            .object([
              .init("family", .string(family.name.lowercased())), .init("from", .string(family.source)),
              .init("echo", .string(word(family.echo))), .init("tcp", json(family.tcp)),
              .init("udp", json(family.udp)),
            ])
          })),
    ])
  }

  private static func json(_ fates: [ProbeReport.Fate]) -> JSONValue {
    .object(
      [ProbeReport.Fate.open, .unanswered, .rejected, .dropped].map { fate in
        .init(word(fate), JSONValue(ProbeReport.ranges(ProbeReport.ports(fates, fate))))
      })
  }
}
