import Diagnostics
import PolicyModel

/// Where a policy is weaker than its base in the keyed domains, by effective values (LANGUAGE.md §5.7, §8).
///
/// Pure. What cannot be compared counts as weaker, with the reason.
struct KeyedRefinement {
  /// One thing that is weaker, or not known to be as strong.
  struct Widening {
    enum Subject: Equatable {
      /// The lines of the policy that make the value what it is; each must be permitted.
      case sysctl(place: SysctlKey, causes: [SysctlKey])
      /// A name or a glob.
      case module(String)
      /// At a path, by the line of that path or of one above.
      case mount(String, by: String, MountFlag)
      case kernel(String)
      case systemCall(String)
      case bootStage
      /// Nothing that a delegation or an exception could name.
      case other
    }

    var subject: Subject
    /// How it is said in a message: what it is here, and what in the base.
    var message: String
    /// What an exception or a delegation was needed for: `KEY: OLD to NEW`.
    var change: String
    var span: SourceSpan
    var baseSpan: SourceSpan?
    /// What to write under `loosen`.
    var help: String
  }

  private let base: HostPolicy
  private let policy: HostPolicy
  private(set) var widenings: [Widening] = []

  init(of policy: HostPolicy, from base: HostPolicy) {
    self.policy = policy
    self.base = base
    compareSysctls()
    compareMounts()
    compareModules()
    compareKernel()
    compareSystemCalls()
    compareBoot()
  }

  // MARK: Sysctls

  private mutating func compareSysctls() {
    let old = EffectiveSysctls(base)
    let new = EffectiveSysctls(policy)
    var seen: Set<String> = []
    let keys = (policy.sysctls + base.sysctls).compactMap { try? SysctlKey($0.key).canonical }
    for key in keys {
      // A line for one interface and one for all are about each other's places too.
      let everywhere =
        key.interface == nil ? [] : ["*", "all", "default"].compactMap { key.withInterface($0) }
      for place in ([key] + everywhere).flatMap({ old.places(of: $0) + new.places(of: $0) })
      where seen.insert(place.text).inserted {
        compare(place, old, new)
      }
    }
  }

  private mutating func compare(_ place: SysctlKey, _ old: EffectiveSysctls, _ new: EffectiveSysctls) {
    let row = SysctlTable.row(for: place)
    if let row, !row.isOrdered { return }  // visible, and neither weaker nor stronger
    let lines = Set(old.deciding(place) + new.deciding(place))
    let causes = lines.filter { old.line($0) != new.line($0) }.sorted { $0.text < $1.text }
    guard !causes.isEmpty else { return }
    let (before, after) = (old.value(at: place), new.value(at: place))
    if let row, let after {
      if row.isStrongest(after) { return }
      if let before, let strength = row.strength(of: after, comparedWith: before), strength >= 0 { return }
    }
    let here = policy.sysctls.first { (try? SysctlKey($0.key))?.canonical == causes[0] }
    let there = base.sysctls.first { (try? SysctlKey($0.key))?.canonical == causes[0] }
    let name = here?.key ?? place.text
    let isWeaker =
      before.flatMap { before in after.flatMap { row?.strength(of: $0, comparedWith: before) } } != nil
    let shown = (before.map { "`\($0)`" } ?? "what the kernel has", after.map { "`\($0)`" } ?? "not known")
    widenings.append(
      Widening(
        subject: .sysctl(place: place, causes: causes),
        message: isWeaker
          ? "`\(place.text)` is \(shown.1) here, weaker than the base's \(shown.0)"
          : "whether `\(place.text)` is weaker than in the base is not known: \(shown.1) here, \(shown.0) there",
        change: "\(place.text): \(before ?? "unknown") to \(after ?? "unknown")",
        span: here?.span ?? policy.span, baseSpan: there?.span,
        help: "write an entry `sysctl: \(name)` with `to: \(here?.value ?? "VALUE")` under `loosen`"))
  }

  // MARK: Mounts

  /// Options that say how much, and not what may be done.
  private static func isNeutral(_ option: String) -> Bool { option == "size" || option.hasPrefix("nr_") }

