import CLinux

/// Loads the policy's programs for the kernel's own hooks (BPF LSM), each held by a name in a file system of ours.
///
/// What cannot be loaded is a gap and never a failure: other means remain, and the report says which.
final class ProgramStage {
  private let reader: BundleReader
  private(set) var items: [Item] = []
  /// Programs of another policy that can no longer be removed.
  private(set) var kept: [[UInt8]] = []

  private static let folder: Literal = "/run/lockdown/bpf"
  // A mount inside keeps that file system where it is when a copy of the tree is unmounted elsewhere, which goes along
  // shared mounts.
  private static let anchor: Literal = "/run/lockdown/bpf/pins"
  // MS_PRIVATE, linux/mount.h.
  private static let makePrivate: UInt = 1 << 18

  /// Looks at everything; nothing is changed.
  init(_ reader: BundleReader, _ surroundings: Surroundings) {
    self.reader = reader
    for index in 0..<reader.programs.count {
      items.append(Item(setting: index, source: 0, name: name(index), wanted: Array("live")))
    }
    guard !items.isEmpty else { return }
    guard surroundings.isHost else {
      setAll(.outOfReach)
      return
    }
    guard Self.hasHooks() else {
      setAll(
        .notEnforced, "the kernel's list of LSMs is without bpf (lsm=), or securityfs is not mounted")
      return
    }
    for index in 0..<items.count { look(index) }
  }

  /// Whether modules are checked by their names now.
  var isLive: Bool { holds(.policy) }
  /// Whether that stays so until the next boot.
  var isKept: Bool { holds(.seal) }

  private func holds(_ stage: BundleProgramStage) -> Bool {
    guard !items.isEmpty else { return false }
    for item in items where reader.programs[item.setting].stage == stage {
      switch item.result {
      case .equal, .applied: continue
      default: return false
      }
    }
    return true
  }

  private func setAll(_ result: Item.Result, _ reason: Literal = "") {
    for index in 0..<items.count {
      items[index].result = result
      items[index].reason = reason
    }
  }

  // MARK: Names

  /// The hook, and what the program is: another one has another name.
  private func name(_ index: Int) -> [UInt8] {
    let program = reader.programs[index]
    var hasher = SHA256()
    hasher.update(reader.bytes[program.instructions])
    let digest = hasher.finish()
    var text = Text()
    text.add(reader.bytes, program.hook)
    // Dots are not for names in that file system.
    text.add("_")
    text.addHex(digest, 0..<8)
    return text.bytes
  }

  private static func path(_ name: [UInt8]) -> [UInt8] {
    var path = Text(folder)
    path.add("/")
    path.add(name)
    path.add(byte: 0)
    return path.bytes
  }

  private func look(_ index: Int) {
    let descriptor = unsafe lockdown_pinned(Self.path(items[index].name))
    if descriptor >= 0 {
      close(Int32(descriptor))
      items[index].result = .equal
      return
    }
    let isLater = reader.programs[index].stage == .seal
    items[index].result = isLater ? .waiting : .different
    items[index].reason = isLater ? "it cannot be taken back: for the seal" : ""
  }

  private static func hasHooks() -> Bool {
    guard let list = SmallFile.read("/sys/kernel/security/lsm", limit: 256) else { return false }
    var rest = 0..<(list.index(of: 0x0a, in: 0..<list.count) ?? list.count)
    while let word = list.takeWord(&rest, separator: 0x2c) {
      if list.holds("bpf", at: word) { return true }
    }
    return false
  }

  // MARK: Loading

  func apply() {
    load(.policy)
    // Beside each other both deny, so that nothing loads in between.
    if items.isEmpty || isLive { removeOthers() }
  }

  /// From here on no name is removed until the next boot, ours neither.
  func keep() {
    guard isLive else {
      for index in 0..<items.count where items[index].result == .waiting {
        items[index].refuse("nothing to keep")
      }
      return
    }
    load(.seal)
  }

