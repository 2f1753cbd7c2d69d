import CLinux

/// What a run is about to change, written before its first change: /run/lockdown/journal. A run that comes to its end
/// takes it away; what one has left names each thing that may be old or new. For who confirms a try it says what is
/// tried; whether that still is the kernel knows. A class for the size of the program.
final class Journal {
  /// NUL at the end.
  var bundlePath: [UInt8]
  /// The bundle's checksum, 64 hexadecimal digits.
  var checksum: [UInt8]
  var domains: Options.Domains
  private var items = Text()
  private(set) var isEmpty = true

  private static let path: Literal = "/run/lockdown/journal"
  private static let heading: Literal = "lockdown-journal 1"

  init(bundlePath: [UInt8], checksum: [UInt8], domains: Options.Domains) {
    self.bundlePath = bundlePath
    self.checksum = checksum
    self.domains = domains
  }

  /// Of the host; another network namespace has tries and keys of its own.
  private static func file(_ surroundings: Surroundings) -> [UInt8] {
    var text = Text(path)
    if !surroundings.isInHostNetwork, let name = SmallFile.link("/proc/self/ns/net") {
      // `net:[4026531840]`.
      text.add("-")
      for byte in name where byte >= 0x30 && byte <= 0x39 { text.add(byte: byte) }
    }
    text.add(byte: 0)
    return text.bytes
  }

  /// Those that this run may change, each with what it is and what it is to be.
  func add(_ domain: Literal, _ list: [Item], isSealing: Bool) {
    for item in list {
      switch item.result {
      // A key can come with the module that has it.
      case .different, .absent: break
      case .waiting: if !isSealing { continue }
      default: continue
      }
      isEmpty = false
      items.add(domain)
      items.add(" ")
      items.addForeign(item.name)
      add(item.found, item.wanted)
      guard !item.coupledName.isEmpty else { continue }
      items.add(domain)
      items.add(" ")
      items.add(item.coupledName)
      add(item.coupledFound, Array("0"))
    }
  }

  func keepItems(of other: Journal) {
    items = other.items
    isEmpty = other.isEmpty
  }

  @inline(never)
  private func add(_ old: [UInt8], _ new: [UInt8]) {
    for isNew in [false, true] {
      items.add(isNew ? "\n new " : "\n old ")
      // The kernel parts numbers by tabs.
      for byte in isNew ? new : old { items.add(byte: byte >= 0x20 ? byte : 0x20) }
    }
    items.add(byte: 0x0a)
  }

  /// 0, or why it is not written.
  func write(_ surroundings: Surroundings) -> Int {
    Runtime.makeFolder()
    var text = Text(Self.heading)
    text.add("\nbundle ")
    text.add(bundlePath, 0..<(bundlePath.count - 1))
    text.add("\nchecksum ")
    text.add(checksum)
    text.add("\ndomains ")
    text.add(byte: domains.digit)
    text.add(byte: 0x0a)
    text.add(items.bytes)
    return StatusFile.write(text, to: Self.file(surroundings))
  }

  /// Nil: there is none, or it is another's.
  static func read(_ surroundings: Surroundings) -> Journal? {
    guard
      let bytes = try? TrustedFile.read(file(surroundings), checksOwners: !surroundings.isInUserNamespace)
    else { return nil }
    var rest = 0..<bytes.count
    guard let first = bytes.takeWord(&rest, separator: 0x0a), bytes.holds(heading, at: first),
      let bundle = value("bundle ", bytes, &rest), let checksum = value("checksum ", bytes, &rest),
      let domains = value("domains ", bytes, &rest), checksum.count == 64, domains.count == 1
    else { return nil }
    let journal = Journal(
      bundlePath: bytes.terminated(bundle), checksum: bytes.copy(checksum),
      domains: Options.Domains(digit: bytes[domains.lowerBound]))
    if rest.count > 1 {
      journal.isEmpty = false
      journal.items.add(bytes, (rest.lowerBound + 1)..<rest.upperBound)
    }
    return journal
  }

  private static func value(_ word: Literal, _ bytes: [UInt8], _ rest: inout Range<Int>) -> Range<Int>? {
    let length = word.count
    guard let line = bytes.takeWord(&rest, separator: 0x0a), line.count > length,
      bytes.holds(word, at: line.lowerBound..<(line.lowerBound + length))
    else { return nil }
    return (line.lowerBound + length)..<line.upperBound
  }

  static func remove(_ surroundings: Surroundings) { _ = unsafe lockdown_remove(file(surroundings)) }
}
