/// A control group of version 2 (cgroups(7)), by its path.
package struct ControlGroup: Sendable, Hashable, Comparable {
  /// Below the root of the hierarchy, as in `system.slice/backup.service`; no component is empty, `.` or `..`.
  package var path: String

  package init(_ path: String) { self.path = path }

  /// How many components the path has: the kernel compares a process's ancestor of the same level.
  package var level: UInt32 { UInt32(path.utf8.count { $0 == UInt8(ascii: "/") }) + 1 }

  package func isBelow(_ other: ControlGroup) -> Bool { path.utf8.starts(with: (other.path + "/").utf8) }

  /// Whether a process can be in both.
  package func overlaps(_ other: ControlGroup) -> Bool {
    self == other || isBelow(other) || other.isBelow(self)
  }

  package static func < (a: ControlGroup, b: ControlGroup) -> Bool {
    a.path.utf8.lexicographicallyPrecedes(b.path.utf8)
  }
}

extension Firewall {
  /// The control groups that rules ask for, ascending and each once.
  package var controlGroups: [ControlGroup] {
    var groups: Set<ControlGroup> = []
    forEachRule { rule in
      guard rule.isEnabled, rule.asksControlGroups else { return }
      for match in rule.matches {
        if case .controlGroups(let named) = match.condition { groups.formUnion(named) }
      }
    }
    return groups.sorted()
  }
}

extension [ControlGroup] {
  /// Ascending and each once, without those that lie below another.
  package var merged: [ControlGroup] {
    Set(self).filter { group in !contains { group.isBelow($0) } }.sorted()
  }
}
