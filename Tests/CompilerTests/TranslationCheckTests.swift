import BundleFormat
import Diagnostics
import Foundation
import NFTables
import PolicyModel
import Testing

@testable import Compiler

/// Each compile proves its own messages; here are some that mean something else.
@Suite struct TranslationCheckTests {
  /// Rules that no other one stands in for, of every kind of program that the lowering writes.
  private static let policy = """
    policy: faults
    language: 1
    target: { kernel: "6.1" }
    management: none
    define:
      seen: { dynamic: addresses, size: 4096, timeout: 1h }
      web: [tcp 80, udp 443, udp 8443]
    firewall:
      chains:
        services:
          - accept tcp 9100 from 10.9.0.0/16
          - return tcp 9250
          - goto others ipv4 tcp 9251 from not 10.0.0.0/8
          - reject tcp 9100-9300 limit over 3/minute
          - drop tcp flags not syn of syn, ack
        others:
          - accept ttl 5
      input:
        policy: drop
        rules:
          - accept tcp 22 from 10.1.0.0/16, 192.0.2.7, 2001:db8::/32 count log ssh
          - accept $web in eth1
          - reject tcp 25 established
          - accept tcp 443 limit 5/second per source connections up to 3
          - drop udp not 53 limit over 10/second burst 7
          - accept udp 123 mark 0x10/0xf0 quota 1mbytes
          - ports: { dispatch: tcp, table: { 990: accept, 1001-1010: jump services, 1020: drop }, else: continue }
          - jump services tcp
          - goto others udp 9
          - accept ipv4 udp 4000 add source $seen timeout 5m
          - accept udp 4001 from $seen
      output:
        policy: accept
        rules:
          - drop tcp 25 user not 0
          - continue tcp 99 set mark 7
          - continue tcp 97 set dscp 8
          - continue udp 98 set connmark 3 save mark log at most 3/minute
      nat:
        prerouting:
          - dnat to 10.0.0.9:8080 ipv4 tcp 80 in eth0
        postrouting:
          - masquerade ipv4 out eth0
    """

  private func compiled() throws -> (policy: HostPolicy, bundle: BundleContents) {
    let compilation = PolicyCompiler.compile(path: "policy.cos", bytes: Array(Self.policy.utf8))
    let compiled = try #require(
      compilation.policy, "\(PlainRenderer(files: compilation.sources).render(compilation.diagnostics.all))")
    let file = try #require(compiled.files.first { $0.name == "policy.bundle" })
    return (compiled.policy, try BundleContents.read(file.bytes))
  }

  @Test func faultsAreCaught() throws {
    let (policy, bundle) = try compiled()
    let table = try #require(StoredBatch.decode(bundle.messages.map(\.bytes)).first)
    func mismatches(_ table: DumpedTable) -> [TranslationCheck.Mismatch] {
      TranslationCheck.mismatches(policy, table, controlGroups: [:]) { index in
        String(decoding: bundle.sources[Int(index) - 1].id, as: UTF8.self)
      }
    }
    #expect(mismatches(table) == [])
    var count = 0
    var missed: [String] = []
    for fault in Fault.all(in: table) {
      count += 1
      if mismatches(fault.table).isEmpty { missed.append(fault.name) }
    }
    print("faults of a translation: \(count), all caught but \(missed.count)")
    #expect(missed == [])
    #expect(count >= 150)
  }
}
