import Diagnostics
package import PolicyModel

/// Decides facts about keyed domains: sysctls, modules, mounts, the kernel's command line (LANGUAGE.md §8).
///
/// Pure: the policy's effective values against what a statement claims. What is not known is not claimed: an
/// expectation fails by it, with the reason.
package struct StatementJudge {
  /// Nil: the statement is about packets, or what it says of settings holds and the rest is about packets; that is not
  /// decided here.
  package enum Judgement: Equatable, Sendable {
    case holds
    /// With the reason, as the end of a sentence.
    case fails(String)
    /// It depends on what the policy does not say; with the reason.
    case unknown(String)

    /// Why it is not known to hold.
    package var failure: String? {
      switch self {
      case .holds: nil
      case .fails(let reason), .unknown(let reason): reason
      }
    }
  }

  private let policy: HostPolicy
  private let sysctls: EffectiveSysctls

  package init(_ policy: HostPolicy) {
    self.policy = policy
    var settings = policy.sysctls.compactMap { setting in
      (try? SysctlKey(setting.key)).map { ($0, setting.value) }
    }
    // The seal is that key, written last (APPLY.md §10).
    if policy.modules.seal == .afterBoot, let key = try? SysctlKey("kernel.modules_disabled") {
      settings.append((key, "1"))
    }
    sysctls = EffectiveSysctls(settings)
  }

  package func judge(_ body: Statement.Body) -> Judgement? {
    switch body {
    case .packets: nil
    case .sysctl(let key, let comparison): sysctl(key, comparison)
    case .kernel(let key, let comparison): kernel(key, comparison)
    case .module(let name, let isDenied): module(name, denied: isDenied)
    case .systemCall(let name, let isDenied): systemCall(name, denied: isDenied)
    case .mount(let path, let isNegated, let flags): mount(path, isNegated, flags)
    case .refines(_, let other):
      KeyedRefinement(of: policy, from: other).widenings.first.map { .fails($0.message) }
    }
  }

  // MARK: Sysctls

  private func sysctl(_ text: String, _ comparison: Statement.Comparison) -> Judgement {
    guard let key = try? SysctlKey(text) else { return .fails("`\(text)` is no sysctl key") }
    let row = SysctlTable.row(for: key)
    for place in sysctls.places(of: key) {
      // Of two names for a setting, the one that is asked for.
      let name = place == key.canonical ? key.text : place.text
      guard let value = sysctls.value(at: place) else {
        let isOfAll = place.interface == "*"
        return .unknown(
          isOfAll
            ? "the policy does not set `\(name)`, and an interface that is there before has a value of its own"
            : "the policy does not set `\(name)`, and the kernel's own value is not known")
      }
      let found =
        "`\(name)` is `\(value)`" + (sysctls.deciding(place).isEmpty ? ", the kernel's own value" : "")
      switch comparison {
      case .mentioned: break
      case .equal(let wanted):
        let normal = row?.normalized(wanted) ?? wanted
        if value != normal { return .fails(found) }
      case .atLeast(let wanted):
        let normal = row?.normalized(wanted) ?? wanted
        guard let strength = row?.strength(of: value, comparedWith: normal) else {
          return .unknown("\(found), which is not to be compared with `\(wanted)`")
        }
        if strength < 0 { return .fails("\(found), which is weaker") }
      }
    }
    return .holds
  }

  // MARK: Kernel

  private func kernel(_ key: String, _ comparison: Statement.Comparison) -> Judgement {
    let name = KernelParameter.name(key)
    let order: [String]?
    let value: String?
    if key == "lockdown" {
      order = KernelSettings.Lockdown.allCases.map(\.rawValue)
      value = policy.kernel.lockdown?.rawValue
    } else {
      order = KernelParameter.order(of: name)
      let parameter = policy.kernel.commandLine.last { KernelParameter.name($0.text) == name }
      value = parameter.map { KernelParameter.value($0.text) ?? "" }
    }
    guard let value else {
      return .unknown("the policy does not set `\(key)`, and the kernel's configuration decides")
    }
    func normal(_ value: String) -> String { KernelParameter.normalized(value, of: name) }
    switch comparison {
    case .mentioned: return .holds
    case .equal(let wanted):
      return normal(value) == normal(wanted) ? .holds : .fails("`\(key)` is `\(value)`")
    case .atLeast(let wanted):
      guard let order, let found = order.firstIndex(of: normal(value)),
        let least = order.firstIndex(of: normal(wanted))
      else {
        return .unknown("`\(key)` is `\(value)`, which is not to be compared with `\(wanted)`")
      }
      return found >= least ? .holds : .fails("`\(key)` is `\(value)`, which is weaker")
    }
  }

  // MARK: System calls

  /// Permitted is what is let through, if only to be logged (LANGUAGE.md §8). A call is judged on each ABI that has it,
  /// with its other forms.
  private func systemCall(_ name: String, denied: Bool) -> Judgement {
    guard let filter = policy.systemCalls else {
      return denied ? .fails("the policy has no `syscalls`") : .holds
    }
    let decisions = SystemCallDecisions(filter, kernel: policy.target.kernel)
    for form in [name] + SystemCallForms.forms(of: name) {
      for abi in policy.target.systemCallABIs where SystemCallTable[form]?.number(on: abi) != nil {
        let decision = decisions.decision(on: form, abi)
        let refusal: SystemCallFilter.Refusal? =
          switch decision {
          case .permitted: nil
          case .refused, .tested: filter.onDeny
          case .unknown: filter.onUnknown
          }
        let isRefused = refusal.map { $0 != .log } ?? false
        if case .tested = decision, isRefused {
          return .fails("`\(form)` is refused or let through by its arguments")
        }
        guard isRefused != denied else { continue }
        if !denied { return .fails("`\(form)` is refused") }
        return .fails(refusal == .log ? "`\(form)` is let through and logged" : "`\(form)` is let through")
      }
    }
    return .holds
  }

  // MARK: Modules and mounts

  private func module(_ name: String, denied: Bool) -> Judgement {
    let modules = policy.modules
    let isListed = modules.denied.contains { $0.matches(name) }
    let isAllowed = (modules.allowed + modules.required).contains { $0.matches(name) }
    let isDenied = isListed || (modules.deniesByDefault && !isAllowed)
    guard isDenied != denied else { return .holds }
    if denied { return .fails("no entry of `modules.deny` stands for `\(name)`") }
    return .fails(
      isListed
        ? "`modules.deny` stands for `\(name)`" : "`modules.default` is deny and nothing allows `\(name)`")
  }

  private func mount(_ path: String, _ isNegated: Bool, _ flags: [MountFlag]) -> Judgement {
    for flag in flags {
      let wanted = isNegated ? flag.opposite : flag
      guard let (place, effective) = effectiveFlag(of: path, wanted) else {
        return .unknown(
          "the policy names neither `\(wanted.rawValue)` nor `\(wanted.opposite.rawValue)` for `\(path)` or a path above"
        )
      }
      if effective != wanted { return .fails("`\(place)` has `\(effective.rawValue)`") }
    }
    return .holds
  }

  /// A flag not named is that of the longest named path above.
  private func effectiveFlag(of path: String, _ flag: MountFlag) -> (String, MountFlag)? {
    let above = policy.mounts.filter { $0.path == path || $0.path == "/" || path.hasPrefix($0.path + "/") }
      .sorted { $0.path.utf8.count > $1.path.utf8.count }
    for mount in above {
      if mount.flags.contains(flag) { return (mount.path, flag) }
      if mount.flags.contains(flag.opposite) { return (mount.path, flag.opposite) }
    }
    return nil
  }
}

