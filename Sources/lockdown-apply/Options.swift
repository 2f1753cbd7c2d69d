/// What the command line asks for.
struct Options {
  /// NUL at the end.
  var bundlePath: [UInt8] = []
  var isCheck = false
  var domains = Domains.all
  /// Whether `--only` was given: what lies outside is then not reported.
  var isPartial = false
  /// NUL at the end; empty: the default path.
  var statusPath: [UInt8] = []
  var isForced = false
  /// Seconds.
  var deadline = 30
  /// 32 bytes; empty: none.
  var pin: [UInt8] = []
  var readsBack = true

  struct Domains {
    var firewall = true
    var sysctl = true
    var mounts = true

    static let all = Domains()
    static let none = Domains(firewall: false, sysctl: false, mounts: false)
  }

  static let usage: StaticString = """
    usage: lockdown-apply BUNDLE [--check] [--only DOMAIN,...] [--status FILE] [--force]
                                 [--deadline SECONDS] [--pin HEX] [--no-read-back]
    domains: firewall, sysctl, mounts

    """

  /// Nil after a message: usage error.
  static func parse(_ arguments: [[UInt8]]) -> Options? {
    var options = Options()
    var rest = arguments[...]
    while let argument = rest.popFirst() {
      let text = 0..<argument.count
      func isOption(_ name: StaticString) -> Bool { argument.holds(name, at: text) }
      if isOption("--check") {
        options.isCheck = true
      } else if isOption("--force") {
        options.isForced = true
      } else if isOption("--no-read-back") {
        options.readsBack = false
      } else if isOption("--only") || isOption("--status") || isOption("--deadline") || isOption("--pin") {
        guard let value = rest.popFirst(), !value.isEmpty else {
          return fail("it wants a value: ", argument)
        }
        guard options.take(argument, value) else { return nil }
      } else if isUnsupported(argument) {
        return fail("not supported yet: ", argument)
      } else if argument.first == 0x2d {
        return fail("unknown option: ", argument)
      } else if options.bundlePath.isEmpty, !argument.isEmpty {
        options.bundlePath = argument.terminated(text)
      } else {
        return fail("one bundle, not also: ", argument)
      }
    }
    guard !options.bundlePath.isEmpty else { return fail("no bundle is named", []) }
    return options
  }

  private mutating func take(_ option: [UInt8], _ value: [UInt8]) -> Bool {
    let text = 0..<value.count
    if option.holds("--only", at: 0..<option.count) { return takeDomains(value) }
    if option.holds("--status", at: 0..<option.count) {
      statusPath = value.terminated(text)
      return true
    }
    if option.holds("--deadline", at: 0..<option.count) {
      // An hour: beyond that it is no deadline.
      guard let seconds = Self.number(value[...]), seconds >= 1, seconds <= 3600 else {
        return Self.fail("not a number of seconds from 1 to 3600: ", value) != nil
      }
      deadline = seconds
      return true
    }
    guard let digest = Self.hex(value), digest.count == 32 else {
      return Self.fail("not 64 hexadecimal digits: ", value) != nil
    }
    pin = digest
    return true
  }

  private mutating func takeDomains(_ value: [UInt8]) -> Bool {
    domains = .none
    isPartial = true
    var start = 0
    for index in 0...value.count where index == value.count || value[index] == 0x2c {
      let word = start..<index
      if value.holds("firewall", at: word) {
        domains.firewall = true
      } else if value.holds("sysctl", at: word) {
        domains.sysctl = true
      } else if value.holds("mounts", at: word) {
        domains.mounts = true
      } else if value.holds("modules", at: word) || value.holds("syscalls", at: word)
        || value.holds("kernel", at: word)
      {
        return Self.fail("not supported yet: domain ", Array(value[word])) != nil
      } else {
        return Self.fail("not a domain: ", Array(value[word])) != nil
      }
      start = index + 1
    }
    return true
  }

  /// Options of later stages: better refused than ignored.
  private static func isUnsupported(_ argument: [UInt8]) -> Bool {
    let names: [StaticString] = ["--stage", "--try", "--key", "--follow", "--"]
    return names.contains { argument.holds($0, at: 0..<argument.count) }
  }

  private static func fail(_ text: StaticString, _ word: [UInt8]) -> Options? {
    var line = Line("usage: ")
    line.text.add(text)
    line.text.addForeign(word)
    line.print()
    Text(usage).write(to: 2)
    return nil
  }

  /// A decimal number of at most nine digits.
  static func number(_ text: ArraySlice<UInt8>) -> Int? {
    guard !text.isEmpty, text.count <= 9 else { return nil }
    var value = 0
    for byte in text {
      guard byte >= 0x30, byte <= 0x39 else { return nil }
      value = value * 10 + Int(byte - 0x30)
    }
    return value
  }

  private static func hex(_ text: [UInt8]) -> [UInt8]? {
    guard text.count % 2 == 0 else { return nil }
    var bytes: [UInt8] = []
    var high: UInt8?
    for digit in text {
      let value: UInt8
      switch digit {
      case 0x30...0x39: value = digit - 0x30
      case 0x41...0x46: value = digit - 0x37
      case 0x61...0x66: value = digit - 0x57
      default: return nil
      }
      if let upper = high {
        bytes.append(upper << 4 | value)
        high = nil
      } else {
        high = value
      }
    }
    return bytes
  }
}
