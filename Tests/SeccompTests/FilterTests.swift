import Diagnostics
import PolicyChecker
import PolicyModel
import PolicySamples
import Testing

@testable import Seccomp

/// Programs, judged call by call by an interpreter of our own and by libseccomp.
@Suite struct FilterTests {
  static let allow: UInt32 = 0x7fff_0000
  static let eperm: UInt32 = 0x0005_0001
  static let enosys: UInt32 = 0x0005_0026
  static let kill: UInt32 = 0x8000_0000
  static let log: UInt32 = 0x7ffc_0000

  struct Compiled {
    var filter: SystemCallFilter
    var target: Target
    var program: ClassicBPF

    func action(_ number: UInt32, _ architecture: UInt32, _ arguments: UInt64...) throws -> UInt32 {
      let padded = arguments + [UInt64](repeating: 0, count: 6 - arguments.count)
      return try program.run(.init(number: number, architecture: architecture, arguments: padded)).action
    }

    /// By name, with libseccomp's number.
    func action(_ name: String, on abi: SystemCallABI = .x86_64, _ arguments: UInt64...) throws -> UInt32 {
      let number = Library.number(name, on: abi)
      try #require(number >= 0, "\(name)")
      let padded = arguments + [UInt64](repeating: 0, count: 6 - arguments.count)
      return try program.run(
        .init(
          number: UInt32(number), architecture: Library.auditArchitecture(abi), arguments: padded)
      ).action
    }
  }

  static func compile(
    _ body: String, kernel: String = "6.1", architectures: String = "[x86_64, aarch64]"
  ) throws -> Compiled {
    var files = SourceFiles()
    let text = """
      policy: test
      language: 1
      target: { kernel: "\(kernel)", architectures: \(architectures) }
      modules: { default: deny }
      syscalls:
      \(body.split(separator: "\n").map { "  \($0)\n" }.joined())
      """
    let file = files.add(path: "policy.cos", bytes: Array(text.utf8))
    var list = DiagnosticList()
    let policy = PolicyChecker.check(file, in: &files, reader: SourceDictionary(), diagnostics: &list)
    let rendered = PlainRenderer(files: files).render(list.all)
    let checked = try #require(policy.flatMap { list.hasErrors ? nil : $0 }, "\(rendered)")
    let filter = try #require(checked.systemCalls)
    let program = FilterCompiler.compile(filter, checked.target)
    return Compiled(filter: filter, target: checked.target, program: try ClassicBPF(program))
  }

  /// Every number a call can have, those around them, and numbers that wrap.
  static let numbers: [UInt32] =
    Array(0..<0x600) + Array(0x000e_fff0..<0x000f_0010) + Array(0x3fff_ff00..<0x4000_0600)
    + [0x7fff_ffff, 0x8000_0000, 0xbfff_ffff, 0xc000_0000, 0xffff_fffe, 0xffff_ffff]

  /// The ABI a number belongs to.
  static func abi(_ machine: SystemCallABI, _ number: UInt32) -> SystemCallABI {
    machine == .x86_64 && number >= 0x4000_0000 ? .x32 : machine
  }

  /// Of all calls libseccomp knows, those newer than the kernel, by what the kernel's own headers say.
  static func isNewer(_ number: UInt32, than kernel: KernelVersion) -> Bool {
    let since: [(UInt32, KernelVersion)] = [
      (441, KernelVersion(5, 11)), (442, KernelVersion(5, 12)), (443, KernelVersion(5, 14)),
      (444, KernelVersion(5, 13)), (447, KernelVersion(5, 14)), (448, KernelVersion(5, 15)),
      (449, KernelVersion(5, 16)), (450, KernelVersion(5, 17)), (451, KernelVersion(6, 5)),
      (452, KernelVersion(6, 6)), (454, KernelVersion(6, 7)), (457, KernelVersion(6, 8)),
    ]
    let bare = number & ~0x4000_0000
    // 512–547 are old, and x32's own.
    guard (441..<512).contains(bare), let row = since.last(where: { $0.0 <= bare }) else { return false }
    return row.1 > kernel
  }

