package import PolicyModel

/// Compiles a filter of system calls to the program the kernel runs for each call.
///
/// This is written out because libseccomp (2.5.4, measured) could not do it: it translates numbers through the tables
/// of the machine it runs on, so it refuses (-EFAULT) whatever call it does not know on another ABI than its own,
/// which are those since 6.8; and the bytes of a policy would depend on the build host and on the library's version.
/// It has no ranges of numbers either, so that its programs are three to nine times as long as ours. The tests compare
/// the two, call by call.
package enum FilterCompiler {
  /// BPF_MAXINSNS of linux/bpf_common.h.
  package static let maximumLength = 4096

  /// The program for all ABIs of a target. Its length may exceed `maximumLength`; the caller refuses that.
  package static func compile(_ filter: SystemCallFilter, _ target: Target) -> [FilterInstruction] {
    var compiler = FilterBlocks(filter, target)
    return compiler.program()
  }
}

/// SECCOMP_RET_* of linux/seccomp.h.
enum FilterAction {
  static let allow: UInt32 = 0x7fff_0000

  static func value(_ refusal: SystemCallFilter.Refusal) -> UInt32 {
    switch refusal {
    // SECCOMP_RET_ERRNO, and EPERM or ENOSYS of asm-generic/errno.h.
    case .eperm: 0x0005_0000 | 1
    case .enosys: 0x0005_0000 | 38
    case .kill: 0x8000_0000  // SECCOMP_RET_KILL_PROCESS
    case .log: 0x7ffc_0000
    }
  }
}

extension SystemCallABI {
  /// AUDIT_ARCH_* of linux/audit.h. x32 has that of x86_64, and bit 30 in its numbers.
  var auditArchitecture: UInt32 {
    switch self {
    case .x86_64, .x32: 0xc000_003e
    case .i386: 0x4000_0003
    case .aarch64: 0xc000_00b7
    case .arm: 0x4000_0028
    }
  }
}

/// The blocks of the program, from the last to the first.
private struct FilterBlocks {
  typealias Label = FilterBuilder.Label

  private let filter: SystemCallFilter
  private let target: Target
  private let decisions: SystemCallDecisions
  private var builder = FilterBuilder()

  init(_ filter: SystemCallFilter, _ target: Target) {
    self.filter = filter
    self.target = target
    decisions = SystemCallDecisions(filter, kernel: target.kernel)
  }

  // Offsets in `struct seccomp_data` of linux/seccomp.h: nr, arch, instruction_pointer, args[6].
  static let numberOffset: UInt32 = 0
  static let architectureOffset: UInt32 = 4
  static func lowWord(_ argument: Int) -> UInt32 { 16 + 8 * UInt32(argument) }
  static func highWord(_ argument: Int) -> UInt32 { lowWord(argument) + 4 }
  /// __X32_SYSCALL_BIT of asm/unistd.h.
  static let x32Bit: UInt32 = 0x4000_0000

  /// arch → number → arguments. The machine's own ABI is asked first.
  mutating func program() -> [FilterInstruction] {
    // A machine that the policy is not for, and all that has no number here.
    var entry = unknown()
    for architecture in target.architectures.reversed() {
      let abis = architecture.systemCallABIs
      for abi in abis.reversed() where abi != .x32 {
        var steps = steps(of: abi)
        if abi == .x86_64 {
          steps.append(Step(first: Self.x32Bit, decision: .unknown, call: ""))
          steps += self.steps(of: .x32).map { step in
            Step(first: step.first | Self.x32Bit, decision: step.decision, call: step.call)
          }
        }
        let block = numbers(steps, abi)
        entry = builder.branch(FilterInstruction.jumpIfEqual, abi.auditArchitecture, block, entry)
      }
    }
    _ = builder.load(Self.architectureOffset, then: entry)
    return builder.program
  }

  private mutating func permitted() -> Label { builder.ret(FilterAction.allow) }
  private mutating func refused() -> Label { builder.ret(FilterAction.value(filter.onDeny)) }
  private mutating func unknown() -> Label { builder.ret(FilterAction.value(filter.onUnknown)) }