  /// What waits for the seal is now judged as any other.
  func expectKept() {
    for index in 0..<items.count where items[index].result == .waiting {
      items[index].result = .different
      items[index].reason = ""
    }
  }

  private func load(_ stage: BundleProgramStage) {
    var indexes: [Int] = []
    for index in 0..<items.count where reader.programs[index].stage == stage {
      if items[index].result == .different || items[index].result == .waiting { indexes.append(index) }
    }
    guard !indexes.isEmpty else { return }
    let errorNumber = Self.prepareFolder()
    guard errorNumber == 0 else {
      return refuse(indexes, "there is no place for the program's name", errorNumber)
    }
    var symbols: [KernelTypes.Symbol] = []
    for index in indexes { addSymbols(of: index, &symbols) }
    let resolved = KernelTypes.resolve(&symbols)
    guard resolved == 0 else {
      return refuse(indexes, "the kernel does not describe its types (BTF)", resolved)
    }
    for index in indexes { load(index, symbols) }
  }

  private func refuse(_ indexes: [Int], _ reason: Literal, _ errorNumber: Int) {
    for index in indexes {
      items[index].refuse(reason, errorNumber)
      items[index].result = .notEnforced
    }
  }

  /// 0, or why there is none.
  private static func prepareFolder() -> Int {
    let path = Array(folder).terminated()
    _ = unsafe lockdown_make_folder(literal("/run/lockdown"), 0o755)
    _ = unsafe lockdown_make_folder(path, 0o700)
    if MountTable.entry(at: Array(folder)) == nil {
      var result = unsafe lockdown_mount_programs(path)
      if result == 0 { result = unsafe lockdown_mount(path, path, makePrivate) }
      guard result == 0 else { return -result }
    }
    let inner = Array(anchor).terminated()
    if MountTable.entry(at: Array(anchor)) == nil {
      var result = unsafe lockdown_make_folder(inner, 0o700)
      if result == 0 || -result == ErrorNumber.exists {
        result = unsafe lockdown_mount(path, inner, MountFlags.bind)
      }
      if result == 0 { result = unsafe lockdown_mount(path, inner, makePrivate) }
      guard result == 0 else { return -result }
    }
    return 0
  }

  private func addSymbols(of index: Int, _ symbols: inout [KernelTypes.Symbol]) {
    add(hookSymbol(index), &symbols)
    for relocation in reader.relocations where relocation.program == index {
      if let symbol = symbol(relocation) { add(symbol, &symbols) }
    }
  }

  private func add(_ symbol: KernelTypes.Symbol, _ symbols: inout [KernelTypes.Symbol]) {
    for other in symbols where other.isSame(symbol) { return }
    symbols.append(symbol)
  }

  private func hookSymbol(_ index: Int) -> KernelTypes.Symbol {
    var name = Text("bpf_lsm_")
    name.add(reader.bytes, reader.programs[index].hook)
    return KernelTypes.Symbol(.function, name.bytes)
  }

  /// Nil: not of the kernel's types.
  private func symbol(_ relocation: BundleReader.Relocation) -> KernelTypes.Symbol? {
    switch relocation.kind {
    case .enumerator: return KernelTypes.Symbol(.enumerator, reader.bytes.copy(relocation.text))
    case .member, .negativeMember:
      guard let dot = reader.bytes.index(of: 0x2e, in: relocation.text) else { return nil }
      return KernelTypes.Symbol(
        .member, reader.bytes.copy((dot + 1)..<relocation.text.upperBound),
        of: reader.bytes.copy(relocation.text.lowerBound..<dot))
    case .device, .mount, .mountNamespace: return nil
    }
  }

