internal import ModuleGuard
internal import PolicyModel
internal import Ruleset
internal import TextBackends

/// What a policy states and the applier does not do, with the reason: nothing is left out in silence.
enum NotEnforced {
  /// One line each, in the order of the policy's domains.
  ///
  /// - Parameter ruleset: what became of its rules.
  static func list(_ policy: HostPolicy, _ ruleset: Ruleset) -> [String] {
    var list: [String] = []
    let made = Set(ruleset.tables.flatMap(\.chains).flatMap(\.rules).map(\.id))
    policy.firewall?.forEachRule { rule in
      if !rule.isEnabled {
        let reason = rule.hasEmptyList ? "a list of it is empty, so that it never holds" : "`enabled: false`"
        list.append("rule `\(rule.id)`: \(reason)")
      } else if !made.contains(rule.id) {
        list.append("rule `\(rule.id)`: no packet is what it asks for, so the kernel has no rule of it")
      }
    }
    list += modules(policy.modules)
    if !CommandLineText.parameters(of: policy).isEmpty {
      list.append("kernel command line: the boot loader sets it, see cmdline.txt")
    }
    list += systemCalls(policy)
    if ClosedStage(policy) != nil {
      for (region, reason) in ClosedStage.regionsLeftOut(of: policy) {
        list.append("management `\(region.placedText)`: the closed firewall never lets it in: \(reason)")
      }
    }
    return list
  }

  /// The rest the applier judges on the host: what of it is loaded or built in there, and what keeps it out.
  private static func modules(_ modules: ModulePolicy) -> [String] {
    var list: [String] = []
    let many = modules.denied.filter { !ImageCheck.covers($0) }.map { "`\($0.pattern)`" }
    if !many.isEmpty {
      list.append(
        "denied modules \(many.joined(separator: ", ")): by modprobe.conf alone, for the check in the kernel takes one `*`"
      )
    }
    let isChecked = !ImageCheck(modules).programs.isEmpty
    if modules.deniesByDefault, !isChecked {
      list.append(
        "modules `default: deny`: by modprobe.conf alone, for the check in the kernel cannot hold all that is allowed"
      )
    } else if modules.denied.count > many.count, !isChecked {
      list.append("denied modules: more than the check in the kernel can hold, so that insmod passes by")
    }
    return list
  }

  private static func systemCalls(_ policy: HostPolicy) -> [String] {
    guard let filter = policy.systemCalls else { return [] }
    var list: [String] = []
    switch filter.scope {
    case .`init`:
      list.append(
        "system calls: by the applier as process 1 (`init=`), which filters all that comes behind it; seccomp.json is for "
          + "container runtimes")
    case .services:
      list.append(
        "system calls: by what starts a service or container and reads seccomp.json, not by the applier")
    }
    let decisions = SystemCallDecisions(filter, kernel: policy.target.kernel)
    if decisions.decision(on: "finit_module", nil) == .refused {
      list.append("denied `finit_module`: no filter stops the modules that the kernel loads by itself")
    }
    if SeccompText.leavesOutI386(policy) {
      list.append(
        "seccomp.json leaves out 32-bit x86, whose programs a runtime then kills: no filter sees there the arguments "
          + "that a condition is about")
    }
    return list
  }
}
