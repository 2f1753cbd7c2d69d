import HostState
import Testing

struct MountTests {
  @Test func readsTheDocumentedForm() throws {
    let lines = """
      36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
      40 36 0:5 / /a\\040b\\134\\012c ro,nosuid,nodev - tmpfs tmp\\011fs rw
      41 36 0:6 / /x rw shared:1 master:2 propagate_from:3 - proc proc rw

      """
    let mounts = try HostState.parseMounts(Array(lines.utf8), path: "mountinfo")
    #expect(mounts.count == 3)
    #expect(mounts[0].id == 36 && mounts[0].parent == 35)
    #expect(mounts[0].root == Array("/mnt1".utf8) && mounts[0].path == Array("/mnt2".utf8))
    #expect(mounts[0].options == ["rw", "noatime"])
    #expect(mounts[0].fileSystem == "ext3" && mounts[0].source == Array("/dev/root".utf8))
    #expect(mounts[0].superOptions == ["rw", "errors=continue"])
    #expect(mounts[1].path == Array("/a b\\\nc".utf8))
    #expect(mounts[1].source == Array("tmp\tfs".utf8))
    #expect(mounts[2].fileSystem == "proc")
  }

  @Test(arguments: [
    "36 35 98:0 /mnt1 /mnt2 rw master:1", "x 35 98:0 / / rw - ext3 /dev/root rw",
    "36 35 98:0 / /a\\04 rw - ext3 /dev/root rw", "36 35 98:0 / /a\\999 rw - ext3 /dev/root rw", "36",
    "36 35 98:0 / / rw - ext3",
  ])
  func refusesAnotherForm(line: String) {
    let good = "1 0 0:1 / / rw - tmpfs none rw\n"
    #expect(throws: HostStateError.malformed(path: "mountinfo", line: 2)) {
      try HostState.parseMounts(Array((good + line).utf8), path: "mountinfo")
    }
  }

  @Test func readsTheMountsOfThisProcess() throws {
    let mounts = try HostState.mounts()
    #expect(mounts.contains { $0.path == Array("/".utf8) })
    #expect(mounts.contains { $0.path == Array("/proc".utf8) && $0.fileSystem == "proc" })
  }
}
