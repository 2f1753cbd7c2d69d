/// What the command line asks for. A class for the size of the program, and without copies: who goes on to another bundle
/// says so here, and puts back what the report still needs.
final class Options {
  /// NUL at the end.
  var bundlePath: [UInt8] = []
  /// Folder of the slots, NUL at the end; empty: a bundle is named.
  var slotsPath: [UInt8] = []
  /// The host is up: what it tried is kept.
  var isHealthy = false
  /// With that: it is not up, and what it tried is given up.
  var isSick = false
  var isCheck = false
  /// For how long the kernel holds the policy without confirmation, in seconds; 0: for good.
  var trySeconds = 0
  /// What is to become of a pending try, or of the firewall that is there.
  var verdict = Verdict.none
  /// For how long everything passes it, in seconds.
  var openSeconds = 0
  /// Who confirms sits at the machine, and needs no connection to prove that one is possible.
  var isAtConsole = false
  /// The firewall before the policy's, and nothing else.
  var isClosedStage = false
  /// What was not there when the policy was applied, and nothing else.
  var isLate = false
  /// With that: again at each event that may bring some of it, for good.
  var follows = false
  /// Everything else is as the policy says, or nothing happens: then what lasts until the next boot is done.
  var isSeal = false
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
  /// Certificate of the key that must have signed the bundle, NUL at the end; empty: none.
  var keyPath: [UInt8] = []
  var readsBack = true
  /// Position of the command that runs under the bundle's filter of system calls, among the arguments; 0: none does.
  var command = 0
  /// Bundle to go back to, NUL at the end; empty: the host's, outside of slots.
  var lastGoodPath: [UInt8] = []

  enum Verdict {
    case none
    case confirm
    case revert
    case open
  }

  /// Whether firewall, keys and mounts are only read.
  var looksOnly: Bool { isCheck || isSeal }

  /// Whether it is to apply a policy, and for good: process 1 does nothing else, for its filter cannot be lifted.
  var appliesPolicy: Bool {
    guard case .none = verdict else { return false }
    return !looksOnly && !isClosedStage && !isLate && !isHealthy && trySeconds == 0
  }

  struct Domains {
    var firewall: Bool
    var sysctl: Bool
    var mounts: Bool

    /// A digit: 1 the firewall, 2 sysctls, 4 mounts.
    var digit: UInt8 { 0x30 | (firewall ? 1 : 0) | (sysctl ? 2 : 0) | (mounts ? 4 : 0) }

    init(digit: UInt8) {
      firewall = digit & 1 != 0
      sysctl = digit & 2 != 0
      mounts = digit & 4 != 0
    }

    static let all = Domains(digit: 7)
    static let none = Domains(digit: 0)
  }

  static let usage: Literal = """
    usage: lockdown-apply BUNDLE [--check] [--only DOMAIN,...] [--status FILE] [--force]
                                 [--deadline SECONDS] [--pin HEX] [--key FILE] [--no-read-back]
                                 [--stage STAGE [--follow]] [--try SECONDS] [--last-good FILE]
           lockdown-apply BUNDLE --exec [--pin HEX] [--key FILE] -- COMMAND...
           lockdown-apply --confirm [--console] | --revert | --open SECONDS
           lockdown-apply --slots DIRECTORY [--healthy | --sick | OPTION...]
    domains: firewall, sysctl, mounts; stages: closed, policy, late, seal

    """

  /// Nil after a message: usage error.
  static func parse(_ arguments: [[UInt8]]) -> Options? {
    let options = Options()
    var isExec = false
    var index = 0
    while index < arguments.count {
      let argument = arguments[index]
      index += 1
      if argument.holds("--check") {
        options.isCheck = true
      } else if argument.holds("--force") {
        options.isForced = true
      } else if argument.holds("--healthy") {
        options.isHealthy = true
      } else if argument.holds("--sick") {
        options.isHealthy = true
        options.isSick = true
      } else if argument.holds("--confirm") {
        options.verdict = .confirm
      } else if argument.holds("--revert") {
        options.verdict = .revert
      } else if argument.holds("--console") {
        options.isAtConsole = true
      } else if argument.holds("--no-read-back") {
        options.readsBack = false
      } else if takesValue(argument) {
        guard index < arguments.count, !arguments[index].isEmpty else {
          return fail("it wants a value: ", argument)
        }
        guard options.take(argument, arguments[index]) else { return nil }
        index += 1
      } else if argument.holds("--exec") {
        isExec = true
      } else if argument.holds("--") {
        guard isExec, index < arguments.count else {
          return fail("-- COMMAND is what process 1 becomes, or what --exec starts", [])
        }
        options.command = index
        break
      } else if argument.holds("--follow") {
        options.follows = true
      } else if argument.first == 0x2d {
        return fail("unknown option: ", argument)
      } else if options.bundlePath.isEmpty, !argument.isEmpty {
        options.bundlePath = argument.terminated()
      } else {
        return fail("one bundle, not also: ", argument)
      }
    }
    let isConsole = options.isAtConsole
    if isExec {
      let isElse = options.looksOnly || options.isClosedStage || options.isLate || options.isPartial
      guard options.command > 0, !isElse, options.trySeconds == 0, !options.bundlePath.isEmpty else {
        return fail("--exec is about one bundle, and wants -- COMMAND", [])
      }
      options.domains = .none
    }
    switch options.verdict {
    case .none: if isConsole { return fail("--console is about --confirm", []) }
    case .confirm, .revert, .open:
      guard options.bundlePath.isEmpty, options.slotsPath.isEmpty, options.trySeconds == 0,
        !options.looksOnly,
        !options.isClosedStage
      else { return fail("--confirm, --revert and --open are about what is there, and take no bundle", []) }
      return options
    }
    if options.trySeconds > 0, options.looksOnly || options.isClosedStage || !options.slotsPath.isEmpty {
      return fail("--try is about one bundle, which is applied", [])
    }
    if options.isClosedStage {
      if options.isPartial || options.isHealthy { return fail("stage `closed` is the firewall's alone", []) }
      options.domains = .none
      options.isPartial = true
    }
    if options.follows, !options.isLate { return fail("--follow is about stage `late`", []) }
    if options.isLate {
      if options.isCheck || options.isHealthy || options.trySeconds > 0 || !options.readsBack {
        return fail("stage `late` is about what is there by now, and is read back", [])
      }
      options.isPartial = true
    }
    if options.isSeal, options.isCheck || options.isHealthy || options.isPartial || !options.readsBack {
      return fail("--stage seal is about the whole policy, read back", [])
    }
    if options.slotsPath.isEmpty {
      if options.isHealthy { return fail("--healthy and --sick are about --slots", []) }
      if options.bundlePath.isEmpty { return fail("no bundle is named", []) }
    } else if !options.bundlePath.isEmpty {
      return fail(
        "slots or a bundle, not also: ", options.bundlePath.copy(0..<(options.bundlePath.count - 1)))
    } else if options.isCheck || !options.pin.isEmpty || !options.lastGoodPath.isEmpty {
      return fail("--check, --pin and --last-good are about one bundle", [])
    }
    return options
  }

