import HostState
import Testing

struct SysctlTests {
  @Test func readsAValueWithoutItsNewline() throws {
    let value = try HostState.sysctl("kernel/ostype")
    #expect(value == Array("Linux".utf8))
  }

  @Test(arguments: [
    "", "/kernel/ostype", "../version", "kernel/../ostype", "kernel//ostype", "kernel/.", "a\0b", "kernel/",
  ])
  func refusesAPathThatLeadsElsewhere(path: String) {
    #expect(throws: HostStateError.invalidKey(path)) { try HostState.sysctl(path) }
  }

  @Test func namesTheFileThatIsNotThere() {
    let path = "kernel/no_such_key"
    // ENOENT.
    #expect(throws: HostStateError.unreadable(path: "/proc/sys/" + path, errorNumber: 2)) {
      try HostState.sysctl(path)
    }
  }
}
