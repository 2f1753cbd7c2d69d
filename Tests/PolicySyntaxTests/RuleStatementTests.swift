import Diagnostics
import PolicySyntax
import Testing

@Suite struct RuleStatementTests {
  static let canonical = [
    "input accept tcp 22", "input drop any", "forward always accept any",
    "output sometimes accept tcp 22 to $x",
    "prerouting may accept fragment", "postrouting reject any-state", "ingress drop not fragment",
    "lan to wan drop any", "any to host accept tcp 22", "host to any drop udp", "kernel to mount drop any",
    "input drop tcp not 22", "input drop ipv4 udp",
    "input drop tcp 10250 from not $control-plane in not $cni",
    "input drop tcp 22 from 203.0.113.9 assuming $knocked empty",
    "input drop any assuming $a empty assuming $b within 10.0.0.0/8, $c except 10.1.0.0/16",
    "wan to dmz accept tcp 443 from not $bogons to 192.168.30.80 not spoofed",
    "sysctl kernel.kptr_restrict at least 1", "sysctl net.ipv4.ip_forward", "sysctl a.b is 1",
    #"sysctl net.ipv4.ip_local_port_range is "32768 60999""#, "kernel lockdown at least integrity",
    "kernel lockdown", "module udf allowed", "module sctp denied", "module can* denied", "syscall bpf denied",
    "syscall @obsolete allowed", "mount /tmp noexec", "mount /tmp not exec, suid", #"mount "/a b" noexec"#,
    "refines base.cos", #"refines "any""#,
  ]

  @Test(arguments: canonical) func staysItself(_ text: String) {
    var diagnostics = DiagnosticList()
    let statement = StatementSyntax.parse(scalar(text), diagnostics: &diagnostics)
    #expect(diagnostics.isEmpty, "\(diagnostics.all.map(\.message))")
    #expect(statement?.canonicalText == text)
  }

  static let faults: [RuleFaultTests.Fault] = [
    .init("⟦⟧", .ruleEmpty),
    .init("input⟦⟧", .ruleUnexpected),
    .init("input ⟦allow⟧ tcp 22", .ruleUnknownWord, fixed: ["input accept tcp 22"]),
    .init("input ⟦tcp⟧ 22", .ruleUnexpected),
    .init("input accept⟦⟧", .ruleUnexpected),
    .init("input accept ⟦assuming⟧ $x empty", .ruleUnexpected),
    .init("input accept any ⟦tcp⟧ 22", .ruleUnexpected, fixed: ["input accept tcp 22"]),
    .init("input always ⟦drop⟧ any", .ruleUnexpected, fixed: ["input drop any"]),
    .init("input may⟦⟧", .ruleUnexpected),
    .init("input accept tcp 22 ⟦limit⟧ 5/second", .ruleUnexpected),
    .init("input accept tcp 22 ⟦log⟧ x", .ruleUnexpected),
    .init("⟦inptu⟧ accept tcp 22", .ruleUnexpected, fixed: ["input accept tcp 22"]),
    .init("⟦accept⟧ tcp 22", .ruleUnexpected),
    .init("lan to ⟦accept⟧ tcp 22", .ruleUnexpected),
    .init("lan to⟦⟧", .ruleUnexpected),
    .init("⟦Lan⟧ to wan drop any", .badName),
    .init("⟦egress⟧ accept any", .languageNotIn1),
    .init("input accept ⟦not⟧ from 10.0.0.1", .ruleNotHere, fixed: ["input accept from not 10.0.0.1"]),
    .init(
      "input accept tcp 22 assuming ⟦x⟧ empty", .ruleUnexpected,
      fixed: ["input accept tcp 22 assuming $x empty"]),
    .init("input accept tcp 22 assuming $x⟦⟧", .ruleUnexpected),
    .init("input accept tcp 22 assuming $x empty ⟦tcp⟧", .ruleUnexpected),
    .init(
      "input accept established ⟦related⟧", .ruleSecondClause, fixed: ["input accept established, related"]),
    .init("sysctl⟦⟧", .ruleUnexpected),
    .init("sysctl a.b is⟦⟧", .ruleUnexpected),
    .init("sysctl a.b at ⟦1⟧", .ruleUnexpected),
    .init("sysctl a.b ⟦>⟧ 1", .ruleUnexpected),
    .init("sysctl a.b is 1 ⟦2 3⟧", .ruleUnexpected),
    .init("module foo⟦⟧", .ruleUnexpected),
    .init("module foo ⟦deny⟧", .ruleUnknownWord),
    .init("mount /tmp⟦⟧", .ruleUnexpected),
    .init("mount /tmp noexec ⟦nosuid⟧", .ruleUnexpected, fixed: ["mount /tmp noexec, nosuid"]),
    .init("mount ⟦not⟧ noexec", .ruleUnexpected),
  ]

