import BundleFormat
import NFTables

/// A bundle as text, for golden files.
enum BundleText {
  static func print(_ bundle: BundleContents) throws(NFTablesError) -> String {
    var lines = [
      "policy \(text(bundle.policyName))",
      "kernel \(bundle.minimumKernel.major).\(bundle.minimumKernel.minor)",
      "management \(bundle.isManagementProved ? "proved" : "not proved")",
    ]
    for (index, source) in bundle.sources.enumerated() {
      lines.append("source \(index + 1) \(text(source.id)) at \(text(source.place))")
    }
    for sysctl in bundle.sysctls {
      lines.append(
        "sysctl \(text(sysctl.path)) = \(text(sysctl.value)) (\(sysctl.strengthClass), "
          + "\(sysctl.isNamespaced ? "namespaced" : "global"), source \(sysctl.source))")
    }
    for mount in bundle.mounts {
      lines.append(
        "mount \(text(mount.path)) set 0x\(String(mount.attributesSet, radix: 16)) "
          + "clear 0x\(String(mount.attributesCleared, radix: 16))\(mount.isSelfBind ? " bind" : "")"
          + " options \"\(text(mount.options))\" source \(mount.source)")
    }
    if let filter = bundle.systemCalls {
      lines.append("filter for \(filter.scope), flags \(filter.flags)")
      for start in stride(from: 0, to: filter.program.count, by: 8) {
        lines.append("  \(instruction(filter.program[start..<(start + 8)]))")
      }
    }
    for item in bundle.kernel { lines.append("kernel \(item.kind) \(text(item.text)) source \(item.source)") }
    // What they do is shown in ModuleGuardTests.
    for (index, program) in bundle.programs.enumerated() {
      lines.append(
        "program \(program.stage) \(text(program.hook)), \(program.instructions.count / 8) instructions")
      for relocation in bundle.relocations where relocation.program == index + 1 {
        lines.append("  \(relocation.instruction) + \(relocation.kind) \(text(relocation.text))")
      }
    }
    for line in bundle.notEnforced { lines.append("not enforced: \(text(line))") }
    let kinds = bundle.messages.map { "\($0.kind)" }
    lines.append("messages \(kinds.joined(separator: " "))")
    let tables = try StoredBatch.decode(bundle.messages.map(\.bytes))
    var text =
      lines.map { $0 + "\n" }.joined() + DumpText(showsLabels: true, showsSources: true).print(tables)
    let closed = bundle.closed.map { "\($0.kind)" }
    let settings =
      (bundle.hasNetworkRoot ? ["network root"] : []) + (bundle.staysUnprotected ? ["unprotected"] : [])
      + (bundle.haltsOnFailure ? ["halts"] : [])
    text += (["closed"] + settings + closed).joined(separator: " ") + "\n"
    return try text
      + DumpText(showsLabels: true, showsSources: true).print(StoredBatch.decode(bundle.closed.map(\.bytes)))
  }

  /// `struct sock_filter`, in the words of bpf_asm.
  private static func instruction(_ bytes: ArraySlice<UInt8>) -> String {
    let start = bytes.startIndex
    let code = UInt16(bytes[start]) | UInt16(bytes[start + 1]) << 8
    let jumps = "\(bytes[start + 2]), \(bytes[start + 3])"
    let k = bytes[(start + 4)...].reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
    return switch code {
    case 0x20: "ld [\(k)]"
    case 0x54: "and 0x\(String(k, radix: 16))"
    case 0x05: "ja \(k)"
    case 0x15: "jeq 0x\(String(k, radix: 16)), \(jumps)"
    case 0x25: "jgt 0x\(String(k, radix: 16)), \(jumps)"
    case 0x35: "jge 0x\(String(k, radix: 16)), \(jumps)"
    case 0x06: "ret 0x\(String(k, radix: 16))"
    default: "? \(bytes)"
    }
  }

  private static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
}
