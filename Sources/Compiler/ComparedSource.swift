internal import Analysis
package import PolicyModel
internal import Seccomp

/// One side of a comparison, as it was given.
package enum ComparedSource: Sendable {
  case policy(HostPolicy)
  case lifted(LiftedPolicy)

  package var policy: HostPolicy {
    switch self {
    case .policy(let policy): policy
    case .lifted(let lifted): lifted.policy
    }
  }

  /// What it holds and nobody looks at.
  package var leftOut: [String] { if case .lifted(let lifted) = self { lifted.leftOut } else { [] } }

  /// What it does not hold, in the words of the language.
  var absent: [String] {
    guard case .lifted(let lifted) = self else { return [] }
    let always = ["modules", "kernel", "boot"]
    return lifted.origin == .bundle ? always : ["sysctl", "mounts"] + always + ["syscalls", "count", "log"]
  }
}

extension ComparedSource {
  /// - Parameter met: how many of the rules that could not be read some packet meets.
  fileprivate func read(_ met: Int) -> PolicyComparison.ReadShare? {
    guard case .lifted(let lifted) = self, lifted.origin == .kernel else { return nil }
    // What is one rule there may be several of the model.
    var (all, unread): (Set<String>, Set<String>) = ([], [])
    lifted.policy.firewall?.forEachRule { rule in
      all.insert(rule.id)
      if rule.unreadable != nil { unread.insert(rule.id) }
    }
    return PolicyComparison.ReadShare(rules: all.count, unread: unread.count, met: met)
  }
}

extension PolicyComparison {
  /// Compares what both sides hold. Of what a bundle does not hold nothing is said but that.
  ///
  /// - Parameter listsInFull: else regions have the first few elements of a long list.
  package init(from old: ComparedSource, to new: ComparedSource, listsInFull: Bool = false) {
    var (before, after) = (old.policy, new.policy)
    let absent = Self.union(old.absent, new.absent)
    guard !absent.isEmpty else {
      self.init(from: before, to: after, listsInFull: listsInFull)
      return
    }
    // So that nothing is said of what one side does not hold.
    (before.modules, before.kernel, before.boot) = (after.modules, after.kernel, after.boot)
    before.management = after.management
    if absent.contains("sysctl") { before.sysctls = after.sysctls }
    if absent.contains("mounts") { before.mounts = after.mounts }
    let filters = absent.contains("syscalls") ? nil : FilterComparison(old, new)
    (before.systemCalls, after.systemCalls) = (nil, nil)
    self.init(from: before, to: after, listsInFull: listsInFull, comparesTold: !absent.contains("log"))
    notCompared = absent
    leftOut = (old.leftOut, new.leftOut)
    read = (
      old.read(packets.unreadRulesMet.old), new.read(packets.unreadRulesMet.new)
    )
    switch filters {
    case .same?, nil: break
    case .opened?: settings.append(.filter(.widened, "filtered", "not filtered", old.policy, new.policy))
    case .closed?: settings.append(.filter(.narrowed, "not filtered", "filtered", old.policy, new.policy))
    case .different?:
      packets.unknown.append(
        PacketDifference.Unknown(
          place: "syscalls", reason: "both filter system calls, and the programs are not the same bytes"))
    }
  }

  private static func union(_ a: [String], _ b: [String]) -> [String] {
    let order = ["sysctl", "mounts", "modules", "kernel", "boot", "syscalls", "count", "log"]
    return order.filter { a.contains($0) || b.contains($0) }
  }
}

extension PolicyComparison.Setting {
  fileprivate static func filter(
    _ direction: PolicyComparison.Direction, _ was: String, _ isNow: String, _ old: HostPolicy,
    _ new: HostPolicy
  ) -> PolicyComparison.Setting {
    PolicyComparison.Setting(
      direction: direction, domain: "syscall", key: "filter", old: was, new: isNow,
      oldSpan: old.systemCalls?.span,
      newSpan: new.systemCalls?.span)
  }
}

/// Filters of system calls, of which a bundle has the program alone.
private enum FilterComparison {
  case same
  case opened
  case closed
  case different

  init(_ old: ComparedSource, _ new: ComparedSource) {
    let programs = [old, new].map(Self.program)
    switch (programs[0], programs[1]) {
    case (nil, nil): self = .same
    case (.some, nil): self = .opened
    case (nil, .some): self = .closed
    case (let before?, let after?): self = before == after ? .same : .different
    }
  }

  private struct Program: Equatable {
    var bytes: [UInt8]
    var isForServices: Bool
  }

  private static func program(_ source: ComparedSource) -> Program? {
    switch source {
    case .lifted(let bundle):
      bundle.filter.map { Program(bytes: $0, isForServices: bundle.filterIsForServices) }
    case .policy(let policy):
      policy.systemCalls.map { calls in
        Program(
          bytes: FilterCompiler.compile(calls, policy.target).flatMap(\.bytes),
          isForServices: calls.scope == .services)
      }
    }
  }
}