  @Test(arguments: faults) func refused(_ fault: RuleFaultTests.Fault) {
    let text = MarkedText(fault.marked).text
    var diagnostics = DiagnosticList()
    #expect(StatementSyntax.parse(scalar(text), diagnostics: &diagnostics) == nil)
    expectFaults(fault.marked, fault.ids, diagnostics.all, sourceLocation: #_sourceLocation)
    if !fault.fixed.isEmpty {
      #expect(diagnostics.all.flatMap(\.fixIts).map { applying($0, to: text) } == fault.fixed)
    }
  }

  @Test func management() throws {
    func parse(_ text: String) -> String? {
      var diagnostics = DiagnosticList()
      let result = RegionSyntax.parseManagement(scalar(text), diagnostics: &diagnostics)
      #expect(diagnostics.isEmpty == (result != nil))
      return result.map { ($0.place.map { "[\($0.value.canonicalText)] " } ?? "") + $0.region.canonicalText }
    }
    #expect(parse("tcp 22 from $admin") == "tcp 22 from $admin")
    #expect(parse("from $admin tcp 22") == "tcp 22 from $admin")
    #expect(parse("lan to host tcp 22") == "[lan to host] tcp 22")
    #expect(parse("any to host any") == "[any to host] any")
    #expect(parse("forward tcp 22") == "[forward] tcp 22")
    #expect(parse("to 10.0.0.1") == "to 10.0.0.1")
    #expect(parse("$web to 10.0.0.1") == "$web to 10.0.0.1")
    #expect(parse("fragment to 10.0.0.1") == "to 10.0.0.1 fragment")
    #expect(parse("any") == "any")
    #expect(parse("") == nil)
    #expect(parse("input") == nil)
    #expect(parse("lan host tcp 22") == nil)
    #expect(parse("tcp 22 log") == nil)
    #expect(parse("tcp 22 assuming $x empty") == nil)
  }

  @Test func addressLists() {
    func parse(_ text: String) -> String? {
      var diagnostics = DiagnosticList()
      let result = AddressListSyntax.parse(scalar(text), diagnostics: &diagnostics)
      #expect(diagnostics.isEmpty == (result != nil))
      return result?.canonicalText
    }
    #expect(parse("$a, $b except $c") == "$a, $b except $c")
    #expect(parse("10.0.0.0/8") == "10.0.0.0/8")
    #expect(parse("not $a") == nil)
    #expect(parse("$a tcp") == nil)
    #expect(parse("") == nil)
  }

  @Test func definitionElements() {
    func parse(_ text: String, as kind: DefinitionElementSyntax.Kind? = nil) -> DefinitionElementSyntax? {
      var diagnostics = DiagnosticList()
      let result = DefinitionElementSyntax.parse(scalar(text), as: kind, diagnostics: &diagnostics)
      #expect(diagnostics.isEmpty == (result != nil), "\(text): \(diagnostics.all.map(\.message))")
      return result?.value
    }
    func service(_ name: ProtocolSyntax, _ port: PortSyntax? = nil) -> DefinitionElementSyntax {
      let nowhere = SourceSpan(SourceID(0), 0, 0)
      return .service(Spanned(name, nowhere), port: port.map { Spanned($0, nowhere) })
    }
    #expect(parse("$x") == .reference("x"))
    #expect(
      parse("10.0.0.1-10.0.0.9")
        == .address(
          .range(AddressRangeSyntax(family: .ipv4, lower: 0x0a00_0001, upper: 0x0a00_0009, prefix: nil))))
    #expect(
      parse("::/0") == .address(.range(AddressRangeSyntax(family: .ipv6, lower: 0, upper: .max, prefix: 0))))
    #expect(parse("80") == .number(80, 80))
    #expect(parse("0x10") == .number(16, 16))
    #expect(parse("1000-2000") == .number(1000, 2000))
    #expect(parse("tcp 80") == service(.named("tcp"), .range(80, 80)))
    #expect(parse("udp 1000-2000") == service(.named("udp"), .range(1000, 2000)))
    #expect(parse("tcp ssh") == service(.named("tcp"), .service("ssh")))
    #expect(parse("esp") == service(.named("esp")))
    #expect(parse("protocol 47") == service(.number(47)))
    #expect(parse("mdns") == service(.named("mdns")))
    #expect(parse("eth0") == .interface(.exact("eth0")))
    #expect(parse("ens*") == .interface(.prefix("ens")))
    #expect(parse("in") == .interface(.exact("in")))
    #expect(parse("any") == .interface(.exact("any")))
    #expect(parse("ssh") == .interface(.exact("ssh")))
    #expect(parse("any", as: .addresses) == .address(.any))
    #expect(parse("80", as: .interfaces) == .interface(.exact("80")))
    #expect(parse("tcp", as: .interfaces) == .interface(.exact("tcp")))
    #expect(parse("$x", as: .services) == .reference("x"))
    for text in [
      "", "10.0.0.1/8", "tcp 80, 443", "tcp 80 443", "tcp $x", "esp 5", "9-8", "80/tcp", "a b", ",",
      "tcp not 5", "icmp 8",
    ] {
      #expect(parse(text) == nil, "\(text)")
    }
    #expect(parse("eth0", as: .numbers) == nil)
    #expect(parse("eth0", as: .services) == nil)
    #expect(parse("eth0", as: .addresses) == nil)
  }
}
