import BundleFormat
import CanonicalJSON
import Compiler
import Diagnostics
import Foundation
import NFTables
import PolicySamples
import SHA2
import Testing

@Suite struct CompiledTests {
  private struct Compiled {
    var policy: CompiledPolicy
    var files: [String: [UInt8]]

    init(_ bytes: [UInt8]) throws {
      try self.init(PolicyCompiler.compile(path: "policy.cos", bytes: bytes))
    }

    init(path: String = "policy.cos", _ folder: CaseFolder, _ bytes: [UInt8]? = nil) throws {
      try self.init(folder.compile(as: path, bytes))
    }

    private init(_ compilation: Compilation) throws {
      guard let policy = compilation.policy else {
        throw NotCompiled(
          description: PlainRenderer(files: compilation.sources).render(compilation.diagnostics.all))
      }
      self.policy = policy
      files = Dictionary(uniqueKeysWithValues: policy.files.map { ($0.name, $0.bytes) })
    }

    func bundle() throws -> BundleContents { try BundleContents.read(files["policy.bundle"] ?? []) }
  }

  private struct NotCompiled: Error, CustomStringConvertible {
    var description: String
  }

  /// All files of each case; the bundle as text, which shows what changed.
  @Test func goldenFolders() throws {
    let folders = try CaseFolder.all(in: "Cases")
    #expect(folders.count >= 6)
    for folder in folders {
      let compiled = try Compiled(folder)
      var files = compiled.files
      files["policy.bundle"] = nil
      files["policy.bundle.txt"] = Array(try BundleText.print(compiled.bundle()).utf8)
      // The golden text has its messages.
      #expect(files.removeValue(forKey: "closed.bundle") == (try compiled.bundle().closedStage.encoded()))
      try folder.expect(files)
    }
  }

  /// Neither the directory nor an earlier compile leaves a trace.
  @Test func outputsDependOnTheSourceAlone() throws {
    for folder in try CaseFolder.all(in: "Cases") {
      let first = try Compiled(folder)
      for path in ["policy.cos", "/somewhere/else/policy.cos", "../policy.cos"] {
        #expect(try Compiled(path: path, folder).files == first.files, "\(folder.name) as \(path)")
      }
    }
  }

  /// Moving a line changes the source map and what the bundle says about places; nothing that has a digest.
  @Test func positionsAreNoPartOfTheDigest() throws {
    for folder in try CaseFolder.all(in: "Cases") {
      let input = try folder.input()
      let plain = try Compiled(folder)
      let moved = try Compiled(folder, Array("# moved\n\n".utf8) + input)
      #expect(plain.policy.digest == moved.policy.digest)
      for name in plain.files.keys where !name.hasSuffix(".bundle") && name != "policy.map.json" {
        #expect(plain.files[name] == moved.files[name], "\(folder.name)/\(name)")
      }
      #expect(try plain.bundle().messages == moved.bundle().messages)
    }
  }

  /// What has no order has none in the digest; the order of rules counts.
  @Test func orderCountsOnlyWhereItMeansSomething() throws {
    func digest(_ rules: [String], _ expect: [String], _ deny: [String]) throws -> [UInt8] {
      func list(_ items: [String]) -> String { items.map { "    - \($0)\n" }.joined() }
      let text =
        "policy: order\nlanguage: 1\ntarget: { kernel: \"6.1\" }\nmanagement: none\n"
        + "modules:\n  deny:\n" + list(deny) + "firewall:\n  input:\n    policy: drop\n    rules:\n"
        + list(rules)
        + "expect:\n" + list(expect)
      return try Compiled(Array(text.utf8)).policy.digest
    }
    let rules = ["a: accept tcp 22", "b: drop tcp 23"]
    let expect = ["input accept tcp 22", "input drop tcp 23", "module rds denied"]
    let deny = ["rds", "tipc"]
    let plain = try digest(rules, expect, deny)
    #expect(try digest(rules, expect.reversed(), deny) == plain)
    #expect(try digest(rules, expect, deny.reversed()) == plain)
    #expect(try digest(rules.reversed(), expect, deny) != plain)
  }

