import Diagnostics
import Testing

@Suite struct SourcePathTests {
  @Test(arguments: [
    ("base.cos", "web.cos", "base.cos"),
    ("./base.cos", "web.cos", "base.cos"),
    ("lists/drop.netset", "hosts/web.cos", "hosts/lists/drop.netset"),
    ("../base/cos.cos", "hosts/web.cos", "base/cos.cos"),
    ("../base/cos.cos", "web.cos", "../base/cos.cos"),
    ("../../cos.cos", "../a/b/web.cos", "../cos.cos"),
    ("../../../cos.cos", "../a/b/web.cos", "../../cos.cos"),
    ("a/../b/./c.cos", "x/web.cos", "x/b/c.cos"),
    ("base.cos", "./web.cos", "base.cos"),
    ("base.cos", "a/../web.cos", "base.cos"),
    ("base.cos", "/etc/lockdown/web.cos", "/etc/lockdown/base.cos"),
    ("../../../cos.cos", "/etc/lockdown/web.cos", "/cos.cos"),
    ("base.cos", "<stdin>", "base.cos"),
    ("Größe.cos", "web.cos", "Größe.cos"),
  ])
  func oneFileHasOnePath(_ text: String, _ file: String, _ expected: String) throws {
    #expect(try SourcePath.resolve(text, from: file) == expected)
  }

  @Test(arguments: [
    ("", SourcePath.Fault.empty), ("/etc/cos.cos", .absolute), ("base/", .directory), ("..", .directory),
    ("a/.", .directory), ("a//b", .emptySegment), ("a\u{1}", .control), ("a\nb", .control),
    (String(repeating: "a", count: 4096), .tooLong),
  ])
  func whatIsNoPath(_ text: String, _ fault: SourcePath.Fault) {
    #expect(throws: fault) { try SourcePath.resolve(text, from: "web.cos") }
  }

  /// Resolving in two steps is resolving once: an include chain gives no second path to a file.
  @Test func resolvingIsAssociative() throws {
    let files = ["a.cos", "x/a.cos", "../a.cos", "../../x/y/a.cos"]
    for root in files {
      for first in files {
        let once = try SourcePath.resolve(first, from: root)
        for second in files {
          let relative = try SourcePath.resolve(second, from: first)
          #expect(try SourcePath.resolve(second, from: once) == SourcePath.resolve(relative, from: root))
        }
      }
    }
  }

  @Test func aDictionaryHoldsTheLimit() throws {
    let reader = SourceDictionary(["a": [1, 2, 3]])
    #expect(try reader.read("a", limit: 3) == [1, 2, 3])
    #expect(throws: SourceReadError.tooLarge(limit: 2)) { try reader.read("a", limit: 2) }
    #expect(throws: SourceReadError.notFound) { try reader.read("b", limit: 2) }
  }
}
