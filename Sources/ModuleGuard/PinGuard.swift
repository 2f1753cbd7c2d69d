// The programs that this file puts together are under the GPL, version 2 or later, as the kernel demands of a program that
// reads its memory; see LICENSE.

/// Keeps the names by which the kernel holds our programs: they live in a file system of their own, and with a name
/// that is removed, or a file system that is unmounted, a denial would end.
package enum PinGuard {
  /// Mounts between that file system's and the root that are kept in their place, its own and the root's with them.
  package static let mountCount = 8

  package static var programs: [KernelProgram] {
    ["inode_unlink", "inode_rmdir", "inode_rename"].map(folder)
      + [mount("sb_umount", isPath: false), mount("move_mount", isPath: true), change]
  }

  /// Refused in a folder (argument 0, `struct inode`) of that file system.
  private static func folder(_ hook: String) -> KernelProgram {
    var code = BPFAssembler()
    let deny = code.label()
    code.load(.double, .r1, .r1, 0)
    code.add(.r1, .member("inode.i_sb"))
    code.load(.double, .r1, .r1, 0)
    code.add(.r1, .member("super_block.s_dev"))
    code.load(.word, .r1, .r1, 0)
    code.jump(to: deny, if: .r1, .equal, symbol: .device)
    code.end(0)
    code.place(deny)
    code.end(-1)
    return code.finish(.seal, hook)
  }

  /// Refused for a mount (argument 0, `struct vfsmount` or `struct path`) of that file system, and for those it hangs
  /// from: what is unmounted takes along all that is below.
  private static func mount(_ hook: String, isPath: Bool) -> KernelProgram {
    var code = BPFAssembler()
    let deny = code.label()
    code.load(.double, .r6, .r1, 0)
    if isPath { loadMount(&code) }
    refuseOurs(&code, deny)
    code.end(0)
    code.place(deny)
    code.end(-1)
    return code.finish(.seal, hook)
  }

  /// mount(2) as it was before move_mount(2) and mount_setattr(2): such a mount is not shared, for a copy that is
  /// unmounted would take it along, and nothing is moved in its namespace, for what is moved is known only by a name.
  private static var change: KernelProgram {
    var code = BPFAssembler()
    let (allow, deny, isNoMove) = (code.label(), code.label(), code.label())
    // dev_name, path, type, flags, data.
    code.load(.double, .r6, .r1, 8)
    code.load(.double, .r7, .r1, 24)
    loadMount(&code)
    code.move(.r1, .r7)
    code.compute(.and, .r1, 1 << 13)  // MS_MOVE
    code.jump(to: isNoMove, if: .r1, .equal, 0)
    code.move(.r3, .r6)
    code.add(.r3, .negativeMember("mount.mnt"))
    code.add(.r3, .member("mount.mnt_ns"))
    code.read(8, to: -8, from: .r3, orJumpTo: deny)
    code.load(.double, .r3, .frame, -8)
    code.add(.r3, .member("mnt_namespace.ns"))
    code.add(.r3, .member("ns_common.inum"))
    code.read(4, to: -8, from: .r3, orJumpTo: deny)
    code.load(.word, .r1, .frame, -8)
    code.jump(to: deny, if: .r1, .equal, symbol: .mountNamespace)
    code.place(isNoMove)
    code.compute(.and, .r7, 1 << 20)  // MS_SHARED
    code.jump(to: allow, if: .r7, .equal, 0)
    refuseOurs(&code, deny)
    code.place(allow)
    code.end(0)
    code.place(deny)
    code.end(-1)
    return code.finish(.seal, "sb_mount")
  }

  /// From a `struct path` in r6.
  private static func loadMount(_ code: inout BPFAssembler) {
    code.add(.r6, .member("path.mnt"))
    code.load(.double, .r6, .r6, 0)
  }

  private static func refuseOurs(_ code: inout BPFAssembler, _ deny: BPFAssembler.Label) {
    code.move(.r1, .r6)
    code.add(.r1, .member("vfsmount.mnt_sb"))
    code.load(.double, .r1, .r1, 0)
    code.add(.r1, .member("super_block.s_dev"))
    code.load(.word, .r1, .r1, 0)
    code.jump(to: deny, if: .r1, .equal, symbol: .device)
    // `struct mount` of fs/mount.h is around it.
    code.move(.r3, .r6)
    code.add(.r3, .negativeMember("mount.mnt"))
    code.add(.r3, .member("mount.mnt_id"))
    code.move(.r0, 0)
    code.store(.double, .frame, -8, .r0)
    code.read(4, to: -8, from: .r3, orJumpTo: deny)
    code.load(.word, .r1, .frame, -8)
    for number in 0..<mountCount {
      code.jump(to: deny, if: .r1, .equal, symbol: .mount(number))
    }
  }
}
