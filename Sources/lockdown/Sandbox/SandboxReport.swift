import BundleFormat
import HostState
import NFTables
import SHA2

/// What the kernel of the sandbox holds and lets through, told from the outside in.
enum SandboxReport {
  /// Prints the report; returns whether the kernel names the policy of the bundle.
  static func print(contents: BundleContents, probe: Bool) throws(SandboxError) -> Bool {
    let wanted = String(decoding: SHA256.hex(contents.policyDigest), as: UTF8.self)
    let name = String(decoding: contents.policyName, as: UTF8.self)
    Swift.print("policy \(name)")
    Swift.print("  digest of the bundle    sha256:\(wanted)")
    let isSame = try printKernel(wanted: wanted, hasFirewall: !contents.messages.isEmpty)
    if probe {
      do throws(ProbeError) {
        printProbe(try PacketProbe.run())
      } catch {
        throw SandboxError(doing: "probing: \(error.doing)", code: error.code)
      }
    }
    return isSame
  }

  private static func printKernel(wanted: String, hasFirewall: Bool) throws(SandboxError) -> Bool {
    do throws(HostStateError) {
      guard let loaded = try HostState.readDigest() else {
        Swift.print("  digest in the kernel    none\(hasFirewall ? "" : ": the policy has no firewall")")
        return !hasFirewall
      }
      let found = loaded.policyDigest ?? "unreadable: \(loaded.comment)"
      Swift.print("  digest in the kernel    sha256:\(found)  (counter policy_digest, read back)")
      let ruleset = try HostState.readRuleset()
      for table in ruleset.tables {
        let rules = table.chains.map { "\($0.name) \($0.rules.count)" }.joined(separator: ", ")
        Swift.print("  rules in the kernel     \(rules)")
      }
      if found != wanted { printError("lockdown: sandbox: the kernel names another policy than the bundle") }
      return found == wanted
    } catch {
      throw SandboxError(doing: "reading the kernel back: \(error)", code: 0)
    }
  }

  private static func printProbe(_ report: ProbeReport) {
    Swift.print("open from outside, by real packets (every port tried)")
    for family in report.families {
      var parts: [String] = []
      if !family.tcp.isEmpty { parts.append("tcp " + ranges(family.tcp)) }
      if !family.udp.isEmpty {
        let bound = report.mayMissUDP && family.udp.count > 50 ? "udp at least " : "udp "
        parts.append(bound + ranges(family.udp))
      }
      if family.answersEcho { parts.append("echo") }
      Swift.print("  \(family.name)   \(parts.isEmpty ? "nothing" : parts.joined(separator: "   "))")
    }
    Swift.print("closed: every other tcp and udp port of \(report.portsTried)")
  }

  /// `22, 80-90`.
  private static func ranges(_ ports: [UInt16]) -> String {
    var parts: [String] = []
    var index = 0
    while index < ports.count {
      var end = index
      while end + 1 < ports.count, ports[end + 1] == ports[end] + 1 { end += 1 }
      parts.append(end == index ? "\(ports[index])" : "\(ports[index])-\(ports[end])")
      index = end + 1
    }
    return parts.joined(separator: ", ")
  }
}
