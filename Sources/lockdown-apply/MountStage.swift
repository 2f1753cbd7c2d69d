import CLinux

/// Gives mounts their flags: adds and clears only those that are named, and reads them back.
final class MountStage {
  typealias Result = SysctlStage.Result

  struct Place {
    /// Index into the bundle's list.
    var setting: Int
    var result = Result.equal
    /// Flags before, MOUNT_ATTR_*.
    var before: UInt64 = 0
    var isBoundByUs = false
    var hasChangedFlags = false
    var reason: StaticString = ""
    var errorNumber = 0
  }

  private let reader: BundleReader
  private let surroundings: Surroundings
  private(set) var places: [Place] = []
  private(set) var hasFailed = false

  // FSCONFIG_SET_FLAG, SET_STRING, CMD_RECONFIGURE, linux/mount.h.
  private static let setFlag: UInt32 = 0
  private static let setString: UInt32 = 1
  private static let reconfigure: UInt32 = 7

  /// Looks at every mount; nothing is changed.
  init(_ reader: BundleReader, _ surroundings: Surroundings) {
    self.reader = reader
    self.surroundings = surroundings
    let table = MountTable()
    for index in reader.mounts.indices {
      var place = Place(setting: index)
      Self.look(&place, reader, table)
      places.append(place)
    }
  }

  private static func path(_ mount: BundleReader.Mount, _ reader: BundleReader) -> [UInt8] {
    Array(reader.bytes[mount.path])
  }

  private static func look(_ place: inout Place, _ reader: BundleReader, _ table: MountTable?) {
    let mount = reader.mounts[place.setting]
    guard let table else {
      place.result = .refused
      place.reason = "/proc/self/mountinfo cannot be read"
      return
    }
    let name = path(mount, reader) + [0]
    let descriptor = unsafe lockdown_open_at(lockdown_here, name, lockdown_open_place, 0)
    guard descriptor >= 0 else {
      place.errorNumber = -descriptor
      let isMissing = -descriptor == ErrorNumber.notFound || -descriptor == ErrorNumber.notAFolder
      place.result = isMissing ? .absent : .refused
      return
    }
    close(Int32(descriptor))
    guard let entry = table.entry(at: path(mount, reader)) else {
      place.result = mount.isSelfBind ? .different : .absent
      if !mount.isSelfBind { place.reason = "not a mount point" }
      return
    }
    place.before = MountFlags.attributes(entry.options)
    let isEqual = isReached(mount, place.before) && hasOptions(mount, reader, entry)
    place.result = isEqual ? .equal : .different
  }

  private static func isReached(_ mount: BundleReader.Mount, _ flags: UInt64) -> Bool {
    flags & mount.attributesSet == mount.attributesSet && flags & mount.attributesCleared == 0
  }

  // MARK: Changing

  func apply() {
    for index in places.indices {
      // A place that an earlier bind has made.
      if places[index].result == .absent { Self.look(&places[index], reader, MountTable()) }
      if places[index].result == .different { change(index) }
      if places[index].result == .refused { hasFailed = true }
      if hasFailed { break }
    }
    if hasFailed { putBack() }
  }

  private func change(_ index: Int) {
    let mount = reader.mounts[places[index].setting]
    let name = Self.path(mount, reader) + [0]
    if mount.isSelfBind, MountTable()?.entry(at: Self.path(mount, reader)) == nil {
      // With what is mounted below: a plain bind would hide it.
      let result = unsafe lockdown_mount(name, name, MountFlags.bind | MountFlags.recursive)
      guard result == 0 else { return fail(index, "it cannot be bound onto itself", result) }
      places[index].isBoundByUs = true
    }
    guard let entry = MountTable()?.entry(at: Self.path(mount, reader)) else {
      return fail(index, "not a mount point", 0)
    }
    places[index].before = MountFlags.attributes(entry.options)
    if !Self.hasOptions(mount, reader, entry) {
      let result = configure(mount, name)
      guard result == 0 else { return fail(index, "the file system refused its options", result) }
    }
    if !Self.isReached(mount, places[index].before) {
      let result = Self.setFlags(name, set: mount.attributesSet, clear: mount.attributesCleared, entry)
      guard result == 0 else { return fail(index, "the flags were refused", result) }
      places[index].hasChangedFlags = true
    }
    guard let after = MountTable()?.entry(at: Self.path(mount, reader)) else {
      return fail(index, "it has gone", 0)
    }
    guard Self.isReached(mount, MountFlags.attributes(after.options)) else {
      return fail(index, "it reads back with other flags", 0)
    }
    guard Self.hasOptions(mount, reader, after) else {
      return fail(index, "it reads back with other options", 0)
    }
    places[index].result = .applied
  }

  private func fail(_ index: Int, _ reason: StaticString, _ errorNumber: Int) {
    places[index].reason = reason
    places[index].errorNumber = errorNumber < 0 ? -errorNumber : errorNumber
    // Inherited flags are locked in a user namespace: they can be added to, not cleared.
    let isLocked = surroundings.isInUserNamespace && places[index].errorNumber == ErrorNumber.notPermitted
    places[index].result = isLocked ? .outOfReach : .refused
  }