  /// For every number of every ABI: the verdict, from the name libseccomp gives it.
  private func expectVerdicts(
    _ compiled: Compiled, known: (String) -> UInt32, unknown: UInt32, kernel: KernelVersion,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    var count = 0
    for machine in compiled.target.systemCallABIs where machine != .x32 {
      for number in Self.numbers {
        let abi = Self.abi(machine, number)
        // 457 and later are tested by number: this libseccomp does not know them.
        if (457..<471).contains(number & ~0x4000_0000) || machine == .x86_64 && (335...336).contains(number) {
          continue
        }
        let name = Library.name(number, on: abi)
        let expected =
          if let name, !Self.isNewer(number, than: kernel) { known(name) } else { unknown }
        let found = try compiled.action(number, Library.auditArchitecture(abi))
        #expect(
          found == expected, "\(abi) \(number) \(name ?? "-"): \(String(found, radix: 16))",
          sourceLocation: sourceLocation)
        count += 1
      }
    }
    #expect(count > 6000, sourceLocation: sourceLocation)
    for foreign: UInt32 in [0, 8, 0x15, 0x8000_0016, 0xc000_00f3, 0xffff_ffff] {
      for number: UInt32 in [0, 1, 59, 246, 0x4000_003b] {
        #expect(try compiled.action(number, foreign) == unknown, sourceLocation: sourceLocation)
      }
    }
  }

  @Test func denied() throws {
    let compiled = try Self.compile(
      """
      deny: [kexec_load, kexec_file_load, "@obsolete", clock_settime]
      scope: services
      """)
    let denied: Set<String> = [
      "kexec_load", "kexec_file_load", "clock_settime", "clock_settime64", "_sysctl", "afs_syscall",
      "bdflush",
      "break", "create_module", "ftime", "get_kernel_syms", "getpmsg", "gtty", "idle", "lock", "mpx", "prof",
      "profil", "putpmsg", "query_module", "security", "sgetmask", "ssetmask", "stime", "stty", "sysfs",
      "tuxcall",
      "ulimit", "uselib", "ustat", "vserver",
    ]
    try expectVerdicts(
      compiled, known: { denied.contains($0) ? Self.eperm : Self.allow }, unknown: Self.enosys,
      kernel: KernelVersion(6, 1))
  }

  @Test func allowed() throws {
    let compiled = try Self.compile(
      """
      default: deny
      allow: [read, write, exit_group, mmap, rt_sigreturn, chown, socket, fcntl, "@clock"]
      on-deny: kill
      on-unknown: log
      scope: services
      """, kernel: "5.15")
    let allowed: Set<String> = [
      "read", "write", "exit_group", "mmap", "mmap2", "rt_sigreturn", "sigreturn", "chown", "chown32",
      "socket",
      "fcntl", "fcntl64", "adjtimex", "clock_adjtime", "clock_adjtime64", "clock_settime", "clock_settime64",
      "settimeofday", "stime",
    ]
    try expectVerdicts(
      compiled, known: { allowed.contains($0) ? Self.allow : Self.kill }, unknown: Self.log,
      kernel: KernelVersion(5, 15))
    // `socketcall` is SYS_SOCKET alone.
    for held: UInt64 in 0..<64 {
      #expect(try compiled.action("socketcall", on: .i386, held) == (held == 1 ? Self.allow : Self.kill))
    }
  }

  /// What 32-bit x86 holds in one call is judged one by one.
  @Test func heldCalls() throws {
    let denying = try Self.compile("deny: [accept, sendto, semtimedop, msgget]\nscope: services")
    for held: UInt64 in 0..<64 {
      // SYS_ACCEPT, SYS_SEND, SYS_SENDTO of linux/net.h.
      #expect(
        try denying.action("socketcall", on: .i386, held)
          == ([5, 9, 11].contains(held) ? Self.eperm : Self.allow))
      // SEMTIMEDOP, MSGGET of linux/ipc.h, with any version.
      for version: UInt64 in [0, 1, 0xffff] {
        #expect(
          try denying.action("ipc", on: .i386, held | version << 16)
            == ([4, 13].contains(held) ? Self.eperm : Self.allow))
      }
    }
    let whole = try Self.compile("deny: [socketcall]\non-deny: enosys\nscope: services")
    #expect(try whole.action("socketcall", on: .i386, 1) == Self.enosys)
    let mixed = try Self.compile("default: deny\nallow: [socketcall]\ndeny: [connect]\nscope: services")
    #expect(try mixed.action("socketcall", on: .i386, 1) == Self.allow)
    #expect(try mixed.action("socketcall", on: .i386, 3) == Self.eperm)
    #expect(try mixed.action("ipc", on: .i386, 1) == Self.eperm)
  }

  @Test func conditions() throws {
    let compiled = try Self.compile(
      """
      deny:
        - socket arg0 38
        - ioctl arg1 0x5412, 0x541c
        - clone arg0 0x10000000/0x10000000
        - personality arg0 not 0, 0xffffffff
        - mmap long1 0x100000000-0x1ffffffff
        - setsockopt arg1 1 arg2 7-9
      scope: services
      """)
    func check(_ name: String, _ abi: SystemCallABI, _ arguments: [UInt64], _ refused: Bool) throws {
      let padded = arguments + [UInt64](repeating: 0, count: 6 - arguments.count)
      let number = UInt32(Library.number(name, on: abi))
      let call = ClassicBPF.Call(
        number: number, architecture: Library.auditArchitecture(abi), arguments: padded)
      #expect(
        try compiled.program.run(call).action == (refused ? Self.eperm : Self.allow),
        "\(name) \(abi) \(arguments)")
    }
    for abi in SystemCallABI.allCases {
      // The kernel takes an int: the upper half is nobody's business.
      if abi != .i386 {
        for high: UInt64 in [0, 1 << 32, 0xffff_ffff << 32] {
          try check("socket", abi, [high | 38, 1, 0], true)
          try check("socket", abi, [high | 2, 38, 38], false)
        }
      }
      try check("ioctl", abi, [38, 0x5412], true)
      try check("ioctl", abi, [38, 0x541c], true)
      try check("ioctl", abi, [0x5412, 0x5413], false)
      try check("clone", abi, [0x1000_0000], true)
      try check("clone", abi, [0x1001_0011], true)
      try check("clone", abi, [0x6fff_ffff], false)
      for (persona, refused): (UInt64, Bool) in [
        (0, false), (0xffff_ffff, false), (1, true), (0xffff_fffe, true),
      ] {
        try check("personality", abi, [persona], refused)
        try check("personality", abi, [persona | 0xffff_ffff << 32], refused)
      }
    }
    for abi in [SystemCallABI.x86_64, .x32, .aarch64] {
      try check("mmap", abi, [0, 0xffff_ffff], false)
      try check("mmap", abi, [0, 0x1_0000_0000], true)
      try check("mmap", abi, [0, 0x1_ffff_ffff], true)
      try check("mmap", abi, [0, 0x2_0000_0000], false)
      for level: UInt64 in 0..<3 {
        for option: UInt64 in 5..<12 {
          try check("setsockopt", abi, [3, level, option], level == 1 && (7...9).contains(option))
        }
      }
    }
    // old_mmap takes a pointer, and `socketcall` too: what cannot be asked is refused.
    try check("mmap", .i386, [], true)
    try check("mmap2", .i386, [0, 4096], false)
    try check("socketcall", .i386, [1], true)
    try check("socketcall", .i386, [2], false)
    #expect(try compiled.action(359, 0x4000_0003, 38) == Self.eperm)
    #expect(try compiled.action(359, 0x4000_0003, 2) == Self.allow)
  }

  @Test func conditionsOfPermissions() throws {
    let compiled = try Self.compile(
      """
      default: deny
      allow: [socket arg0 1-2, "ioctl arg1 0x5401", mmap arg2 not 4/4]
      deny: [socket arg1 3/0xf]
      scope: services
      """, architectures: "[x86_64]")
    #expect(try compiled.action("socket", 1, 1) == Self.allow)
    #expect(try compiled.action("socket", 2, 1) == Self.allow)
    #expect(try compiled.action("socket", 3, 1) == Self.eperm)
    // SOCK_RAW, with SOCK_CLOEXEC too.
    #expect(try compiled.action("socket", 2, 3) == Self.eperm)
    #expect(try compiled.action("socket", 2, 0x80003) == Self.eperm)
    #expect(try compiled.action("ioctl", 0, 0x5401) == Self.allow)
    #expect(try compiled.action("ioctl", 0, 0x5402) == Self.eperm)
    #expect(try compiled.action("mmap", 0, 0, 3) == Self.allow)
    #expect(try compiled.action("mmap", 0, 0, 7) == Self.eperm)
    #expect(try compiled.action("mmap", on: .i386, 0, 0, 3) == Self.eperm)
    #expect(try compiled.action("mmap2", on: .i386, 0, 0, 3) == Self.allow)
    #expect(try compiled.action("socketcall", on: .i386, 1) == Self.eperm)
  }

  @Test func newerCalls() throws {
    // cachestat 6.5, fchmodat2 6.6, statmount 6.8, mseal 6.10, file_setattr 6.17; uretprobe 6.11.
    let calls: [(UInt32, KernelVersion)] = [
      (450, KernelVersion(5, 17)), (451, KernelVersion(6, 5)), (452, KernelVersion(6, 6)),
      (457, KernelVersion(6, 8)), (462, KernelVersion(6, 10)), (469, KernelVersion(6, 17)),
    ]
    for text in ["5.10", "5.17", "6.1", "6.5", "6.6", "6.8", "6.12", "6.18"] {
      let parts = text.split(separator: ".").compactMap { Int($0) }
      let kernel = KernelVersion(parts[0], parts[1])
      let compiled = try Self.compile("deny: [swapon]\nscope: services", kernel: text)
      for (number, since) in calls {
        for architecture: UInt32 in [0xc000_003e, 0x4000_0003, 0xc000_00b7, 0x4000_0028] {
          #expect(
            try compiled.action(number, architecture) == (since <= kernel ? Self.allow : Self.enosys),
            "\(text) \(number)")
        }
        #expect(
          try compiled.action(number | 0x4000_0000, 0xc000_003e)
            == (since <= kernel ? Self.allow : Self.enosys))
      }
      #expect(
        try compiled.action(335, 0xc000_003e) == (kernel >= KernelVersion(6, 11) ? Self.allow : Self.enosys))
      #expect(try compiled.action(470, 0xc000_003e) == Self.enosys)
    }
    // Who names a newer call knows of it; a group does not.
    let named = try Self.compile("allow: [cachestat]\ndeny: [mseal, \"@debug\"]\nscope: services")
    #expect(try named.action(451, 0xc000_003e) == Self.allow)
    #expect(try named.action(462, 0xc000_003e) == Self.eperm)
    #expect(try named.action(452, 0xc000_003e) == Self.enosys)
  }

  // MARK: Beside libseccomp

  /// The library's program for the same policy gives the same verdicts, and ours is the shorter.
  @Test(arguments: [
    "deny: [\"@privileged\", ptrace]\nundeny: [setuid]\nscope: services",
    "default: deny\nallow: [\"@system-service\"]\nscope: services",
    "deny: [socket arg0 38, \"ioctl arg1 0x5412\", clone arg0 0x10000000/0x10000000]\nscope: services",
    "default: deny\nallow: [\"@system-service\"]\ndeny: [personality arg0 not 0, \"@memlock\"]\non-deny: kill\nscope: services",
  ]) func sameAsTheLibrary(body: String) throws {
    var lengths: [String] = []
    for (architecture, abis): (String, [SystemCallABI]) in [
      ("[x86_64]", [.x86_64, .x32]), ("[aarch64]", [.aarch64, .arm]),
    ] {
      // 6.7: the last kernel this library knows all calls of.
      let compiled = try Self.compile(body, kernel: "6.7", architectures: architecture)
      let decisions = SystemCallDecisions(compiled.filter, kernel: KernelVersion(6, 7))
      let refusal = compiled.filter.onDeny == .kill ? Self.kill : Self.eperm
      var rules: [Library.Rule] = []
      for call in SystemCallTable.all where abis.contains(where: { Library.number(call.name, on: $0) >= 0 }) {
        func add(_ action: UInt32, _ cubes: [SystemCallCube]) {
          rules += cubes.map { cube in
            Library.Rule(
              name: call.name, action: action,
              comparisons: cube.masks.indices.filter { cube.masks[$0] != 0 }.map {
                (UInt32($0), cube.masks[$0], cube.values[$0])
              })
          }
        }
        switch decisions.decision(on: call.name, abis[0]) {
        case .unknown: break
        case .permitted: add(Self.allow, [.all])
        case .refused: add(refusal, [.all])
        case .tested(let refusedIf, _):
          let cubes = try #require(SystemCallCube.cubes(of: refusedIf))
          add(refusal, cubes)
          add(Self.allow, try #require(SystemCallCube.difference([.all], cubes)))
        }
      }
      // A name this machine's own ABI has not is out of the library's reach on others.
      let library = try ClassicBPF(
        try Library.program(default: Self.enosys, rules.filter { Library.isReachable($0.name) }, on: abis))
      var compared = 0
      for machine in abis where machine != .x32 {
        for number in Self.numbers {
          let abi = Self.abi(machine, number)
          // The library ends a process for a number beyond x32, and for all of x32 where that is not asked for.
          guard abis.contains(abi), let name = Library.name(number, on: abi), Library.isReachable(name) else {
            continue
          }
          for first: UInt64 in [0, 2, 38, 0x1000_0000, 0x5412, 0xffff_ffff] {
            for second: UInt64 in [0, 0x5412, 0x1_0000_5412] {
              let call = ClassicBPF.Call(
                number: number, architecture: Library.auditArchitecture(abi),
                arguments: [first, second, 0, 0, 0, 0])
              let (ours, theirs) = (try compiled.program.run(call).action, try library.run(call).action)
              #expect(ours == theirs, "\(abi) \(name) \(first) \(second)")
              compared += 1
            }
          }
        }
      }
      #expect(compared > 9000)
      let (ours, theirs) = (compiled.program.program.count, library.program.count)
      lengths.append("\(ours) and \(theirs)")
      #expect(ours < theirs)
    }
    print("instructions, ours and libseccomp's: \(lengths.joined(separator: "; "))")
  }

  /// Why the product does not use it: what it does not know it cannot write for another machine.
  @Test func theLibraryCannotWriteNewerCallsForOtherMachines() throws {
    #expect(Library.number("statmount", on: .x86_64) < 0)
    #expect(throws: Library.Refusal.self) {
      try Library.program(
        default: Self.enosys, [.init(name: "statmount", action: Self.allow)], on: [.aarch64])
    }
  }

  // MARK: Form

  /// The longest program a checker lets through is one the kernel takes, far jumps included.
  @Test func farJumps() throws {
    let values = (0..<120).map { "0x\(String(0x1000 + 2 * $0, radix: 16))" }.joined(separator: ", ")
    let compiled = try Self.compile(
      """
      deny:
        - ioctl arg1 \(values)
        - fcntl arg1 \(values)
        - prctl arg0 \(values)
      scope: services
      """)
    // Three times 120 comparisons, on five ABIs.
    #expect(compiled.program.program.count > 1800)
    for name in ["ioctl", "fcntl"] {
      for abi in SystemCallABI.allCases {
        #expect(try compiled.action(name, on: abi, 0, 0x1000) == Self.eperm)
        #expect(try compiled.action(name, on: abi, 0, 0x1001) == Self.allow)
        #expect(try compiled.action(name, on: abi, 0, 0x10ee) == Self.eperm)
        #expect(try compiled.action(name, on: abi, 0, 0x10f0) == Self.allow)
      }
    }
  }

  /// A call is decided within a few instructions: they run for each call of each process.
  @Test func aCallTakesFewInstructions() throws {
    let compiled = try Self.compile("default: deny\nallow: [\"@system-service\"]\nscope: services")
    var worst = 0
    for abi in [SystemCallABI.x86_64, .aarch64] {
      for number: UInt32 in 0..<512 {
        worst = max(
          worst,
          try compiled.program.run(.init(number: number, architecture: Library.auditArchitecture(abi))).steps)
      }
    }
    #expect(worst <= 16)
  }

  @Test func theSamePolicyGivesTheSameProgram() throws {
    let body = "deny: [\"@mount\", socket arg0 38]\nscope: services"
    #expect(try Self.compile(body).program.program == Self.compile(body).program.program)
  }
}

extension Library {
  /// Whether the library can write a rule for a name on any ABI: its own has the name.
  static func isReachable(_ name: String) -> Bool { number(name, on: .x86_64) >= 0 }
}
