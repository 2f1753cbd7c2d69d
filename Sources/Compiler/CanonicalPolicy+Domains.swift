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
      "flags": JSONValue(sorted(mount.flags.map(\.rawValue))), "bind": mount.isSelfBind ? "self" : .null,
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

  static func boot(_ settings: BootSettings, _ sets: inout CanonicalSets, to json: inout JSONStream) {
    json.object("boot") { json in
      json.list("input") { json in
        for rule in settings.input { json.element { self.rule(rule, &sets, to: &$0) } }
      }
      json.member("management-after", JSONValue(settings.managementAfter))
      json.member("on-failure", settings.onFailure.rawValue)
      json.member("root", settings.root.rawValue)
      json.member("stage", settings.stage.rawValue)
      json.member("unprotected", settings.unprotected.rawValue)
    }
  }

  static func management(_ management: Management, _ sets: inout CanonicalSets, to json: inout JSONStream) {
    switch management {
    case .unstated: json.member("management", "unstated")
    case .none: json.member("management", "none")
    // Regions and statements have no order; their texts give them one.
    case .regions(let regions):
      func order(_ region: Region) -> String.UTF8View {
        "\(region.hook.rawValue) \(region.text) \(region.place ?? "")".utf8
      }
      let sorted = regions.sorted { order($0).lexicographicallyPrecedes(order($1)) }
      json.list("management") { json in
        for region in sorted { json.element { self.region(region, &sets, to: &$0) } }
      }
    }
  }

  private static func region(_ region: Region, _ sets: inout CanonicalSets, to json: inout JSONStream) {
    if !region.assumptions.isEmpty {
      json.list("assuming") { json in
        for assumption in region.assumptions {
          json.element { json in
            json.member("set", assumption.set)
            json.object("within") { sets.write(assumption.within, to: &$0) }
          }
        }
      }
    }
    families(region.families, to: &json)
    json.member("loopback", .bool(region.includesLoopback))
    matches(region.matches, &sets, to: &json)
    json.member("opens-flows-only", .bool(!region.hasStateClause))
    json.member("place", region.hook.rawValue)
    json.member("text", region.text)
  }

  static func statements(
    _ key: StaticString, _ statements: [Statement], place: String, _ sets: inout CanonicalSets,
    to json: inout JSONStream
  ) {
    let sorted = zip(ItemID.statements(statements, place: place), statements)
      .sorted { $0.0.utf8.lexicographicallyPrecedes($1.0.utf8) }
    json.list(key) { json in
      for (id, statement) in sorted {
        json.element { json in
          json.member("id", id)
          json.member("name", ifPresent: statement.name)
          // A fact's text says all; a region's may hold names.
          if case .packets(let region, _, _) = statement.body {
            json.object("region") { self.region(region, &sets, to: &$0) }
          }
          json.member("text", statement.text)
        }
      }
    }
  }

  // MARK: Extension

  /// Nil: there are none, as in every policy without a base.
  static func openings(_ openings: [DelegatedOpening]) -> JSONValue? {
    guard !openings.isEmpty else { return nil }
    let sorted = openings.sorted { $0.delegation.utf8.lexicographicallyPrecedes($1.delegation.utf8) }
    return .array(
      sorted.map { ["delegation": .string($0.delegation), "opened": JSONValue(self.sorted($0.opened))] })
  }

  /// Nothing where there are none.
  static func exceptions(
    _ exceptions: [PolicyException], _ sets: inout CanonicalSets, to json: inout JSONStream
  ) {
    guard !exceptions.isEmpty else { return }
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
    json.list("exceptions") { json in
      for exception in ordered {
        json.element { json in
          json.member("because", exception.because)
          json.member("file", exception.file)
          json.member("loosened", texts: sorted(exception.loosened))
          json.member("owner", exception.owner)
          json.member("policy", exception.policy)
          if case .packets(let region) = exception.target {
            json.object("region") { self.region(region, &sets, to: &$0) }
          }
          json.member("text", exception.text)
          json.member("until", exception.until)
        }
      }
    }
  }
}