  /// What a file system does that is not told otherwise: tmpfs and proc, Documentation/filesystems/.
  private static let defaultOptions: Set<String> = [
    "mode=1777", "uid=0", "gid=0", "huge=never", "hidepid=0", "hidepid=off",
  ]

  private mutating func compareMounts() {
    let old = EffectiveMounts(base.mounts)
    let new = EffectiveMounts(policy.mounts)
    for path in Set((base.mounts + policy.mounts).map(\.path)).sorted() {
      for flag in MountFlag.stronger {
        let (before, after) = (old.flag(flag, at: path), new.flag(flag, at: path))
        guard let after, after.flag != flag, before?.flag != after.flag else { continue }
        widenings.append(
          Widening(
            subject: .mount(path, by: after.mount.path, after.flag),
            message: before == nil
              ? "`\(path)` is mounted `\(after.flag.rawValue)`, and the base leaves that flag as the system has it"
              : "`\(path)` is mounted `\(after.flag.rawValue)`, and in the base `\(flag.rawValue)`",
            change: "\(path): \(before?.flag.rawValue ?? "unknown") to \(after.flag.rawValue)",
            span: after.mount.span,
            baseSpan: before?.mount.span,
            help:
              "write an entry `mount: \(after.mount.path)` with `flags: [\(after.flag.rawValue)]` under `loosen`"
          ))
      }
    }
    for mount in policy.mounts {
      let before = base.mounts.first { $0.path == mount.path }
      for option in mount.options {
        let name = String(option.prefix { $0 != "=" })
        let isKnown = Self.isNeutral(name) || Self.defaultOptions.contains(option)
        guard !isKnown, before?.options.contains(option) != true else { continue }
        widenings.append(
          Widening(
            subject: .other,
            message:
              "whether the option `\(option)` of `\(mount.path)` is weaker than in the base is not known",
            change: "\(mount.path): \(option)", span: mount.span, baseSpan: before?.span,
            help: "options have no order: the base must have the same, or leave the mount to others"))
      }
    }
  }

  // MARK: Modules

  private mutating func compareModules() {
    let (old, new) = (base.modules, policy.modules)
    if old.deniesByDefault, !new.deniesByDefault {
      open("*", "modules that no list names may load, and in the base they may not", policy.span, nil)
    }
    if old.deniesByDefault {
      for pattern in new.allowed + new.required
      where !(old.allowed + old.required).contains(where: { $0.includes(pattern) }) {
        open(
          pattern.pattern, "`\(pattern.pattern)` may load, and the base allows only modules that it lists",
          pattern.span,
          nil)
      }
    }
    for denied in old.denied where !new.denies(denied) {
      open(denied.pattern, "`\(denied.pattern)` may load, and the base denies it", policy.span, denied.span)
    }
    for (isWeaker, word) in [
      (old.seal == .afterBoot && new.seal == .never, "seal: after-boot"),
      (old.deniesCompressed && !new.deniesCompressed, "compressed: deny"),
    ] where isWeaker {
      widenings.append(
        Widening(
          subject: .other, message: "the base has modules `\(word)`, and this policy does not", change: word,
          span: policy.span, baseSpan: nil, help: "no exception is about that: leave the key to the base"))
    }
  }

