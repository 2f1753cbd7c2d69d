import BundleFormat
import CanonicalJSON
import NFTables
import Ruleset
import SHA2

/// What a bundle holds, for people and for programs.
struct InspectReport {
  let contents: BundleContents
  let tables: [DumpedTable]
  /// Of the closed stage.
  let closed: [DumpedTable]

  // MARK: Text

  var text: String {
    let kernel = contents.minimumKernel
    var lines = [
      "policy      \(string(contents.policyName))",
      "digest      sha256:\(hex(contents.policyDigest))",
      "kernel      \(kernel.major).\(kernel.minor) or newer",
      "management  \(contents.isManagementProved ? "proved reachable" : "not proved: the applier wants --force")",
    ]
    for sysctl in contents.sysctls {
      lines.append(
        "sysctl      \(string(sysctl.path)) = \(string(sysctl.value))  (\(name(sysctl.strengthClass)))")
    }
    for mount in contents.mounts {
      let words = (mount.isSelfBind ? ["bind to itself"] : []) + Self.flags(of: mount)
      let options = mount.options.isEmpty ? [] : [string(mount.options)]
      lines.append("mount       \(string(mount.path))  \((words + options).joined(separator: ", "))")
    }
    if let filter = contents.systemCalls {
      lines.append("filter      \(filter.program.count / 8) instructions, for \(scope(filter))")
    }
    for item in contents.late {
      switch item.kind {
      case .device:
        lines.append("late        on `\(string(item.name))`: \(item.messages.count) messages")
      case .controlGroup: lines.append("late        the number of cgroup `\(string(item.name))`: 1 message")
      }
    }
    if !contents.closed.isEmpty {
      let root = contents.hasNetworkRoot ? ", root over the network" : ""
      let rest =
        contents.staysUnprotected ? "the host starts all the same" : "nothing that needs the network starts"
      lines.append("closed      \(contents.closed.count) messages\(root); where they are refused, \(rest)")
    }
    if contents.haltsOnFailure {
      lines.append("process 1   halts the machine where no policy can be applied")
    }
    for item in contents.kernel { lines.append("kernel      \(words(item))") }
    for program in contents.programs {
      let stage = program.stage == .policy ? "the policy" : "the seal"
      lines.append(
        "program     on `\(string(program.hook))`, \(program.instructions.count / 8) instructions, with \(stage)"
      )
    }
    for line in contents.notEnforced { lines.append("not here    \(string(line))") }
    let bytes = contents.messages.reduce(0) { $0 + $1.bytes.count }
    lines.append("messages    \(contents.messages.count), \(bytes) bytes")
    return lines.joined(separator: "\n") + "\n"
      + DumpText(showsLabels: true, showsSources: true).print(tables + closed)
  }

  /// MOUNT_ATTR_* of linux/mount.h, in the words of mount(8): set, and cleared.
  private static func flags(of mount: BundleMount) -> [String] {
    let words: [(bit: UInt64, set: String, cleared: String)] = [
      (0x1, "ro", "rw"), (0x2, "nosuid", "suid"), (0x4, "nodev", "dev"), (0x8, "noexec", "exec"),
      (0x20_0000, "nosymfollow", "symfollow"),
    ]
    return words.compactMap { word in
      if mount.attributesSet & word.bit != 0 { return word.set }
      return mount.attributesCleared & word.bit != 0 ? word.cleared : nil
    }
  }

  // MARK: JSON

  var json: JSONValue {
    [
      "name": .string(string(contents.policyName)),
      "digest": .string("sha256:" + hex(contents.policyDigest)),
      "minimum-kernel": .string("\(contents.minimumKernel.major).\(contents.minimumKernel.minor)"),
      "management-proved": .bool(contents.isManagementProved),
      "messages": JSONValue(contents.messages.count),
      "sources": .array(
        contents.sources.map { ["id": .string(string($0.id)), "place": .string(string($0.place))] }),
      "sysctls": .array(contents.sysctls.map(sysctl)),
      "mounts": .array(contents.mounts.map(mount)),
      "system-calls": contents.systemCalls.map(filter) ?? .null,
      "late": .array(
        contents.late.map {
          [
            $0.kind == .device ? "device" : "cgroup": .string(string($0.name)), "source": source($0.source),
            "messages": JSONValue($0.messages.count),
          ]
        }),
      "kernel": .array(
        contents.kernel.map { item in
          [
            "kind": .string(kind(item)), "text": .string(string(item.text)), "source": source(item.source),
          ]
        }),
      "programs": .array(
        contents.programs.enumerated().map { index, program in
          [
            "hook": .string(string(program.hook)),
            "stage": program.stage == .policy ? "policy" : "seal",
            // `struct bpf_insn` in hexadecimal, an instruction each.
            "program": .array(
              stride(from: 0, to: program.instructions.count, by: 8).map {
                .string(hex(Array(program.instructions[$0..<($0 + 8)])))
              }),
            "relocations": .array(
              contents.relocations.filter { $0.program == index + 1 }.map {
                [
                  "instruction": JSONValue($0.instruction), "kind": .string("\($0.kind)"),
                  "text": .string(string($0.text)),
                ]
              }),
          ]
        }),
      "halts-on-failure": .bool(contents.haltsOnFailure),
      "not-enforced": JSONValue(contents.notEnforced.map(string)),
      "tables": .array(tables.map(table)),
      "closed": [
        "messages": JSONValue(contents.closed.count), "network-root": .bool(contents.hasNetworkRoot),
        "stays-unprotected": .bool(contents.staysUnprotected), "tables": .array(closed.map(table)),
      ],
    ]
  }

