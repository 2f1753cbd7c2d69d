import Installation
import Testing

struct ManifestTests {
  private static let items = [
    InstalledItem("etc/b", "text"), InstalledItem("etc/a", linkTo: "../b"),
    InstalledItem("usr/sbin/c", program: [1, 2, 3]),
  ]

  private static var manifest: Manifest {
    var manifest = Manifest(items)
    manifest.add(directory: "usr/sbin")
    manifest.add(directory: "usr")
    return manifest
  }

  @Test func text() {
    #expect(
      Self.manifest.text == """
        lockdown-manifest 1
        directory usr
        directory usr/sbin
        link ../b etc/a
        file 982d9e3eb996f559e633f4d194def3761d909f5a3b647d1a851fead67c32c9d1 etc/b
        file 039058c6f2c0cb492c533b0a4d14ef77cc0f78abccced5287d84a1a2011cfb81 usr/sbin/c

        """)
    #expect(Manifest(Self.manifest.text) == Self.manifest)
  }

  @Test func ownership() {
    var newer = Manifest([InstalledItem("etc/b", "another")])
    newer = newer.union(Self.manifest)
    for text in ["text", "another"] {
      #expect(newer.owns(Manifest.mark(ofFile: Array(text.utf8)), at: "etc/b"))
    }
    #expect(!newer.owns(Manifest.mark(ofFile: []), at: "etc/b"))
    #expect(!newer.owns(.link("../b"), at: "etc/b"))
    #expect(newer.owns(.link("../b"), at: "etc/a"))
    #expect(!newer.owns(.link("../c"), at: "etc/a"))
    #expect(Manifest(newer.text) == newer)
  }

  @Test(arguments: [
    "", "lockdown-manifest 2\n", "lockdown-manifest 1", "lockdown-manifest 1\n\n",
    "lockdown-manifest 1\ndirectory /etc\n", "lockdown-manifest 1\ndirectory a/../b\n",
    "lockdown-manifest 1\ndirectory a//b\n", "lockdown-manifest 1\ndirectory ./a\n",
    "lockdown-manifest 1\ndirectory a b\n", "lockdown-manifest 1\ndirectory\n",
    "lockdown-manifest 1\nlink a\n",
    "lockdown-manifest 1\nlink  a\n", "lockdown-manifest 1\nfile 00 a\n", "lockdown-manifest 1\nother a b\n",
  ])
  func refused(text: String) { #expect(Manifest(text) == nil) }

  @Test func everyFileHasItsPlaceOnce() {
    let files = InstalledFiles(
      modprobe: [1], sysctl: [2], commandLine: "a=\"b\" $c", applier: [3], staysUnprotected: false)
    let paths = files.items.map(\.path)
    #expect(Set(paths).count == paths.count)
    #expect(paths == paths.sorted())
    let without = InstalledFiles(
      modprobe: [], sysctl: [], commandLine: "", applier: [], staysUnprotected: false)
    #expect(
      Set(paths).subtracting(without.items.map(\.path)) == [
        "etc/default/grub.d/lockdown.cfg", "etc/lockdown/cmdline",
      ])
  }
}
