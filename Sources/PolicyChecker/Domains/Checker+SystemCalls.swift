import Diagnostics
import PolicyModel
import PolicySyntax

/// `syscalls` (LANGUAGE.md §2).
extension Checker {
  mutating func systemCalls(_ entry: SyntaxEntry?, modules: ModulePolicy) -> SystemCallFilter? {
    guard let entry, entry.value.mapping != nil else { return nil }
    let node = entry.value
    var filter = SystemCallFilter(span: entry.key.span)
    func word<Word: RawRepresentable<String>>(_ key: String) -> Word? {
      node.entry(key)?.value.scalar.flatMap { Word(rawValue: $0.text) }
    }
    filter.deniesByDefault = node.entry("default")?.value.scalar?.text == "deny"
    filter.onDeny = word("on-deny") ?? .eperm
    filter.onUnknown = word("on-unknown") ?? .enosys
    filter.scope = word("scope") ?? .`init`
    filter.denied = systemCallEntries(node.entry("deny")?.value)
    filter.allowed = systemCallEntries(node.entry("allow")?.value)
    let undenied = systemCallEntries(node.entry("undeny")?.value, takesConditions: false)
    takeBack(undenied, from: &filter)
    reportConflicts(filter)
    for entry in filter.denied + filter.allowed {
      items.append(Item(entry.id, entry.span))
    }
    checkSize(filter)
    checkBoot(filter, modules)
    if target.kernel > SystemCallTable.newestKernel, let span = targetKernelSpan {
      warning(
        .syscallTargetTooNew, span,
        "this compiler knows the system calls up to kernel \(SystemCallTable.newestKernel), and this policy is for \(target.kernel)",
        help: ["newer calls get `on-unknown`"])
    }
    return filter
  }

  // MARK: Items

  /// The items of one of several files, each by itself.
  mutating func checkSystemCallItems(_ node: SyntaxNode?) {
    for key in ["deny", "allow", "undeny"] {
      _ = systemCallEntries(node?.entry(key)?.value, takesConditions: key != "undeny")
    }
  }

  private mutating func systemCallEntries(
    _ node: SyntaxNode?, takesConditions: Bool = true
  ) -> [SystemCallFilter.Entry] {
    var entries: [SystemCallFilter.Entry] = []
    for item in node?.sequence ?? [] {
      guard let scalar = item.scalar, let entry = systemCallEntry(scalar, takesConditions) else { continue }
      if let earlier = entries.first(where: { $0.text == entry.text }) {
        error(
          .syscallConflict, scalar.span, "`\(entry.text)` is listed twice",
          related: [Diagnostic.Label(earlier.span, "first here")])
        continue
      }
      entries.append(entry)
    }
    return entries.sorted { $0.text.utf8.lexicographicallyPrecedes($1.text.utf8) }
  }

  private mutating func systemCallEntry(
    _ scalar: SyntaxScalar, _ takesConditions: Bool
  ) -> SystemCallFilter.Entry? {
    let syntax: SystemCallText
    do throws(SystemCallText.Fault) {
      syntax = try SystemCallText(scalar.text)
    } catch {
      self.error(.syscallBadCondition, scalar.span, error.message, help: error.help)
      return nil
    }
    guard let calls = systemCalls(syntax.name, scalar.span) else { return nil }
    if !syntax.conditions.isEmpty {
      guard takesConditions, syntax.name.utf8.first != UInt8(ascii: "@") else {
        error(
          .syscallBadCondition, scalar.span,
          takesConditions
            ? "the calls of a group have no arguments in common" : "`undeny` takes names and groups",
          help: takesConditions ? ["name the call whose argument is meant"] : [])
        return nil
      }
    }
    return SystemCallFilter.Entry(
      text: syntax.text, calls: calls, conditions: syntax.conditions, span: scalar.span)
  }