  private mutating func open(
    _ pattern: String, _ message: String, _ span: SourceSpan, _ baseSpan: SourceSpan?
  ) {
    widenings.append(
      Widening(
        subject: .module(pattern), message: message, change: "\(pattern): denied to allowed", span: span,
        baseSpan: baseSpan,
        help: "write an entry `module: \(pattern == "*" ? "\"*\"" : pattern)` under `loosen`"))
  }

  // MARK: Kernel and boot

  private mutating func compareKernel() {
    let order = KernelSettings.Lockdown.allCases
    func rank(_ level: KernelSettings.Lockdown?) -> Int { level.flatMap { order.firstIndex(of: $0) } ?? 0 }
    if rank(policy.kernel.lockdown) < rank(base.kernel.lockdown) {
      let (old, new) = (
        order[rank(base.kernel.lockdown)].rawValue, order[rank(policy.kernel.lockdown)].rawValue
      )
      widenings.append(
        Widening(
          subject: .kernel("lockdown"), message: "the lockdown level is `\(new)`, and in the base `\(old)`",
          change: "lockdown: \(old) to \(new)", span: policy.span, baseSpan: nil,
          help: "write an entry `kernel: lockdown` with `to: \(new)` under `loosen`"))
    }
    for parameter in policy.kernel.commandLine {
      let name = KernelParameter.name(parameter.text)
      let before = base.kernel.commandLine.filter { KernelParameter.name($0.text) == name }
      if before.contains(where: { $0.text == parameter.text }) || KernelParameter.isNeutral(name) { continue }
      let isStronger = KernelParameter.isAtLeast(parameter.text, before.first?.text)
      if isStronger == true { continue }
      let value = KernelParameter.value(parameter.text) ?? ""
      let there = before.first?.text ?? "nothing"
      widenings.append(
        Widening(
          subject: .kernel(name),
          message: isStronger == false
            ? "`\(parameter.text)` is weaker than the base's `\(there)`"
            : "whether `\(parameter.text)` is weaker than what the base has, `\(there)`, is not known",
          change:
            "\(name): \(before.first.map { KernelParameter.value($0.text) ?? "set" } ?? "unset") to \(value.isEmpty ? "set" : value)",
          span: parameter.span, baseSpan: before.first?.span,
          help: "write an entry `kernel: \(name)` with `to: \"\(value)\"` under `loosen`"))
    }
  }

  // MARK: System calls

  /// Call by call, by what the filters let through, if only to be logged.
  private mutating func compareSystemCalls() {
    guard let old = base.systemCalls else { return }
    guard let new = policy.systemCalls else {
      widenOther("the base filters system calls, and this policy does not", "syscalls", policy.span)
      return
    }
    if old.scope == .`init`, new.scope == .services {
      widenOther(
        "the filter of system calls is for services alone, and in the base for all processes",
        "scope: init to services", new.span)
    }
    if old.onUnknown != .log, new.onUnknown == .log {
      widenOther(
        "calls that the target's kernel does not know are let through, and the base refuses them",
        "on-unknown: \(old.onUnknown.rawValue) to log", new.span)
    }
    let abis = Set(base.target.systemCallABIs + policy.target.systemCallABIs).sorted {
      $0.rawValue < $1.rawValue
    }
    let before = SystemCallDecisions(old, kernel: base.target.kernel)
    let after = SystemCallDecisions(new, kernel: policy.target.kernel)
    for call in SystemCallTable.all {
      let isWider = abis.contains { abi in
        call.number(on: abi) != nil
          && !new.permitted(after.decision(on: call.name, abi)).isWithin(
            old.permitted(before.decision(on: call.name, abi)))
      }
      guard isWider else { continue }
      widenings.append(
        Widening(
          subject: .systemCall(call.name), message: "`\(call.name)` is let through, and the base refuses it",
          change: "\(call.name): denied to allowed", span: new.span, baseSpan: old.span,
          help: "write an entry `syscalls: \(call.name)` under `loosen`"))
    }
  }

  private mutating func widenOther(_ message: String, _ change: String, _ span: SourceSpan) {
    widenings.append(
      Widening(
        subject: .other, message: message, change: change, span: span, baseSpan: base.systemCalls?.span,
        help: "no exception is about that: leave the key to the base"))
  }

  private mutating func compareBoot() {
    guard base.boot.stage == .closed, policy.boot.stage == .none else { return }
    widenings.append(
      Widening(
        subject: .bootStage,
        message: "no closed firewall stands before this policy is live, and the base has one",
        change: "stage: closed to none", span: policy.span, baseSpan: nil,
        help: "write an entry `boot: none` under `loosen`"))
  }
}

/// Flags of mounts, with those that a path has from a path above.
struct EffectiveMounts {
  private let byPath: [String: MountSetting]

  init(_ mounts: [MountSetting]) {
    byPath = Dictionary(mounts.map { ($0.path, $0) }) { first, _ in first }
  }