  /// 0, or the negative error number.
  private static func setFlags(_ name: [UInt8], set: UInt64, clear: UInt64, _ entry: MountTable.Entry) -> Int
  {
    let descriptor = unsafe lockdown_open_at(lockdown_here, name, lockdown_open_place, 0)
    guard descriptor >= 0 else { return descriptor }
    defer { close(Int32(descriptor)) }
    let result = lockdown_mount_setattr(Int32(descriptor), set, clear)
    guard -result == ErrorNumber.notImplemented else { return result }
    let attributes = MountFlags.attributes(entry.options) & ~clear | set
    return unsafe lockdown_mount(name, name, MountFlags.remountFlags(attributes, keeping: entry.options))
  }

  private func configure(_ mount: BundleReader.Mount, _ name: [UInt8]) -> Int {
    let descriptor = unsafe lockdown_open_at(lockdown_here, name, lockdown_open_place, 0)
    guard descriptor >= 0 else { return descriptor }
    defer { close(Int32(descriptor)) }
    let filesystem = lockdown_pick_filesystem(Int32(descriptor))
    guard filesystem >= 0 else { return filesystem }
    defer { close(Int32(filesystem)) }
    for option in reader.bytes[mount.options].split(separator: 0x2c) {
      let parts = option.split(separator: 0x3d, maxSplits: 1)
      guard let key = parts.first else { continue }
      let result =
        if parts.count == 2 {
          unsafe lockdown_configure(
            Int32(filesystem), Self.setString, Array(key) + [0], Array(parts[1]) + [0])
        } else {
          unsafe lockdown_configure(Int32(filesystem), Self.setFlag, Array(key) + [0], nil)
        }
      guard result == 0 else { return result }
    }
    return lockdown_configure(Int32(filesystem), Self.reconfigure, nil, nil)
  }

  // MARK: Options of the file system

  /// Whether each wanted option is among those that the file system shows, sizes in whatever unit.
  private static func hasOptions(
    _ mount: BundleReader.Mount, _ reader: BundleReader, _ entry: MountTable.Entry
  )
    -> Bool
  {
    let shown = entry.superOptions.split(separator: 0x2c)
    return reader.bytes[mount.options].split(separator: 0x2c).allSatisfy { option in
      shown.contains { isSame(option, $0) }
    }
  }

  private static func isSame(_ wanted: ArraySlice<UInt8>, _ shown: ArraySlice<UInt8>) -> Bool {
    if wanted.elementsEqual(shown) { return true }
    let left = wanted.split(separator: 0x3d, maxSplits: 1)
    let right = shown.split(separator: 0x3d, maxSplits: 1)
    guard left.count == 2, right.count == 2, left[0].elementsEqual(right[0]) else { return false }
    // `mode=1777` is octal on both sides; only its zeros in front may differ.
    if left[0].elementsEqual(Array("mode")) {
      return left[1].drop(while: { $0 == 0x30 }).elementsEqual(right[1].drop(while: { $0 == 0x30 }))
    }
    guard let size = size(left[1]), let shownSize = self.size(right[1]) else { return false }
    return size == shownSize
  }

  /// A number with k, m, g or t behind it.
  private static func size(_ text: ArraySlice<UInt8>) -> UInt64? {
    var digits = text
    var shift: UInt64 = 0
    switch text.last.map({ $0 | 0x20 }) {
    case 0x6b: shift = 10
    case 0x6d: shift = 20
    case 0x67: shift = 30
    case 0x74: shift = 40
    default: break
    }
    if shift > 0 { digits = digits.dropLast() }
    guard !digits.isEmpty, digits.count <= 15 else { return nil }
    var value: UInt64 = 0
    for byte in digits {
      guard byte >= 0x30, byte <= 0x39 else { return nil }
      value = value * 10 + UInt64(byte - 0x30)
    }
    let (scaled, overflow) = value.multipliedReportingOverflow(by: 1 << shift)
    return overflow ? nil : scaled
  }

  // MARK: Taking back

  /// Gives mounts that this run changed their flags again, last one first. Options of a file system stay:
  /// they are listed.
  func putBack() {
    hasFailed = true
    for index in places.indices.reversed() where places[index].isBoundByUs || places[index].hasChangedFlags {
      let mount = reader.mounts[places[index].setting]
      let name = Self.path(mount, reader) + [0]
      var result = 0
      if places[index].isBoundByUs {
        result = unsafe lockdown_unmount(name)
      } else if let entry = MountTable()?.entry(at: Self.path(mount, reader)) {
        let before = places[index].before
        result = Self.setFlags(
          name, set: before & mount.attributesCleared, clear: mount.attributesSet & ~before, entry)
      }
      if result != 0 { places[index].errorNumber = -result }
      places[index].result = result == 0 ? .putBack : .notPutBack
    }
  }

  func count(_ result: Result) -> Int { places.count { $0.result == result } }
}