  /// Index into `sources`, counted from 1, as the id it stands for; null for none.
  private func source(_ index: UInt32) -> JSONValue {
    guard index > 0, Int(index) <= contents.sources.count else { return .null }
    return .string(string(contents.sources[Int(index) - 1].id))
  }

  private func sysctl(_ sysctl: BundleSysctl) -> JSONValue {
    [
      "path": .string(string(sysctl.path)), "value": .string(string(sysctl.value)),
      "class": .string(name(sysctl.strengthClass)), "namespaced": .bool(sysctl.isNamespaced),
      "source": source(sysctl.source),
    ]
  }

  private func mount(_ mount: BundleMount) -> JSONValue {
    [
      "path": .string(string(mount.path)), "flags": JSONValue(Self.flags(of: mount)),
      "bind": mount.isSelfBind ? "self" : .null, "options": .string(string(mount.options)),
      "source": source(mount.source),
    ]
  }

  private func scope(_ filter: BundleFilter) -> String {
    switch filter.scope {
    case .everyProcess: "all processes"
    case .services: "services"
    }
  }

  private func filter(_ filter: BundleFilter) -> JSONValue {
    [
      "scope": .string(scope(filter)), "flags": JSONValue(filter.flags),
      // `struct sock_filter` in hexadecimal, an instruction each.
      "program": .array(
        stride(from: 0, to: filter.program.count, by: 8).map {
          .string(hex(Array(filter.program[$0..<($0 + 8)])))
        }),
    ]
  }

  private func table(_ table: DumpedTable) -> JSONValue {
    [
      "name": .string(table.name), "family": JSONValue(table.family.rawValue),
      "comment": table.comment.map(JSONValue.string) ?? .null,
      "objects": .array(
        table.objects.map {
          [
            "name": .string($0.name), "comment": $0.comment.map(JSONValue.string) ?? .null,
            "label": .string(hex($0.label)),
          ]
        }),
      "sets": .array(table.sets.map(set)),
      "chains": .array(table.chains.map(chain)),
    ]
  }

  private func set(_ set: DumpedSet) -> JSONValue {
    [
      "name": set.name.map(JSONValue.string) ?? .null, "comment": set.comment.map(JSONValue.string) ?? .null,
      "label": .string(hex(set.label)),
      // Key bytes as the kernel has them, in hexadecimal: first and last key of each element.
      "elements": .array(
        set.elements.map { element in JSONValue([hex(element.lower), hex(element.upper)]) }),
    ]
  }

  private func chain(_ chain: DumpedChain) -> JSONValue {
    [
      "name": .string(chain.name),
      "hook": chain.base.map { base in
        [
          "number": JSONValue(base.hook), "type": .string(base.type.rawValue),
          "priority": JSONValue(base.priority), "policy": base.accepts ? "accept" : "drop",
        ]
      } ?? .null,
      "rules": .array(chain.rules.map(rule)),
    ]
  }

  private func rule(_ rule: DumpedRule) -> JSONValue {
    [
      "source": source(rule.source), "label": .string(hex(rule.label)),
      "comment": rule.comment.map(JSONValue.string) ?? .null,
      "expressions": JSONValue(rule.expressions.map(DumpText.text)),
      "sets": .array(rule.anonymousSets.map(set)),
    ]
  }

  private func kind(_ item: BundleKernelItem) -> String {
    switch item.kind {
    case .lockdown: "lockdown"
    case .sealAfterBoot: "seal-after-boot"
    case .denyModules: "deny-modules"
    case .denyCompressed: "deny-compressed"
    case .deniedModule: "denied-module"
    case .allowedModule: "allowed-module"
    case .requiredModule: "required-module"
    }
  }

  private func words(_ item: BundleKernelItem) -> String {
    let text = string(item.text)
    return switch item.kind {
    case .lockdown: "lockdown level \(text)"
    case .sealAfterBoot: "no module is loaded once a boot is healthy"
    case .denyModules: "every module that is not allowed or required is denied"
    case .denyCompressed: "compressed modules are denied"
    case .deniedModule: "module `\(text)` is denied"
    case .allowedModule: "module `\(text)` is allowed"
    case .requiredModule: "module `\(text)` is required"
    }
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
