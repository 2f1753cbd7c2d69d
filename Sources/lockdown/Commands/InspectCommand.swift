import ArgumentParser
import BundleFormat
import CanonicalJSON
import NFTables
import Ruleset
import SHA2

struct InspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "Print what a bundle holds: its labels, and every kernel message decoded.")

  @Argument(help: ArgumentHelp("The bundle; - is standard input.", valueName: "bundle"))
  var bundle: String

  @Option(help: ArgumentHelp("How to print: text or json.", valueName: "format"))
  var format = OutputFormat.text

  func run() throws {
    let contents = try BundleFile.decode(try FileBytes.read(bundle), path: bundle)
    let tables: [DumpedTable]
    do throws(NFTablesError) {
      tables = try StoredBatch.decode(contents.messages.map(\.bytes))
    } catch {
      printError("lockdown: \(bundle): a message cannot be decoded: \(error)")
      throw ExitCode(1)
    }
    switch format {
    case .text: StandardOutput.write(text(contents, tables))
    case .json: StandardOutput.write(json(contents, tables))
    }
  }

  private func text(_ contents: BundleContents, _ tables: [DumpedTable]) -> String {
    var lines = [
      "policy      \(string(contents.policyName))",
      "digest      sha256:\(hex(contents.policyDigest))",
      "kernel      \(contents.minimumKernel.major).\(contents.minimumKernel.minor) or newer",
      "management  \(contents.isManagementProved ? "proved reachable" : "not proved: the applier wants --force")",
    ]
    for sysctl in contents.sysctls {
      lines.append(
        "sysctl      \(string(sysctl.path)) = \(string(sysctl.value))  (\(name(sysctl.strengthClass)))")
    }
    for mount in contents.mounts {
      let bind = mount.isSelfBind ? "bind, " : ""
      let options = mount.options.isEmpty ? "" : ", options \(string(mount.options))"
      lines.append(
        "mount       \(string(mount.path))  (\(bind)set 0x\(String(mount.attributesSet, radix: 16)), clear 0x\(String(mount.attributesCleared, radix: 16))\(options))"
      )
    }
    for line in contents.notEnforced { lines.append("not here    \(string(line))") }
    lines.append(
      "messages    \(contents.messages.count), \(contents.messages.reduce(0) { $0 + $1.bytes.count }) bytes")
    return lines.joined(separator: "\n") + "\n"
      + DumpText(showsLabels: true, showsSources: true).print(tables)
  }

  private func json(_ contents: BundleContents, _ tables: [DumpedTable]) -> JSONValue {
    .object([
      .init("name", .string(string(contents.policyName))),
      .init("digest", .string("sha256:" + hex(contents.policyDigest))),
      .init("minimum-kernel", .string("\(contents.minimumKernel.major).\(contents.minimumKernel.minor)")),
      .init("management-proved", .bool(contents.isManagementProved)),
      .init(
        "sources",
        .array(
          contents.sources.map { ["id": .string(string($0.id)), "place": .string(string($0.place))] })),
      .init(
        "sysctls",
        .array(
          contents.sysctls.map {
            [
              "path": .string(string($0.path)), "value": .string(string($0.value)),
              "class": .string(name($0.strengthClass)), "namespaced": .bool($0.isNamespaced),
              "source": JSONValue($0.source),
            ]
          })),
      .init(
        "mounts",
        .array(
          contents.mounts.map {
            [
              "path": .string(string($0.path)), "set": JSONValue($0.attributesSet),
              "clear": JSONValue($0.attributesCleared), "bind": .bool($0.isSelfBind),
              "options": .string(string($0.options)), "source": JSONValue($0.source),
            ]
          })),
      .init("not-enforced", JSONValue(contents.notEnforced.map(string))),
      .init("tables", .array(tables.map(table))),
    ])
  }

  private func table(_ table: DumpedTable) -> JSONValue {
    .object([
      .init("name", .string(table.name)), .init("family", JSONValue(table.family.rawValue)),
      .init(
        "objects",
        .array(
          table.objects.map {
            ["name": .string($0.name), "comment": .string($0.comment ?? ""), "label": .string(hex($0.label))]
          })),
      .init(
        "sets",
        .array(
          table.sets.map {
            ["name": .string($0.name ?? ""), "elements": JSONValue($0.elements.count)]
          })),
      .init(
        "chains",
        .array(
          table.chains.map { chain in
            .object([
              .init("name", .string(chain.name)),
              .init("hook", chain.base.map { JSONValue($0.hook) } ?? .null),
              .init("priority", chain.base.map { JSONValue($0.priority) } ?? .null),
              .init(
                "rules",
                .array(
                  chain.rules.map { rule in
                    .object([
                      .init("source", JSONValue(rule.source)), .init("label", .string(hex(rule.label))),
                      .init("comment", rule.comment.map(JSONValue.string) ?? .null),
                      .init("expressions", JSONValue(rule.expressions.map(DumpText.text))),
                    ])
                  })),
            ])
          })),
    ])
  }

  private func string(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

  private func hex(_ bytes: [UInt8]) -> String { String(decoding: SHA256.hex(bytes), as: UTF8.self) }

  private func name(_ value: BundleSysctl.Class) -> String {
    switch value {
    case .restorable: "restorable"
    case .lossy: "lossy"
    case .oneWay: "one-way"
    case .neutral: "neutral"
    }
  }
}