  // MARK: Numbers

  /// From a number on, up to the next step.
  struct Step {
    var first: UInt32
    var decision: SystemCallDecision
    /// Where arguments are asked: the call.
    var call: String
  }

  /// What becomes of each number of an ABI, equal neighbours as one.
  private func steps(of abi: SystemCallABI) -> [Step] {
    let names = SystemCallTable.names(on: abi)
    var steps = [Step(first: 0, decision: .unknown, call: "")]
    func add(_ step: Step) {
      if let last = steps.last, last.first == step.first { steps.removeLast() }
      if let last = steps.last, last.decision == step.decision, last.call == step.call { return }
      steps.append(step)
    }
    for number in names.keys.sorted() {
      let name = names[number] ?? ""
      let decision = decisions.decision(on: name, abi)
      let holdsOthers = abi == .i386 && !SystemCallForms.heldCalls(of: name).isEmpty
      var asksArguments = false
      if case .tested = decision { asksArguments = true }
      add(Step(first: number, decision: decision, call: asksArguments || holdsOthers ? name : ""))
      add(Step(first: number + 1, decision: .unknown, call: ""))
    }
    return steps
  }

  private mutating func numbers(_ steps: [Step], _ abi: SystemCallABI) -> Label {
    let tree = tree(steps[...], abi)
    return builder.load(Self.numberOffset, then: tree)
  }

  /// Binary search: A is the number.
  private mutating func tree(_ steps: ArraySlice<Step>, _ abi: SystemCallABI) -> Label {
    if steps.count == 1 { return leaf(steps[steps.startIndex], abi) }
    let middle = steps.startIndex + steps.count / 2
    let above = tree(steps[middle...], abi)
    let below = tree(steps[..<middle], abi)
    return builder.branch(FilterInstruction.jumpIfAtLeast, steps[middle].first, above, below)
  }

  private mutating func leaf(_ step: Step, _ abi: SystemCallABI) -> Label {
    let held = abi == .i386 ? SystemCallForms.heldCalls(of: step.call) : []
    return held.isEmpty ? ending(step.decision) : heldCalls(held, of: step)
  }

  private mutating func ending(_ decision: SystemCallDecision) -> Label {
    switch decision {
    case .permitted: return permitted()
    case .refused: return refused()
    case .unknown: return unknown()
    case .tested(let refusedIf, let permittedIf):
      let otherwise =
        if let permittedIf { any(permittedIf, permitted(), refused()) } else { permitted() }
      return any(refusedIf, refused(), otherwise)
    }
  }

  /// `socketcall` and `ipc` of i386: the first argument says which call it is, and nothing can be asked of that one's
  /// arguments. A program from before direct calls has no other way in, so what it holds is judged one by one.
  private mutating func heldCalls(_ held: [(number: UInt32, call: String)], of step: Step) -> Label {
    // Denied by its own name.
    if step.decision == .refused, decisions.denies(step.call) { return refused() }
    var label = ending(step.decision)
    let mask = SystemCallForms.heldCallMask(of: step.call)
    var isTested = false
    for (number, call) in held.reversed() {
      let end: Label
      switch decisions.decision(on: call, nil) {
      case .permitted where filter.deniesByDefault: end = permitted()
      case .refused where decisions.denies(call): end = refused()
      case .tested: end = refused()
      case .permitted, .refused, .unknown: continue
      }
      label = builder.branch(FilterInstruction.jumpIfEqual, number, end, label)
      isTested = true
    }
    guard isTested else { return label }
    if mask != 0xffff_ffff { label = builder.and(mask, then: label) }
    return builder.load(Self.lowWord(0), then: label)
  }

  // MARK: Arguments

  private mutating func any(
    _ alternatives: SystemCallDecision.Alternatives, _ ifTrue: Label, _ ifFalse: Label
  ) -> Label {
    alternatives.reversed().reduce(ifFalse) { otherwise, conditions in
      conditions.reversed().reduce(ifTrue) { next, condition in test(condition, next, otherwise) }
    }
  }

