import Diagnostics
import NFTables
import PolicyModel
import Ruleset
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
      office: [10.4.0.0/16, 10.9.0.0/24, 192.0.2.17, "2001:db8:7::/48", "2001:db8:9::1"]
      desks: [192.0.2.20, 192.0.2.22]
      world: ["0.0.0.0/1", "192.0.0.0/2", "8000::/1"]
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
          - accept tcp 5432 from $office limit 9/second
          - drop udp 4100 from $desks
          - accept udp 4101 from not $world
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

  /// Rules that are one conjunction and a verdict each, whose bytes are compared as they stand.
  private static let plain = """
    policy: plain
    language: 1
    target: { kernel: "6.1" }
    management: none
    define:
      office: [10.4.0.0/16, 10.9.0.0/24, 192.0.2.17, "2001:db8:7::/48", "2001:db8:9::1"]
    firewall:
      chains:
        services:
          - accept tcp 9100 from 10.9.0.0/16
          - return udp 9250
          - goto others tcp 9251
        others:
          - drop tcp 7
      input:
        policy: drop
        rules:
          - accept established, related
          - drop invalid
          - accept in lo
          - accept tcp 22 in eth0, "ens*"
          - drop udp 51820 in not "wg*"
          - accept tcp 22 from 10.1.0.0/16
          - accept tcp 1000-2000 from 192.0.2.0/28 count
          - accept tcp 80, 443, 8000-8099 from 10.0.0.0/8, 172.16.0.0/12
          - accept ipv4 udp 68 from port 67
          - accept ipv4 icmp echo-request, destination-unreachable
          - accept ipv6 icmpv6 packet-too-big, time-exceeded
          - accept tcp 5432 from $office
          - accept udp 5353 to 224.0.0.251, ff02::fb
          - accept tcp 2049 from 2001:db8:1::/64
          - drop ipv4 tcp 111 from not 10.0.0.0/8
          - reject udp 33434-33523
          - jump services tcp
    """

  private struct Compiled {
    var policy: HostPolicy
    var ruleset: Ruleset
    var ids: [String]
    var index: @Sendable (String) -> UInt32

    func mismatch(_ messages: [EncodedMessage]) -> TranslationCheck.Mismatch? {
      TranslationCheck.check(policy, ruleset, messages: messages, deviceChains: [], controlGroups: []) {
        index in
        ids.indices.contains(Int(index) - 1) ? ids[Int(index) - 1] : nil
      }.mismatch
    }
  }

  private func compiled(_ source: String = policy) throws -> Compiled {
    let compilation = PolicyCompiler.compile(path: "policy.cos", bytes: Array(source.utf8))
    let compiled = try #require(
      compilation.policy, "\(PlainRenderer(files: compilation.sources).render(compilation.diagnostics.all))")
    #expect(compiled.untold == [])
    let ids = (compiled.policy.firewall?.rules ?? []).map(\.id)
    let indices = Dictionary(ids.enumerated().map { ($1, UInt32($0 + 1)) }) { first, _ in first }
    return Compiled(policy: compiled.policy, ruleset: compiled.ruleset, ids: ids) { indices[$0] ?? 0 }
  }

  @Test(arguments: [policy, plain])
  func faultsAreCaught(source: String) throws {
    let compiled = try compiled(source)
    #expect(
      try compiled.mismatch(Fault("none", compiled.ruleset).messages(sourceIndex: compiled.index)) == nil)
    var count = 0
    var missed: [String] = []
    for fault in Fault.all(in: compiled.ruleset) {
      count += 1
      if try compiled.mismatch(fault.messages(sourceIndex: compiled.index)) == nil {
        missed.append(fault.name)
      }
    }
    print("faults of a translation: \(count), all caught but \(missed.count)")
    #expect(missed == [])
    #expect(count >= 150)
  }

  /// Messages that are left out, doubled, in another order, or would be taken otherwise by the kernel.
  @Test func faultsOfMessagesAreCaught() throws {
    let compiled = try compiled()
    let messages = try Fault("none", compiled.ruleset).messages(sourceIndex: compiled.index)
    var faults: [(name: String, messages: [EncodedMessage])] = []
    func add(_ name: String, _ change: (inout [EncodedMessage]) -> Void) {
      var wrong = messages
      change(&wrong)
      faults.append((name, wrong))
    }
    for (index, message) in messages.enumerated() {
      let name = "\(message.kind) \(index)"
      func flip(_ what: String, _ offset: Int, _ bits: UInt8) {
        add("\(name): \(what)") { $0[index].bytes[offset] ^= bits }
      }
      switch message.kind {
      case .table, .baseChain, .chain, .anonymousSet, .anonymousElements, .elements:
        add("\(name) is missing") { $0.remove(at: index) }
        let step = message.kind == .baseChain ? 1 : 5
        for offset in stride(from: 20, to: message.bytes.count, by: step) {
          flip("byte \(offset)", offset, 1)
        }
        flip("another family", 16, 2 ^ 1)
        flip("another type of message", 4, 1)
        if message.kind == .elements {
          add("\(name) twice") { $0.insert(message, at: index) }
          for offset in message.bytes.indices.dropFirst(20) { flip("byte \(offset) high", offset, 0x80) }
        }
      case .rule:
        add("\(name) is missing") { $0.remove(at: index) }
        // NLM_F_APPEND is 0x800, and without it a rule comes first. NLM_F_REPLACE is 0x100.
        flip("to the front", 7, 0x8)
        flip("in another's place", 7, 0x1)
        flip("another rule's", 8, 1)
        flip("another family", 16, 2 ^ 1)
        // Behind the chain's name, which follows `lockdown`.
        flip("another table", 26, 1)
        flip("another chain", 40, 1)
        // Programs of one rule may change their places.
        if index + 1 < messages.count, messages[index + 1].kind == .rule,
          messages[index + 1].bytes[8..<12] != message.bytes[8..<12]
        {
          add("\(name) is later") { $0.swapAt(index, index + 1) }
        }
      case .set:
        add("\(name) is missing") { $0.remove(at: index) }
        for offset in message.bytes.indices.dropFirst(20) { flip("byte \(offset)", offset, 1) }
      case .object: break
      }
    }
    let missed = try faults.filter { fault in
      guard compiled.mismatch(fault.messages) == nil else { return false }
      // A chain that nobody leads to, or rules that no packet can tell apart.
      return try meaning(fault.messages) != meaning(messages)
    }
    print("faults of messages: \(faults.count), all caught but \(missed.count)")
    #expect(missed.map(\.name) == [])
    #expect(faults.count >= 300)
  }

  /// The halves of a long list are compared side by side.
  @Test func longListsAreCheckedToTheirEnd() throws {
    let rules = (0..<1_200).map { "      - accept tcp \($0 + 1) from 10.0.\($0 % 250).0/24\n" }
    let compiled = try compiled(
      """
      policy: long
      language: 1
      target: { kernel: "6.1" }
      management: none
      firewall:
        input:
          policy: drop
          rules:

      """ + rules.joined())
    let messages = try Fault("none", compiled.ruleset).messages(sourceIndex: compiled.index)
    #expect(compiled.mismatch(messages) == nil)
    let places = messages.indices.filter { messages[$0].kind == .rule }
    #expect(places.count == 1_201)
    for place in [0, 599, 600, 601, 1_199] {
      var wrong = messages
      // The last bytes are the verdict: drop in place of accept.
      wrong[places[place]].bytes[messages[places[place]].bytes.count - 1] ^= 1
      #expect(compiled.mismatch(wrong)?.ruleID == compiled.ids[place])
      wrong = messages
      wrong.swapAt(places[place], places[place] + 1)
      #expect(compiled.mismatch(wrong) != nil)
      wrong = messages
      wrong.remove(at: places[place])
      #expect(compiled.mismatch(wrong)?.ruleID == compiled.ids[place])
    }
  }

  /// What comes in several messages.
  @Test func longSetsAreCheckedToTheirEnd() throws {
    let addresses = (0..<2_500).map { "10.0.\($0 / 100).\($0 % 100 * 2)" }
    let compiled = try compiled(
      """
      policy: long
      language: 1
      target: { kernel: "6.1" }
      management: none
      define:
        many: [\(addresses.joined(separator: ", "))]
      firewall:
        input: { policy: drop, rules: ["accept tcp 22 from $many"] }

      """)
    let messages = try Fault("none", compiled.ruleset).messages(sourceIndex: compiled.index)
    #expect(compiled.mismatch(messages) == nil)
    let places = messages.indices.filter { messages[$0].kind == .elements }
    #expect(places.count == 2)
    for (index, place) in places.enumerated() {
      var wrong = messages
      wrong.remove(at: place)
      #expect(compiled.mismatch(wrong) != nil)
      wrong = messages
      wrong.insert(messages[place], at: place)
      #expect(compiled.mismatch(wrong) != nil)
      wrong = messages
      wrong.swapAt(place, places[1 - index])
      #expect(compiled.mismatch(wrong) != nil)
      // The last byte of all is the last of an address.
      wrong = messages
      wrong[place].bytes[messages[place].bytes.count - 1] ^= 1
      #expect(compiled.mismatch(wrong)?.reason.contains("`many_4`") ?? false)
    }
  }

  /// Without what people and tools alone look at.
  private func meaning(_ messages: [EncodedMessage]) throws -> [DumpedTable] {
    var tables = try StoredBatch.decode(messages.map(\.bytes))
    for table in tables.indices {
      tables[table].comment = nil
      for index in tables[table].sets.indices {
        var set = tables[table].sets[index]
        (set.comment, set.label, set.keyTypeNumber) = (nil, [], 0)
        // Where its size is too small, the kernel takes nothing.
        if set.flags & 2 != 0 { set.size = nil }
        tables[table].sets[index] = set
      }
      for chain in tables[table].chains.indices {
        for rule in tables[table].chains[chain].rules.indices {
          for set in tables[table].chains[chain].rules[rule].anonymousSets.indices {
            var new = tables[table].chains[chain].rules[rule].anonymousSets[set]
            // NFT_DATA_VERDICT has one length, whatever is sent.
            if new.dataTypeNumber == 0xffff_ff00 { new.dataLength = nil }
            // Where its size is too small, the kernel takes nothing.
            (new.comment, new.label, new.keyTypeNumber, new.size) = (nil, [], 0, nil)
            tables[table].chains[chain].rules[rule].anonymousSets[set] = new
          }
        }
      }
    }
    return tables
  }

  /// What reads the bytes of most rules takes no other bytes for the same rule: every one of them is changed.
  @Test func everyByteOfAProgramCounts() throws {
    let compiled = try compiled(Self.plain)
    let messages = try Fault("none", compiled.ruleset).messages(sourceIndex: compiled.index)
    let others = messages.filter { $0.kind != .rule && $0.kind != .elements }.map(\.bytes)
    let contents = Dictionary(
      compiled.ruleset.tables[0].sets.compactMap { set in set.name.map { ($0, set.elements) } }
    ) { first, _ in first }
    let rules = Dictionary(
      (compiled.policy.firewall?.rules ?? []).map { (compiled.index($0.id), $0) }
    ) { first, _ in first }
    /// The rule, if it is told to be what the message says.
    func told(_ message: [UInt8]) throws -> DumpedRule? {
      guard var programs = try? StoredPrograms(others + [message]) else { return nil }
      guard let chain = programs.chains.firstIndex(where: { !$0.isEmpty }),
        let rule = rules[programs.chains[chain][0].source]
      else { return nil }
      var plain = PlainProgram(contents)
      // A rule of two programs is told by both, and here is one of them.
      var half = rule
      half.families =
        programs.chains[chain].isEmpty ? rule.families : try families(&programs, chain) ?? rule.families
      guard plain.says(half, programs.chains[chain][...], programs, endingWith: nil) else { return nil }
      var read = try programs.rule(programs.chains[chain][0])
      (read.comment, read.label) = (nil, [])
      return read
    }
    func families(_ programs: inout StoredPrograms, _ chain: Int) throws -> Families? {
      // The family is what the program asks first.
      guard let program = try? programs.rule(programs.chains[chain][0]), program.expressions.count > 1,
        case .meta(.family, _) = program.expressions[0],
        case .compare(_, .equal, let value) = program.expressions[1]
      else { return nil }
      return value == [2] ? .ipv4 : .ipv6
    }
    var (changes, plainRules) = (0, 0)
    var wrong: [String] = []
    for message in messages where message.kind == .rule {
      guard let original = try told(message.bytes) else { continue }
      plainRules += 1
      for index in message.bytes.indices {
        for bits in [1, 0x80, UInt8(2) << UInt8(index % 6)] {
          var bytes = message.bytes
          bytes[index] ^= bits
          changes += 1
          if let other = try told(bytes), other != original {
            wrong.append("\(original.chain): byte \(index)")
          }
        }
      }
    }
    print("changed bytes of \(plainRules) plain rules: \(changes)")
    #expect(wrong == [])
    #expect(plainRules >= 20)
  }
}
