/// Other forms of a call: what 32-bit ABIs have in its place, for wider user ids, offsets or times, or from before it.
///
/// A name in a policy stands for all of its forms: who denies `clock_settime` does not mean to leave 32-bit programs
/// `clock_settime64`, and who allows `mmap` means their `mmap2` too.
package enum SystemCallForms {
  /// Sorted by name; empty for most.
  package static func forms(of name: String) -> [String] { table[name] ?? [] }

  private static let table: [String: [String]] = {
    var table = irregular
    // What 64-bit machines have too is a call of its own, as `getdents64`.
    for call in SystemCallTable.all
    where call.number(on: .x86_64) == nil && call.number(on: .aarch64) == nil {
      for suffix in ["_time64", "64", "32"] where call.name.hasSuffix(suffix) {
        let base = String(call.name.dropLast(suffix.count))
        if SystemCallTable[base] != nil { table[base, default: []].append(call.name) }
      }
    }
    return table.mapValues { $0.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) } }
  }()

  private static let irregular: [String: [String]] = [
    "fadvise64": ["arm_fadvise64_64", "fadvise64_64"],
    "fstat": ["oldfstat"],
    "getdents": ["readdir"],
    "getrlimit": ["ugetrlimit"],
    "lseek": ["_llseek"],
    "lstat": ["oldlstat"],
    "mmap": ["mmap2"],
    "newfstatat": ["fstatat64"],
    "recvfrom": ["recv"],
    "rt_sigaction": ["sigaction", "signal"],
    "rt_sigpending": ["sigpending"],
    "rt_sigprocmask": ["sigprocmask"],
    "rt_sigreturn": ["sigreturn"],
    "rt_sigsuspend": ["sigsuspend"],
    "select": ["_newselect"],
    "sendto": ["send"],
    "settimeofday": ["stime"],
    "stat": ["oldstat"],
    "sync_file_range": ["arm_sync_file_range"],
    "umount2": ["umount"],
    "uname": ["oldolduname", "olduname"],
    "wait4": ["waitpid"],
  ]

  // MARK: Arguments elsewhere

  /// Whether the arguments of a call are not where its namesake on 64-bit machines has them: behind a pointer, which a
  /// filter cannot follow, or in other places.
  package static func hasOtherArguments(_ name: String, on abi: SystemCallABI) -> Bool {
    switch abi {
    case .x86_64, .x32, .aarch64: false
    // old_mmap and old_select take a pointer to a block of arguments.
    case .i386: name == "mmap" || name == "select" || otherArguments.contains(name)
    case .arm: otherArguments.contains(name)
    }
  }

  private static let otherArguments: Set<String> = [
    "_llseek", "arm_fadvise64_64", "arm_sync_file_range", "fadvise64_64", "ftruncate64", "truncate64",
    "umount",
  ]

  /// Calls of i386 that hold others: the first argument says which, the others lie behind a pointer.
  package static func heldCalls(of name: String) -> [(number: UInt32, call: String)] {
    switch name {
    // SYS_* of linux/net.h.
    case "socketcall":
      zip(
        UInt32(1)...,
        [
          "socket", "bind", "connect", "listen", "accept", "getsockname", "getpeername", "socketpair", "send",
          "recv", "sendto", "recvfrom", "shutdown", "setsockopt", "getsockopt", "sendmsg", "recvmsg",
          "accept4",
          "recvmmsg", "sendmmsg",
        ]
      ).map { ($0, $1) }
    // linux/ipc.h.
    case "ipc":
      [
        (1, "semop"), (2, "semget"), (3, "semctl"), (4, "semtimedop"), (11, "msgsnd"), (12, "msgrcv"),
        (13, "msgget"), (14, "msgctl"), (21, "shmat"), (22, "shmdt"), (23, "shmget"), (24, "shmctl"),
      ]
    default: []
    }
  }

  /// The bits of the first argument that say which: the rest of `ipc`'s is a version.
  package static func heldCallMask(of name: String) -> UInt32 { name == "ipc" ? 0xffff : 0xffff_ffff }
}
