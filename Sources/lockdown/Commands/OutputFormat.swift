import ArgumentParser
import CLinux
import CanonicalJSON
import Diagnostics
import Glibc

enum OutputFormat: String, CaseIterable, ExpressibleByArgument {
  case text
  case json
}

enum Terminal {
  /// Colour only on a terminal, and never with NO_COLOR (no-color.org).
  static var hasColor: Bool {
    isatty(2) == 1 && getenv("NO_COLOR").map { $0.pointee == 0 } ?? true
  }

  /// Says what will take more than a second; on a terminal only.
  static func progress(_ text: String) {
    if isatty(2) == 1 { printError("lockdown: \(text)") }
  }

  /// Says what is being done if it takes more than a second; on a terminal only.
  static func whileAnnouncing<T>(_ text: String, _ body: () -> T) -> T {
    guard isatty(2) == 1 else { return body() }
    let line = "lockdown: \(text) …\n"
    return line.utf8.withContiguousStorageIfAvailable { bytes in
      lockdown_announce_after_a_second(bytes.baseAddress, bytes.count)
      defer { lockdown_announce_nothing() }
      return body()
    } ?? body()
  }
}

enum StandardOutput {
  /// Writes all bytes; a reader that went away ends the program quietly, as for any filter.
  static func write(_ bytes: [UInt8]) {
    var offset = 0
    while offset < bytes.count {
      let count = bytes[offset...].withUnsafeBytes { Glibc.write(1, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { Glibc.exit(errno == EPIPE ? 0 : 3) }
      offset += count
    }
  }

  /// Text for people, in which names and comments of others may stand.
  static func write(_ text: String) { write(Array(PrintableText.lines(text).utf8)) }

  static func write(_ value: JSONValue) { write(value.pretty()) }
}
