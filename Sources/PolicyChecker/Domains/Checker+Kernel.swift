import Diagnostics
import PolicyModel
import PolicySyntax

/// `kernel` (LANGUAGE.md §2).
extension Checker {
  mutating func kernel(_ node: SyntaxNode?, modules: ModulePolicy) -> KernelSettings {
    var settings = KernelSettings()
    let lockdown = node?.entry("lockdown")?.value.scalar
    settings.lockdown = lockdown.flatMap { KernelSettings.Lockdown(rawValue: $0.text) }
    for item in node?.entry("command-line")?.value.sequence ?? [] {
      guard let scalar = item.scalar, isParameter(scalar) else { continue }
      let name = KernelParameter.name(scalar.text)
      if let earlier = settings.commandLine.first(where: { KernelParameter.name($0.text) == name }),
        !KernelParameter.isRepeatable(name)
      {
        error(
          .kernelBadParameter, scalar.span, "`\(name)` is set twice",
          help: ["the kernel takes the last one, and readers the first"],
          related: [Diagnostic.Label(earlier.span, "first here")])
        continue
      }
      reportUnread(scalar, name)
      settings.commandLine.append(KernelSettings.Parameter(scalar.text, span: scalar.span))
    }
    checkLength(settings, modules, at: node?.entry("command-line")?.key.span ?? node?.span)
    return settings
  }

  /// A name that is nearly that of a known parameter, and a value that the kernel does not read: it says nothing of either.
  private mutating func reportUnread(_ scalar: SyntaxScalar, _ name: String) {
    if let meant = KernelParameterNames.meant(by: name) {
      let end = name.utf8.count
      warning(
        .kernelUnknownParameter, scalar.span, "no known parameter is called `\(name)`",
        help: ["did you mean `\(meant)`?"],
        fixIts: [FixIt("write `\(meant)`", replace: scalar.span(0, end), with: meant)])
      return
    }
    let value = KernelParameter.value(scalar.text)
    let isRead: Bool
    let taken: String
    if KernelParameter.isSwitch(name) {
      isRead = KernelParameter.isSwitched(value, name)
      taken = "`0`, `1`, `n`, `y`, `off` and `on`"
    } else if let values = KernelParameterNames.values(of: name) {
      isRead = value.map(values.contains) ?? false
      taken = values.map { "`\($0)`" }.joined(separator: ", ")
    } else {
      return
    }
    guard !isRead else { return }
    warning(
      .kernelUnknownValue, scalar.span, "the kernel passes over `\(scalar.text)`",
      help: ["`\(name)` takes \(taken)"])
  }

  private mutating func isParameter(_ scalar: SyntaxScalar) -> Bool {
    let text = scalar.text
    let name = KernelParameter.name(text)
    // The kernel's parse_args() splits at blanks and takes `"` away; loaders have quoting rules of their own.
    if text.isEmpty
      || text.utf8.contains(where: { $0 <= 0x20 || $0 >= 0x7f || $0 == 0x22 || $0 == 0x27 || $0 == 0x5c })
    {
      error(
        .kernelBadParameter, scalar.span, "`\(text)` is no parameter",
        help: ["one parameter an item: ASCII, without blanks, quotes and backslashes"])
      return false
    }
    if name.isEmpty || text == "--" || text == "-" {
      error(
        .kernelBadParameter, scalar.span, "`\(text)` is no parameter",
        help: ["what follows `--` goes to init"])
      return false
    }
    switch name {
    case "module_blacklist":
      error(
        .kernelDerivedParameter, scalar.span, "`module_blacklist` is written from `modules.deny`",
        help: ["the kernel keeps only the last one; name the modules under `modules.deny`"])
      return false
    case "lockdown":
      error(
        .kernelDerivedParameter, scalar.span, "`lockdown` is written from `kernel.lockdown`",
        help: ["write `lockdown: \(text.dropFirst("lockdown=".count))` under `kernel`"])
      return false
    default:
      return true
    }
  }

