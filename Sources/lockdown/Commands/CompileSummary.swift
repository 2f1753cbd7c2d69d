import Analysis
import CanonicalJSON
import Compiler
import PolicyModel
import SHA2

/// What a reader of a compile wants to know at once: what is open, what is closed, what is not enforced.
struct CompileSummary {
  private let compiled: CompiledPolicy

  init(_ compiled: CompiledPolicy) { self.compiled = compiled }

  private var digest: String { String(decoding: SHA256.hex(compiled.digest), as: UTF8.self) }

  /// The bytes of the lines.
  func text(output: String) -> [UInt8] {
    let policy = compiled.policy
    var text = ByteBuffer()
    func add(_ lines: [String]) {
      for line in lines {
        text.append(line)
        text.append(0x0a)
      }
    }
    add(["policy \(policy.name)  sha256:\(digest)"])
    for hook in Hook.allCases {
      for chain in policy.firewall?.baseChains ?? [] where chain.hook == hook {
        if chain.isNAT {
          let count = CompileRun.counted(chain.rules.count, "rule")
          add(["nat.\(hook.rawValue)  priority \(chain.priority), \(count)"])
          continue
        }
        let rest =
          switch chain.policy {
          case .accept: "everything else is accepted"
          case .drop: "everything else is dropped"
          case .reject: "everything else is rejected"
          }
        add(["\(hook.rawValue)  priority \(chain.priority), \(rest)"])
        addOpenings(of: hook, to: &text)
      }
    }
    add(filledSets)
    add(limiters)
    add(domains)
    add(management)
    add(weakenings)
    if compiled.proofs.provedStatements > 0 {
      add([CompileRun.counted(compiled.proofs.provedStatements, "statement") + " about packets proved"])
    }
    if !compiled.untold.isEmpty {
      add(["not proved: what is sent for these rules is too much to compare with them"])
      add(compiled.untold.map { "  " + $0 })
    }
    if !compiled.notEnforced.isEmpty {
      add(["not enforced"])
      add(compiled.notEnforced.map { "  " + $0 })
    }
    add(["written to \(output)"])
    return text.bytes
  }

  /// There are as many as rules.
  private func addOpenings(of hook: Hook, to text: inout ByteBuffer) {
    let openings = compiled.proofs.openings.filter { $0.hook == hook }
    let widths = openings.map { Self.width(of: $0.text) }
    let width = widths.max() ?? 0
    for (opening, own) in zip(openings, widths) {
      text.append("  open  " as StaticString)
      text.append(opening.text)
      text.append(spaces: width - own + 2)
      text.append("(" as StaticString)
      text.append(opening.ruleID ?? "chain policy")
      if opening.isLimited { text.append(", up to its limit" as StaticString) }
      text.append(")\n" as StaticString)
    }
  }

  /// Characters. There are as many texts as rules, and counting the characters of one that is not ASCII takes long.
  private static func width(of text: String) -> Int {
    text.utf8.allSatisfy { $0 < 0x80 } ? text.utf8.count : text.count
  }

  /// Sets whose contents are not the policy's.
  private var filledSets: [String] {
    compiled.policy.dynamicSets.map { set in
      let filler = set.filler == .rules ? "rules" : "other programs"
      let stay = set.timeout.map { "for \($0)s" } ?? "until it is taken out"
      return
        "set $\(set.name)  filled by \(filler), \(set.size) addresses of each family, each \(stay); kept when a policy with the same definition is applied"
    }
  }

  /// What becomes of the addresses that a limit of each address has no room for.
  private var limiters: [String] {
    var lines: [String] = []
    compiled.policy.firewall?.forEachRule { rule in
      guard rule.isEnabled, rule.isLimiting else { return }
      let keys = [
        rule.connections?.key.map { ("connections", $0) }, rule.limit?.key.map { ("limit", $0) },
      ]
      for (word, key) in keys.compactMap({ $0 }) {
        let rest =
          rule.verdict == .accept
          ? "the rule accepts nothing of further ones"
          : "further ones pass it by, whatever their number: it fails open"
        lines.append(
          "\(word) per \(key.side.rawValue)  \(rule.id): \(DynamicSet.limiterSize) keys of each family at a time; \(rest)"
        )
      }
    }
    return lines
  }

  private var domains: [String] {
    let policy = compiled.policy
    var parts: [String] = []
    if !policy.sysctls.isEmpty { parts.append(CompileRun.counted(policy.sysctls.count, "sysctl")) }
    if !policy.mounts.isEmpty { parts.append(CompileRun.counted(policy.mounts.count, "mount")) }
    if !policy.modules.denied.isEmpty {
      parts.append(CompileRun.counted(policy.modules.denied.count, "denied module"))
    }
    if !policy.kernel.commandLine.isEmpty {
      parts.append(CompileRun.counted(policy.kernel.commandLine.count, "kernel parameter"))
    }
    if let filter = policy.systemCalls {
      let calls = Set(filter.denied.filter { $0.conditions.isEmpty }.flatMap(\.calls)).count
      parts.append(
        filter.deniesByDefault ? "a filter of system calls" : CompileRun.counted(calls, "denied system call"))
    }
    return parts.isEmpty ? [] : ["also  " + parts.joined(separator: ", ")]
  }

  /// What is weaker than in the base, and by whose leave.
  private var weakenings: [String] {
    let policy = compiled.policy
    return policy.openings.map { "delegated  \($0.delegation): \($0.opened.joined(separator: ", "))" }
      + policy.allExceptions.map { exception in
        "exception  \(exception.text), until \(exception.until), \(exception.owner): \(exception.because)"
      }
  }

  private var management: [String] {
    switch compiled.policy.management {
    case .unstated: return compiled.proofs.isManagementProved ? [] : ["management  not stated, not proved"]
    case .none: return ["management  none: a console-only host"]
    case .regions(let regions):
      return regions.map { region in
        let limited = compiled.proofs.limitedManagement.contains(region.placedText) ? ", up to a limit" : ""
        return "management  \(region.placedText) stays reachable: proved\(limited)"
      }
    }
  }

  var json: JSONValue {
    .object([
      .init("name", .string(compiled.policy.name)), .init("digest", .string("sha256:\(digest)")),
      .init("management-proved", .bool(compiled.proofs.isManagementProved)),
      .init("management-limited", JSONValue(compiled.proofs.limitedManagement)),
      .init("proved-statements", JSONValue(compiled.proofs.provedStatements)),
      .init(
        "open",
        .array(
          compiled.proofs.openings.map { opening in
            .object([
              .init("hook", .string(opening.hook.rawValue)), .init("packets", .string(opening.text)),
              .init("rule", opening.ruleID.map(JSONValue.string) ?? .null),
              .init("limited", .bool(opening.isLimited)),
            ])
          })),
      .init(
        "chains",
        .array(
          (compiled.policy.firewall?.baseChains ?? []).map { chain in
            .object([
              .init("hook", .string(chain.hook.rawValue)), .init("priority", JSONValue(chain.priority)),
              .init("policy", .string(chain.policy.rawValue)), .init("rules", JSONValue(chain.rules.count)),
            ])
          })),
      .init("not-enforced", JSONValue(compiled.notEnforced)),
      .init("files", JSONValue(compiled.files.map(\.name))),
    ])
  }
}
