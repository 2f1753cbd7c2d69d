import Diagnostics
import PolicyModel

/// The check of the keyed domains of a policy against its base (LANGUAGE.md §5.6–5.9).
extension Checker {
  /// Reports what is weaker and neither delegated by the base nor loosened, and notes what was.
  mutating func refine(_ policy: inout HostPolicy, from base: HostPolicy) {
    var calls: [(name: String, widening: KeyedRefinement.Widening)] = []
    for widening in KeyedRefinement(of: policy, from: base).widenings {
      if let delegation = base.delegations.first(where: { $0.body.permits(widening.subject) }) {
        policy.note(opened: widening.change, by: delegation.text)
        continue
      }
      let loosening = policy.exceptions.indices.filter {
        policy.exceptions[$0].target.permits(widening.subject, in: policy)
      }
      for index in loosening { policy.exceptions[index].loosened.append(widening.change) }
      if !Self.covers(
        loosening.map { policy.exceptions[$0].target }, base.delegations, widening.subject, policy)
      {
        if case .systemCall(let name) = widening.subject {
          calls.append((name, widening))
          continue
        }
        let finding = Diagnostic(
          .extendsWidened, at: widening.span, widening.message,
          related: widening.baseSpan.map { [Diagnostic.Label($0, "the base has it here")] } ?? [],
          help: [widening.help])
        // One line may weaken several places, which is one finding; elsewhere one place may hold several.
        if case .sysctl = widening.subject { report(finding) } else { diagnostics.report(finding) }
      }
    }
    reportSystemCalls(calls)
    checkDelegations(policy, base)
    guard !diagnostics.hasErrors else { return }
    for exception in policy.exceptions where exception.loosened.isEmpty {
      switch exception.target {
      case .packets, .guarantee: continue  // judged where packets are
      default: reportUnused(exception, policy)
      }
    }
  }

  /// One finding for all calls: a group may have hundreds.
  private mutating func reportSystemCalls(_ calls: [(name: String, widening: KeyedRefinement.Widening)]) {
    guard let first = calls.first?.widening else { return }
    let names = calls.prefix(6).map { "`\($0.name)`" }.joined(separator: ", ")
    let rest = calls.count > 6 ? " and \(calls.count - 6) more" : ""
    diagnostics.report(
      Diagnostic(
        .extendsWidened, at: first.span,
        calls.count == 1 ? first.message : "\(names)\(rest) are let through, and the base refuses them",
        related: first.baseSpan.map { [Diagnostic.Label($0, "the base's filter")] } ?? [],
        help: [
          calls.count == 1
            ? first.help : "write an entry `syscalls: NAME` under `loosen` for each, or one for a group"
        ]))
  }

  /// Of a value that several lines make together, each must be permitted.
  private static func covers(
    _ targets: [PolicyException.Target], _ delegations: [Statement],
    _ subject: KeyedRefinement.Widening.Subject,
    _ policy: HostPolicy
  ) -> Bool {
    guard case .sysctl(let place, let causes) = subject else { return !targets.isEmpty }
    return causes.allSatisfy { cause in
      let one = KeyedRefinement.Widening.Subject.sysctl(place: place, causes: [cause])
      return targets.contains { $0.permits(one, in: policy) } || delegations.contains { $0.body.permits(one) }
    }
  }

  private mutating func reportUnused(_ exception: PolicyException, _ policy: HostPolicy) {
    error(
      .loosenUnused, exception.span, "`\(exception.text)` loosens nothing",
      help: [
        exception.target.isSet(in: policy) == false
          ? "this policy does not set that value: an exception is for what is there, not for what may come"
          : "without it the policy is as strong as its base, or the base delegates it: take it out"
      ])
  }

  /// What a policy delegates must be its own: its base's, delegated by it, or loosened.
  private mutating func checkDelegations(_ policy: HostPolicy, _ base: HostPolicy) {
    for delegation in policy.delegations {
      let isOwn = delegation.body.subjects.allSatisfy { subject in
        base.delegations.contains { $0.body.permits(subject) }
          || policy.exceptions.contains { $0.target.names(subject) }
      }
      if isOwn { continue }
      error(
        .extendsWidened, delegation.span, "the base does not delegate `\(delegation.text)`",
        help: ["a policy can pass on what it may open itself: what its base delegates, or what it loosens"])
    }
  }
}