  private mutating func test(
    _ condition: SystemCallFilter.Condition, _ ifTrue: Label, _ ifFalse: Label
  ) -> Label {
    let (fits, fails) = condition.isNegated ? (ifFalse, ifTrue) : (ifTrue, ifFalse)
    var label = fails
    var ranges: [ClosedRange<UInt64>] = []
    for value in condition.values.reversed() {
      switch value {
      case .range(let range) where condition.isLong: label = longRange(range, condition.argument, fits, label)
      case .range(let range): ranges.append(range)
      case .bits(let bits, let mask):
        let low = word(bits, mask, Self.lowWord(condition.argument), fits, label)
        label =
          condition.isLong
          ? word(bits >> 32, mask >> 32, Self.highWord(condition.argument), low, label) : low
      }
    }
    guard !ranges.isEmpty else { return label }
    // One load for all: they leave A as it is.
    for range in ranges { label = wordRange(range, fits, label) }
    return builder.load(Self.lowWord(condition.argument), then: label)
  }

  private mutating func word(
    _ bits: UInt64, _ mask: UInt64, _ offset: UInt32, _ ifTrue: Label, _ ifFalse: Label
  ) -> Label {
    let mask = UInt32(truncatingIfNeeded: mask)
    guard mask != 0 else { return ifTrue }
    let compare = builder.branch(
      FilterInstruction.jumpIfEqual, UInt32(truncatingIfNeeded: bits), ifTrue, ifFalse)
    let masked = mask == 0xffff_ffff ? compare : builder.and(mask, then: compare)
    return builder.load(offset, then: masked)
  }

  /// A is the word.
  private mutating func wordRange(
    _ range: ClosedRange<UInt64>, _ ifTrue: Label, _ ifFalse: Label
  ) -> Label {
    let first = UInt32(truncatingIfNeeded: range.lowerBound)
    let last = UInt32(truncatingIfNeeded: range.upperBound)
    if first == last { return builder.branch(FilterInstruction.jumpIfEqual, first, ifTrue, ifFalse) }
    let compare = builder.branch(FilterInstruction.jumpIfGreater, last, ifFalse, ifTrue)
    return first == 0
      ? compare : builder.branch(FilterInstruction.jumpIfAtLeast, first, compare, ifFalse)
  }

  /// Not below the first and not above the last, each by its high word and, where those are equal, its low one.
  private mutating func longRange(
    _ range: ClosedRange<UInt64>, _ argument: Int, _ ifTrue: Label, _ ifFalse: Label
  ) -> Label {
    func halves(_ number: UInt64) -> (high: UInt32, low: UInt32) {
      (UInt32(truncatingIfNeeded: number >> 32), UInt32(truncatingIfNeeded: number))
    }
    let (first, last) = (halves(range.lowerBound), halves(range.upperBound))
    let lastLow = builder.branch(FilterInstruction.jumpIfGreater, last.low, ifFalse, ifTrue)
    let lastLowLoaded = builder.load(Self.lowWord(argument), then: lastLow)
    let lastEqual = builder.branch(FilterInstruction.jumpIfEqual, last.high, lastLowLoaded, ifTrue)
    let lastHigh = builder.branch(FilterInstruction.jumpIfGreater, last.high, ifFalse, lastEqual)
    let belowLast = builder.load(Self.highWord(argument), then: lastHigh)
    guard range.lowerBound > 0 else { return belowLast }
    let firstLow = builder.branch(FilterInstruction.jumpIfAtLeast, first.low, belowLast, ifFalse)
    let firstLowLoaded = builder.load(Self.lowWord(argument), then: firstLow)
    let firstEqual = builder.branch(FilterInstruction.jumpIfEqual, first.high, firstLowLoaded, ifFalse)
    let firstHigh = builder.branch(FilterInstruction.jumpIfGreater, first.high, belowLast, firstEqual)
    return builder.load(Self.highWord(argument), then: firstHigh)
  }
}
