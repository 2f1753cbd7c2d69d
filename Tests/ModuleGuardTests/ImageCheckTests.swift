import Diagnostics
import ModuleGuard
import PolicyModel
import Testing

/// What the check of modules says of images, over a machine of our own; that the kernel takes it and agrees is shown in
/// Tests/vm/test_modules.py.
@Suite struct ImageCheckTests {
  private static func patterns(_ names: [String]) -> [ModulePattern] {
    names.map { ModulePattern($0, span: SourceSpan(SourceID(0), 0, 0)) }
  }

  private static func policy(
    deny: [String] = [], allow: [String]? = nil, compressed: Bool = false
  ) -> ModulePolicy {
    var policy = ModulePolicy()
    policy.denied = patterns(deny)
    policy.allowed = patterns(allow ?? [])
    policy.deniesByDefault = allow != nil
    policy.deniesCompressed = compressed
    return policy
  }

  /// Whether both hooks let an image pass; they must agree.
  private static func passes(_ image: [UInt8], _ policy: ModulePolicy, purpose: UInt64 = 2) throws -> Bool {
    var results: [Int64] = []
    for program in ImageCheck(policy).programs {
      let (start, size) = (BPFMachine.imageStart, UInt64(image.count))
      // The upper half of an argument of 32 bits is anything.
      let reason = purpose | 0xabcd_0000_0000
      let arguments =
        program.hook == "kernel_post_read_file" ? [7, start, size, reason] : [start, size, reason, 7]
      var machine = BPFMachine(program, arguments: arguments, image: image)
      results.append(try machine.run())
    }
    try #require(results.count == 2 && results[0] == results[1] && (results[0] == 0 || results[0] == -1))
    return results[0] == 0
  }

  @Test(
    arguments: [
      ("sctp", "sctp", false), ("sctp", "sctp_diag", true), ("sctp_diag", "sctp", true),
      ("sctp", "SCTP", true),
      ("usb_storage", "usb-storage", false), ("usb_storage", "usb_storage", false), ("a", "a", false),
      ("a", "b", true), ("exactly8", "exactly8", false), ("exactly8", "exactly8x", true),
      ("snd_*", "snd_pcm", false), ("snd_*", "snd_", false), ("snd_*", "snd", true),
      ("*_diag", "sctp-diag", false),
      ("*_diag", "_diag", false), ("*_diag", "diag", true), ("*_diag", "sctp_diag2", true),
      ("nf*log", "nf_log", false), ("nf*log", "nflog", false), ("ab*ba", "aba", true),
      ("ab*ba", "abba", false),
      ("c?n", "can", false), ("c?n", "cn", true), ("c?n", "caan", true), ("ca?", "ca", true),
      ("*", "x", false),
      ("????????????", "twelve_bytes", false), ("????????????", "eleven_byte", true),
    ] as [(String, String, Bool)]) func names(pattern: String, name: String, isAllowed: Bool) throws
  {
    #expect(try Self.passes(ModuleImage(name).bytes, Self.policy(deny: ["other", pattern])) == isAllowed)
    // The other way round where everything else is denied.
    #expect(try Self.passes(ModuleImage(name).bytes, Self.policy(allow: ["other", pattern])) != isAllowed)
  }

  @Test func longestNames() throws {
    let name = String(repeating: "abcdefg_", count: 6) + "1234567"
    #expect(name.utf8.count == 55)
    #expect(try !Self.passes(ModuleImage(name).bytes, Self.policy(deny: [name])))
    #expect(try !Self.passes(ModuleImage(name).bytes, Self.policy(deny: ["*4567"])))
    #expect(try Self.passes(ModuleImage(String(name.dropLast())).bytes, Self.policy(deny: [name])))
  }

  /// Bytes behind a name's end are no part of it.
  @Test func nameEndsAtItsZero() throws {
    var image = ModuleImage("sctp")
    image.behindName = Array("garbage".utf8)
    #expect(try !Self.passes(image.bytes, Self.policy(deny: ["sctp"])))
    #expect(try !Self.passes(image.bytes, Self.policy(deny: ["sct*p"])))
    #expect(try Self.passes(image.bytes, Self.policy(deny: ["*garbage"])))
  }

