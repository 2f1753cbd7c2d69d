import CLinux

/// Gives mounts their flags: adds and clears only those that are named, and reads them back.
final class MountStage {
  private let reader: BundleReader
  private let surroundings: Surroundings
  private(set) var places: [Item] = []
  private(set) var hasFailed = false

  // FSCONFIG_SET_FLAG, SET_STRING, CMD_RECONFIGURE, linux/mount.h.
  private static let setFlag: UInt32 = 0
  private static let setString: UInt32 = 1
  private static let reconfigure: UInt32 = 7

  /// Looks at every mount; nothing is changed.
  init(_ reader: BundleReader, _ surroundings: Surroundings) {
    self.reader = reader
    self.surroundings = surroundings
    for index in 0..<reader.mounts.count {
      let mount = reader.mounts[index]
      places.append(
        Item(
          setting: index, source: mount.source, name: reader.bytes.copy(mount.path),
          wanted: MountFlags.text(mount, options: reader.bytes)))
      look(index)
    }
  }

  private func setting(_ index: Int) -> BundleReader.Mount { reader.mounts[places[index].setting] }

  private func open(_ index: Int) -> Int {
    unsafe lockdown_open_at(lockdown_here, places[index].name.terminated(), lockdown_open_place, 0)
  }

  /// What is mounted there; read again each time, for mounts pull at each other.
  private func entry(_ index: Int) -> MountTable.Entry? { MountTable.entry(at: places[index].name) }

  private func look(_ index: Int) {
    let descriptor = open(index)
    guard descriptor >= 0 else {
      places[index].refuse("it cannot be opened", descriptor)
      if -descriptor == ErrorNumber.notFound || -descriptor == ErrorNumber.notAFolder {
        places[index].result = .absent
      }
      return
    }
    var status = lockdown_file_status()
    _ = unsafe lockdown_status_of(Int32(descriptor), &status)
    close(Int32(descriptor))
    guard let entry = entry(index) else {
      let isSelfBind = setting(index).isSelfBind
      // mount(2) would bind what it leads to.
      if isSelfBind, status.isSymbolicLink { return places[index].refuse("it is a symbolic link", 0) }
      places[index].reason = "not a mount point"
      places[index].result = isSelfBind ? .different : .absent
      return
    }
    places[index].flagsBefore = MountFlags.attributes(entry.options)
    places[index].found = entry.options
    places[index].result = isReached(index, entry) && hasOptions(index, entry) ? .equal : .different
  }

  private func isReached(_ index: Int, _ entry: MountTable.Entry) -> Bool {
    let flags = MountFlags.attributes(entry.options)
    let mount = setting(index)
    return flags & mount.attributesSet == mount.attributesSet && flags & mount.attributesCleared == 0
  }

  // MARK: Changing

  /// Nothing is changed before what is tried is confirmed.
  func holdBack() { places.holdBack() }

  /// - Parameter takesBack: one that is refused is the end of all; else it is listed.
  func apply(takesBack: Bool = true) {
    for index in 0..<places.count {
      // A place that an earlier bind has made.
      if places[index].result == .absent { look(index) }
      if places[index].result == .different { change(index) }
      if places[index].result == .refused { hasFailed = takesBack }
      if hasFailed { break }
    }
    if hasFailed { putBack() }
  }

  private func change(_ index: Int) {
    let name = places[index].name.terminated()
    if setting(index).isSelfBind, entry(index) == nil {
      // With what is mounted below: a plain bind would hide it.
      let result = unsafe lockdown_mount(name, name, MountFlags.bind | MountFlags.recursive)
      guard result == 0 else { return fail(index, "it cannot be bound onto itself", result) }
      places[index].isBoundByUs = true
    }
    guard let before = entry(index) else { return fail(index, "not a mount point", 0) }
    places[index].flagsBefore = MountFlags.attributes(before.options)
    if !hasOptions(index, before) {
      let result = configure(index)
      guard result == 0 else { return fail(index, "the file system refused its options", result) }
      places[index].hasChangedOptions = true
    }
    if !isReached(index, before) {
      let mount = setting(index)
      let result = setFlags(index, set: mount.attributesSet, clear: mount.attributesCleared, before)
      guard result == 0 else { return fail(index, "the flags were refused", result) }
      places[index].hasChangedFlags = true
    }
    guard let after = entry(index) else { return fail(index, "it has gone", 0) }
    guard isReached(index, after) else { return fail(index, "it reads back with other flags", 0) }
    guard hasOptions(index, after) else {
      // It has taken them without an error, and shows them in a way that is not known here.
      places[index].reason = "its file system shows other options"
      places[index].result = .notEnforced
      return
    }
    places[index].result = .applied
    places[index].reason = ""
  }

  private func fail(_ index: Int, _ reason: Literal, _ errorNumber: Int) {
    places[index].refuse(reason, errorNumber)
    // Inherited flags are locked in a user namespace: they can be added to, not cleared.
    if surroundings.isInUserNamespace, places[index].errorNumber == ErrorNumber.notPermitted {
      places[index].result = .outOfReach
    }
  }

  /// 0, or the negative error number.
  private func setFlags(_ index: Int, set: UInt64, clear: UInt64, _ entry: MountTable.Entry) -> Int {
    let descriptor = open(index)
    guard descriptor >= 0 else { return descriptor }
    defer { close(Int32(descriptor)) }
    let result = lockdown_mount_setattr(Int32(descriptor), set, clear)
    guard -result == ErrorNumber.notImplemented else { return result }
    let attributes = MountFlags.attributes(entry.options) & ~clear | set
    let name = places[index].name.terminated()
    return unsafe lockdown_mount(name, name, MountFlags.remountFlags(attributes, keeping: entry.options))
  }