  /// All calls that a name or a group stands for, sorted; nil after a report.
  private mutating func systemCalls(_ name: String, _ span: SourceSpan) -> [String]? {
    let abis = target.systemCallABIs
    func withForms(_ names: [String]) -> [String] {
      Set(names + names.flatMap(SystemCallForms.forms)).filter { name in
        abis.contains { SystemCallTable[name]?.number(on: $0) != nil } || isHeld(name)
      }.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }
    if name.utf8.first == UInt8(ascii: "@") {
      guard let calls = SystemCallGroups.calls(of: name) else {
        error(
          .syscallUnknownName, span, "`\(name)` is no group of system calls",
          help: suggestion(
            for: name, among: SystemCallGroups.names,
            otherwise: "the groups are " + SystemCallGroups.names.map { "`\($0)`" }.joined(separator: ", ")))
        return nil
      }
      // A group is what the target's kernel has of it; a newer call gets `on-unknown` as every newer one.
      return withForms(calls).filter { SystemCallTable[$0]?.exists(in: target.kernel) ?? false }
    }
    guard isSystemCall(name, span) else { return nil }
    let calls = withForms([name])
    if calls.isEmpty {
      warning(
        .syscallNotOnTarget, span,
        "no program on \(target.architectures.map(\.rawValue).joined(separator: " or ")) can call `\(name)`",
        help: ["it is there on other architectures; here the item says nothing"])
    }
    return calls
  }

  /// False after a report.
  mutating func isSystemCall(_ name: String, _ span: SourceSpan) -> Bool {
    if SystemCallTable[name] != nil { return true }
    // A group without its mark is nearer than any call.
    let asGroup = "@" + name
    let help =
      SystemCallGroups.calls(of: asGroup) != nil
      ? ["the group is written `\"\(asGroup)\"`"]
      : suggestion(
        for: name, among: SystemCallTable.all.map(\.name),
        otherwise: "names are those of the kernel's tables; a group begins with `@`")
    error(.syscallUnknownName, span, "`\(name)` is no system call", help: help)
    return false
  }

  /// Whether a call of i386 holds this one, so that it can be made there without a number of its own.
  private func isHeld(_ name: String) -> Bool {
    target.systemCallABIs.contains(.i386)
      && ["socketcall", "ipc"].contains { holder in
        SystemCallForms.heldCalls(of: holder).contains { $0.call == name }
      }
  }

  /// Of a group of which a call is taken back, the others stay as items of their own.
  private mutating func takeBack(
    _ undenied: [SystemCallFilter.Entry], from filter: inout SystemCallFilter
  ) {
    guard !undenied.isEmpty else { return }
    let denied = Set(filter.denied.flatMap(\.calls))
    for entry in undenied {
      if !entry.calls.isEmpty, !entry.calls.contains(where: denied.contains) {
        error(
          .syscallConflict, entry.span, "nothing denies `\(entry.text)`, so there is nothing to take back",
          help: suggestion(for: entry.text, among: filter.denied.map(\.text)))
      }
      // What another file denies may be taken back; what this one denies was not meant.
      if let same = filter.denied.first(where: {
        $0.text == entry.text && $0.span.source == entry.span.source
      }) {
        error(
          .syscallConflict, entry.span, "`\(entry.text)` is denied and taken back",
          related: [Diagnostic.Label(same.span, "denied here")])
      }
    }
    let taken = Set(undenied.flatMap(\.calls))
    var left: [SystemCallFilter.Entry] = []
    for entry in filter.denied {
      guard entry.calls.contains(where: taken.contains) else {
        left.append(entry)
        continue
      }
      let name = entry.text.prefix { $0 != " " }
      for member in SystemCallGroups.calls(of: String(name)) ?? [String(name)] where !taken.contains(member) {
        let calls = ([member] + SystemCallForms.forms(of: member)).filter(entry.calls.contains)
        for form in calls where taken.contains(form) {
          guard let undeny = undenied.first(where: { $0.calls.contains(form) }) else { continue }
          error(
            .syscallConflict, undeny.span, "`\(form)` is a form of `\(member)`, which stays denied",
            help: ["take `\(member)` back, or deny other forms by their names"],
            related: [Diagnostic.Label(entry.span, "denied here")])
        }
        let isThere = (filter.denied + left).contains { $0.text == member }
        if !calls.isEmpty, !isThere {
          left.append(.init(text: member, calls: calls, conditions: entry.conditions, span: entry.span))
        }
      }
    }
    filter.denied = left.sorted { $0.text.utf8.lexicographicallyPrecedes($1.text.utf8) }
  }