  /// Which of a flag and its opposite holds, and the mount that says so; nil if none does.
  func flag(_ flag: MountFlag, at path: String) -> (flag: MountFlag, mount: MountSetting)? {
    for above in MountPath.selfAndAbove(path) {
      guard let mount = byPath[above] else { continue }
      if mount.flags.contains(flag) { return (flag, mount) }
      if mount.flags.contains(flag.opposite) { return (flag.opposite, mount) }
    }
    return nil
  }
}

extension EffectiveSysctls {
  init(_ policy: HostPolicy) {
    self.init(
      policy.sysctls.compactMap { setting in (try? SysctlKey(setting.key)).map { ($0, setting.value) } })
  }
}

extension SysctlRow {
  /// Whether no value of the key is stronger, so that it holds against any.
  func isStrongest(_ text: String) -> Bool {
    if case .noCorePattern = order { return text == "|/bin/false" }
    guard let value = Int(text) else { return false }
    let bounds: ClosedRange<Int>? =
      switch values {
      case .integer(let range): range
      case .choice(let choices): choices.min().flatMap { least in choices.max().map { least...$0 } }
      default: nil
      }
    switch order {
    case .more: return bounds?.upperBound == value
    case .less: return bounds?.lowerBound == value
    case .ranks(let groups): return groups.last == [value]
    case .inclusion: return value == 0
    case .negative: return value < 0
    case .neutral, .noCorePattern: return false
    }
  }
}

extension ModulePolicy {
  /// Whether everything that a pattern stands for is denied; false where that is not known.
  func denies(_ pattern: ModulePattern) -> Bool {
    if denied.contains(where: { $0.includes(pattern) }) { return true }
    guard deniesByDefault else { return false }
    let opened = allowed + required
    if !pattern.isGlob { return !opened.contains { $0.matches(pattern.pattern) } }
    return opened.isEmpty
  }
}

extension ModulePattern {
  /// The same of patterns that stand nowhere.
  static func includes(_ pattern: String, _ other: String) -> Bool {
    let nowhere = SourceSpan(SourceID(0), 0, 0)
    return ModulePattern(pattern, span: nowhere).includes(ModulePattern(other, span: nowhere))
  }

  /// Whether this pattern stands for all that the other does; false where that is not known.
  func includes(_ other: ModulePattern) -> Bool {
    if pattern == other.pattern { return true }
    if !other.isGlob { return matches(other.pattern) }
    // `can*` includes `can_*`: a text and one `*` behind it.
    guard pattern.last == "*", !pattern.dropLast().contains(where: { "*?".contains($0) }) else {
      return false
    }
    return other.pattern.prefix { !"*?".contains($0) }.hasPrefix(pattern.dropLast())
  }
}

/// The arguments with which a call is let through.
private enum PermittedArguments {
  case all
  case none
  case some([SystemCallCube])
  /// More than can be told apart.
  case unknown

  /// False where that is not known.
  func isWithin(_ other: PermittedArguments) -> Bool {
    switch (self, other) {
    case (.none, _), (_, .all): true
    case (.unknown, _), (_, .unknown), (_, .none): false
    case (.all, .some(let others)): SystemCallCube.difference([.all], others)?.isEmpty == true
    case (.some(let cubes), .some(let others)): SystemCallCube.difference(cubes, others)?.isEmpty == true
    }
  }
}

extension SystemCallFilter {
  fileprivate func permitted(_ decision: SystemCallDecision) -> PermittedArguments {
    switch decision {
    case .permitted: return .all
    case .refused: return onDeny == .log ? .all : .none
    case .unknown: return onUnknown == .log ? .all : .none
    case .tested(let refusedIf, let permittedIf):
      if onDeny == .log { return .all }
      guard let refused = SystemCallCube.cubes(of: refusedIf) else { return .unknown }
      let open: [SystemCallCube]
      if let permittedIf {
        guard let cubes = SystemCallCube.cubes(of: permittedIf) else { return .unknown }
        open = cubes
      } else {
        open = [.all]
      }
      return SystemCallCube.difference(open, refused).map { .some($0) } ?? .unknown
    }
  }
}
