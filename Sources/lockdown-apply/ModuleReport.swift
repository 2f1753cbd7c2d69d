import CLinux

/// What this host has of the modules that the policy denies, and what keeps each of them out.
///
/// The claim follows the mechanism: "against root" only where a module of another name is refused too.
struct ModuleReport {
  private let reader: BundleReader
  private(set) var items: [Item] = []
  private let programs: ProgramStage
  private var states: [State] = []

  /// Of a denied name or pattern.
  private struct State {
    /// Names of loaded modules, each with those that need it.
    var loaded = Text()
    var isBuiltIn = false
    var isLoadable = false
    var isOnCommandLine = false
    var isInModprobe = false
  }

  // A line of /proc/modules names all that need a module; modules.dep all that it needs.
  private static let listLength = 1 << 20

  /// - Parameter isOutOfReach: modules are the host's, and this is a namespace of its own.
  init(_ reader: BundleReader, _ programs: ProgramStage, isOutOfReach: Bool) {
    self.reader = reader
    self.programs = programs
    for (index, item) in reader.kernel.enumerated() {
      switch item.kind {
      case .deniedModule: append(index, reader.bytes.copy(item.text))
      case .denyModules: append(index, Array("*"))
      default: break
      }
    }
    guard !items.isEmpty else { return }
    if isOutOfReach {
      for index in 0..<items.count { items[index].result = .outOfReach }
      return
    }
    readLoaded()
    readFiles("/modules.builtin") { $0.isBuiltIn = true }
    readFiles("/modules.dep") { $0.isLoadable = true }
    readMeans()
    judge()
  }

  private mutating func append(_ index: Int, _ name: [UInt8]) {
    items.append(
      Item(setting: index, source: reader.kernel[index].source, name: name, wanted: Array("denied")))
    states.append(State())
  }

  // MARK: Names

  /// The entry that denies a module: the one of its name, or a pattern's.
  private func denies(_ index: Int, _ name: [UInt8]) -> Bool {
    guard reader.kernel[items[index].setting].kind == .denyModules else {
      return Self.matches(items[index].name, name)
    }
    for item in reader.kernel where item.kind == .allowedModule || item.kind == .requiredModule {
      if Self.matches(reader.bytes.copy(item.text), name) { return false }
    }
    return true
  }

  /// A pattern with `*` and `?`.
  static func matches(_ pattern: [UInt8], _ name: [UInt8]) -> Bool {
    var (at, other) = (0, 0)
    var star: (pattern: Int, name: Int)?
    while other < name.count {
      if at < pattern.count, pattern[at] == 0x2a {
        at += 1
        star = (at, other)
      } else if at < pattern.count, pattern[at] == 0x3f || pattern[at] == name[other] {
        at += 1
        other += 1
      } else if let last = star {
        star = (last.pattern, last.name + 1)
        (at, other) = (last.pattern, last.name + 1)
      } else {
        return false
      }
    }
    while at < pattern.count, pattern[at] == 0x2a { at += 1 }
    return at == pattern.count
  }

  /// The module's name of a file's path, as the kernel writes it; nil if it is no module.
  static func name(of path: [UInt8], _ range: Range<Int>) -> [UInt8]? {
    var start = range.lowerBound
    for index in range where path[index] == 0x2f { start = index + 1 }
    var name: [UInt8] = []
    for index in start..<range.upperBound {
      // A compressed one goes on behind `.ko`.
      if path[index] == 0x2e {
        return path.holds(".ko", at: index..<min(index + 3, range.upperBound)) ? name : nil
      }
      name.append(path[index] == 0x2d ? 0x5f : path[index])
    }
    return nil
  }

  // MARK: Reading

  private mutating func readLoaded() {
    guard let text = SmallFile.read("/proc/modules", limit: Self.listLength) else { return }
    var rest = 0..<text.count
    while let line = text.takeWord(&rest, separator: 0x0a) {
      // name size uses needed-by,… state address
      var words = line
      guard let word = text.takeWord(&words, separator: 0x20) else { continue }
      let name = text.copy(word)
      _ = text.takeWord(&words, separator: 0x20)
      _ = text.takeWord(&words, separator: 0x20)
      let users = text.takeWord(&words, separator: 0x20) ?? 0..<0
      for index in 0..<items.count where denies(index, name) {
        if !states[index].loaded.bytes.isEmpty { states[index].loaded.add(", ") }
        states[index].loaded.add(name)
        // The list ends in a comma, or is `-`.
        if users.count > 1 {
          states[index].loaded.add(" needed by ")
          states[index].loaded.add(text, users.lowerBound..<(users.upperBound - 1))
        }
      }
    }
  }

  private mutating func readFiles(_ file: Literal, _ mark: (inout State) -> Void) {
    guard let text = Self.moduleFile(file) else { return }
    var rest = 0..<text.count
    while let line = text.takeWord(&rest, separator: 0x0a) {
      let end = text.index(of: 0x3a, in: line) ?? line.upperBound
      guard let name = Self.name(of: text, line.lowerBound..<end) else { continue }
      for index in 0..<items.count where denies(index, name) { mark(&states[index]) }
    }
  }

