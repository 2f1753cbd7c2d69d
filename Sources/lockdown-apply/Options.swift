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
      let word = Word(argument)
      switch word {
      case .check: options.isCheck = true
      case .force: options.isForced = true
      case .healthy: options.isHealthy = true
      case .sick:
        options.isHealthy = true
        options.isSick = true
      case .confirm: options.verdict = .confirm
      case .revert: options.verdict = .revert
      case .console: options.isAtConsole = true
      case .noReadBack: options.readsBack = false
      case .follow: options.follows = true
      case .exec: isExec = true
      case .command:
        guard isExec, index < arguments.count else {
          return fail("-- COMMAND is what process 1 becomes, or what --exec starts", [])
        }
        options.command = index
        index = arguments.count
      case .other:
        if argument.first == 0x2d { return fail("unknown option: ", argument) }
        guard options.bundlePath.isEmpty, !argument.isEmpty else {
          return fail("one bundle, not also: ", argument)
        }
        options.bundlePath = argument.terminated()
      default:
        guard index < arguments.count, !arguments[index].isEmpty else {
          return fail("it wants a value: ", argument)
        }
        guard options.take(word, arguments[index]) else { return nil }
        index += 1
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

  /// The words, in the order of `Word.names`.
  private enum Word: UInt8 {
    case check, force, healthy, sick, confirm, revert, console, noReadBack, follow, exec, command
    // With a value.
    case only, status, deadline, pin, slots, stage, `try`, open, lastGood, key
    case other

    private static let names: Literal = """
      --check --force --healthy --sick --confirm --revert --console --no-read-back --follow --exec -- \
      --only --status --deadline --pin --slots --stage --try --open --last-good --key
      """

    init(_ argument: [UInt8]) {
      let names = Array(Self.names)
      var rest = 0..<names.count
      var number: UInt8 = 0
      while let name = names.takeWord(&rest, separator: 0x20) {
        if names.isEqual(name, argument, 0..<argument.count) { break }
        number += 1
      }
      self = Word(rawValue: number) ?? .other
    }
  }

  private func take(_ word: Word, _ value: [UInt8]) -> Bool {
    switch word {
    case .only: return takeDomains(value)
    case .slots: slotsPath = value.terminated()
    case .key: keyPath = value.terminated()
    case .lastGood: lastGoodPath = value.terminated()
    case .status: statusPath = value.terminated()
    // In its last two seconds nobody may confirm a try. A day: beyond that nobody waits for anything.
    case .try:
      trySeconds = Self.seconds(value, 3...86_400)
      return trySeconds > 0
    case .open:
      openSeconds = Self.seconds(value, 2...86_400)
      verdict = .open
      return openSeconds > 0
    // An hour: beyond that it is no deadline.
    case .deadline:
      deadline = Self.seconds(value, 1...3600)
      return deadline > 0
    case .stage:
      isClosedStage = value.holds("closed")
      isSeal = value.holds("seal")
      isLate = value.holds("late")
      return isClosedStage || isSeal || isLate || value.holds("policy")
        || Self.refuse("not a stage that can be started: ", value)
    default:
      pin = Self.hex(value)
      return pin.count == 32 || Self.refuse("not 64 hexadecimal digits: ", value)
    }
    return true
  }

  /// 0 after a message.
  private static func seconds(_ value: [UInt8], _ range: ClosedRange<Int>) -> Int {
    if let seconds = number(value, 0..<value.count), seconds >= range.lowerBound, seconds <= range.upperBound
    {
      return seconds
    }
    var text = Text("not a number of seconds from ")
    text.add(range.lowerBound)
    text.add(" to ")
    text.add(range.upperBound)
    text.add(": ")
    text.add(value)
    _ = refuse("", text.bytes)
    return 0
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
