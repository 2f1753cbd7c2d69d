import Analysis
import BundleFormat
import Compiler
import Diagnostics
import Foundation
import Lift
import NFTables
import PolicyModel
import PolicySamples
import Testing

import enum Ruleset.Expression

/// A bundle's messages, read back as rules, mean what the policy says, packet by packet.
@Suite struct LiftTests {
  /// The policy with the firewall that its bundle holds.
  private func lifted(_ compiled: CompiledPolicy) throws -> HostPolicy {
    let file = try #require(compiled.files.first { $0.name == "policy.bundle" })
    let bundle = try LiftedPolicy(path: "policy.bundle", bytes: file.bytes, like: compiled.policy).policy
    var policy = compiled.policy
    policy.firewall = bundle.firewall
    policy.sysctls = bundle.sysctls
    policy.mounts = bundle.mounts
    return policy
  }

  private func differences(_ before: HostPolicy, _ after: HostPolicy) -> [String] {
    let comparison = PolicyComparison(from: before, to: after)
    return comparison.packets.unknown.map { "unknown: \($0.place): \($0.reason)" }
      + comparison.packets.changes.map { change in
        "\(change.direction) \(change.place) \(change.before) → \(change.after): \(change.regions.first ?? "") e.g. \(change.witness) | \(change.oldRule?.text ?? "-") | \(change.newRule?.id ?? "-")"
      } + comparison.settings.map { "\($0.direction) \($0.domain) \($0.text)" }
  }

  @Test func bundlesMeanTheirPolicies() throws {
    var count = 0
    for folder in try CaseFolder.all(in: "Cases") {
      guard let compiled = try folder.compile().policy else { continue }
      #expect(differences(compiled.policy, try lifted(compiled)) == [], "\(folder.name)")
      count += 1
    }
    #expect(count >= 10)
  }

  @Test func shippedBundlesMeanTheirPolicies() throws {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "../../policies")
    var count = 0
    for folder in [root, root.appending(path: "examples")] {
      for name in try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
      where name.hasSuffix(".cos") {
        let bytes = Array(try Data(contentsOf: folder.appending(path: name)))
        let compilation = PolicyCompiler.compile(path: name, bytes: bytes, reader: FolderReader(folder))
        let compiled = try #require(compilation.policy, "\(name)")
        #expect(differences(compiled.policy, try lifted(compiled)) == [], "\(name)")
        count += 1
      }
    }
    #expect(count >= 8)
  }

  /// Rules that no other one stands in for, so that each fault is one of meaning.
  private static let policy = """
    policy: faults
    language: 1
    target: { kernel: "6.1" }
    management: none
    firewall:
      chains:
        services:
          - accept tcp 9100 from 10.9.0.0/16
          - accept tcp 1001
          - return tcp 9250
          - reject tcp 9100-9300
          - accept tcp 8999-9501
          - accept udp 5353
      input:
        policy: drop
        rules:
          - accept tcp 22 from 10.1.0.0/16, 192.0.2.7
          - accept udp 53 in eth1
          - reject tcp 25 established
          - accept icmp echo-request
          - accept icmpv6 1/0
          - accept tcp 80-90 flags syn of syn, ack
          - accept udp 123 mark 0x10/0xf0
          - accept tcp 443 from 2001:db8::/32 limit 5/second
          - ports: { dispatch: tcp, table: { 1000: accept, 1001: jump services }, else: continue }
          - jump services tcp in eth0
          - jump services udp in eth2
          - accept ipv4 udp 500 from not 10.2.0.0/24
          - accept tcp 9250 to 192.0.2.9
          - accept ipv4 sctp
          - accept tcp 1002-1003
          - accept ipv4 udp 5000 ttl 255 dscp 46
      output:
        policy: accept
        rules:
          - drop tcp 25 user not 0
          - reject udp out eth9 status assured
    """

  @Test func faultsOfTheLoweringAreCaught() throws {
    let compilation = PolicyCompiler.compile(path: "policy.cos", bytes: Array(Self.policy.utf8))
    let compiled = try #require(
      compilation.policy, "\(PlainRenderer(files: compilation.sources).render(compilation.diagnostics.all))")
    #expect(differences(compiled.policy, try lifted(compiled)) == [])
    let ids = (compiled.policy.firewall?.rules ?? []).map(\.id)
    let indices = Dictionary(ids.enumerated().map { ($1, UInt32($0 + 1)) }) { first, _ in first }
    let lift = Lift(at: compiled.policy.span) { rule in
      (ids[Int(rule.source) - 1], compiled.policy.span)
    }
    var count = 0
    var missed: [String] = []
    for fault in Fault.all(in: compiled.ruleset) {
      count += 1
      let messages = try fault.messages { indices[$0] ?? 0 }
      let table = try #require(StoredBatch.decode(messages.map(\.bytes)).first)
      var policy = compiled.policy
      policy.firewall = try lift.firewall(of: table, namedLike: compiled.policy.firewall).firewall
      if differences(compiled.policy, policy).isEmpty { missed.append(fault.name) }
    }
    print("faults of the lowering: \(count), all caught but \(missed.count)")
    #expect(missed == [])
    #expect(count >= 200)
  }
}
