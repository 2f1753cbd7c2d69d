package import PolicyModel

/// `seccomp.json`: the filter of system calls as container runtimes read it (OCI runtime specification, config-linux,
/// Seccomp).
///
/// A runtime resolves names itself and passes over those it does not know, so all that is permitted is listed and
/// everything else gets `on-unknown`. `flags` are left out: runc refuses a file with any before 1.2, and sets
/// SPEC_ALLOW by itself from there on.
package enum SeccompText {
  package static func print(_ policy: HostPolicy) -> String {
    guard let filter = policy.systemCalls else {
      return "{\n  \"defaultAction\": \"SCMP_ACT_ALLOW\"\n}\n"
    }
    let rules = SeccompRules(filter, policy.target)
    var members = action(filter.onUnknown, "defaultAction", "defaultErrnoRet")
    members.append("\"architectures\": [\(rules.architectures.map(quoted).joined(separator: ", "))]")
    let syscalls = rules.list.map { "    " + object(names: $0.names, $0.refusal, $0.cube) }
    members.append("\"syscalls\": [\n\(syscalls.joined(separator: ",\n"))\n  ]")
    return "{\n" + members.map { "  " + $0 }.joined(separator: ",\n") + "\n}\n"
  }

  /// Whether the file leaves 32-bit x86 out, where conditions cannot be tested and so are not permitted.
  package static func leavesOutI386(_ policy: HostPolicy) -> Bool {
    guard let filter = policy.systemCalls, policy.target.systemCallABIs.contains(.i386) else { return false }
    return !SeccompRules(filter, policy.target).architectures.contains("SCMP_ARCH_X86")
  }

  private static func object(
    names: [String], _ refusal: SystemCallFilter.Refusal?, _ cube: SystemCallCube?
  ) -> String {
    var members = ["\"names\": [\(names.map(quoted).joined(separator: ", "))]"]
    members += action(refusal, "action", "errnoRet")
    if let cube, cube != .all {
      let comparisons = cube.masks.indices.compactMap { argument -> String? in
        let (mask, value) = (cube.masks[argument], cube.values[argument])
        guard mask != 0 else { return nil }
        // For SCMP_CMP_MASKED_EQ `value` is the mask and `valueTwo` what it leaves.
        return mask == .max
          ? "{\"index\": \(argument), \"value\": \(value), \"op\": \"SCMP_CMP_EQ\"}"
          : "{\"index\": \(argument), \"value\": \(mask), \"valueTwo\": \(value), \"op\": \"SCMP_CMP_MASKED_EQ\"}"
      }
      members.append("\"args\": [\(comparisons.joined(separator: ", "))]")
    }
    return "{" + members.joined(separator: ", ") + "}"
  }

  /// Numbers of asm-generic/errno.h: the specification has a number, whatever the machine calls it.
  private static func action(
    _ refusal: SystemCallFilter.Refusal?, _ key: String, _ errnoKey: String
  ) -> [String] {
    switch refusal {
    case nil: ["\"\(key)\": \"SCMP_ACT_ALLOW\""]
    case .eperm: ["\"\(key)\": \"SCMP_ACT_ERRNO\"", "\"\(errnoKey)\": 1"]
    case .enosys: ["\"\(key)\": \"SCMP_ACT_ERRNO\"", "\"\(errnoKey)\": 38"]
    case .kill: ["\"\(key)\": \"SCMP_ACT_KILL_PROCESS\""]
    case .log: ["\"\(key)\": \"SCMP_ACT_LOG\""]
    }
  }

  /// Names of calls and constants hold no character that JSON escapes.
  private static func quoted(_ text: String) -> String { "\"\(text)\"" }
}

/// What the file lists.
private struct SeccompRules {
  struct Rule {
    var names: [String]
    /// Nil: permitted.
    var refusal: SystemCallFilter.Refusal?
    /// Nil: whatever the arguments.
    var cube: SystemCallCube?
  }

  private(set) var list: [Rule] = []
  private(set) var architectures: [String] = []

  init(_ filter: SystemCallFilter, _ target: Target) {
    let decisions = SystemCallDecisions(filter, kernel: target.kernel)
    let abis = target.systemCallABIs
    let holders = abis.contains(.i386) ? ["ipc", "socketcall"] : []
    let held = Set(holders.flatMap { SystemCallForms.heldCalls(of: $0).map(\.call) })
    var permitted: [String] = []
    var refused: [String] = []
    var tested: [Rule] = []
    // A condition cannot be asked of what stands behind a pointer; one list of names cannot tell ABIs apart.
    var canHaveI386 = true
    for call in SystemCallTable.all {
      let present = abis.filter { call.number(on: $0) != nil }
      guard !present.isEmpty || held.contains(call.name) else { continue }
      let general = decisions.decision(on: call.name, present.first { $0 != .i386 } ?? present.first)
      if present.contains(.i386), decisions.decision(on: call.name, .i386) != general { canHaveI386 = false }
      switch general {
      case .unknown: continue
      case .refused: refused.append(call.name)
      case .permitted:
        // libseccomp takes what these hold apart by itself; permitted as a whole they would be a way around.
        let isHoldingOthers = holders.contains(call.name)
        let isWhole = SystemCallForms.heldCalls(of: call.name).allSatisfy {
          decisions.decision(on: $0.call, nil) == .permitted
        }
        if !isHoldingOthers || isWhole { permitted.append(call.name) }
      case .tested(let refusedIf, let permittedIf):
        if held.contains(call.name) { canHaveI386 = false }
        // Both are bounded by the checker, each by itself; together they may still be too many, and then the call
        // is refused whatever its arguments.
        guard let refusal = SystemCallCube.cubes(of: refusedIf),
          let candidates = permittedIf.map(SystemCallCube.cubes) ?? [.all],
          let through = SystemCallCube.difference(candidates, refusal),
          let rest = SystemCallCube.difference([.all], through)
        else {
          refused.append(call.name)
          continue
        }
        tested += through.map { Rule(names: [call.name], refusal: nil, cube: $0) }
        tested += rest.map { Rule(names: [call.name], refusal: filter.onDeny, cube: $0) }
      }
    }
    list = [Rule(names: permitted, refusal: nil), Rule(names: refused, refusal: filter.onDeny)] + tested
    // libseccomp refuses a rule that says what the default says (EACCES).
    list.removeAll { $0.names.isEmpty || $0.refusal == filter.onUnknown }
    architectures = abis.compactMap { abi in
      switch abi {
      case .x86_64: "SCMP_ARCH_X86_64"
      case .x32: "SCMP_ARCH_X32"
      case .i386: canHaveI386 ? "SCMP_ARCH_X86" : nil
      case .aarch64: "SCMP_ARCH_AARCH64"
      case .arm: "SCMP_ARCH_ARM"
      }
    }
  }
}