  private func configure(_ index: Int) -> Int {
    let descriptor = open(index)
    guard descriptor >= 0 else { return descriptor }
    defer { close(Int32(descriptor)) }
    let filesystem = lockdown_pick_filesystem(Int32(descriptor))
    guard filesystem >= 0 else { return filesystem }
    defer { close(Int32(filesystem)) }
    var rest = setting(index).options
    while let option = reader.bytes.takeWord(&rest, separator: 0x2c) {
      let sign = reader.bytes.index(of: 0x3d, in: option) ?? option.upperBound
      let key = reader.bytes.terminated(option.lowerBound..<sign)
      let value = reader.bytes.terminated(min(sign + 1, option.upperBound)..<option.upperBound)
      let result =
        if sign < option.upperBound {
          unsafe lockdown_configure(Int32(filesystem), Self.setString, key, value)
        } else {
          unsafe lockdown_configure(Int32(filesystem), Self.setFlag, key, nil)
        }
      guard result == 0 else { return result }
    }
    return lockdown_configure(Int32(filesystem), Self.reconfigure, nil, nil)
  }

  // MARK: Options of the file system

  /// Whether each wanted option is among those that the file system shows, sizes in whatever unit.
  private func hasOptions(_ index: Int, _ entry: MountTable.Entry) -> Bool {
    var rest = setting(index).options
    while let option = reader.bytes.takeWord(&rest, separator: 0x2c) {
      // What is as if it had not been said is not shown (shmem_show_options of mm/shmem.c, proc_show_options).
      var isShown = Self.defaults.contains { reader.bytes.holds($0, at: option) }
      var shown = 0..<entry.superOptions.count
      while let word = entry.superOptions.takeWord(&shown, separator: 0x2c) {
        guard isSameKey(option, entry.superOptions, word) else { continue }
        isShown = isSame(option, entry.superOptions, word)
      }
      if !isShown { return false }
    }
    return true
  }

  private static let defaults: [Literal] = [
    "mode=1777", "mode=01777", "uid=0", "gid=0", "size=50%", "huge=never", "hidepid=0", "hidepid=off",
  ]
  // By number; from Linux 5.8 on they are shown by name.
  private static let visibilities: [Literal] = ["off", "noaccess", "invisible", "", "ptraceable"]

  private func isSameKey(_ wanted: Range<Int>, _ shown: [UInt8], _ word: Range<Int>) -> Bool {
    let sign = reader.bytes.index(of: 0x3d, in: wanted) ?? wanted.upperBound
    let other = shown.index(of: 0x3d, in: word) ?? word.upperBound
    return reader.bytes.isEqual(wanted.lowerBound..<sign, shown, word.lowerBound..<other)
  }

  /// - Precondition: they have the same key.
  private func isSame(_ wanted: Range<Int>, _ shown: [UInt8], _ word: Range<Int>) -> Bool {
    if reader.bytes.isEqual(wanted, shown, word) { return true }
    guard let sign = reader.bytes.index(of: 0x3d, in: wanted), let other = shown.index(of: 0x3d, in: word),
      let value = Self.number(reader.bytes, (sign + 1)..<wanted.upperBound)
    else { return false }
    let name = (other + 1)..<word.upperBound
    guard let number = Self.number(shown, name) else {
      return value < UInt64(Self.visibilities.count) && shown.holds(Self.visibilities[Int(value)], at: name)
    }
    let isSize = reader.bytes.holds("size", at: wanted.lowerBound..<sign)
    return number == (isSize ? (value + Self.page) & ~Self.page : value)
  }

  // A size is of whole pages.
  private static let page: UInt64 = 4095

  /// A number, with k, m, g or t behind it. Zeros in front do not count: `mode=0755` is shown as `mode=755`.
  private static func number(_ bytes: [UInt8], _ text: Range<Int>) -> UInt64? {
    guard !text.isEmpty else { return nil }
    let shift: UInt64 =
      switch bytes[text.upperBound - 1] | 0x20 {
      case 0x6b: 10
      case 0x6d: 20
      case 0x67: 30
      case 0x74: 40
      default: 0
      }
    let digits = shift == 0 ? text : text.lowerBound..<(text.upperBound - 1)
    // Three digits and ten bits are about the same; 18 digits are less than 63 bits.
    let maximumDigits = 18 - 3 * Int(shift / 10)
    guard let value = Options.number(bytes, digits, maximumDigits: maximumDigits) else { return nil }
    return UInt64(value) << shift
  }

  // MARK: Taking back

  /// Gives mounts that this run changed their flags again, last one first, and reads them back. Options of a file
  /// system stay: they are listed.
  func putBack() {
    hasFailed = true
    var index = places.count
    while index > 0 {
      index -= 1
      let place = places[index]
      guard place.isBoundByUs || place.hasChangedFlags || place.hasChangedOptions else { continue }
      let mount = setting(index)
      let before = place.flagsBefore
      var result = 0
      if place.isBoundByUs {
        result = unsafe lockdown_unmount(place.name.terminated())
      } else if place.hasChangedFlags, let entry = entry(index) {
        result = setFlags(
          index, set: before & mount.attributesCleared, clear: mount.attributesSet & ~before, entry)
      }
      if result != 0 { places[index].errorNumber = -result }
      let after = entry(index)
      let isBack =
        place.isBoundByUs
        ? after == nil : after.map { MountFlags.attributes($0.options) == before } ?? false
      if place.hasChangedOptions, !place.isBoundByUs {
        places[index].reason = "options of its file system stay as they are now"
      }
      places[index].result =
        isBack && !(place.hasChangedOptions && !place.isBoundByUs) ? .putBack : .notPutBack
    }
  }
}