  @Test func otherPurposesAreLeftAlone() throws {
    let policy = Self.policy(deny: ["sctp"], allow: [])
    #expect(try Self.passes(Array("firmware".utf8), policy, purpose: 1))
    #expect(try !Self.passes(Array("firmware".utf8), policy, purpose: 2))
  }

  /// As the kernel looks: the first section of that name that is allocated.
  @Test func sections() throws {
    let policy = Self.policy(deny: ["sctp"])
    var decoy = ModuleImage("sctp")
    decoy.decoy = "harmless"
    #expect(try !Self.passes(decoy.bytes, policy))
    var many = ModuleImage("fine")
    many.sectionCount = 256
    #expect(try Self.passes(many.bytes, policy))
    many.sectionCount = 257
    #expect(try !Self.passes(many.bytes, policy))
    var none = ModuleImage("fine")
    none.sectionName = ".gnu.linkonce.this_modul"
    #expect(try !Self.passes(none.bytes, policy))
    none.sectionName = ".gnu.linkonce.this_module2"
    #expect(try !Self.passes(none.bytes, policy))
    var narrow = ModuleImage("fine")
    narrow.elfClass = 1
    #expect(try !Self.passes(narrow.bytes, policy))
  }

  /// Every prefix of an image is refused, and no change of a byte of its headers leads out of it.
  @Test func damagedImages() throws {
    let policy = Self.policy(deny: ["sctp"])
    let image = ModuleImage("sctp").bytes
    for length in 0..<image.count { #expect(try !Self.passes(Array(image[..<length]), policy)) }
    var whole = image
    let table = image.count - 5 * 64
    for index in Array(0..<64) + Array(table..<image.count) {
      for value in [0, 0x80, 0xff] as [UInt8] {
        whole[index] = value
        _ = try Self.passes(whole, policy)
      }
      whole[index] = image[index]
    }
  }

  @Test(
    arguments: [[0x1f, 0x8b], [0x28, 0xb5, 0x2f, 0xfd], [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]] as [[UInt8]])
  func compressedImages(magic: [UInt8]) throws {
    let image = magic + [UInt8](repeating: 7, count: 80)
    #expect(try Self.passes(image, Self.policy(deny: ["sctp"])))
    #expect(try !Self.passes(image, Self.policy(deny: ["sctp"], compressed: true)))
    #expect(try !Self.passes(image, Self.policy(compressed: true)))
    let other = [magic[0] ^ 1] + image.dropFirst()
    #expect(try !Self.passes(other, Self.policy(deny: ["sctp"])))
  }

  @Test func whatIsNotHeld() throws {
    #expect(ImageCheck(Self.policy()).programs.isEmpty)
    #expect(ImageCheck(Self.policy(deny: ["a*b*c"])).programs.isEmpty)
    #expect(ImageCheck(Self.policy(allow: ["a*b*c"])).programs.isEmpty)
    #expect(ImageCheck(Self.policy(deny: ["a*b*c", "x"])).programs.count == 2)
    let many = (0..<4_000).map { "a_rather_long_name_\($0)" }
    #expect(ImageCheck(Self.policy(deny: many)).programs.isEmpty)
    #expect(try !Self.passes(ModuleImage(many[800]).bytes, Self.policy(deny: Array(many[..<900]))))
  }

  /// Each jump ends inside, each relocation is of an instruction that takes it, and the programs that keep the others
  /// in place are for the seal.
  @Test func shape() {
    for program in ImageCheck(Self.policy(deny: ["a*b"])).programs + PinGuard.programs {
      let last = program.instructions.count
      for (index, instruction) in program.instructions.enumerated() {
        // BPF_JMP and BPF_JMP32; calls and ends are of the first, too.
        let isJump = [5, 6].contains(instruction.code & 0x07) && ![0x85, 0x95].contains(instruction.code)
        guard isJump else { continue }
        #expect((0..<last).contains(index + 1 + Int(instruction.offset)))
      }
      #expect(program.relocations.allSatisfy { (0..<last).contains($0.instruction) })
      #expect(program.instructions.allSatisfy { $0.destination <= 10 && $0.source <= 10 })
    }
    #expect(PinGuard.programs.allSatisfy { $0.stage == .seal })
    #expect(
      PinGuard.programs.map(\.hook) == [
        "inode_unlink", "inode_rmdir", "inode_rename", "sb_umount", "move_mount", "sb_mount",
      ])
  }
}
