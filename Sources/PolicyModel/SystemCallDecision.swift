/// What a filter does with one call, before its arguments are known.
package enum SystemCallDecision: Sendable, Equatable {
  /// Any of these, each of which is conditions that must all hold.
  package typealias Alternatives = [[SystemCallFilter.Condition]]

  case permitted
  /// `on-deny`.
  case refused
  /// Newer than the target's kernel, or of no kernel: `on-unknown`.
  case unknown
  /// Refused where an alternative holds; otherwise permitted, where there is a second list only if one of that
  /// holds, and else refused.
  case tested(refusedIf: Alternatives, permittedIf: Alternatives?)
}

/// What a filter does with every call.
package struct SystemCallDecisions: Sendable {
  private let deniesByDefault: Bool
  private let kernel: KernelVersion
  private var denials: [String: SystemCallDecision.Alternatives] = [:]
  private var permissions: [String: SystemCallDecision.Alternatives] = [:]

  package init(_ filter: SystemCallFilter, kernel: KernelVersion) {
    deniesByDefault = filter.deniesByDefault
    self.kernel = kernel
    for entry in filter.denied {
      for call in entry.calls { denials[call, default: []].append(entry.conditions) }
    }
    for entry in filter.allowed {
      for call in entry.calls { permissions[call, default: []].append(entry.conditions) }
    }
  }

  /// Whether an item of `deny` stands for a call, under conditions or not.
  package func denies(_ name: String) -> Bool { denials[name] != nil }

  /// What becomes of a call by name. Denied wins over allowed.
  ///
  /// - Parameter abi: Where the arguments of some calls lie elsewhere, so that no condition on them can be tested:
  ///   there a denial under a condition holds always, and a permission never. Nil: none of those.
  package func decision(on name: String, _ abi: SystemCallABI?) -> SystemCallDecision {
    let isBlind = abi.map { SystemCallForms.hasOtherArguments(name, on: $0) } ?? false
    let refusedIf = denials[name] ?? []
    let permittedIf = permissions[name] ?? []
    let isOld = SystemCallTable[name].map { $0.exists(in: kernel) } ?? false
    // Who names a newer call knows of it.
    guard isOld || !refusedIf.isEmpty || !permittedIf.isEmpty else { return .unknown }
    if refusedIf.contains(where: { $0.isEmpty || isBlind }) { return .refused }
    if !deniesByDefault && isOld || permittedIf.contains(where: \.isEmpty) {
      return refusedIf.isEmpty ? .permitted : .tested(refusedIf: refusedIf, permittedIf: nil)
    }
    return permittedIf.isEmpty || isBlind
      ? .refused : .tested(refusedIf: refusedIf, permittedIf: permittedIf)
  }
}
