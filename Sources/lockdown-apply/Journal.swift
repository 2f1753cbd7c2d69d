import CLinux

/// What is being tried, for who confirms it: /run/lockdown/journal. Whether it is still tried the kernel knows.
struct Journal {
  /// NUL at the end.
  var bundlePath: [UInt8]
  /// The bundle's checksum, 64 hexadecimal digits.
  var checksum: [UInt8]
  var domains: Options.Domains

  private static let path: StaticString = "/run/lockdown/journal"
  private static let heading: StaticString = "lockdown-journal 1"

  /// 0, or why it is not written.
  func write() -> Int {
    Runtime.makeFolder()
    var text = Text(Self.heading)
    text.add("\nbundle ")
    text.add(bundlePath, 0..<(bundlePath.count - 1))
    text.add("\nchecksum ")
    text.add(checksum)
    text.add("\ndomains ")
    text.add(byte: domains.digit)
    text.add(byte: 0x0a)
    return StatusFile.write(text, to: Array(Self.path).terminated())
  }

  /// Nil: there is none, or it is another's.
  static func read(checksOwners: Bool) -> Journal? {
    guard let bytes = try? TrustedFile.read(Array(path).terminated(), checksOwners: checksOwners) else {
      return nil
    }
    var rest = 0..<bytes.count
    guard let first = bytes.takeWord(&rest, separator: 0x0a), bytes.holds(heading, at: first),
      let bundle = value("bundle ", bytes, &rest), let checksum = value("checksum ", bytes, &rest),
      let domains = value("domains ", bytes, &rest), checksum.count == 64, domains.count == 1
    else { return nil }
    return Journal(
      bundlePath: bytes.terminated(bundle), checksum: bytes.copy(checksum),
      domains: Options.Domains(digit: bytes[domains.lowerBound]))
  }

  private static func value(_ word: StaticString, _ bytes: [UInt8], _ rest: inout Range<Int>) -> Range<Int>? {
    let length = word.utf8CodeUnitCount
    guard let line = bytes.takeWord(&rest, separator: 0x0a), line.count > length,
      bytes.holds(word, at: line.lowerBound..<(line.lowerBound + length))
    else { return nil }
    return (line.lowerBound + length)..<line.upperBound
  }

  static func remove() { _ = unsafe lockdown_remove(Array(path).terminated()) }
}
