import ArgumentParser
import Glibc
import Installation
import SHA2

/// The installation below a root: its manifest, its files and its slots.
///
/// Written in an order that leaves no moment at which something of ours is not listed, or a slot names a bundle that is
/// not there.
struct InstalledHost: ~Copyable {
  let root: RootDirectory

  /// Waits until no other program changes it.
  init(_ root: consuming RootDirectory) throws(FileError) {
    self.root = root
    if try !self.root.isThere(InstalledPath.state) { try self.root.lock() }
    // The applier counts boots under this one. One that waited at the root may find what the other has installed.
    if try self.root.isThere(InstalledPath.state) { try self.root.lock(file: InstalledPath.lock) }
  }

  // MARK: What is there

  /// Nil: nothing is installed.
  func manifest() throws -> Manifest? {
    switch try root.look(InstalledPath.manifest) {
    case .nothing: return nil
    case .file(let bytes):
      if let manifest = Manifest(String(decoding: bytes, as: UTF8.self)) { return manifest }
    case .link, .other: break
    }
    throw refused("`\(root.name(InstalledPath.manifest))` is no manifest of ours: nothing is changed")
  }

  func slots() throws -> SlotState {
    switch try root.look(InstalledPath.slots) {
    case .nothing: return SlotState()
    case .file(let bytes):
      if let state = SlotState(bytes) { return state }
    case .link, .other: break
    }
    let name = root.name(InstalledPath.slots)
    throw refused(
      "`\(name)` is no list of slots of ours: nothing is changed; `lockdown install` makes a new one")
  }

  /// For who writes them anew or takes them away: a damaged list of an installation counts as none.
  private func slotsOrNone() throws -> SlotState {
    guard case .file(let bytes) = try root.look(InstalledPath.slots), SlotState(bytes) == nil,
      try manifest() != nil
    else { return try slots() }
    printError("lockdown: `\(root.name(InstalledPath.slots))` is damaged: what it named is not kept")
    return SlotState()
  }

  private func mark(_ found: RootDirectory.Found) -> Manifest.Mark? {
    switch found {
    case .nothing, .other: nil
    case .file(let bytes): Manifest.mark(ofFile: bytes)
    case .link(let target): .link(target)
    }
  }

  private func refused(_ reason: String) -> ExitCode {
    printError("lockdown: \(reason)")
    return ExitCode(1)
  }

  // MARK: Installing

  struct Installed {
    var written: [String] = []
    var unchanged: [String] = []
    var removed: [String] = []
  }

  /// Puts all files and the bundle in their places; the bundle becomes the current one.
  func install(
    _ items: [InstalledItem], _ bundle: [UInt8], closed: [UInt8], signature: [UInt8]?
  ) throws -> Installed {
    let old = try manifest() ?? Manifest()
    var state = try slotsOrNone()
    var wanted = Manifest(items)
    try refuseConflicts(items, old)
    for directory in try missingDirectories(for: items) + old.directories { wanted.add(directory: directory) }

    if try !root.isThere(InstalledPath.state) {
      try makeDirectories(to: InstalledPath.state)
      try root.lock(file: InstalledPath.lock)
    }
    if try !root.isThere(InstalledPath.bundles) { try makeDirectories(to: InstalledPath.bundles) }
    try write(wanted.union(old))
    for directory in wanted.directories where try !root.isThere(directory) {
      try root.makeDirectory(directory)
    }
    var done = Installed()
    for item in items {
      if mark(try root.look(item.path)) == Manifest.mark(of: item) {
        done.unchanged.append(item.path)
        continue
      }
      switch item.content {
      case .file(let bytes, let isProgram): try root.write(item.path, bytes, mode: isProgram ? 0o755 : 0o644)
      case .link(let target): try root.link(item.path, to: target)
      }
      done.written.append(item.path)
    }
    for (path, _) in old.marks where !wanted.has(path) {
      try root.remove(path)
      done.removed.append(path)
    }
    let name = try write(bundle: bundle, closed: closed, signature: signature)
    state.install(name)
    try write(state)
    try write(wanted)
    return done
  }

  /// What somebody else made or changed is not written over; all of it is named, and nothing done.
  private func refuseConflicts(_ items: [InstalledItem], _ old: Manifest) throws {
    var conflicts: [String] = []
    for item in items {
      let found = try root.look(item.path)
      guard found != .nothing else { continue }
      guard let mark = mark(found), old.owns(mark, at: item.path) || mark == Manifest.mark(of: item) else {
        let reason =
          old.has(item.path) ? "it was changed since it was installed" : "it is not of an installation"
        conflicts.append("`\(root.name(item.path))`: \(reason)")
        continue
      }
    }
    for (path, _) in old.marks where !items.contains(where: { $0.path == path }) {
      guard let mark = mark(try root.look(path)), !old.owns(mark, at: path) else { continue }
      conflicts.append(
        "`\(root.name(path))`: it was changed since it was installed, and this policy has none")
    }
    guard !conflicts.isEmpty else { return }
    for conflict in conflicts { printError("lockdown: will not replace \(conflict)") }
    printError("lockdown: nothing is installed; move these away, or take the changes back")
    throw ExitCode(1)
  }

