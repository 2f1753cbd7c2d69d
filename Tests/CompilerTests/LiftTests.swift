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
    let bundle = try BundleContents(BundleReader(file.bytes))
    let messages = bundle.messages.map(\.bytes) + bundle.late.flatMap { $0.messages.map(\.bytes) }
    var policy = compiled.policy
    policy.firewall = try StoredBatch.decode(messages).first.map { table throws(LiftError) in
      try Lift.firewall(of: table, at: compiled.policy.span, namedLike: compiled.policy.firewall)
    }
    return policy
  }

  private func differences(_ compiled: CompiledPolicy) throws -> [String] {
    let difference = PacketDifference(from: compiled.policy, to: try lifted(compiled))
    return difference.unknown.map { "unknown: \($0.place): \($0.reason)" }
      + difference.changes.map { change in
        "\(change.direction) \(change.place) \(change.before) → \(change.after): \(change.regions.first ?? "") e.g. \(change.witness) | \(change.oldRule?.text ?? "-") | \(change.newRule?.id ?? "-")"
      }
  }

  @Test func bundlesMeanTheirPolicies() throws {
    var count = 0
    for folder in try CaseFolder.all(in: "Cases") {
      guard let compiled = try folder.compile().policy, compiled.policy.firewall != nil else { continue }
      do {
        #expect(try differences(compiled) == [], "\(folder.name)")
      } catch let error as LiftError {
        // What a bundle does not know yet, and maps of marks, are refused.
        #expect(
          error.reason.contains("control group") || error.reason.contains("has no map for"), "\(folder.name)")
        continue
      }
      count += 1
    }
    #expect(count >= 10)
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
    let file = try #require(compiled.files.first { $0.name == "policy.bundle" })
    let messages = try BundleContents(BundleReader(file.bytes)).messages.map(\.bytes)
    let table = try #require(StoredBatch.decode(messages).first)
    #expect(try differences(compiled) == [])
    var count = 0
    var missed: [String] = []
    for fault in Fault.all(in: table) {
      count += 1
      var policy = compiled.policy
      do throws(LiftError) {
        policy.firewall = try Lift.firewall(
          of: fault.table, at: policy.span, namedLike: compiled.policy.firewall)
      } catch {
        continue
      }
      let difference = PacketDifference(from: compiled.policy, to: policy)
      if difference.changes.isEmpty, difference.unknown.isEmpty { missed.append(fault.name) }
    }
    print("faults of the lowering: \(count), all caught but \(missed.count)")
    #expect(missed == [])
    #expect(count >= 200)
  }
}

/// A table with one thing wrong.
private struct Fault {
  var name: String
  var table: DumpedTable

  static func all(in table: DumpedTable) -> [Fault] {
    var faults: [Fault] = []
    for (chain, list) in table.chains.enumerated() {
      for (index, rule) in list.rules.enumerated() {
        func add(_ name: String, _ change: (inout DumpedTable) -> Void) {
          var wrong = table
          change(&wrong)
          faults.append(Fault(name: "\(list.name)#\(index + 1): \(name)", table: wrong))
        }
        // The closing rule says what the chain's policy says.
        if rule.comment?.hasPrefix("closing") ?? false { continue }
        add("no rule") { $0.chains[chain].rules.remove(at: index) }
        for (position, expression) in rule.expressions.enumerated() {
          for (name, other) in wrong(expression) {
            add("\(DumpText.text(expression)): \(name)") {
              if let other {
                $0.chains[chain].rules[index].expressions[position] = other
              } else {
                $0.chains[chain].rules[index].expressions.remove(at: position)
              }
            }
          }
        }
        for (set, content) in rule.anonymousSets.enumerated() {
          for element in content.elements.indices {
            add("element \(element) is missing") {
              $0.chains[chain].rules[index].anonymousSets[set].elements.remove(at: element)
            }
          }
        }
      }
    }
    return faults
  }

  /// Nil: it is missing.
  private static func wrong(_ expression: Expression) -> [(String, Expression?)] {
    switch expression {
    case .compare(let register, let comparison, let value):
      var other = value
      other[other.count - 1] ^= 1
      let turned: Expression.Comparison? =
        switch comparison {
        case .equal: .notEqual
        case .notEqual: .equal
        default: nil
        }
      return [("other value", .compare(register: register, comparison, other)), ("missing", nil)]
        + (turned.map { [("turned round", .compare(register: register, $0, value))] } ?? [])
    case .lookup(let register, let set, let isNegated):
      return [("turned round", .lookup(register: register, set, isNegated: !isNegated)), ("missing", nil)]
    case .range(let register, let isNegated, let lower, let upper):
      return [("turned round", .range(register: register, isNegated: !isNegated, lower: lower, upper: upper))]
    case .bitwise(let register, let destination, var mask, let xor):
      mask[0] ^= 0x40
      return [("other mask", .bitwise(register: register, destination: destination, mask: mask, xor: xor))]
    case .payload(let base, let offset, let length, let register):
      return [("other offset", .payload(base, offset: offset ^ 2, length: length, register: register))]
    case .limit(let rate, let seconds, let burst, let isBytes, let isOver):
      return [
        (
          "other rate",
          .limit(rate: rate + 1, seconds: seconds, burst: burst, isBytes: isBytes, isOver: isOver)
        ),
        (
          "turned round",
          .limit(rate: rate, seconds: seconds, burst: burst, isBytes: isBytes, isOver: !isOver)
        ),
        ("missing", nil),
      ]
    case .verdict(.accept): return [("drop", .verdict(.drop)), ("continue", .verdict(.continue))]
    case .verdict(.drop): return [("accept", .verdict(.accept))]
    case .verdict(.return): return [("drop", .verdict(.drop))]
    case .reject: return [("drop", .verdict(.drop))]
    default: return []
    }
  }
}