  private mutating func reportConflicts(_ filter: SystemCallFilter) {
    for entry in filter.allowed {
      // A group may overlap, and denied wins; who allows a call by name must get it.
      guard !entry.isGroup else { continue }
      for denied in filter.denied where denied.conditions.isEmpty {
        guard entry.calls.contains(where: denied.calls.contains) else { continue }
        error(
          .syscallConflict, entry.span, "`\(entry.text)` is allowed and denied",
          help: denied.isGroup ? ["take it out of the group by `undeny: [\(entry.calls[0])]`"] : [],
          related: [Diagnostic.Label(denied.span, "denied here")])
        break
      }
    }
  }

  // MARK: The whole

  /// A runtime reads conditions as comparisons under a mask, and so they must come to a number of those that it can
  /// read.
  private mutating func checkSize(_ filter: SystemCallFilter) {
    for entry in filter.denied + filter.allowed where !entry.conditions.isEmpty {
      if let cubes = SystemCallCube.cubes(of: [entry.conditions]),
        SystemCallCube.difference([.all], cubes) != nil
      {
        continue
      }
      error(
        .syscallBadCondition, entry.span,
        "the conditions come to more than \(SystemCallCube.limit) comparisons under a mask",
        help: ["ranges that begin and end at powers of two take one each"])
    }
  }

  /// A filter before PID 1 holds for all that the boot needs (LANGUAGE.md §2).
  private mutating func checkBoot(_ filter: SystemCallFilter, _ modules: ModulePolicy) {
    guard filter.scope == .`init`, filter.onDeny != .log else { return }
    let decisions = SystemCallDecisions(filter, kernel: target.kernel)
    // A refusal under conditions is meant for those who call it otherwise than the boot does.
    func refusal(_ calls: [String]) -> (call: String, entry: SystemCallFilter.Entry?)? {
      guard let call = calls.first(where: { decisions.decision(on: $0, nil) == .refused }) else { return nil }
      return (call, filter.denied.first { $0.calls.contains(call) })
    }
    let areAllPreloaded =
      modules.deniesByDefault
      && modules.allowed.allSatisfy { allowed in
        modules.required.contains { $0.pattern == allowed.pattern }
      }
    if !areAllPreloaded, let refused = refusal(["finit_module", "init_module"]) {
      error(
        .syscallBlocksDrivers, refused.entry?.span ?? filter.span,
        refused.entry == nil
          ? "`default: deny` without `allow: [\(refused.call)]` keeps udev from loading the drivers of disks and networks"
          : "denying `\(refused.call)` before PID 1 runs keeps udev from loading the drivers of disks and networks",
        help: [
          "write `scope: services`, which leaves PID 1 free",
          "or `modules: { default: deny }` with every allowed module in `require`: those are loaded before the filter",
        ])
    }
    if let refused = refusal(Self.laterCalls) {
      error(
        .syscallBlocksLockdown, refused.entry?.span ?? filter.span,
        "`\(refused.call)` is refused, and what starts init and applies the later stages calls it",
        help: ["a filter cannot be lifted: `scope: services` leaves PID 1 and the applier free"])
    }
  }

  /// What the applier calls once the filter is there: it starts init, and the stages `late`, `verify` and `seal` run
  /// in descendants of that.
  private static let laterCalls = [
    "execve", "bpf", "mount_setattr", "exit_group", "read", "write", "close", "mmap", "clone", "wait4",
    "socket",
    "bind", "sendmsg", "recvmsg", "mount", "umount2", "fspick", "fsconfig",
  ]
}

extension SystemCallFilter.Entry {
  var id: String { "syscall/\(text)" }
}