extension Statement.Body {
  /// What a delegation of settings is about; nothing for one of packets.
  fileprivate var subjects: [KeyedRefinement.Widening.Subject] {
    switch self {
    // A comparison is no permission.
    case .packets, .refines: []
    case .sysctl(let text, _):
      [(try? SysctlKey(text)).map { .sysctl(place: $0.canonical, causes: [$0.canonical]) } ?? .other]
    case .kernel(let name, _): [.kernel(KernelParameter.name(name))]
    case .module(let name, _): [.module(name)]
    case .systemCall(let name, _): [.systemCall(name)]
    case .mount(let path, let isNegated, let flags):
      flags.map { .mount(path, by: path, isNegated ? $0.opposite : $0) }
    }
  }

  /// Whether a delegation permits a setting to be weaker.
  fileprivate func permits(_ subject: KeyedRefinement.Widening.Subject) -> Bool {
    switch (self, subject) {
    case (.sysctl(let text, _), .sysctl(let place, let causes)):
      guard let key = try? SysctlKey(text) else { return false }
      return key.canonical.covers(place) || causes.allSatisfy { key.canonical.covers($0) }
    case (.module(let name, denied: false), .module(let pattern)):
      return ModulePattern.includes(name, pattern)
    case (.mount(let path, let isNegated, let flags), .mount(let place, let line, let flag)):
      return (path == place || path == line) && flags.contains { (isNegated ? $0.opposite : $0) == flag }
    case (.kernel(let name, _), .kernel(let other)): return KernelParameter.name(name) == other
    case (.systemCall(let name, denied: false), .systemCall(let other)): return name.standsForCall(other)
    default: return false
    }
  }
}

extension PolicyException.Target {
  /// Whether an exception is about a setting, whatever value it names.
  fileprivate func names(_ subject: KeyedRefinement.Widening.Subject) -> Bool {
    switch (self, subject) {
    case (.sysctl(let text, _), .sysctl(_, let causes)):
      guard let key = try? SysctlKey(text) else { return false }
      // For the line that it names and no other: its value is about that.
      return causes.contains(key.canonical)
    case (.module(let name), .module(let pattern)):
      return ModulePattern.includes(name, pattern)
    case (.mount(let path, let flags), .mount(let place, let line, let flag)):
      return (path == place || path == line) && flags.contains(flag)
    case (.kernel(let name, _), .kernel(let other)): return name == other
    case (.systemCalls(let name), .systemCall(let other)): return name.standsForCall(other)
    case (.bootStage, .bootStage): return true
    default: return false
    }
  }

  /// Whether an exception permits a setting as the policy has it: its value is the one that is set.
  fileprivate func permits(_ subject: KeyedRefinement.Widening.Subject, in policy: HostPolicy) -> Bool {
    names(subject) && isSet(in: policy) != false
  }

  /// Whether the policy sets the value that is named; nil: the exception names none.
  fileprivate func isSet(in policy: HostPolicy) -> Bool? {
    switch self {
    case .sysctl(let text, let to):
      guard let key = try? SysctlKey(text) else { return false }
      return policy.sysctls.contains {
        (try? SysctlKey($0.key))?.canonical == key.canonical && $0.value == to
      }
    case .kernel("lockdown", let to): return policy.kernel.lockdown?.rawValue == to
    case .kernel(let name, let to):
      return policy.kernel.commandLine.contains {
        KernelParameter.name($0.text) == name && (KernelParameter.value($0.text) ?? "") == to
      }
    case .mount(let path, let flags):
      let effective = EffectiveMounts(policy.mounts)
      return flags.allSatisfy { effective.flag($0, at: path)?.flag == $0 }
    case .packets, .module, .systemCalls, .bootStage, .guarantee: return nil
    }
  }
}

extension String {
  /// Whether the name of a call or group stands for a call, of which 32-bit ABIs may have other forms.
  fileprivate func standsForCall(_ other: String) -> Bool {
    let names = SystemCallGroups.calls(of: self) ?? [self]
    return names.contains { $0 == other || SystemCallForms.forms(of: $0).contains(other) }
  }
}

extension SysctlKey {
  /// Whether a line for this key is also about the other: `*` is about every interface.
  fileprivate func covers(_ other: SysctlKey) -> Bool {
    self == other || (interface == "*" && other.interface != nil && pattern == other.pattern)
  }
}
