import BundleFormat
import SHA2
import Testing

@Suite struct BundleFormatTests {
  let bytes = SampleBundle.contents.encoded()

  @Test func contentsComeBackWhole() throws {
    #expect(try BundleContents.read(bytes) == SampleBundle.contents)
  }

  @Test func everySectionMayBeEmpty() throws {
    let contents = BundleContents(
      policyName: Array("empty".utf8), policyDigest: [UInt8](repeating: 0, count: 32),
      minimumKernel: KernelRelease(major: 6, minor: 1))
    #expect(try BundleContents.read(contents.encoded()) == contents)
  }

  /// The header as docs/bundle-format.md draws it.
  @Test func headerLayout() {
    #expect(Array(bytes[0..<8]) == [0x89] + Array("LKD\r\n\u{1a}\n".utf8))
    #expect(
      Array(bytes[8..<16]) == [1, 0, 1, 11, 0, 0, 15, 0], "version, byte order, flags, architecture, sections"
    )
    #expect(Array(bytes[16..<24]) == SampleBundle.littleEndian(UInt64(bytes.count)))
    #expect(Array(bytes[24..<32]) == [5, 0, 10, 0, 0, 0, 0, 0])
    #expect(Array(bytes[32..<64]) == SampleBundle.contents.policyDigest)
    #expect(Array(bytes[64..<96]) == Self.checksum(bytes))
    #expect(
      Array(bytes[96..<120]) == [1, 0, 0, 0, 1, 0, 0, 0, 0xc8, 1, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0])
  }

  @Test func messagesLieOneBehindTheOther() throws {
    let reader = try BundleReader(bytes)
    #expect(Array(reader.bytes[reader.messageBytes]) == SampleBundle.messages.flatMap(\.bytes))
    #expect(reader.messages.map(\.kind) == SampleBundle.messages.map(\.kind))
    let names = reader.messages.map { String(decoding: reader.bytes[$0.name], as: UTF8.self) }
    #expect(
      names == [
        "lockdown", "input", "replies", "policy_digest", "admin_4", "admin_4", "__set%d", "__set%d", "input",
      ])
    #expect(reader.messages.map(\.source) == [0, 0, 0, 0, 0, 0, 1, 1, 2])
  }

  /// What the kernel would refuse is refused before anything is changed.
  @Test(arguments: [
    [],  // no instruction
    [0x06, 0, 0, 0, 0, 0, 0],  // not whole
    [0x20, 0, 0, 0, 0, 0, 0, 0],  // no end
    [0x20, 0, 0, 0, 2, 0, 0, 0, 0x06, 0, 0, 0, 0, 0, 0, 0],  // not aligned
    [0x20, 0, 0, 0, 64, 0, 0, 0, 0x06, 0, 0, 0, 0, 0, 0, 0],  // behind the data
    [0x15, 0, 1, 0, 0, 0, 0, 0, 0x06, 0, 0, 0, 0, 0, 0, 0],  // out of the program, if true
    [0x35, 0, 0, 1, 0, 0, 0, 0, 0x06, 0, 0, 0, 0, 0, 0, 0],  // if false
    [0x05, 0, 0, 0, 1, 0, 0, 0, 0x06, 0, 0, 0, 0, 0, 0, 0],
    [0x05, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x06, 0, 0, 0, 0, 0, 0, 0],
    [0x06, 0, 0, 0, 0, 0, 0, 0, 0x54, 0, 0, 0, 0, 0, 0, 0],  // the last one goes on
    [0x16, 0, 0, 0, 0, 0, 0, 0],  // another code
    [0x28, 0, 0, 0, 0, 0, 0, 0, 0x06, 0, 0, 0, 0, 0, 0, 0],  // half a word
  ]) func badFilters(program: [UInt8]) throws {
    var contents = SampleBundle.contents
    contents.systemCalls = BundleFilter(scope: .everyProcess, flags: 4, program: program)
    let bytes = contents.encoded()
    let error = #expect(throws: BundleError.self) { try BundleReader(bytes) }
    #expect(error?.section == .systemCalls)
    #expect(error?.reason == .badFilter)
  }

  @Test func filtersHaveALimitAndKnownFlags() throws {
    var contents = SampleBundle.contents
    let end: [UInt8] = [0x06, 0, 0, 0, 0, 0, 0, 0]
    contents.systemCalls = BundleFilter(
      scope: .everyProcess, flags: 0, program: Array(repeatElement(end, count: 4096).joined()))
    #expect(try BundleContents.read(contents.encoded()) == contents)
    contents.systemCalls?.program += end
    #expect(throws: BundleError.self) { try BundleReader(contents.encoded()) }
    contents.systemCalls = BundleFilter(scope: .everyProcess, flags: 5, program: end)
    #expect(throws: BundleError.self) { try BundleReader(contents.encoded()) }
  }

  /// Levels and modules in their order, each switch once, and names that can be names.
  @Test func kernelItemsAreChecked() throws {
    func reason(_ items: [(BundleKernelItem.Kind, String)], source: UInt32 = 0) -> BundleError.Reason? {
      var contents = SampleBundle.contents
      contents.kernel = items.map { BundleKernelItem(kind: $0.0, source: source, text: Array($0.1.utf8)) }
      let bytes = contents.encoded()
      do { _ = try BundleReader(bytes) } catch { return error.section == .kernel ? error.reason : nil }
      return nil
    }
    #expect(reason([(.lockdown, "confidentiality"), (.denyModules, ""), (.denyCompressed, "")]) == nil)
    #expect(reason([(.deniedModule, "snd_*"), (.deniedModule, "a?"), (.allowedModule, "x")]) == nil)
    #expect(reason([(.lockdown, "none")]) == .badName)
    #expect(reason([(.lockdown, "")]) == .badName)
    #expect(reason([(.sealAfterBoot, "x")]) == .badName)
    #expect(reason([(.sealAfterBoot, ""), (.sealAfterBoot, "")]) == .badValue)
    #expect(reason([(.denyModules, ""), (.sealAfterBoot, "")]) == .badValue)
    #expect(reason([(.allowedModule, "x"), (.deniedModule, "y")]) == .badValue)
    #expect(reason([(.deniedModule, "")]) == .badName)
    #expect(reason([(.deniedModule, "a/b")]) == .badName)
    #expect(reason([(.deniedModule, String(repeating: "a", count: 56))]) == .badName)
    #expect(reason([(.requiredModule, "nf_*")]) == .badName)
    #expect(reason([(.deniedModule, "a")], source: 9) == .unknownSource)
  }

  /// Whole instructions for a hook with a name, and relocations of instructions that are there, in order and once.
  @Test func programsAreChecked() throws {
    func reason(_ change: (inout BundleContents) -> Void) -> BundleError.Reason? {
      var contents = SampleBundle.contents
      change(&contents)
      let bytes = contents.encoded()
      do { _ = try BundleReader(bytes) } catch { return error.reason }
      return nil
    }
    let exit: [UInt8] = [0x95, 0, 0, 0, 0, 0, 0, 0]
    #expect(reason { $0.programs[1].instructions = exit + exit } == nil)
    #expect(reason { $0.programs[1].instructions = [UInt8](repeating: 0, count: 131_072) } == nil)
    #expect(reason { $0.programs[1].instructions = [UInt8](repeating: 0, count: 131_080) } == .badProgram)
    #expect(reason { $0.programs[1].instructions.removeLast() } == .badProgram)
    #expect(reason { $0.programs[0].hook = Array("../x".utf8) } == .badName)
    #expect(reason { $0.programs[0].hook = [] } == .badText)
    #expect(reason { $0.programs.removeLast() } == .badValue)
    #expect(reason { $0.relocations[0].instruction = 2 } == .badValue)
    #expect(reason { $0.relocations[0].program = 0 } == .badValue)
    #expect(reason { $0.relocations[0].text = [] } == .badValue)
    #expect(reason { $0.relocations[1].text = [0x61] } == .badValue)
    #expect(reason { $0.relocations.reverse() } == .badValue)
    #expect(reason { $0.relocations.append($0.relocations[1]) } == .badValue)
  }

  /// A late item holds one base chain of our table and rules that lead from it, and nothing else.
  @Test func lateItemsAreChecked() throws {
    func error(_ change: (inout BundleLateItem) -> Void) -> BundleError? {
      var contents = SampleBundle.contents
      change(&contents.late[0])
      let bytes = contents.encoded()
      return #expect(throws: BundleError.self) { try BundleReader(bytes) }
    }
    #expect(error { $0.messages = [] }?.reason == .countMismatch)
    #expect(error { $0.messages.removeLast() }?.reason == .countMismatch)
    #expect(error { $0.messages.removeFirst() }?.reason == .badMessageType)
    #expect(error { $0.messages.reverse() }?.reason == .badMessageType)
    #expect(error { $0.messages.insert(SampleBundle.messages[2], at: 0) }?.reason == .kindMismatch)
    #expect(error { $0.messages.append(SampleBundle.messages[0]) }?.reason == .badMessageType)
    #expect(error { $0.source = 9 }?.reason == .unknownSource)
    #expect(error { $0.source = 9 }?.section == .late)
    #expect(error { $0.name = [] } != nil)
    #expect(error { $0.name = [0x65, 0x0a] } != nil)
  }

  /// One of a control group holds one element of our table, whose key is still to come.
  @Test func lateElementsAreChecked() throws {
    func error(_ change: (inout BundleLateItem) -> Void) -> BundleError? {
      var contents = SampleBundle.contents
      change(&contents.late[1])
      let bytes = contents.encoded()
      return #expect(throws: BundleError.self) { try BundleReader(bytes) }
    }
    let good = SampleBundle.elementMessage(key: [UInt8](repeating: 0, count: 8))
    #expect(error { $0.messages = [] }?.reason == .countMismatch)
    #expect(error { $0.messages = [good, good] }?.reason == .badMessageType)
    #expect(error { $0.messages.append(SampleBundle.deviceMessages[1]) }?.reason == .countMismatch)
    #expect(error { $0.messages = SampleBundle.deviceMessages }?.reason == .badMessageType)
    for key in [[0, 0, 0, 0, 0, 0, 0, 1], [0, 0, 0, 0], [UInt8](repeating: 0, count: 12)] as [[UInt8]] {
      #expect(error { $0.messages = [SampleBundle.elementMessage(key: key)] }?.reason == .badValue)
    }
    // NFTA_SET_ELEM_FLAGS behind the key.
    let flags: [UInt8] = [8, 0, 3, 0, 0, 0, 0, 1]
    #expect(
      error { $0.messages = [SampleBundle.elementMessage(key: good.bytes.suffix(8), extra: flags)] }?.reason
        == .badValue)
    for path in ["", "/a", "a/", "a//b", "a/../b", "."] {
      #expect(error { $0.name = Array(path.utf8) } != nil, "\(path)")
    }
  }

  /// Its messages are checked like the policy's, and are about its table alone.
  @Test func theClosedStageIsChecked() throws {
    func error(_ change: (inout [BundleMessage]) -> Void) -> BundleError? {
      var contents = SampleBundle.contents
      change(&contents.closed)
      let bytes = contents.encoded()
      return #expect(throws: BundleError.self) { try BundleReader(bytes) }
    }
    #expect(error { $0 = SampleBundle.messages }?.reason == .foreignTable)
    #expect(error { $0[1] = SampleBundle.messages[1] }?.reason == .foreignTable)
    #expect(error { $0[1] = SampleBundle.messages[1] }?.section == .closedMessages)
    #expect(error { $0.removeFirst() }?.reason == .badMessageOrder)
    #expect(
      error { $0[0] = SampleBundle.message(.table, 0, 0x401, 0, SampleBundle.string(1, "lockdown-close")) }?
        .reason == .foreignTable)
    #expect(
      error { $0[0] = SampleBundle.message(.table, 2, 0x401, 0, SampleBundle.string(1, "lockdown-closed")) }?
        .reason == .badMessageType)
    // And the other way round.
    var contents = SampleBundle.contents
    contents.messages = SampleBundle.closed
    #expect(throws: BundleError.self) { try BundleReader(contents.encoded()) }
  }

  /// What an initramfs carries: the stage as it is, and of the sources those of its messages.
  @Test func theClosedStageAlone() throws {
    let alone = SampleBundle.contents.closedStage
    #expect(try BundleContents.read(alone.encoded()) == alone)
    #expect(alone.isClosedStageAlone && !SampleBundle.contents.isClosedStageAlone)
    #expect(alone.sources == [SampleBundle.contents.sources[1]])
    #expect(alone.closed.dropLast() == SampleBundle.closed.dropLast())
    // nlmsg_seq.
    #expect(alone.closed.last?.bytes[8] == 1 && SampleBundle.closed.last?.bytes[8] == 2)
    #expect(
      alone.hasNetworkRoot && alone.haltsOnFailure && alone.policyDigest == SampleBundle.contents.policyDigest
    )
    #expect(alone.messages.isEmpty && alone.sysctls.isEmpty && alone.late.isEmpty && alone.sourceMap.isEmpty)
  }

  @Test func everyTruncationIsRefused() {
    for count in 0..<bytes.count {
      #expect(throws: BundleError.self, "\(count) bytes") { try BundleReader(Array(bytes.prefix(count))) }
    }
  }

  @Test func trailingBytesAreRefused() {
    #expect(throws: BundleError(.header, at: 16, .trailingBytes)) { try BundleReader(bytes + [0]) }
  }

  @Test func everyChangedByteIsRefused() {
    for index in bytes.indices {
      for change: UInt8 in [0x01, 0x80, 0xff] {
        var damaged = bytes
        damaged[index] ^= change
        #expect(throws: BundleError.self, "byte \(index) ^ \(change)") { try BundleReader(damaged) }
      }
    }
  }

  /// With the checksum made right again only the structure is left to judge by: a changed byte is refused,
  /// or it is part of a value, and then that value encodes to these very bytes.
  @Test func everyChangedBitUnderARightChecksumIsRefusedOrIsAValue() {
    var refused = 0
    var read = 0
    for index in bytes.indices where !(64..<96).contains(index) {
      for bit in 0..<8 {
        var damaged = bytes
        damaged[index] ^= 1 << UInt8(bit)
        Self.seal(&damaged)
        do {
          #expect(try BundleContents.read(damaged).encoded() == damaged, "byte \(index) bit \(bit)")
          read += 1
        } catch { refused += 1 }
      }
    }
    #expect(refused > 2000 && read > 1000, "\(refused) refused, \(read) read")
  }

  /// Spans of random bytes, under a right checksum.
  @Test func randomDamageNeverTraps() {
    var random = Generator(state: 0x5eed)
    for _ in 0..<4000 {
      var damaged = bytes
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        let start = Int.random(in: 8..<damaged.count, using: &random)
        let end = min(damaged.count, start + Int.random(in: 1...8, using: &random))
        for index in start..<end { damaged[index] = UInt8.random(in: 0...255, using: &random) }
      }
      Self.seal(&damaged)
      if let contents = try? BundleContents.read(damaged) { #expect(contents.encoded() == damaged) }
    }
  }

  static func checksum(_ bytes: [UInt8]) -> [UInt8] {
    SHA256.hash(bytes[..<64] + [UInt8](repeating: 0, count: 32) + bytes[96...])
  }

  static func seal(_ bytes: inout [UInt8]) {
    bytes.replaceSubrange(64..<96, with: checksum(bytes))
  }

  /// SplitMix64: the same damage in every run.
  struct Generator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
      state &+= 0x9e37_79b9_7f4a_7c15
      var value = state
      value = (value ^ value >> 30) &* 0xbf58_476d_1ce4_e5b9
      value = (value ^ value >> 27) &* 0x94d0_49bb_1331_11eb
      return value ^ value >> 31
    }
  }
}
