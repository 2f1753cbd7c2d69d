internal import PolicyModel

/// The set in which the numbers of a clause's control groups of one level are looked up.
///
/// The kernel knows a group by a number that it has only while it is there, so the set is empty in the batch and filled
/// late. Its name says which groups it is for: another list is another set, and none takes over the numbers of others.
struct ControlGroupSet: Equatable {
  let level: UInt32
  /// Ascending.
  let groups: [ControlGroup]

  /// By level.
  static func all(of groups: [ControlGroup]) -> [ControlGroupSet] {
    Set(groups.map(\.level)).sorted().map { level in
      ControlGroupSet(level: level, groups: groups.filter { $0.level == level }.sorted())
    }
  }

  var name: String { KernelName.controlGroupSet(groups.map(\.path)) }

  var set: KernelSet {
    KernelSet(
      name: name, keyType: .controlGroup,
      filling: KernelSet.Filling(
        // A group that was made again has another number, and the old one goes after it. Who fills the set may give an
        // element a time, as with all sets that others fill.
        isByRules: false, size: UInt32(groups.count) * 2, hasTimeouts: true, timeout: nil))
  }
}
