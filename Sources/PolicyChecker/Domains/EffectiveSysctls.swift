import PolicyModel

/// What sysctl settings come to where `*`, `all`, `default` and an interface's own line meet (LANGUAGE.md §8).
struct EffectiveSysctls {
  /// By canonical key.
  private let stated: [String: String]
  private let keys: [SysctlKey]

  init(_ settings: some Sequence<(key: SysctlKey, value: String)>) {
    var stated: [String: String] = [:]
    var keys: [SysctlKey] = []
    for setting in settings {
      let key = setting.key.canonical
      if stated[key.text] == nil { keys.append(key) }
      stated[key.text] = stated[key.text] ?? setting.value
    }
    self.stated = stated
    self.keys = keys
  }

  /// The places a key speaks of. With `*` those are the interfaces that a setting names, and, as `*`, one that none
  /// does.
  func places(of key: SysctlKey) -> [SysctlKey] {
    let key = key.canonical
    guard key.interface == "*" else { return [key] }
    let named = keys.filter { other in
      other.pattern == key.pattern && !["all", "default", "*", nil].contains(other.interface)
    }
    return named + [key]
  }

  /// The value at a place; nil if it is not known.
  func value(at place: SysctlKey) -> String? {
    let place = place.canonical
    let row = SysctlTable.row(for: place)
    guard let interface = place.interface, let row else { return stated[place.text] ?? row?.kernelDefault }
    switch interface {
    case "all", "default": return entry(interface, place, row)
    case "*": return combined(nil, place, row)
    default: return combined(interface, place, row)
    }
  }

  /// What a line says; nil if there is none.
  func line(_ key: SysctlKey) -> String? { stated[key.canonical.text] }

  /// The lines that may decide the value at a place, the nearest first.
  func deciding(_ place: SysctlKey) -> [SysctlKey] {
    let place = place.canonical
    let candidates =
      [place] + ["*", "all", "default"].compactMap { place.interface == nil ? nil : place.withInterface($0) }
    return candidates.filter { stated[$0.text] != nil }
  }

  /// The value of one directory: stated for it, stated for `*`, or the kernel's. A nil interface is any the
  /// policy does not name.
  private func entry(_ interface: String?, _ key: SysctlKey, _ row: SysctlRow) -> String? {
    func stated(_ interface: String) -> String? {
      key.withInterface(interface).flatMap { self.stated[$0.text] }
    }
    if let interface, let value = stated(interface) { return value }
    if let value = stated("*") { return value }
    if interface == "all" { return row.allDefault ?? row.kernelDefault }
    // An interface copies `default` when it appears, but one that is there already may not.
    if let value = stated("default"), value != row.kernelDefault { return nil }
    if row.strengthClass == .lossy, let value = stated("all") { return value }
    return row.kernelDefault
  }

  /// What `all` and the interface make together.
  private func combined(_ interface: String?, _ key: SysctlKey, _ row: SysctlRow) -> String? {
    let own = entry(interface, key, row)
    if case .own = row.combination { return own }
    guard let own, let all = entry("all", key, row), let a = Int(own), let b = Int(all) else { return nil }
    switch row.combination {
    case .own: return own
    case .maximum: return String(max(a, b))
    case .minimum: return String(min(a, b))
    case .and: return a != 0 && b != 0 ? "1" : "0"
    case .or: return a != 0 || b != 0 ? "1" : "0"
    }
  }
}

extension SysctlKey {
  /// One name for a setting that has two: `ip_forward` is `conf.all.forwarding`.
  var canonical: SysctlKey {
    guard text == "net.ipv4.ip_forward" else { return self }
    return (try? SysctlKey("net.ipv4.conf.all.forwarding")) ?? self
  }
}
