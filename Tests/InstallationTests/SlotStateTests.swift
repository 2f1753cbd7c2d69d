import Installation
import Testing

/// The slots, step by step, and as a machine that must never end without a slot to boot with.
struct SlotStateTests {
  private static func name(_ digit: Character) -> SlotState.Name {
    Array(String(repeating: digit, count: 64).utf8)
  }

  private let a = name("a")
  private let b = name("b")
  private let c = name("c")

  private static func boot(_ number: Int) -> [UInt8] {
    let digits = String(number, radix: 16)
    return Array("00000000-0000-4000-8000-".utf8)
      + Array(String(repeating: "0", count: 12 - digits.count).utf8)
      + Array(digits.utf8)
  }

  /// `#expect` takes no call that changes its subject.
  private func expect(_ holds: Bool, _ location: SourceLocation = #_sourceLocation) {
    #expect(holds, sourceLocation: location)
  }

  private func installed() -> SlotState {
    var state = SlotState()
    state.install(a)
    return state
  }

  @Test func aHealthyBootActivates() {
    var state = installed()
    expect(state.beginBoot(Self.boot(1)) == .current)
    expect(state.stage(b))
    expect(state.beginBoot(Self.boot(2)) == .next)
    // A second look in the same boot counts nothing.
    expect(state.beginBoot(Self.boot(2)) == .next)
    #expect(state.attempts == 1)
    expect(state.reachHealth(Self.boot(2)))
    #expect((state.current, state.previous) == (b, a))
    #expect(state.next.isEmpty && state.trial.isEmpty)
    expect(state.beginBoot(Self.boot(3)) == .current)
  }

  @Test func theMarkOfAnotherBootActivatesNothing() {
    var state = installed()
    _ = state.stage(b)
    let untried = state
    expect(!state.reachHealth(Self.boot(1)))
    #expect(state == untried)
    _ = state.beginBoot(Self.boot(2))
    expect(!state.reachHealth(Self.boot(3)))
    #expect(state.current == a)
  }

  @Test(arguments: UInt8(1)...SlotState.maximumLimit)
  func bootsWithoutTheMarkAreCounted(limit: UInt8) {
    var state = installed()
    _ = state.stage(b, limit: limit)
    for number in 1...Int(limit) { expect(state.beginBoot(Self.boot(number)) == .next) }
    expect(state.beginBoot(Self.boot(100)) == .currentAfterGivingUp)
    #expect((state.current, state.next, state.failed) == (a, [], b))
    expect(state.beginBoot(Self.boot(101)) == .current)
  }

  @Test func whatIsRefusedIsNotTriedAgain() {
    var state = installed()
    _ = state.stage(b)
    _ = state.beginBoot(Self.boot(1))
    state.giveUp()
    expect(state.beginBoot(Self.boot(1)) == .current)
    #expect(state.failed == b)
    // Staged once more, it has all its boots again.
    _ = state.stage(b)
    #expect(state.failed.isEmpty && state.attempts == 0)
  }

  @Test func rollback() {
    var state = installed()
    expect(state.rollBack() == .nothingToGoBackTo)
    _ = state.stage(b)
    expect(state.rollBack() == .unstaged(b))
    #expect(state == installed())
    _ = state.stage(b)
    _ = state.beginBoot(Self.boot(1))
    _ = state.reachHealth(Self.boot(1))
    _ = state.stage(c)
    expect(state.rollBack() == .unstaged(c))
    expect(state.rollBack() == .wentBack(to: a))
    #expect(state.previous == b)
    expect(state.rollBack() == .wentBack(to: b))
  }

  @Test func theCurrentOneIsNotStaged() {
    var state = installed()
    _ = state.stage(b)
    expect(!state.stage(a))
    #expect(state.next.isEmpty)
  }

  /// Every sequence of six events: there is always a slot to boot with, every state is read back as it was written,
  /// and what failed never becomes current without having been staged again.
  @Test func everySequence() {
    enum Event: CaseIterable { case stageB, stageC, boot, refused, healthy, rollback }
    func step(_ state: SlotState, _ depth: Int, _ number: Int) {
      #expect(SlotState(state.text) == state)
      #expect(!state.current.isEmpty)
      #expect(
        state.names.count == Set(state.names.map { String(decoding: $0, as: UTF8.self) }).count
          || state.next == state.previous)
      guard depth > 0 else { return }
      for event in Event.allCases {
        var changed = state
        var now = number
        switch event {
        case .stageB: _ = changed.stage(b, limit: 1)
        case .stageC: _ = changed.stage(c)
        case .boot:
          now += 1
          expect(changed.beginBoot(Self.boot(now)) != .nothing)
        case .refused: if !changed.next.isEmpty, !changed.trial.isEmpty { changed.giveUp() }
        case .healthy:
          let (failed, before) = (changed.failed, changed.current)
          if changed.reachHealth(Self.boot(now)) {
            #expect(changed.current != failed)
            #expect(changed.previous == before)
          }
        case .rollback: _ = changed.rollBack()
        }
        step(changed, depth - 1, now)
      }
    }
    step(installed(), 6, 0)
  }

  // MARK: The file

  private static func full() -> SlotState {
    var state = SlotState()
    state.install(name("a"))
    _ = state.stage(name("b"))
    _ = state.beginBoot(boot(1))
    _ = state.reachHealth(boot(1))
    _ = state.stage(name("c"), limit: 1)
    _ = state.beginBoot(boot(2))
    _ = state.beginBoot(boot(3))
    _ = state.stage(name("d"), limit: 3)
    _ = state.beginBoot(boot(4))
    return state
  }

  @Test func text() {
    let text = String(decoding: Self.full().text, as: UTF8.self)
    #expect(
      text == """
        lockdown-slots 1
        current \(String(repeating: "b", count: 64))
        previous \(String(repeating: "a", count: 64))
        failed \(String(repeating: "c", count: 64))
        next \(String(repeating: "d", count: 64))
        attempts 1 3
        trial 00000000-0000-4000-8000-000000000004

        """)
  }

  /// Every prefix, and every byte replaced by another: refused, or another state that is written just so.
  @Test func damage() {
    let text = Self.full().text
    for end in 0..<text.count {
      if let state = SlotState(Array(text[..<end])) { #expect(state.text == Array(text[..<end])) }
    }
    for index in text.indices {
      for byte: UInt8 in [0, 0x0a, 0x20, 0x30, 0x61, 0x7a, 0xff] {
        var damaged = text
        damaged[index] = byte
        if let state = SlotState(damaged) { #expect(state.text == damaged) }
      }
    }
    #expect(SlotState([]) == nil)
    #expect(SlotState(text + text) == nil)
    #expect(SlotState(text + [0x0a]) == nil)
  }
}
