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
    for line in bundle.notEnforced { lines.append("not enforced: \(text(line))") }
    let kinds = bundle.messages.map { "\($0.kind)" }
    lines.append("messages \(kinds.joined(separator: " "))")
    let tables = try StoredBatch.decode(bundle.messages.map(\.bytes))
    return lines.map { $0 + "\n" }.joined() + DumpText(showsLabels: true, showsSources: true).print(tables)
  }

  private static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
}