extension Checker {
  /// Reports every guarantee that does not hold and is not loosened, and every exception from one that holds.
  mutating func judgeGuarantees(_ policy: inout HostPolicy) {
    let judge = StatementJudge(policy)
    for index in policy.exceptions.indices {
      guard case .guarantee(let name) = policy.exceptions[index].target,
        let guarantee = policy.guarantees.first(where: { $0.name == name }),
        let judgement = judge.judge(guarantee.body)
      else { continue }
      if let reason = judgement.failure {
        policy.exceptions[index].loosened.append("`\(guarantee.text)`: \(reason)")
      } else {
        error(
          .loosenUnused, policy.exceptions[index].span,
          "the guarantee `\(name)` holds, so there is nothing to loosen",
          help: ["take the exception out"], related: [Diagnostic.Label(guarantee.span, "the guarantee")])
      }
    }
    let guarantees = policy.guarantees.filter { !policy.isLoosened($0) }
    judgeFacts(guarantees, failure: .guaranteeFailed, what: "guarantee", policy)
  }

  /// Reports every fact of a list that does not hold.
  mutating func judgeFacts(
    _ statements: [Statement], failure: DiagnosticID, what: String, _ policy: HostPolicy
  ) {
    guard judgesFacts else { return }
    let judge = StatementJudge(policy)
    for statement in statements {
      guard let reason = judge.judge(statement.body)?.failure else { continue }
      failedFacts += 1
      error(failure, statement.span, "this \(what) does not hold: \(reason)")
    }
  }
}
