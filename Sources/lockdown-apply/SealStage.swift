import CLinux

/// What is done only when everything else was read back: lossy keys, and then what lasts until the next boot.
///
/// Nothing of it is taken back; what is refused is listed.
final class SealStage {
  private let reader: BundleReader
  private let sysctls: SysctlStage?
  private let programs: ProgramStage?
  /// The lockdown level, and the end of module loading.
  private(set) var latches: [Item] = []
  private(set) var result = Result.nothing

  enum Result {
    /// The policy has nothing that waits, or it is done already.
    case nothing
    case done
    /// For `--stage seal`, behind the mark of a healthy boot.
    case waiting
    /// Something was not as the policy says, or could not be told.
    case notVerified

    var name: Literal {
      switch self {
      case .nothing: "nothing to do"
      case .done: "sealed"
      case .waiting: "waits for a healthy boot"
      case .notVerified: "not sealed: not everything else is as the policy says"
      }
    }
  }

  // The list of levels has 43 bytes; the longest value of a latch is a path (kernel/modprobe, 256).
  private static let maximumLength = 256
  private static let levelPath: Literal = "/sys/kernel/security/lockdown"
  private static let modulesPath: Literal = "/proc/sys/kernel/modules_disabled"
  private static let markPath: Literal = "/run/lockdown/sealed"
  // Order of APPLY: what stops the next line comes behind it.
  private static let lastLatches: [Literal] = [
    "kernel/kexec_load_disabled", "kernel/yama/ptrace_scope", "kernel/unprivileged_bpf_disabled",
  ]

  /// Looks at everything; nothing is changed.
  init(
    _ reader: BundleReader, _ sysctls: SysctlStage?, _ programs: ProgramStage?, _ surroundings: Surroundings
  ) {
    self.reader = reader
    self.sysctls = sysctls
    self.programs = programs
    for item in reader.kernel {
      switch item.kind {
      case .lockdown:
        latches.append(
          Item(setting: 0, source: item.source, name: Array("lockdown"), wanted: reader.bytes.copy(item.text))
        )
        look(latches.count - 1)
      case .sealAfterBoot:
        latches.append(
          Item(
            setting: 1, source: item.source, name: Array("no module is loaded any more"), wanted: Array("1")))
        look(latches.count - 1)
      default: break
      }
    }
    if !latches.isEmpty, !surroundings.isHost {
      for index in 0..<latches.count where latches[index].result == .waiting {
        latches[index].result = .outOfReach
      }
    }
    if hasWaiting { result = .waiting }
  }

  var isAfterBoot: Bool {
    for item in reader.kernel where item.kind == .sealAfterBoot { return true }
    return false
  }

  private var hasWaiting: Bool {
    latches.count(.waiting) + (sysctls?.keys.count(.waiting) ?? 0) + (programs?.items.count(.waiting) ?? 0)
      > 0
  }

  private func look(_ index: Int) {
    let isLevel = latches[index].setting == 0
    guard
      let text = SmallFile.read(Array(isLevel ? Self.levelPath : Self.modulesPath), limit: Self.maximumLength)
    else {
      latches[index].result = .absent
      latches[index].reason =
        isLevel
        ? "securityfs is not mounted, or the kernel's list of LSMs is without lockdown"
        : "this kernel loads no modules"
      return
    }
    let found = isLevel ? Self.level(text) : text.copy(0..<min(1, text.count))
    latches[index].found = found
    // What is stronger cannot be lowered, and need not be.
    let isReached =
      found.isEqual(latches[index].wanted) || found.isEqual(LockdownLevel.confidentiality.text)
    latches[index].result = isReached ? .equal : .waiting
    if !isReached { latches[index].reason = "it cannot be taken back: for the seal" }
  }

  /// Whether the kernel loads no module without a good signature: from level integrity on.
  static func demandsSignatures() -> Bool {
    guard let text = SmallFile.read(Array(levelPath), limit: maximumLength) else { return false }
    let level = level(text)
    return level.isEqual(LockdownLevel.integrity.text) || level.isEqual(LockdownLevel.confidentiality.text)
  }

  /// The word in brackets: `none [integrity] confidentiality`.
  private static func level(_ text: [UInt8]) -> [UInt8] {
    guard let start = text.index(of: 0x5b, in: 0..<text.count),
      let end = text.index(of: 0x5d, in: start..<text.count)
    else { return [] }
    return text.copy((start + 1)..<end)
  }

  // MARK: Sealing

  /// A policy that does not wait for a healthy boot is looked at as if it were sealed.
  func expectSealed() {
    sysctls?.expect(.lossy)
    guard !isAfterBoot else { return }
    sysctls?.expect(.latch)
    programs?.expectKept()
    for index in 0..<latches.count where latches[index].result == .waiting {
      latches[index].result = .different
      latches[index].reason = ""
    }
  }

  func refuse() { if result == .waiting { result = .notVerified } }

  /// - Parameter isHealthy: the boot has come so far that what waits for it is done.
  func seal(isHealthy: Bool) {
    sysctls?.writeLossy()
    guard isHealthy || !isAfterBoot else {
      if !hasWaiting { result = .done }
      return
    }
    if hasWaiting {
      // For who falls back: what comes now only a boot takes back.
      Runtime.makeFolder()
      _ = StatusFile.write(Text(), to: Array(Self.markPath).terminated())
    }
    writeKey("kernel/modprobe")
    // The levels above integrity take no program any more.
    programs?.keep()
    for index in 0..<latches.count where latches[index].setting == 0 { write(index) }
    for name in Self.lastLatches { writeKey(name) }
    writeKey("kernel/modules_disabled")
    for index in 0..<latches.count where latches[index].setting == 1 { write(index) }
    result = .done
  }

  private func writeKey(_ name: Literal) {
    guard let sysctls else { return }
    for index in 0..<sysctls.keys.count where sysctls.keys[index].name.holds(name) {
      sysctls.writeWaiting(index)
    }
  }

  private func write(_ index: Int) {
    guard latches[index].result == .waiting else { return }
    let before = latches[index].found
    let path = Array(latches[index].setting == 0 ? Self.levelPath : Self.modulesPath).terminated()
    let errorNumber = SmallFile.write(latches[index].wanted, to: path)
    look(index)
    latches[index].found = before
    if latches[index].result == .equal {
      latches[index].result = .applied
    } else {
      latches[index].refuse(
        errorNumber == 0 ? "it reads back otherwise" : "it cannot be written", errorNumber)
    }
  }
}