  /// Parents first; those of the state as well.
  private func missingDirectories(for items: [InstalledItem]) throws(FileError) -> [String] {
    var wanted: Set<String> = []
    for path in items.map(\.path) + [InstalledPath.slots, "\(InstalledPath.bundles)/name"] {
      var directory = RootDirectory.parent(path)
      while !directory.isEmpty {
        wanted.insert(directory)
        directory = RootDirectory.parent(directory)
      }
    }
    var missing: [String] = []
    for directory in wanted.sorted() where try !root.isThere(directory) { missing.append(directory) }
    return missing
  }

  private func makeDirectories(to directory: String) throws(FileError) {
    let parent = RootDirectory.parent(directory)
    if !parent.isEmpty, try !root.isThere(parent) { try makeDirectories(to: parent) }
    try root.makeDirectory(directory)
  }

  // MARK: Slots

  /// Certificate of the key that must have signed each bundle; nil: the installation asks for none.
  func key() throws -> [UInt8]? {
    guard let manifest = try manifest(), manifest.has(InstalledPath.key) else { return nil }
    if case .file(let bytes) = try root.look(InstalledPath.key) { return bytes }
    throw refused("`\(root.name(InstalledPath.key))` is not there: nothing is changed")
  }

  /// Puts a bundle where slots find it, and its closed stage and signature beside it. Its name is the SHA-256 of its file.
  func write(bundle: [UInt8], closed: [UInt8], signature: [UInt8]?) throws(FileError) -> SlotState.Name {
    let name = SHA256.hex(SHA256.hash(bundle))
    var files = [(InstalledPath.closed(name), closed), (InstalledPath.bundle(name), bundle)]
    if let signature { files.insert((InstalledPath.signature(name), signature), at: 0) }
    for (path, bytes) in files where try root.look(path) != .file(bytes) {
      try root.write(path, bytes)
    }
    return name
  }

  /// Replaces the slots in one step, then takes away the bundles that none names any more.
  func write(_ state: SlotState) throws(FileError) {
    try root.write(InstalledPath.slots, state.text)
    let kept = Set(
      state.names.flatMap {
        [InstalledPath.bundle($0), InstalledPath.closed($0), InstalledPath.signature($0)]
      }.map(RootDirectory.last))
    for name in try root.names(InstalledPath.bundles) where Self.isBundle(name) && !kept.contains(name) {
      try root.remove("\(InstalledPath.bundles)/\(name)")
    }
  }

  /// A name that only an installation gives.
  private static func isBundle(_ name: String) -> Bool {
    if name.hasPrefix(RootDirectory.temporaryPrefix) { return true }
    return [".bundle", ".bundle.sig", ".closed"].contains {
      name.hasSuffix($0) && SlotState.isName(Array(name.dropLast($0.count).utf8))
    }
  }

  private func write(_ manifest: Manifest) throws(FileError) {
    try root.write(InstalledPath.manifest, Array(manifest.text.utf8))
  }

  // MARK: Uninstalling

  struct Uninstalled {
    var removed: [String] = []
    /// What stays, and why.
    var kept: [(path: String, reason: String)] = []
  }

  /// Takes everything away that is as it was installed. Nil: nothing is installed.
  func uninstall() throws -> Uninstalled? {
    guard let manifest = try manifest() else {
      try root.remove(InstalledPath.lock)
      return nil
    }
    _ = try slotsOrNone()
    var done = Uninstalled()
    for (path, _) in manifest.marks {
      let found = try root.look(path)
      if found == .nothing {
        try root.remove(path)
      } else if let mark = mark(found), manifest.owns(mark, at: path) {
        try root.remove(path)
        done.removed.append(path)
      } else {
        done.kept.append((path, "it was changed since it was installed"))
      }
    }
    for name in try root.names(InstalledPath.bundles) where Self.isBundle(name) {
      try root.remove("\(InstalledPath.bundles)/\(name)")
    }
    for path in [InstalledPath.lastGood, InstalledPath.slots] {
      try root.remove(path + InstalledPath.unfinished)
      try root.remove(path)
    }
    done.removed.append(InstalledPath.slots)
    // Last of the files: until now a second try finds what the first one left.
    try root.remove(InstalledPath.manifest)
    done.removed.append(InstalledPath.manifest)
    try root.remove(InstalledPath.lock)
    // One that somebody else uses by now is not ours any more.
    for directory in manifest.directories.reversed() { try root.removeDirectory(directory) }
    return done
  }
}
