import CLinux

/// Loads the modules that the policy requires, before anything is changed: later nothing may load any more.
struct PreloadStage {
  private let reader: BundleReader
  private(set) var items: [Item] = []

  // What a driver may take; modprobe itself has no limit.
  private static let patience: Int32 = 5_000
  // MODULE_INIT_COMPRESSED_FILE, linux/module.h.
  private static let isCompressed: Int32 = 4

  /// Looks which are there; nothing is changed.
  init(_ reader: BundleReader, isOutOfReach: Bool) {
    self.reader = reader
    for (index, item) in reader.kernel.enumerated() where item.kind == .requiredModule {
      items.append(
        Item(
          setting: index, source: item.source, name: reader.bytes.copy(item.text), wanted: Array("loaded")))
    }
    guard !items.isEmpty else { return }
    let builtIn = ModuleReport.moduleFile("/modules.builtin") ?? []
    for index in 0..<items.count {
      items[index].result = isOutOfReach ? .outOfReach : .different
      if Self.isLoaded(items[index].name) {
        items[index].found = Array("loaded")
        items[index].result = .equal
      } else if Self.line(of: items[index].name, in: builtIn) != nil {
        items[index].found = Array("built in")
        items[index].result = .equal
      }
    }
  }

  private static func isLoaded(_ name: [UInt8]) -> Bool {
    var path = Text("/sys/module/")
    path.add(name)
    path.add("/initstate")
    // What is built in has no such file.
    return SmallFile.read(path.bytes, limit: 16)?.holds("live\n") ?? false
  }

  /// The line of a file of depmod's that begins with the module's path.
  private static func line(of name: [UInt8], in file: [UInt8]) -> Range<Int>? {
    var rest = 0..<file.count
    while let line = file.takeWord(&rest, separator: 0x0a) {
      let end = file.index(of: 0x3a, in: line) ?? line.upperBound
      if let found = ModuleReport.name(of: file, line.lowerBound..<end), found.isEqual(name) { return line }
    }
    return nil
  }

  mutating func apply() {
    guard items.count(.different) > 0 else { return }
    // It knows options and aliases. Empty: the kernel is to start none.
    var program = SmallFile.read("/proc/sys/kernel/modprobe", limit: 256) ?? []
    if program.last == 0x0a { program.removeLast() }
    for index in 0..<items.count where items[index].result == .different {
      let name = items[index].name
      var result = -ErrorNumber.notFound
      if program.first == 0x2f {
        result = unsafe lockdown_start_loader(program.terminated(), name.terminated(), Self.patience)
      }
      if !Self.isLoaded(name) { result = Self.load(name, otherwise: result) }
      if Self.isLoaded(name) {
        items[index].result = .applied
      } else {
        items[index].refuse(
          -result == ErrorNumber.timedOut ? "it does not load in 5 seconds" : "it does not load",
          result < 0 ? result : 0)
        // It is the end of the run, whose time may be short for others that hang.
        return
      }
    }
  }

  /// By its file, behind those that it needs.
  private static func load(_ name: [UInt8], otherwise before: Int) -> Int {
    guard let file = ModuleReport.moduleFile("/modules.dep"), let line = line(of: name, in: file),
      let colon = file.index(of: 0x3a, in: line)
    else { return before }
    var needs: [Range<Int>] = []
    var rest = (colon + 1)..<line.upperBound
    while let word = file.takeWord(&rest, separator: 0x20) { needs.append(word) }
    var result = 0
    while let need = needs.popLast() { result = load(file, need) }
    result = load(file, line.lowerBound..<colon)
    return result
  }

  /// 0, or the negative error number.
  private static func load(_ bytes: [UInt8], _ name: Range<Int>) -> Int {
    guard var path = ModuleReport.moduleFolder() else { return -ErrorNumber.notFound }
    path.add("/")
    path.add(bytes, name)
    let isPlain = bytes.holds(".ko", at: max(name.lowerBound, name.upperBound - 3)..<name.upperBound)
    path.add(byte: 0)
    let descriptor = unsafe lockdown_open_at(lockdown_here, path.bytes, lockdown_open_key, 0)
    guard descriptor >= 0 else { return descriptor }
    defer { close(Int32(descriptor)) }
    return lockdown_load_module(Int32(descriptor), isPlain ? 0 : isCompressed)
  }
}
