import CLinux

/// The connection over which somebody calls: what sshd(8) has told the caller, or the nearest process above that has it,
/// for sudo(8) takes it away.
enum Connection {
  private static let variable: Literal = "SSH_CONNECTION="
  // Of processes above one another.
  private static let maximumDepth = 64
  private static let maximumLength = 1 << 20

  /// Address and port of the other side, then of this, each in whole registers; nil: none above has one.
  static func ofCaller() -> [UInt8]? {
    var process = Int(getpid())
    for _ in 0..<maximumDepth where process > 0 {
      if let text = value(of: process) { return ends(text) }
      guard let parent = parent(of: process) else { return nil }
      process = parent
    }
    return nil
  }

  private static func read(_ process: Int, _ name: Literal) -> [UInt8]? {
    var path = Text("/proc/")
    path.add(process)
    path.add(name)
    path.add(byte: 0)
    return SmallFile.read(path.bytes, limit: maximumLength)
  }

  private static func value(of process: Int) -> [UInt8]? {
    guard let environment = read(process, "/environ") else { return nil }
    let length = variable.count
    var rest = 0..<environment.count
    while let entry = environment.takeWord(&rest, separator: 0) {
      if entry.count > length, environment.holds(variable, at: entry.lowerBound..<(entry.lowerBound + length))
      {
        return environment.copy((entry.lowerBound + length)..<entry.upperBound)
      }
    }
    return nil
  }

  /// proc(5): the name in parentheses may hold anything; behind the last one stand the state and the parent.
  private static func parent(of process: Int) -> Int? {
    guard let text = read(process, "/stat") else { return nil }
    var start = text.count
    while start > 0, text[start - 1] != 0x29 { start -= 1 }
    var rest = start..<text.count
    guard text.takeWord(&rest, separator: 0x20) != nil, let parent = text.takeWord(&rest, separator: 0x20)
    else {
      return nil
    }
    return Options.number(text, parent)
  }

  /// `198.51.100.7 50022 192.0.2.10 22`
  private static func ends(_ text: [UInt8]) -> [UInt8]? {
    var rest = 0..<text.count
    var ends: [UInt8] = []
    for _ in 0..<2 {
      guard let address = text.takeWord(&rest, separator: 0x20),
        let port = text.takeWord(&rest, separator: 0x20),
        let number = Options.number(text, port), number <= 65_535
      else { return nil }
      // Without the interface of a link-local address.
      let end = text.index(of: 0x25, in: address) ?? address.upperBound
      var bytes = [UInt8](repeating: 0, count: 16)
      let length = unsafe lockdown_address(text.terminated(address.lowerBound..<end), &bytes)
      guard length > 0 else { return nil }
      for index in 0..<Int(length) { ends.append(bytes[index]) }
      for byte in [UInt8(truncatingIfNeeded: number >> 8), UInt8(truncatingIfNeeded: number), 0, 0] {
        ends.append(byte)
      }
    }
    return ends.count == 16 || ends.count == 40 ? ends : nil
  }
}
