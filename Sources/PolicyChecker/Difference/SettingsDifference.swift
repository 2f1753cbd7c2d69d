package import Diagnostics
package import PolicyModel

/// What two policies set otherwise, outside of the firewalls, by effective values (LANGUAGE.md §8).
package struct SettingsDifference: Sendable {
  package enum Direction: String, Sendable, CaseIterable {
    case widened
    /// The order of the values is not known.
    case incomparable
    case narrowed
    /// Neither weaker nor stronger.
    case visible
  }

  package struct Change: Sendable {
    package var direction: Direction
    /// `sysctl`, `mount`, `module`, `kernel`, `syscall` or `boot`.
    package var domain: String
    /// What is set; with the values on both sides, in words.
    package var key: String
    package var old: String
    package var new: String
    package var oldSpan: SourceSpan?
    package var newSpan: SourceSpan?
  }

  /// In the order of domains.
  package private(set) var changes: [Change] = []

  private let old: HostPolicy
  private let new: HostPolicy

  package init(from old: HostPolicy, to new: HostPolicy) {
    self.old = old
    self.new = new
    let weaker = KeyedRefinement(of: new, from: old).widenings
    let stronger = KeyedRefinement(of: old, from: new).widenings
    compareSysctls(weaker, stronger)
    compareMounts()
    compareModules(weaker, stronger)
    compareKernel()
    compareSystemCalls(weaker, stronger)
    compareBoot()
  }

  private mutating func add(
    _ direction: Direction, _ domain: String, _ key: String, _ old: String, _ new: String,
    _ oldSpan: SourceSpan? = nil, _ newSpan: SourceSpan? = nil
  ) {
    changes.append(
      Change(
        direction: direction, domain: domain, key: key, old: old, new: new, oldSpan: oldSpan,
        newSpan: newSpan))
  }

  private static func direction(isWeaker: Bool, isStronger: Bool) -> Direction {
    // Each is reported where it is not known to be as strong as the other.
    isWeaker ? (isStronger ? .incomparable : .widened) : (isStronger ? .narrowed : .visible)
  }

  // MARK: Sysctls

  private mutating func compareSysctls(
    _ weaker: [KeyedRefinement.Widening], _ stronger: [KeyedRefinement.Widening]
  ) {
    func places(_ widenings: [KeyedRefinement.Widening]) -> Set<String> {
      Set(
        widenings.compactMap { widening in
          if case .sysctl(let place, _) = widening.subject { place.text } else { nil }
        })
    }
    let (weakened, strengthened) = (places(weaker), places(stronger))
    let (before, after) = (EffectiveSysctls(old), EffectiveSysctls(new))
    var seen: Set<String> = []
    for setting in old.sysctls + new.sysctls {
      guard let key = (try? SysctlKey(setting.key))?.canonical, seen.insert(key.text).inserted else {
        continue
      }
      func find(_ policy: HostPolicy) -> SysctlSetting? {
        policy.sysctls.first { (try? SysctlKey($0.key))?.canonical == key }
      }
      let (oldLine, newLine) = (find(old), find(new))
      guard oldLine?.value != newLine?.value else { continue }
      // A line for all interfaces is about more than one place.
      let here = Set((before.places(of: key) + after.places(of: key) + [key]).map(\.text))
      let direction = Self.direction(
        isWeaker: !weakened.isDisjoint(with: here), isStronger: !strengthened.isDisjoint(with: here))
      add(
        direction, "sysctl",
        setting.key, oldLine?.value ?? "not set", newLine?.value ?? "not set", oldLine?.span,
        newLine?.span)
    }
  }

  // MARK: Mounts

  private mutating func compareMounts() {
    let (before, after) = (EffectiveMounts(old.mounts), EffectiveMounts(new.mounts))
    for path in Set((old.mounts + new.mounts).map(\.path)).sorted() {
      for flag in MountFlag.stronger {
        let (first, second) = (before.flag(flag, at: path), after.flag(flag, at: path))
        guard first?.flag != second?.flag else { continue }
        let direction: Direction =
          switch (first?.flag, second?.flag) {
          case (flag, _): .widened
          case (_, flag): .narrowed
          case (nil, _): .widened
          // The system may have what is not said, or not.
          default: .incomparable
          }
        let texts = [first, second].map { $0?.flag.rawValue ?? "as the system has it" }
        add(direction, "mount", path, texts[0], texts[1], first?.mount.span, second?.mount.span)
      }
      let (first, second) = (
        old.mounts.first { $0.path == path }, new.mounts.first { $0.path == path }
      )
      let options = (first?.options ?? [], second?.options ?? [])
      if options.0 != options.1 {
        let changed = Set(options.0).symmetricDifference(options.1)
        let isNeutral = changed.allSatisfy { $0.hasPrefix("size=") || $0.hasPrefix("nr_") }
        add(
          isNeutral ? .visible : .incomparable, "mount",
          "\(path) options", Self.list(options.0), Self.list(options.1), first?.span, second?.span)
      }
      if (first?.isSelfBind ?? false) != (second?.isSelfBind ?? false) {
        add(
          .visible, "mount", "\(path) bind", first?.isSelfBind == true ? "self" : "none",
          second?.isSelfBind == true ? "self" : "none",
          first?.span, second?.span)
      }
    }
  }

  private static func list(_ texts: [String]) -> String {
    texts.isEmpty ? "none" : texts.joined(separator: ", ")
  }

  // MARK: Modules

  private mutating func compareModules(
    _ weaker: [KeyedRefinement.Widening], _ stronger: [KeyedRefinement.Widening]
  ) {
    func opened(_ widenings: [KeyedRefinement.Widening]) -> [(name: String, span: SourceSpan?)] {
      widenings.compactMap { widening in
        if case .module(let name) = widening.subject { (name, widening.baseSpan) } else { nil }
      }
    }
    func name(_ pattern: String) -> String { pattern == "*" ? "modules that no list names" : pattern }
    for (pattern, span) in opened(weaker) {
      add(.widened, "module", name(pattern), "denied", "allowed", span)
    }
    for (pattern, span) in opened(stronger) {
      add(.narrowed, "module", name(pattern), "allowed", "denied", nil, span)
    }
    let required = (Set(old.modules.required.map(\.pattern)), Set(new.modules.required.map(\.pattern)))
    for pattern in required.1.subtracting(required.0).sorted() {
      add(.visible, "module", pattern, "not required", "loaded before the seal")
    }
    for pattern in required.0.subtracting(required.1).sorted() {
      add(.visible, "module", pattern, "loaded before the seal", "not required")
    }
    if old.modules.seal != new.modules.seal {
      add(
        new.modules.seal == .never ? .widened : .narrowed, "module",
        "seal", old.modules.seal.rawValue,
        new.modules.seal.rawValue)
    }
    if old.modules.deniesCompressed != new.modules.deniesCompressed {
      add(
        new.modules.deniesCompressed ? .narrowed : .widened, "module",
        "compressed", old.modules.deniesCompressed ? "deny" : "pass",
        new.modules.deniesCompressed ? "deny" : "pass")
    }
  }

  // MARK: Kernel

  private mutating func compareKernel() {
    let order = KernelSettings.Lockdown.allCases
    func rank(_ policy: HostPolicy) -> Int {
      policy.kernel.lockdown.flatMap { order.firstIndex(of: $0) } ?? 0
    }
    if rank(old) != rank(new) {
      add(
        rank(new) < rank(old) ? .widened : .narrowed, "kernel",
        "lockdown", order[rank(old)].rawValue,
        order[rank(new)].rawValue)
    }
    var seen: Set<String> = []
    for parameter in old.kernel.commandLine + new.kernel.commandLine {
      let name = KernelParameter.name(parameter.text)
      guard seen.insert(name).inserted else { continue }
      func all(_ policy: HostPolicy) -> [KernelSettings.Parameter] {
        policy.kernel.commandLine.filter { KernelParameter.name($0.text) == name }
      }
      let (before, after) = (all(old), all(new))
      guard before.map(\.text) != after.map(\.text) else { continue }
      let direction: Direction
      if KernelParameter.isNeutral(name) {
        direction = .visible
      } else if before.count > 1 || after.count > 1 {
        direction = .incomparable
      } else if let text = after.first?.text,
        let isStronger = KernelParameter.isAtLeast(text, before.first?.text)
      {
        direction = isStronger ? .narrowed : .widened
      } else if after.isEmpty, let text = before.first?.text,
        let isStronger = KernelParameter.isAtLeast(text, nil)
      {
        direction = isStronger ? .widened : .narrowed
      } else {
        direction = .incomparable
      }
      add(
        direction, "kernel",
        name, Self.values(before), Self.values(after), before.first?.span, after.first?.span)
    }
  }

  private static func values(_ parameters: [KernelSettings.Parameter]) -> String {
    parameters.isEmpty
      ? "unset" : parameters.map { KernelParameter.value($0.text) ?? "set" }.joined(separator: ", ")
  }

  // MARK: System calls

  private mutating func compareSystemCalls(
    _ weaker: [KeyedRefinement.Widening], _ stronger: [KeyedRefinement.Widening]
  ) {
    let spans = (old.systemCalls?.span, new.systemCalls?.span)
    switch (old.systemCalls, new.systemCalls) {
    case (nil, nil): return
    case (.some, nil):
      add(.widened, "syscall", "filter", "filtered", "not filtered", spans.0)
      return
    case (nil, .some):
      add(.narrowed, "syscall", "filter", "not filtered", "filtered", nil, spans.1)
      return
    case (let before?, let after?):
      func calls(_ widenings: [KeyedRefinement.Widening]) -> [String] {
        widenings.compactMap { if case .systemCall(let name) = $0.subject { name } else { nil } }
      }
      let (opened, closed) = (calls(weaker), calls(stronger))
      let both = Set(opened).intersection(closed)
      for (direction, names, was, isNow) in [
        (Direction.widened, opened.filter { !both.contains($0) }, "refused", "let through"),
        (.narrowed, closed.filter { !both.contains($0) }, "let through", "refused"),
        (.incomparable, opened.filter(both.contains), "let through", "let through with other arguments"),
      ] where !names.isEmpty {
        let shown = names.prefix(6).joined(separator: ", ")
        let rest = names.count > 6 ? " … and \(names.count - 6) more" : ""
        add(direction, "syscall", shown + rest, was, isNow, spans.0, spans.1)
      }
      if before.scope != after.scope {
        add(
          after.scope == .services ? .widened : .narrowed, "syscall",
          "scope", before.scope.rawValue,
          after.scope.rawValue, spans.0, spans.1)
      }
      for (word, first, second) in [
        ("on-deny", before.onDeny, after.onDeny), ("on-unknown", before.onUnknown, after.onUnknown),
      ] where first != second {
        // What is only logged is let through.
        let direction: Direction =
          word == "on-deny" || first != .log && second != .log
          ? .visible : second == .log ? .widened : .narrowed
        add(direction, "syscall", word, first.rawValue, second.rawValue, spans.0, spans.1)
      }
    }
  }

  // MARK: Boot

  private mutating func compareBoot() {
    let (before, after) = (old.boot, new.boot)
    if before.stage != after.stage {
      add(
        after.stage == .none ? .widened : .narrowed, "boot",
        "stage", before.stage.rawValue, after.stage.rawValue)
    }
    if before.unprotected != after.unprotected {
      add(
        after.unprotected == .continue ? .widened : .narrowed, "boot",
        "unprotected", before.unprotected.rawValue,
        after.unprotected.rawValue)
    }
    for (word, first, second) in [
      ("root", before.root.rawValue, after.root.rawValue),
      ("on-failure", before.onFailure.rawValue, after.onFailure.rawValue),
    ] where first != second {
      add(.visible, "boot", word, first, second, before.span, after.span)
    }
  }
}