  private func load(_ index: Int, _ symbols: [KernelTypes.Symbol]) {
    let program = reader.programs[index]
    var code = reader.bytes.copy(program.instructions)
    let chain = program.stage == .seal ? MountTable.chain(at: Array(Self.folder)) : nil
    for relocation in reader.relocations where relocation.program == index {
      guard let value = value(relocation, symbols, chain) else {
        return refuse([index], "the kernel has not what the program looks at", 0)
      }
      Self.add(value, to: &code, relocation.instruction * 8 + 4)
    }
    guard let hook = Self.value(hookSymbol(index), symbols) else {
      return refuse([index], "the kernel has not this hook", 0)
    }
    let descriptor = unsafe lockdown_load_program(code, UInt32(code.count / 8), UInt32(hook))
    guard descriptor >= 0 else { return refuse([index], "the kernel does not take the program", descriptor) }
    defer { close(Int32(descriptor)) }
    let link = lockdown_attach_program(Int32(descriptor))
    guard link >= 0 else { return refuse([index], "the program cannot be attached", link) }
    defer { close(Int32(link)) }
    let result = unsafe lockdown_pin(Int32(link), Self.path(items[index].name))
    guard result == 0 else { return refuse([index], "the program cannot be kept", result) }
    items[index].result = .applied
    items[index].reason = ""
  }

  private static func value(_ symbol: KernelTypes.Symbol, _ symbols: [KernelTypes.Symbol]) -> Int? {
    for other in symbols where other.isSame(symbol) { return other.value }
    return nil
  }

  private func value(
    _ relocation: BundleReader.Relocation, _ symbols: [KernelTypes.Symbol],
    _ chain: (device: Int, mounts: [Int])?
  ) -> Int? {
    switch relocation.kind {
    case .enumerator, .member: return symbol(relocation).flatMap { Self.value($0, symbols) }
    case .negativeMember: return symbol(relocation).flatMap { Self.value($0, symbols) }.map { -$0 }
    case .device: return chain?.device
    case .mountNamespace:
      // mnt:[4026531840]
      guard let link = SmallFile.link("/proc/self/ns/mnt"), link.count > 6 else {
        return nil
      }
      return Options.number(link, 5..<(link.count - 1), maximumDigits: 10)
    case .mount:
      guard let chain, let number = Options.number(reader.bytes, relocation.text) else { return nil }
      return number < chain.mounts.count ? chain.mounts[number] : -1
    }
  }

  private static func add(_ value: Int, to code: inout [UInt8], _ at: Int) {
    var number = UInt32(truncatingIfNeeded: value)
    for index in 0..<4 { number &+= UInt32(code[at + index]) << UInt32(8 * index) }
    for index in 0..<4 { code[at + index] = UInt8(truncatingIfNeeded: number >> UInt32(8 * index)) }
  }

  // MARK: Programs of before

  private func removeOthers() {
    let descriptor = unsafe lockdown_open_at(
      lockdown_here, Array(Self.folder).terminated(), lockdown_open_list, 0)
    guard descriptor >= 0 else { return }
    defer { close(Int32(descriptor)) }
    var names: [[UInt8]] = []
    var entries = [UInt8](repeating: 0, count: 4096)
    while true {
      let length = unsafe lockdown_list(Int32(descriptor), &entries, entries.count)
      guard length > 0 else { break }
      // struct linux_dirent64: the length at byte 16, the name from 19 on.
      var offset = 0
      while offset + 19 < length {
        let next = offset + Int(entries[offset + 16]) + Int(entries[offset + 17]) << 8
        guard next > offset + 19, next <= length else { break }
        let end = entries.index(of: 0, in: (offset + 19)..<next) ?? next
        names.append(entries.copy((offset + 19)..<end))
        offset = next
      }
    }
    for name in names where !isOwn(name) {
      if unsafe lockdown_remove(Self.path(name)) < 0 { kept.append(name) }
    }
  }

  private func isOwn(_ name: [UInt8]) -> Bool {
    if name.holds(".") || name.holds("..") || name.holds("pins") { return true }
    for item in items where item.name.isEqual(name) { return true }
    return false
  }
}