  /// LANGUAGE.md §7, computed from the file by other code.
  @Test func digestIsThatOfTheDocument() throws {
    for folder in try CaseFolder.all(in: "Cases") {
      let compiled = try Compiled(folder)
      let document = try #require(
        try JSONSerialization.jsonObject(with: Data(compiled.files["policy.json"] ?? [])) as? [String: Any])
      let canonical = try JSONSerialization.data(
        withJSONObject: Self.stripped(document), options: [.sortedKeys, .withoutEscapingSlashes])
      let digest = SHA256.hash(Array("lockdown policy 1\n".utf8) + canonical)
      #expect(digest == compiled.policy.digest, "\(folder.name)")
      #expect(document["digest"] as? String == PolicyDigest.text(digest))
      #expect(try compiled.bundle().policyDigest == digest)
      #expect(
        String(decoding: compiled.files["nftables.nft"] ?? [], as: UTF8.self)
          .contains(PolicyDigest.text(digest)))
    }
  }

  private static func stripped(_ value: Any) -> Any {
    if let object = value as? [String: Any] {
      return object.filter { !["digest", "elements", "file"].contains($0.key) }.mapValues(stripped)
    }
    if let array = value as? [Any] { return array.map(stripped) }
    return value
  }

  /// The label of `policy_digest` is the SHA-256 of all messages with its own 32 bytes as zeros.
  @Test func messagesAreLabelled() throws {
    for folder in try CaseFolder.all(in: "Cases") {
      let bundle = try Compiled(folder).bundle()
      let tables = try StoredBatch.decode(bundle.messages.map(\.bytes))
      let label = try #require(tables.first?.objects.first { $0.name == "policy_digest" }?.label)
      #expect(label.count == 32)
      let bytes = bundle.messages.flatMap(\.bytes)
      let starts = bytes.indices.filter { bytes[$0...].starts(with: label) }
      let start = try #require(starts.first)
      #expect(starts.count == 1)
      var zeroed = bytes
      zeroed.replaceSubrange(start..<start + 32, with: [UInt8](repeating: 0, count: 32))
      #expect(SHA256.hash(zeroed) == label, "\(folder.name)")
    }
  }

  /// Each sequence number leads to the line of the rule.
  @Test func messagesNameTheirSource() throws {
    for folder in try CaseFolder.all(in: "Cases") {
      let bundle = try Compiled(folder).bundle()
      let rules = try StoredBatch.decode(bundle.messages.map(\.bytes)).flatMap(\.chains).flatMap(\.rules)
      for rule in rules {
        let source = bundle.sources[Int(rule.source) - 1]
        let id = String(decoding: source.id, as: UTF8.self)
        #expect(rule.label.prefix(7) == SHA256.hash(source.id).prefix(7))
        let place = String(decoding: source.place, as: UTF8.self).split(separator: ":")
        let line = try #require(place.last.flatMap { Int($0) })
        let file = try Data(contentsOf: folder.url.appending(path: String(place[0])))
        let lines = String(decoding: file, as: UTF8.self).split(
          separator: "\n", omittingEmptySubsequences: false)
        guard let name = id.split(separator: "/").last, !name.contains("~"), !id.hasSuffix("/closing"),
          !id.contains("docker-"), !id.contains("podman-")
        else { continue }
        // What leads to a pair of zones is named after the pair, and written as the key of a list for it.
        let written = id.hasPrefix("between/") ? " to " : name
        #expect(lines[line - 1].contains(written), "\(folder.name): \(id) at \(line)")
      }
    }
  }

  @Test func shippedPoliciesCompileWithoutFindings() throws {
    let policies = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(
      path: "../../policies")
    let names = try FileManager.default.contentsOfDirectory(atPath: policies.path).filter {
      $0.hasSuffix(".cos")
    }
    #expect(names.contains("cos.cos"))
    for name in names {
      let bytes = Array(try Data(contentsOf: policies.appending(path: name)))
      let compilation = PolicyCompiler.compile(path: name, bytes: bytes, reader: FolderReader(policies))
      #expect(PlainRenderer(files: compilation.sources).render(compilation.diagnostics.all) == "")
      #expect(compilation.policy != nil)
    }
  }
}
