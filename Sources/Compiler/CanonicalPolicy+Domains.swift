internal import CanonicalJSON
internal import PolicyModel

extension CanonicalPolicy {
  static func sysctl(_ setting: SysctlSetting) -> JSONValue {
    [
      "id": .string(ItemID.sysctl(setting)), "key": .string(setting.key), "value": .string(setting.value),
      "class": .string(setting.strengthClass.rawValue), "scope": .string(setting.scope.rawValue),
      "namespaced": .bool(setting.isNamespaced),
    ]
  }

  static func mount(_ mount: MountSetting) -> JSONValue {
    [
      "id": .string(ItemID.mount(mount)), "path": .string(mount.path),
      "flags": sorted(mount.flags.map(\.rawValue)), "bind": mount.isSelfBind ? "self" : .null,
      "options": JSONValue(mount.options),
    ]
  }

  static func modules(_ policy: ModulePolicy) -> JSONValue {
    func list(_ patterns: [ModulePattern]) -> JSONValue {
      .array(patterns.map { ["id": .string(ItemID.module($0)), "pattern": .string($0.pattern)] })
    }
    return [
      "default": policy.deniesByDefault ? "deny" : "allow", "deny": list(policy.denied),
      "allow": list(policy.allowed), "require": list(policy.required), "seal": .string(policy.seal.rawValue),
      "compressed": policy.deniesCompressed ? "deny" : "pass",
    ]
  }

  static func kernel(_ settings: KernelSettings) -> JSONValue {
    let parameters = zip(ItemID.parameters(settings), settings.commandLine).map {
      id, parameter -> JSONValue in
      ["id": .string(id), "parameter": .string(parameter.text)]
    }
    return [
      "lockdown": settings.lockdown.map { .string($0.rawValue) } ?? .null, "command-line": .array(parameters),
    ]
  }

  static func systemCalls(_ filter: SystemCallFilter) -> JSONValue {
    func list(_ entries: [SystemCallFilter.Entry]) -> JSONValue {
      .array(
        entries.map { entry in
          // All calls an item stands for: a group and other forms are not to be looked up by a reviewer.
          [
            "id": .string(ItemID.systemCall(entry)), "text": .string(entry.text),
            "calls": JSONValue(entry.calls), "conditions": .array(entry.conditions.map(condition)),
          ]
        })
    }
    return [
      "default": filter.deniesByDefault ? "deny" : "allow", "deny": list(filter.denied),
      "allow": list(filter.allowed), "on-deny": .string(filter.onDeny.rawValue),
      "on-unknown": .string(filter.onUnknown.rawValue), "scope": .string(filter.scope.rawValue),
    ]
  }

  private static func condition(_ condition: SystemCallFilter.Condition) -> JSONValue {
    let values = condition.values.map { value -> JSONValue in
      switch value {
      case .range(let range):
        ["first": JSONValue(range.lowerBound), "last": JSONValue(range.upperBound)]
      case .bits(let bits, let mask): ["bits": JSONValue(bits), "mask": JSONValue(mask)]
      }
    }
    return [
      "argument": JSONValue(condition.argument), "bits": condition.isLong ? 64 : 32,
      "not": .bool(condition.isNegated), "values": .array(values),
    ]
  }

  static func boot(_ settings: BootSettings, _ sets: inout CanonicalSets) -> JSONValue {
    [
      "stage": .string(settings.stage.rawValue), "input": .array(settings.input.map { rule($0, &sets) }),
      "root": .string(settings.root.rawValue), "management-after": JSONValue(settings.managementAfter),
      "unprotected": .string(settings.unprotected.rawValue),
      "on-failure": .string(settings.onFailure.rawValue),
    ]
  }

  static func management(_ management: Management, _ sets: inout CanonicalSets) -> JSONValue {
    switch management {
    case .unstated: "unstated"
    case .none: "none"
    // Regions and statements have no order; their texts give them one.
    case .regions(let regions):
      .array(
        regions.sorted { a, b in
          "\(a.hook.rawValue) \(a.text)".utf8.lexicographicallyPrecedes("\(b.hook.rawValue) \(b.text)".utf8)
        }.map { region($0, &sets) })
    }
  }

  private static func region(_ region: Region, _ sets: inout CanonicalSets) -> JSONValue {
    let assumptions = region.assumptions.map { assumption -> JSONValue in
      ["set": .string(assumption.set), "within": sets.unnamed(assumption.within)]
    }
    return .object(present: [
      ("place", .string(region.hook.rawValue)), ("text", .string(region.text)),
      ("families", families(region.families)), ("matches", matches(region.matches, &sets)),
      ("opens-flows-only", .bool(!region.hasStateClause)), ("loopback", .bool(region.includesLoopback)),
      ("assuming", assumptions.isEmpty ? nil : .array(assumptions)),
    ])
  }

  static func statements(
    _ statements: [Statement], place: String, _ sets: inout CanonicalSets
  ) -> JSONValue {
    let sorted = zip(ItemID.statements(statements, place: place), statements)
      .sorted { $0.0.utf8.lexicographicallyPrecedes($1.0.utf8) }
    return .array(
      sorted.map { id, statement in
        var members: [(String, JSONValue?)] = [
          ("id", .string(id)), ("name", statement.name.map(JSONValue.string)),
          ("text", .string(statement.text)),
        ]
        // A fact's text says all; a region's may hold names.
        if case .packets(let region, _, _) = statement.body {
          members.append(("region", self.region(region, &sets)))
        }
        return .object(present: members)
      })
  }

  // MARK: Extension

  /// Nil: there are none, as in every policy without a base.
  static func openings(_ openings: [DelegatedOpening]) -> JSONValue? {
    guard !openings.isEmpty else { return nil }
    let sorted = openings.sorted { $0.delegation.utf8.lexicographicallyPrecedes($1.delegation.utf8) }
    return .array(
      sorted.map { ["delegation": .string($0.delegation), "opened": self.sorted($0.opened)] })
  }

  static func exceptions(_ exceptions: [PolicyException], _ sets: inout CanonicalSets) -> JSONValue? {
    guard !exceptions.isEmpty else { return nil }
    // The order of ancestors; in one policy they have none.
    var lists: [[PolicyException]] = []
    for exception in exceptions {
      if lists.last?.first?.policy == exception.policy {
        lists[lists.count - 1].append(exception)
      } else {
        lists.append([exception])
      }
    }
    let ordered = lists.flatMap { list in
      list.sorted { $0.text.utf8.lexicographicallyPrecedes($1.text.utf8) }
    }
    return .array(
      ordered.map { exception in
        var members: [(String, JSONValue?)] = [
          ("policy", .string(exception.policy)), ("file", .string(exception.file)),
          ("text", .string(exception.text)), ("because", .string(exception.because)),
          ("owner", .string(exception.owner)), ("until", .string(exception.until)),
          ("loosened", sorted(exception.loosened)),
        ]
        if case .packets(let region) = exception.target {
          members.append(("region", self.region(region, &sets)))
        }
        return .object(present: members)
      })
  }
}