  private static func takesValue(_ argument: [UInt8]) -> Bool {
    argument.holds("--only") || argument.holds("--status") || argument.holds("--deadline")
      || argument.holds("--pin") || argument.holds("--slots") || argument.holds("--stage")
      || argument.holds("--try") || argument.holds("--open") || argument.holds("--last-good")
      || argument.holds("--key")
  }

  private func take(_ option: [UInt8], _ value: [UInt8]) -> Bool {
    let text = 0..<value.count
    if option.holds("--only") { return takeDomains(value) }
    if option.holds("--slots") {
      slotsPath = value.terminated()
      return true
    }
    if option.holds("--try") || option.holds("--open") {
      // A day: beyond that nobody waits for anything.
      guard let seconds = Self.number(value, text), seconds >= 2, seconds <= 86_400 else {
        return Self.refuse("not a number of seconds from 2 to 86400: ", value)
      }
      if option.holds("--try") {
        trySeconds = seconds
      } else {
        openSeconds = seconds
        verdict = .open
      }
      return true
    }
    if option.holds("--stage") {
      isClosedStage = value.holds("closed")
      isSeal = value.holds("seal")
      isLate = value.holds("late")
      return isClosedStage || isSeal || isLate || value.holds("policy")
        || Self.refuse("not a stage that can be started: ", value)
    }
    if option.holds("--key") {
      keyPath = value.terminated()
      return true
    }
    if option.holds("--last-good") {
      lastGoodPath = value.terminated()
      return true
    }
    if option.holds("--status") {
      statusPath = value.terminated()
      return true
    }
    if option.holds("--deadline") {
      // An hour: beyond that it is no deadline.
      guard let seconds = Self.number(value, text), seconds >= 1, seconds <= 3600 else {
        return Self.refuse("not a number of seconds from 1 to 3600: ", value)
      }
      deadline = seconds
      return true
    }
    pin = Self.hex(value)
    return pin.count == 32 || Self.refuse("not 64 hexadecimal digits: ", value)
  }

  private func takeDomains(_ value: [UInt8]) -> Bool {
    domains = .none
    isPartial = true
    var rest = 0..<value.count
    while let word = value.takeWord(&rest, separator: 0x2c) {
      if value.holds("firewall", at: word) {
        domains.firewall = true
      } else if value.holds("sysctl", at: word) {
        domains.sysctl = true
      } else if value.holds("mounts", at: word) {
        domains.mounts = true
      } else if value.holds("modules", at: word) || value.holds("syscalls", at: word)
        || value.holds("kernel", at: word)
      {
        return Self.refuse("not supported yet: domain ", value.copy(word))
      } else {
        return Self.refuse("not a domain: ", value.copy(word))
      }
    }
    let isAny = domains.firewall || domains.sysctl || domains.mounts
    return isAny || Self.refuse("no domain: ", value)
  }

  /// Says why the command line is wrong; false.
  @inline(never)
  private static func refuse(_ text: Literal, _ word: [UInt8]) -> Bool {
    var line = Line("usage: ")
    line.text.add(text)
    line.text.addForeign(word)
    line.print()
    Text(usage).write(to: 2)
    return false
  }

  private static func fail(_ text: Literal, _ word: [UInt8]) -> Options? {
    _ = refuse(text, word)
    return nil
  }

  /// A decimal number.
  static func number(_ bytes: [UInt8], _ text: Range<Int>, maximumDigits: Int = 9) -> Int? {
    guard !text.isEmpty, text.count <= maximumDigits else { return nil }
    var value = 0
    for index in text {
      guard bytes[index] >= 0x30, bytes[index] <= 0x39 else { return nil }
      value = value * 10 + Int(bytes[index] - 0x30)
    }
    return value
  }

  /// Empty: not hexadecimal.
  private static func hex(_ text: [UInt8]) -> [UInt8] {
    var bytes: [UInt8] = []
    for index in 0..<text.count {
      let digit = text[index] | 0x20
      let value: UInt8
      switch digit {
      case 0x30...0x39: value = digit - 0x30
      case 0x61...0x66: value = digit - 0x57
      default: return []
      }
      if index % 2 == 0 { bytes.append(value << 4) } else { bytes[index / 2] |= value }
    }
    return text.count % 2 == 0 ? bytes : []
  }
}