  /// COMMAND_LINE_SIZE of x86 is 2048, its NUL counted; arm64's is the same.
  private mutating func checkLength(_ settings: KernelSettings, _ modules: ModulePolicy, at span: SourceSpan?)
  {
    var words = settings.commandLine.map(\.text)
    if let lockdown = settings.lockdown { words.append("lockdown=\(lockdown.rawValue)") }
    let denied = modules.denied.filter { !$0.isGlob }.map(\.pattern)
    if !denied.isEmpty { words.append("module_blacklist=" + denied.joined(separator: ",")) }
    let length = words.joined(separator: " ").utf8.count
    guard length > 2048, let span = span ?? modules.denied.first?.span else { return }
    error(
      .kernelBadParameter, span,
      "the command line of this policy is \(length) bytes long; 2048 is the kernel's limit",
      help: ["`module_blacklist` from `modules.deny` counts too"])
  }
}

/// Parameters of the kernel's command line.
enum KernelParameter {
  /// The name as parameq() of kernel/params.c compares it: `-` equals `_`, in the name only.
  static func name(_ text: String) -> String {
    String(text.prefix { $0 != "=" }.map { $0 == "-" ? "_" : $0 })
  }

  static func value(_ text: String) -> String? {
    text.firstIndex(of: "=").map { String(text[text.index(after: $0)...]) }
  }

  /// Parameters that add to each other.
  static func isRepeatable(_ name: String) -> Bool {
    ["console", "earlycon", "memmap", "dyndbg", "trace_event", "ip", "netconsole"].contains(name)
  }

  /// Values from weakest to strongest; nil: the order of this parameter is not known.
  static func order(of name: String) -> [String]? { orders[name] }

  /// The one of several spellings that ``order(of:)`` has: the kernel reads `y`, `yes`, `on` and `1` alike.
  ///
  /// Source: kstrtobool of lib/kstrtox.c.
  static func normalized(_ value: String, of name: String) -> String {
    guard switches.contains(name), let order = orders[name] else { return value }
    let (off, on) = (order.first { ["0", "off"].contains($0) }, order.first { ["1", "on"].contains($0) })
    let letters = value.lowercased().utf8.prefix(2)
    switch letters.first {
    case UInt8(ascii: "1"), UInt8(ascii: "y"), UInt8(ascii: "t"): return on ?? value
    case UInt8(ascii: "0"), UInt8(ascii: "n"), UInt8(ascii: "f"): return off ?? value
    case UInt8(ascii: "o"):
      return letters.elementsEqual("on".utf8)
        ? on ?? value : letters.elementsEqual("of".utf8) ? off ?? value : value
    default: return value
    }
  }

  static func isSwitch(_ name: String) -> Bool { switches.contains(name) }

  /// Whether the kernel reads a value of a switch; nil: none is given, which switches parameters of modules on.
  ///
  /// Source: kstrtobool of lib/kstrtox.c, param_set_bool and param_set_bool_enable_only of kernel/params.c.
  static func isSwitched(_ value: String?, _ name: String) -> Bool {
    guard let value else { return ["module.sig_enforce", "page_alloc.shuffle"].contains(name) }
    let letters = Array(value.lowercased().utf8.prefix(2))
    switch letters.first {
    case UInt8(ascii: "1"), UInt8(ascii: "y"), UInt8(ascii: "t"), UInt8(ascii: "0"), UInt8(ascii: "n"),
      UInt8(ascii: "f"):
      return true
    case UInt8(ascii: "o"):
      return letters.count > 1 && [UInt8(ascii: "n"), UInt8(ascii: "f")].contains(letters[1])
    default: return false
    }
  }

  /// Parameters that kstrtobool reads.
  private static let switches: Set<String> = [
    "module.sig_enforce", "init_on_alloc", "init_on_free", "randomize_kstack_offset", "page_alloc.shuffle",
    "iommu.strict", "iommu.passthrough", "hardened_usercopy",
  ]

  private static let orders: [String: [String]] = [
    "module.sig_enforce": ["0", "1"],
    "init_on_alloc": ["0", "1"],
    "init_on_free": ["0", "1"],
    "randomize_kstack_offset": ["off", "on"],
    "page_alloc.shuffle": ["0", "1"],
    "iommu.strict": ["0", "1"],
    "iommu.passthrough": ["1", "0"],
    "vsyscall": ["emulate", "xonly", "none"],
    "hardened_usercopy": ["off", "on"],
    "audit": ["0", "1"],
    "debugfs": ["on", "no-mount", "off"],
  ]
}