  /// A file of depmod's for the running kernel.
  static func moduleFile(_ file: Literal) -> [UInt8]? {
    guard let folder = moduleFolder() else { return nil }
    var path = folder
    path.add(file)
    return SmallFile.read(path.bytes, limit: listLength)
  }

  static func moduleFolder() -> Text? {
    var release = [UInt8](repeating: 0, count: 64)
    let length = unsafe lockdown_kernel_release(&release, release.count)
    guard length > 0 else { return nil }
    var path = Text("/lib/modules/")
    path.add(release, 0..<length)
    return path
  }

  private mutating func readMeans() {
    // COMMAND_LINE_SIZE of x86 and arm64.
    let line = SmallFile.read("/sys/module/kernel/parameters/module_blacklist", limit: 2048) ?? []
    var rest = 0..<(line.index(of: 0x0a, in: 0..<line.count) ?? line.count)
    while let word = line.takeWord(&rest, separator: 0x2c) {
      for index in 0..<items.count where line.isEqual(word, items[index].name, 0..<items[index].name.count) {
        states[index].isOnCommandLine = true
      }
    }
    let file = SmallFile.read("/etc/modprobe.d/lockdown.conf", limit: Self.listLength) ?? []
    rest = 0..<file.count
    while let line = file.takeWord(&rest, separator: 0x0a) {
      for index in 0..<items.count {
        var wanted = Text("install ")
        wanted.add(items[index].name)
        wanted.add(" /bin/false")
        if file.isEqual(line, wanted.bytes, 0..<wanted.bytes.count) { states[index].isInModprobe = true }
      }
    }
  }

  // MARK: Judging

  private mutating func judge() {
    let isShut = Self.reads("/proc/sys/kernel/modules_disabled", 0x31)
    // Only then is an image with another name inside refused, for its signature no longer fits.
    let demandsSignatures =
      Self.reads("/sys/module/module/parameters/sig_enforce", 0x59) || SealStage.demandsSignatures()
    // Where the kernel unpacks images itself, the check sees them packed.
    var seesAll = SmallFile.read("/sys/module/compression", limit: 16) == nil
    for item in reader.kernel where item.kind == .denyCompressed { seesAll = true }
    for index in 0..<items.count {
      let state = states[index]
      items[index].found = found(state)
      if !state.loaded.bytes.isEmpty {
        items[index].result = .notEnforced
        items[index].reason = "it is loaded already"
      } else if state.isBuiltIn, reader.kernel[items[index].setting].kind == .deniedModule {
        items[index].result = .notEnforced
        items[index].reason = "it is built in"
      } else if isShut {
        items[index].reason = "against root: no module is loaded any more"
      } else if demandsSignatures, state.isOnCommandLine {
        items[index].reason = "against root: by module_blacklist= and signatures"
      } else if programs.isLive, isChecked(index) {
        let weakness = weakness(demandsSignatures, seesAll)
        items[index].result = weakness.isEmpty ? .equal : .againstAccident
        items[index].reason =
          weakness.isEmpty
          ? "by its name in the kernel, and signatures: against root, but for mount_setattr(2) of the check's own mounts"
          : weakness
      } else if state.isOnCommandLine {
        items[index].result = .againstAccident
        items[index].reason =
          "by module_blacklist=; one of another name inside loads, for no signature is demanded"
      } else if state.isInModprobe {
        items[index].result = .againstAccident
        items[index].reason = "by modprobe.d, which insmod passes by"
      } else {
        items[index].result = .notEnforced
        items[index].reason = "nothing refuses it"
      }
    }
  }

  /// Whether the program knows this one: a pattern with two `*` it does not.
  private func isChecked(_ index: Int) -> Bool {
    var stars = 0
    for byte in items[index].name where byte == 0x2a { stars += 1 }
    return stars <= 1
  }

  /// By what root passes the check in the kernel by; empty: nothing.
  private func weakness(_ demandsSignatures: Bool, _ seesAll: Bool) -> Literal {
    if !seesAll { return "by its name in the kernel; compressed images are not looked into" }
    if !demandsSignatures {
      return "by its name in the kernel; one of another name inside loads, for no signature is demanded"
    }
    return programs.isKept ? "" : "by its name in the kernel; the check can still be removed"
  }

  private func found(_ state: State) -> [UInt8] {
    var text = Text()
    if !state.loaded.bytes.isEmpty {
      text.add("loaded: ")
      text.add(state.loaded.bytes)
    } else {
      text.add(state.isBuiltIn ? "built in" : state.isLoadable ? "loadable" : "not on this host")
    }
    return text.bytes
  }

  private static func reads(_ path: Literal, _ byte: UInt8) -> Bool {
    SmallFile.read(Array(path), limit: 16)?.first == byte
  }
}
