import Diagnostics
import PolicySyntax
import Testing

/// The items of a document whose top is `rules:`, and what was reported on the way.
func ruleItems(_ yaml: String) -> (items: [RuleItemSyntax], diagnostics: [Diagnostic]) {
  var diagnostics = DiagnosticList()
  let file = SourceFile(id: SourceID(0), path: "test.cos", bytes: Array(yaml.utf8))
  let tree = SyntaxTree.parse(file, diagnostics: &diagnostics)
  let list = tree.root?.mapping?.first?.value.sequence ?? []
  let items = list.compactMap { RuleItemSyntax.parse($0, diagnostics: &diagnostics) }
  return (items, diagnostics.all)
}

@Suite struct RuleItemTests {
  /// Form 4 beside its text: both must give one tree.
  static let twins: [(String, String)] = [
    ("verdict: accept", "accept"),
    ("verdict: {jump: ssh}\nstate: new", "jump ssh new"),
    ("verdict: jump ssh", "jump ssh"),
    ("verdict: {goto: a-b}", "goto a-b"),
    ("verdict: {dnat: \"192.0.2.1:80\"}\nprotocol: [tcp]\nports: [8080]", "dnat to 192.0.2.1:80 tcp 8080"),
    ("verdict: {snat: \"[2001:db8::1]\"}", "snat to [2001:db8::1]"),
    ("verdict: {redirect: 8080}", "redirect to 8080"),
    ("verdict: redirect\nto: [10.0.0.1]", "redirect to 10.0.0.1"),
    ("verdict: {reject: tcp-reset}\nprotocol: tcp", "reject tcp with tcp-reset"),
    ("verdict: reject", "reject"),
    (
      "verdict: accept\nprotocol: [tcp]\nports: [22]\nfrom: [\"$admin\"]\nnot: {in: [lo]}",
      "accept tcp 22 from $admin in not lo"
    ),
    ("verdict: accept\nfamily: ipv6\nprotocol: [udp]\nports: [546]", "accept ipv6 udp 546"),
    (
      "verdict: accept\nports: [22, ssh, 1000-2000, $x]\nprotocol: [tcp, udp]",
      "accept tcp, udp 22, ssh, 1000-2000, $x"
    ),
    ("verdict: accept\nprotocol: tcp\nnot: {ports: [22]}", "accept tcp not 22"),
    ("verdict: accept\nprotocol: tcp\nports: not 22, 23", "accept tcp not 22, 23"),
    ("verdict: accept\nprotocol: tcp 22", "accept tcp 22"),
    ("verdict: accept\nnot: {protocol: [tcp, protocol 47]}", "accept not tcp, protocol 47"),
    ("verdict: accept\nicmp: [echo-request, 3/4, redirect]", "accept icmp echo-request, 3/4, redirect"),
    ("verdict: accept\nnot: {icmpv6: [8]}", "accept icmpv6 not 8"),
    ("verdict: accept\nservice: [$web, $dns]", "accept $web, $dns"),
    ("verdict: accept\nnot: {service: $web}", "accept not $web"),
    ("verdict: accept\nstate: [established, related]", "accept established, related"),
    ("verdict: accept\nstate: new\nnot: {state: [invalid]}", "accept new not invalid"),
    ("verdict: accept\nfrom: $a, $b except $c", "accept from $a, $b except $c"),
    (
      "verdict: accept\nfrom: [10.0.0.0/8]\nnot: {from: [10.1.0.0/16]}",
      "accept from 10.0.0.0/8 from not 10.1.0.0/16"
    ),
    ("verdict: accept\nprotocol: udp\nfrom: [any]\nfrom-port: [53]", "accept udp from any port 53"),
    ("verdict: accept\nprotocol: udp\nfrom-port: [53, 54]", "accept udp from port 53, 54"),
    (
      "verdict: accept\nprotocol: udp\nnot: {from-port: [53], from: [$x]}",
      "accept udp from not $x port not 53"
    ),
    ("verdict: accept\nprotocol: udp\nto: 10.0.0.1 port 53", "accept udp 53 to 10.0.0.1"),
    ("verdict: accept\nto: [local, broadcast]", "accept to local, broadcast"),
    (
      "verdict: accept\nin: [in, '\"a,b\"', en-x]\nout: ['\"drop\"', $x]",
      #"accept in "in", "a,b", en-x out "drop", $x"#
    ),
    (
      "verdict: accept\nuser: [0, 1000-2000]\ngroup: 5\nnot: {user: [$x]}",
      "accept user 0, 1000-2000 user not $x group 5"
    ),
    (
      "verdict: accept\ncgroup: [system.slice/x.service, '\"a b\"']",
      "accept cgroup system.slice/x.service, \"a b\""
    ),
    (
      "verdict: accept\nstatus: [dnat]\nmark: 1/255\nconnmark: $m",
      "accept status dnat mark 1/255 connmark $m"
    ),
    ("verdict: drop\nflags: {value: [syn], mask: [syn, rst]}", "drop flags syn of syn, rst"),
    ("verdict: drop\nflags: none of syn", "drop flags none of syn"),
    ("verdict: drop\nnot: {flags: {value: none, mask: [syn]}}", "drop flags not none of syn"),
    ("verdict: drop\nether: from 02:00:00:00:00:01", "drop ether from 02:00:00:00:00:01"),
    (
      "verdict: drop\nether: {from: [\"02:00:00:00:00:01\"], to: ['ff:ff:ff:ff:ff:ff']}",
      "drop ether from 02:00:00:00:00:01 ether to ff:ff:ff:ff:ff:ff"
    ),
    ("verdict: drop\nnot: {ether: 'to 02:00:00:00:00:01'}", "drop ether to not 02:00:00:00:00:01"),
    (
      "verdict: drop\ndscp: [ef, 0]\nttl: 1-5\nlength: [100]\ntype: [multicast]\nnot: {ttl: [3]}",
      "drop dscp ef, 0 ttl 1-5 ttl not 3 length 100 type multicast"
    ),
    ("verdict: drop\nhours: 06:00-22:00\ndays: [mon, sunday]", "drop hours 06:00-22:00 days mon, sunday"),
    ("verdict: drop\nis: [fragment, spoofed]\nnot: {is: [ipsec]}", "drop fragment spoofed not ipsec"),
    ("verdict: drop\nconnections: {over: 4, per: source/24}", "drop connections over 4 per source/24"),
    ("verdict: accept\nconnections: {up-to: 4}", "accept connections up to 4"),
    (
      "verdict: accept\nlimit: {rate: 10/minute, burst: 5, over: false, per: source}",
      "accept limit 10/minute burst 5 per source"
    ),
    ("verdict: drop\nlimit: {over: true, rate: 1kbytes/second}", "drop limit over 1kbytes/second"),
    ("verdict: drop\nlimit: over 10/second", "drop limit over 10/second"),
    ("verdict: drop\nquota: {size: 500mbytes, over: true}", "drop quota over 500mbytes"),
    (
      "verdict: continue\nrestore: mark\nsave: mark\nset: {mark: 1, dscp: ef, mss: pmtu, connmark: 0x2}",
      "continue restore mark save mark set mark 1 set dscp ef set mss pmtu set connmark 2"
    ),
    (
      "verdict: continue\nadd: {key: source, set: $a, timeout: 10s}\nupdate: {key: source/24:64, set: $b}\ndelete: destination $c",
      "continue add source $a timeout 10s update source/24:64 $b delete destination $c"
    ),
    ("verdict: accept\ncount: true\nlog: true", "accept count log"),
    ("verdict: accept\ncount: ssh-in\nlog: ssh", "accept count ssh-in log ssh"),
    ("verdict: accept\ncount: false\nlog: false", "accept"),
    (
      "verdict: accept\nlog: {tag: ssh, level: info, at-most: 5/second}",
      "accept log ssh level info at most 5/second"
    ),
    ("verdict: accept\nlog: {text: 'a \"b\" \\ c', nflog: 3}", #"accept log "a \"b\" \\ c" nflog 3"#),
  ]

  @Test(arguments: twins)
  func formFourIsTheText(_ mapping: String, _ text: String) throws {
    let lines = mapping.split(separator: "\n")
    let block = "rules:\n- " + lines.joined(separator: "\n  ") + "\n- '" + text + "'\n"
    let (items, diagnostics) = ruleItems(block)
    #expect(diagnostics.isEmpty, "\(diagnostics.map(\.message))")
    try #require(items.count == 2)
    #expect(items[0].body == items[1].body)
    guard case .rule(let rule) = items[0].body else {
      Issue.record("no rule")
      return
    }
    #expect(parseRule(rule.canonicalText).rule == rule)
  }

  @Test func containersAreNamed() throws {
    let (items, diagnostics) = ruleItems(
      "rules:\n- docker: containers docker\n- name: podman\n  verdict: {containers: podman}\n")
    #expect(diagnostics.isEmpty)
    #expect(items.map(\.name?.value) == ["docker", "podman"])
  }

  @Test func keywordsNeedNoQuotesAsElements() throws {
    let (items, diagnostics) = ruleItems("rules:\n- verdict: accept\n  in: [in, any]\n  cgroup: [log]\n")
    #expect(diagnostics.isEmpty)
    guard case .rule(let rule) = try #require(items.first).body else { return }
    #expect(rule.canonicalText == #"accept in "in", "any" cgroup "log""#)
  }

  @Test func fiveForms() throws {
    let yaml = """
      rules:
      - accept tcp 22 from $admin
      - ssh: accept tcp 22
      - { name: web, rule: "accept tcp 80, 443", controls: [CIS-5.2.1, x], comment: c, owner: o, because: b, until: 2027-03-31, enabled: false }
      - verdict: accept
        name: icmp
        protocol: [icmp]
        until: never
      - ports:
          dispatch: tcp
          table: { 22: jump ssh, "9100, 9187": jump metrics, ssh: drop, 1-5: return }
          else: continue
      - pair:
          dispatch: udp . from
          table:
            53 . 10.0.0.0/8, 54 . $dns: accept
          else: drop
      - names:
          dispatch: in
          table: { eth0: goto a, br-*: accept }
          else: continue
      - marks:
          dispatch: mark
          table: { 0x10: accept }
          else: continue
      - icmp: accept icmp

      """
    let (items, diagnostics) = ruleItems(yaml)
    #expect(diagnostics.isEmpty, "\(diagnostics.map { "\($0.message) \($0.label)" })")
    try #require(items.count == 9)
    #expect(
      items.map { $0.name?.value } == [nil, "ssh", "web", "icmp", "ports", "pair", "names", "marks", "icmp"])
    #expect(items[2].controls.map(\.value) == ["CIS-5.2.1", "x"])
    #expect(!items[2].enabled && items[1].enabled)
    #expect(items[2].until?.value == "2027-03-31")
    #expect(items[2].comment?.value == "c" && items[2].owner?.value == "o" && items[2].because?.value == "b")
    guard case .verdictMap(let ports) = items[4].body, case .verdictMap(let pair) = items[5].body,
      case .verdictMap(let names) = items[6].body, case .verdictMap(let marks) = items[7].body
    else {
      Issue.record("no verdict maps")
      return
    }
    #expect(ports.dispatch.map(\.value) == [.port("tcp")])
    #expect(
      ports.entries.map { $0.keys.map(\.value) } == [
        [[.port(.range(22, 22))]], [[.port(.range(9100, 9100))], [.port(.range(9187, 9187))]],
        [[.port(.service("ssh"))]],
        [[.port(.range(1, 5))]],
      ])
    #expect(
      ports.entries.map(\.verdict.value.canonicalText) == ["jump ssh", "jump metrics", "drop", "return"])
    #expect(ports.otherwise.value == .continue)
    #expect(pair.dispatch.map(\.value) == [.port("udp"), .address(.from)])
    #expect(pair.entries[0].keys.count == 2)
    #expect(pair.entries[0].keys[1].value == [.port(.range(54, 54)), .address(.reference("dns"))])
    #expect(
      names.entries.map { $0.keys[0].value } == [[.interface(.exact("eth0"))], [.interface(.prefix("br-"))]])
    #expect(marks.entries[0].keys[0].value == [.mark(NumericRangeSyntax(lower: 16, upper: 16))])
  }

  struct Fault: Sendable, CustomTestStringConvertible {
    var marked: String
    var ids: [DiagnosticID]

    init(_ marked: String, _ ids: DiagnosticID...) {
      self.marked = marked
      self.ids = ids
    }

    var testDescription: String { marked }
  }

  static let faults = [
    Fault("rules: [⟦accept tcp 22⟧, 'drop']", .flowRule),
    Fault("rules: [{ssh: ⟦accept⟧}]", .flowRule),
    Fault("rules:\n- {rule: ⟦accept tcp 22⟧}", .flowRule),
    Fault("rules:\n- ⟦[x]⟧", .wrongType),
    Fault("rules:\n- ssh: ⟦[x]⟧", .wrongType),
    Fault("rules:\n- ⟦accept log \"a⟧: b\"", .accidentalMapping),
    Fault("rules:\n- ⟦Ssh⟧: accept", .accidentalMapping),
    Fault("rules:\n- ⟦closing⟧: accept", .badName),
    Fault("rules:\n- ⟦containers docker⟧", .ruleForm),
    Fault("rules:\n- verdict: {⟦containers: docker⟧}", .ruleForm),
    Fault("rules:\n- name: ⟦rule⟧\n  rule: accept", .badName),
    Fault("rules:\n- name: ⟦A B⟧\n  rule: accept", .badName),
    Fault("rules:\n- ssh: accept\n  ⟦web⟧: accept", .ruleForm),
    Fault("rules:\n- ⟦name: ssh\n  comment: x⟧", .ruleForm),
    Fault("rules:\n- name: ssh\n  ⟦ruel⟧: accept", .ruleForm),
    Fault("rules:\n- ⟦ssh⟧: {rule: 'accept', comment: x}", .ruleForm),
    Fault("rules:\n- ⟦dispatch: tcp\n  table: {22: drop}\n  else: drop⟧", .ruleForm),
    Fault("rules:\n- rule: accept\n  ⟦verdict⟧: accept", .ruleForm),
    Fault("rules:\n- rule: accept\n  ⟦from⟧: [any]", .ruleForm),
    Fault("rules:\n- rule: accept\n  ⟦conment⟧: x", .unknownKey),
    Fault(
      "rules:\n- rule: accept tcp ⟦99999⟧\n  enabled: ⟦maybe⟧\n  until: ⟦2027-02-30⟧\n  controls: ⟦x⟧\n  comment: ⟦[x]⟧",
      .ruleBadValue, .wrongType, .ruleBadValue, .ruleBadValue, .wrongType),
    Fault("rules:\n- verdict: ⟦acept⟧", .ruleUnknownWord),
    Fault("rules:\n- verdict: accept ⟦tcp 22⟧", .ruleUnexpected),
    Fault("rules:\n- verdict: ⟦[accept]⟧", .wrongType),
    Fault("rules:\n- verdict: {⟦jmp⟧: x}", .unknownKey),
    Fault("rules:\n- verdict: ⟦{jump: x, goto: y}⟧", .ruleForm),
    Fault("rules:\n- verdict: {reject: ⟦tcp-rest⟧}", .ruleUnknownWord),
    Fault("rules:\n- verdict: {dnat: ⟦2001:db8::1⟧}", .badAddress),
    Fault("rules:\n- verdict: {containers: docker}\n  state: [⟦new⟧]", .ruleUnexpected),
    Fault("rules:\n- verdict: accept\n  ⟦frm⟧: [any]", .unknownKey),
    Fault("rules:\n- verdict: accept\n  ⟦port⟧: 22", .unknownKey),
    Fault("rules:\n- verdict: accept\n  ⟦with⟧: tcp-reset", .unknownKey),
    Fault("rules:\n- verdict: accept\n  from: ⟦[]⟧", .ruleEmpty),
    Fault("rules:\n- verdict: accept\n  from: ⟦{x: y}⟧", .wrongType),
    Fault(
      "rules:\n- verdict: accept\n  from: [⟦'10.0.0.1, 10.0.0.2'⟧, ⟦not $x⟧, ⟦''⟧, ⟦[a]⟧]", .ruleUnexpected,
      .ruleUnexpected, .ruleEmpty,
      .wrongType),
    Fault("rules:\n- verdict: accept\n  from: [⟦10.0.0.1/8⟧]\n  in: [⟦a*b⟧]", .badAddress, .ruleBadValue),
    Fault("rules:\n- verdict: accept\n  from: 10.0.0.1 ⟦to 10.0.0.2⟧", .ruleUnexpected),
    Fault("rules:\n- verdict: accept\n  ⟦ports⟧: [22]", .rulePortsWithoutProtocol),
    Fault("rules:\n- verdict: accept\n  protocol: icmp\n  ports: [⟦22⟧]", .rulePortsWithoutProtocol),
    Fault("rules:\n- verdict: accept\n  from-port: [⟦22⟧]", .rulePortsWithoutProtocol),
    Fault(
      "rules:\n- verdict: accept\n  protocol: tcp\n  ports: [22]\n  not: {⟦ports⟧: [23]}", .ruleSecondClause),
    Fault("rules:\n- verdict: accept\n  protocol: tcp\n  ⟦icmp: [8⟧]", .ruleSecondClause),
    Fault("rules:\n- verdict: accept\n  icmp: [⟦tcp⟧]", .ruleUnexpected),
    Fault("rules:\n- verdict: accept\n  service: [⟦web⟧]", .ruleUnexpected),
    Fault("rules:\n- verdict: accept\n  state: [new, ⟦relatd⟧]", .ruleUnknownWord),
    Fault("rules:\n- verdict: accept\n  is: [⟦fragmnt⟧]", .ruleUnknownWord),
    Fault("rules:\n- verdict: accept\n  family: ⟦ipv5⟧", .ruleUnexpected),
    Fault("rules:\n- verdict: accept\n  not: ⟦x⟧", .wrongType),
    Fault(
      "rules:\n- verdict: accept\n  not: {⟦hours⟧: '01:00-02:00', ⟦family⟧: ipv4, ⟦limit⟧: 5/second, ⟦form⟧: [any]}",
      .languageNotIn1, .ruleNotHere, .ruleNotHere, .unknownKey),
    Fault("rules:\n- verdict: accept\n  ⟦limit⟧: {burst: 5}", .ruleForm),
    Fault("rules:\n- verdict: accept\n  limit: {rate: 5/second, over: ⟦yes⟧}", .ruleBadValue),
    Fault("rules:\n- verdict: accept\n  limit: {rate: ⟦5 second⟧}", .ruleBadValue),
    Fault("rules:\n- verdict: accept\n  ⟦limit⟧: {⟦rates⟧: 5/second}", .unknownKey, .ruleForm),
    Fault("rules:\n- verdict: accept\n  ⟦connections⟧: {over: 5, up-to: 4}", .ruleForm),
    Fault("rules:\n- verdict: accept\n  add: {key: source, set: ⟦banned⟧}", .ruleUnexpected),
    Fault("rules:\n- verdict: accept\n  log: {tag: ⟦Ssh⟧}", .badName),
    Fault("rules:\n- verdict: accept\n  log: {tag: ssh, ⟦text⟧: x}", .ruleForm),
    Fault("rules:\n- verdict: accept\n  log: ⟦{}⟧", .ruleEmpty),
    Fault("rules:\n- verdict: accept\n  log: ⟦[x]⟧", .wrongType),
    Fault("rules:\n- m: ⟦{table: {22: drop}, else: drop}⟧", .ruleForm),
    Fault("rules:\n- m: {dispatch: ⟦icmp⟧, table: {22: drop}, else: drop}", .ruleUnexpected),
    Fault(
      "rules:\n- m: {dispatch: tcp . from ⟦. to⟧, table: {22 . 10.0.0.1: drop}, else: drop}", .ruleUnexpected),
    Fault("rules:\n- m: {dispatch: tcp, table: ⟦{}⟧, else: drop}", .ruleEmpty),
    Fault(
      "rules:\n- m: {dispatch: tcp, table: {⟦99999⟧: drop, 22: ⟦reject⟧}, else: ⟦dorp⟧}", .ruleUnknownWord,
      .ruleBadValue,
      .ruleUnexpected),
    Fault("rules:\n- m: {dispatch: tcp . from, table: {22⟦⟧: drop}, else: drop}", .ruleUnexpected),
    Fault("rules:\n- m: {dispatch: tcp, table: {22: drop}, else: drop, ⟦elsewhere⟧: x}", .unknownKey),
  ]

  @Test(arguments: faults) func refused(_ fault: Fault) {
    let expected = MarkedText(fault.marked)
    let (_, found) = ruleItems(expected.text + "\n")
    #expect(
      found.map(\.id.rawValue).sorted() == fault.ids.map(\.rawValue).sorted(), "\(found.map(\.message))")
    // A fault of a whole mapping is also at the place of its key.
    #expect(
      Set(found.compactMap(\.span)).isSubset(of: expected.spans)
        && Set(expected.spans).isSubset(of: found.compactMap(\.span)), "\(found)")
  }

  @Test func accidentalMappingIsQuoted() throws {
    let yaml = "rules:\n- accept log \"it's a: b\"\n"
    let fixIt = try #require(ruleItems(yaml).diagnostics.first?.fixIts.first)
    let fixed = applying(fixIt, to: yaml)
    #expect(fixed == "rules:\n- 'accept log \"it''s a: b\"'\n")
    #expect(ruleItems(fixed).diagnostics.isEmpty)
  }

  @Test func flowRuleIsQuoted() throws {
    let yaml = "rules: [accept tcp 22]\n"
    let fixIt = try #require(ruleItems(yaml).diagnostics.first?.fixIts.first)
    let fixed = applying(fixIt, to: yaml)
    #expect(fixed == "rules: ['accept tcp 22']\n")
    #expect(ruleItems(fixed).diagnostics.isEmpty)
  }
}
