import Diagnostics
import PolicySyntax
import Testing

/// Refused rules: the id and place of each fault, and what each fix-it makes of the text.
@Suite struct RuleFaultTests {
  struct Fault: Sendable, CustomTestStringConvertible {
    var marked: String
    var ids: [DiagnosticID]
    var fixed: [String]

    init(_ marked: String, _ ids: DiagnosticID..., fixed: [String] = []) {
      self.marked = marked
      self.ids = ids
      self.fixed = fixed
    }

    var testDescription: String { marked }
  }

  static let rules: [Fault] = [
    // The verdict.
    Fault("⟦⟧", .ruleEmpty),
    Fault("⟦ \t⟧", .ruleEmpty),
    Fault("⟦tcp⟧ 22 accept", .ruleUnexpected),
    Fault("⟦22⟧", .ruleUnknownWord),
    Fault("⟦allow⟧ tcp 22", .ruleUnknownWord, fixed: ["accept tcp 22"]),
    Fault("⟦acept⟧ tcp 22", .ruleUnknownWord, fixed: ["accept tcp 22"]),
    Fault(
      "⟦dorp⟧ tcp ⟦form⟧ 10.0.0.1", .ruleUnknownWord, .ruleUnknownWord,
      fixed: ["drop tcp form 10.0.0.1", "dorp tcp from 10.0.0.1"]),
    Fault("⟦\"accept\"⟧", .ruleUnknownWord),
    Fault("⟦,⟧ accept", .ruleUnknownWord),
    Fault("jump⟦⟧", .ruleUnexpected),
    Fault("jump ⟦accept⟧", .ruleUnexpected),
    Fault("jump ⟦Foo⟧", .badName),
    Fault("goto ⟦a--b⟧", .badName),
    Fault("goto ⟦a2345678901234567890123456789012345678901⟧", .badName),
    Fault("dnat ⟦10.0.0.1⟧", .ruleUnexpected, fixed: ["dnat to 10.0.0.1"]),
    Fault("dnat to⟦⟧", .ruleUnexpected),
    Fault("dnat to ⟦from⟧ 10.0.0.1", .ruleUnexpected),
    Fault("dnat to ⟦2001:db8::1⟧", .badAddress, fixed: ["dnat to [2001:db8::1]"]),
    Fault("dnat to [⟦10.0.0.1⟧]", .badAddress),
    Fault("dnat to ⟦[⟧2001:db8::1", .badAddress),
    Fault("dnat to [2001:db8::1]⟦443⟧", .badAddress),
    Fault("dnat to [⟦2001:db8::/48⟧]", .badAddress),
    Fault("dnat to ⟦[2001:db8::1]/48⟧", .badAddress),
    Fault("dnat to 10.0.0.1:⟦http⟧", .ruleBadValue),
    Fault("dnat to ⟦10.0.0.1/24⟧:80", .badAddress, fixed: ["dnat to 10.0.0.0/24", "dnat to 10.0.0.1"]),
    Fault("redirect to ⟦99999⟧", .ruleBadValue),
    Fault("containers ⟦lxc⟧", .ruleUnknownWord),
    Fault("containers docker ⟦tcp 22 from 10.0.0.1⟧", .ruleUnexpected),
    // Not in language 1.
    Fault("⟦queue⟧ tcp 22", .languageNotIn1),
    Fault("⟦dup⟧ to 10.0.0.1", .languageNotIn1),
    Fault("⟦fwd⟧ to eth0", .languageNotIn1),
    Fault("⟦tproxy⟧ to 10.0.0.1", .languageNotIn1),
    Fault("⟦synproxy⟧ tcp 80", .languageNotIn1),
    Fault("⟦flow⟧ tcp", .languageNotIn1),
    Fault("accept tcp 22 ⟦queue⟧ 5", .languageNotIn1),
    Fault("accept tcp ⟦tproxy⟧", .languageNotIn1),
    Fault("accept ⟦helper⟧ ftp", .languageNotIn1),
    Fault("accept tcp ⟦helper⟧ ftp", .languageNotIn1),
    Fault("accept ⟦zone⟧ 5", .languageNotIn1),
    Fault("accept tcp 22 ⟦vlan⟧ 5", .languageNotIn1),
    Fault("accept ⟦iif⟧ 5", .languageNotIn1),
    Fault("accept ⟦inner⟧ vxlan", .languageNotIn1),
    Fault("accept ⟦numgen⟧ random", .languageNotIn1),
    Fault("accept ⟦jhash⟧ source", .languageNotIn1),
    Fault("accept ⟦priority⟧ 5", .languageNotIn1),
    Fault("accept cgroup ⟦not⟧ x", .languageNotIn1),
    Fault("accept ⟦not cgroup⟧ x", .languageNotIn1),
    Fault("accept hours ⟦not⟧ 06:00-22:00", .languageNotIn1),
    Fault("accept ⟦not days⟧ monday", .languageNotIn1),
    Fault("accept from ⟦example.com⟧, ⟦https://example.com/list⟧", .languageNotIn1, .languageNotIn1),
    Fault("accept user ⟦root⟧", .languageNotIn1),
    Fault("accept group 5, ⟦wheel⟧", .languageNotIn1),
    Fault("accept from 10.0.0.0/⟦255.0.255.0⟧", .languageNotIn1),
    Fault("accept limit ⟦$x⟧", .languageNotIn1),
    Fault("accept limit 5/second per ⟦mark⟧", .languageNotIn1),
    Fault("accept add ⟦mark⟧ $x", .languageNotIn1),
    // Negation.
    Fault("accept ⟦not⟧ from 10.0.0.1", .ruleNotHere, fixed: ["accept from not 10.0.0.1"]),
    Fault("accept tcp ⟦not⟧ in lo", .ruleNotHere, fixed: ["accept tcp in not lo"]),
    Fault("accept ⟦not⟧ limit 5/second", .ruleNotHere),
    Fault("accept ⟦not⟧ log", .ruleNotHere),
    Fault("accept ⟦not⟧ count", .ruleNotHere),
    Fault("accept ⟦not⟧ ipv4", .ruleNotHere, fixed: ["accept ipv6"]),
    Fault("accept ⟦not⟧ port 22", .ruleNotHere),
    Fault("accept udp from ⟦not⟧ port 53", .ruleNotHere, fixed: ["accept udp from port not 53"]),
    Fault("accept ⟦not⟧ not established", .ruleNotHere),
    Fault("accept from not ⟦not⟧ $x", .ruleUnexpected),
    Fault("accept from 10.0.0.1, ⟦not⟧ 10.0.0.2", .ruleNotHere),
    Fault("accept in eth0, ⟦not⟧ eth1", .ruleNotHere),
    Fault("accept from $a except ⟦not⟧ $b", .ruleNotHere),
    Fault("accept ⟦not⟧ drop", .ruleNotHere),
    Fault("accept not⟦⟧", .ruleUnexpected),
    Fault("accept ⟦not tcp 22⟧", .ruleNotBeforePorts, fixed: ["accept tcp not 22", "accept not tcp"]),
    Fault(
      "accept ⟦not tcp, udp 22-23, ssh⟧ from $x", .ruleNotBeforePorts,
      fixed: ["accept tcp, udp not 22-23, ssh from $x", "accept not tcp, udp from $x"]),
    Fault("accept ⟦not tcp $x⟧", .ruleNotBeforePorts, fixed: ["accept tcp not $x", "accept not tcp"]),
    Fault(
      "accept ⟦not icmp echo-request, 5⟧", .ruleNotBeforePorts,
      fixed: ["accept icmp not echo-request, 5", "accept not icmp"]),
    // Two clauses of a kind.
    Fault("accept established ⟦related⟧", .ruleSecondClause, fixed: ["accept established, related"]),
    Fault("accept tcp ⟦udp 53⟧", .ruleSecondClause, fixed: ["accept tcp, udp 53"]),
    Fault("accept $web ⟦$dns⟧", .ruleSecondClause, fixed: ["accept $web, $dns"]),
    Fault("accept tcp 22 ⟦udp 53⟧", .ruleSecondClause),
    Fault("accept tcp 22, ⟦udp⟧ 53", .ruleSecondClause),
    Fault("accept tcp 22 ⟦$web⟧", .ruleSecondClause),
    Fault("accept icmp echo-request ⟦tcp 22⟧", .ruleSecondClause),
    Fault("accept ipv4 ⟦ipv6⟧", .ruleSecondClause),
    Fault("accept from 10.0.0.1 tcp 22 ⟦from 10.0.0.2⟧", .ruleSecondClause),
    Fault("accept in not a ⟦in not b⟧", .ruleSecondClause),
    Fault("accept fragment ⟦not fragment⟧", .ruleSecondClause),
    Fault("accept log ⟦log x⟧", .ruleSecondClause),
    Fault("accept count ⟦count⟧", .ruleSecondClause),
    Fault("accept set mark 1 ⟦set mark 2⟧", .ruleSecondClause),
    Fault("accept add source $a ⟦add destination $b⟧", .ruleSecondClause),
    Fault("accept tcp 22 to 10.0.0.1 ⟦port 23⟧", .ruleSecondClause),
    Fault("accept $web to 10.0.0.1 ⟦port 23⟧", .ruleSecondClause),
    Fault("accept tcp to port 22 to ⟦port 23⟧", .ruleSecondClause),
    Fault("accept tcp from not $a port 22 ⟦from $b port 23⟧", .ruleSecondClause),
    // Ports and protocols.
    Fault("accept ⟦22⟧", .rulePortsWithoutProtocol, fixed: ["accept tcp 22", "accept udp 22"]),
    Fault("accept not ⟦22⟧", .rulePortsWithoutProtocol, fixed: ["accept tcp not 22", "accept udp not 22"]),
    Fault("accept esp ⟦50⟧", .rulePortsWithoutProtocol),
    Fault("accept tcp, icmp ⟦22, 23⟧", .rulePortsWithoutProtocol),
    Fault("accept tcp, icmp ⟦echo-request⟧", .rulePortsWithoutProtocol),
    Fault("accept protocol 6 ⟦22⟧", .rulePortsWithoutProtocol),
    Fault("accept dhcp not ⟦68⟧", .rulePortsWithoutProtocol),
    Fault("accept to ⟦port 22⟧", .rulePortsWithoutProtocol),
    Fault("accept icmp to $x ⟦port 22⟧", .rulePortsWithoutProtocol),
    Fault("accept not tcp to ⟦port 22⟧", .rulePortsWithoutProtocol),
    Fault("accept from port ⟦53, 54⟧", .rulePortsWithoutProtocol),
    Fault("accept icmp from port ⟦53⟧", .rulePortsWithoutProtocol),
    Fault("accept tcp ⟦port⟧ 22", .ruleUnexpected, fixed: ["accept tcp  22"]),
    Fault("accept tcp ⟦dport⟧ 22", .ruleUnknownWord),
    Fault("accept tcp ⟦22/tcp⟧", .ruleBadValue),
    Fault(
      "accept tcp ⟦70000⟧, 1-⟦70000⟧, ⟦⟧-5, 5-⟦⟧, ⟦0x⟧, ⟦0x1G⟧", .ruleBadValue, .ruleBadValue, .ruleBadValue,
      .ruleBadValue,
      .ruleBadValue, .ruleBadValue),
    Fault("accept tcp ⟦HTTP⟧", .ruleBadValue, fixed: ["accept tcp http"]),
    Fault("accept tcp ⟦022⟧", .leadingZero),
    Fault("accept tcp ⟦1000:2000⟧", .ruleBadValue, fixed: ["accept tcp 1000-2000"]),
    Fault("accept tcp ⟦9-1⟧", .badRange, fixed: ["accept tcp 1-9"]),
    Fault("accept protocol ⟦300⟧", .ruleBadValue),
    Fault("accept protocol ⟦tcp⟧", .ruleUnexpected),
    Fault("accept icmp ⟦256⟧, 3/⟦x⟧", .ruleBadValue, .ruleBadValue),
    Fault("accept icmpv6 ⟦Foo⟧", .ruleBadValue),
    Fault("accept tcp, ⟦tpc⟧ 22", .ruleUnknownWord, fixed: ["accept tcp, tcp 22"]),
    // Commas.
    Fault("accept tcp 22⟦,⟧", .ruleTrailingComma, fixed: ["accept tcp 22"]),
    Fault("accept tcp 22⟦,⟧ from 10.0.0.1", .ruleTrailingComma, fixed: ["accept tcp 22 from 10.0.0.1"]),
    Fault("accept new⟦,⟧ from 10.0.0.1", .ruleTrailingComma, fixed: ["accept new from 10.0.0.1"]),
    Fault(
      "accept from 10.0.0.1⟦,⟧ to 10.0.0.2", .ruleTrailingComma, fixed: ["accept from 10.0.0.1 to 10.0.0.2"]),
    Fault("accept in eth0⟦,⟧ log", .ruleTrailingComma, fixed: ["accept in eth0 log"]),
    Fault("accept tcp 22,⟦,⟧ 23", .ruleTrailingComma, fixed: ["accept tcp 22, 23"]),
    Fault("accept tcp⟦,⟧ 22", .ruleTrailingComma, fixed: ["accept tcp  22"]),
    Fault("accept tcp ⟦,⟧22", .ruleTrailingComma, fixed: ["accept tcp  22"]),
    Fault("accept ⟦,⟧ tcp", .ruleUnexpected, fixed: ["accept  tcp"]),
    Fault("accept ipv4⟦,⟧ tcp", .ruleUnexpected, fixed: ["accept ipv4 tcp"]),
    Fault("accept tcp 80 ⟦443⟧", .ruleUnexpected, fixed: ["accept tcp 80, 443"]),
    Fault("accept tcp ssh ⟦http⟧", .ruleUnexpected, fixed: ["accept tcp ssh, http"]),
    Fault("accept from 10.0.0.1 ⟦10.0.0.2⟧", .ruleUnexpected, fixed: ["accept from 10.0.0.1, 10.0.0.2"]),
    Fault("accept in eth0 ⟦eth1⟧ tcp", .ruleUnexpected, fixed: ["accept in eth0, eth1 tcp"]),
    // Addresses.
    Fault(
      "accept from ⟦10.0.0.1/8⟧", .badAddress, fixed: ["accept from 10.0.0.0/8", "accept from 10.0.0.1"]),
    Fault(
      "accept from ⟦2001:db8::1/32⟧", .badAddress,
      fixed: ["accept from 2001:db8::/32", "accept from 2001:db8::1"]),
    Fault(
      "accept from 10.0.0.⟦256⟧, ⟦1.2.3⟧, 1.2.3.4⟦.5⟧, ⟦1..2.3⟧", .badAddress, .badAddress, .badAddress,
      .badAddress),
    Fault("accept from ⟦::ffff:1.2.3.4⟧", .badAddress, fixed: ["accept from 1.2.3.4"]),
    Fault("accept from fe80::1⟦%eth0⟧", .badAddress),
    Fault("accept from ⟦010⟧.0.0.1", .badAddress),
    Fault(
      "accept from 10.0.0.0/⟦33⟧, 10.0.0.0/⟦08⟧, 10.0.0.0⟦/⟧, ::/⟦129⟧", .badAddress, .badAddress,
      .badAddress,
      .badAddress),
    Fault("accept from 10.0.0.0/⟦255.255.255.0⟧", .badAddress, fixed: ["accept from 10.0.0.0/24"]),
    Fault("accept from ⟦10.0.0.9-10.0.0.1⟧", .badRange, fixed: ["accept from 10.0.0.1-10.0.0.9"]),
    Fault("accept from ⟦10.0.0.1-::1⟧", .badAddress),
    Fault("accept from 1::2⟦::⟧3, ⟦1:2:3⟧, 1:2:3:4:5:6:7:8:⟦9⟧, ⟦12345⟧::, ⟦:⟧1:2, 1:2:3⟦:⟧", .badAddress),
    Fault("accept from ⟦web⟧", .badAddress, fixed: ["accept from $web"]),
    Fault("accept from ⟦\"10.0.0.1\"⟧", .ruleUnexpected),
    Fault("accept ⟦10.0.0.1⟧", .ruleUnexpected, fixed: ["accept from 10.0.0.1", "accept to 10.0.0.1"]),
    Fault("accept from $a except $b ⟦except⟧ $c", .ruleUnexpected),
    Fault("accept from ⟦except⟧ $c", .ruleUnexpected),
    Fault("accept from $a except⟦⟧", .ruleUnexpected),
    Fault("accept from ⟦host⟧", .ruleUnexpected),
    Fault("accept from ⟦$Admin⟧, ⟦$⟧, ⟦$a_b⟧", .badName, .badName, .badName),
    // Interfaces, owners, paths.
    Fault("accept in⟦⟧", .ruleUnexpected),
    Fault("accept in ⟦in⟧", .ruleUnexpected),
    Fault("accept in ⟦tcp⟧", .ruleUnexpected),
    Fault(
      "accept in ⟦averyveryverylongname⟧, ⟦a:b⟧, ⟦*⟧, ⟦a*b⟧, ⟦a/b⟧, ⟦.⟧, ⟦\"a b\"⟧, ⟦\"\"⟧", .ruleBadValue,
      .ruleBadValue,
      .ruleBadValue, .ruleBadValue, .ruleBadValue, .ruleBadValue, .ruleBadValue, .ruleBadValue),
    Fault("accept user ⟦4294967295⟧, ⟦5-3⟧", .ruleBadValue, .badRange),
    Fault("accept cgroup ⟦$x⟧", .ruleUnexpected),
    Fault("accept cgroup ⟦\"\"⟧", .ruleBadValue),
    // Other matches.
    Fault("accept days ⟦munday⟧", .ruleUnknownWord, fixed: ["accept days monday"]),
    Fault("accept days mon ⟦tuesday⟧", .ruleUnexpected, fixed: ["accept days mon, tuesday"]),
    Fault("accept hours ⟦6-22⟧", .ruleBadValue),
    Fault("accept hours ⟦24:00-06:00⟧", .ruleBadValue),
    Fault("accept hours ⟦06:00-06:00⟧", .ruleBadValue),
    Fault("accept tcp flags syn⟦⟧", .ruleUnexpected),
    Fault("accept tcp flags syn, ⟦none⟧ of syn", .ruleBadValue),
    Fault("accept tcp flags ⟦syn⟧ of ack", .ruleBadValue),
    Fault("accept tcp flags none of ⟦none⟧", .ruleBadValue),
    Fault("accept ether ⟦02:00:00:00:00:01⟧", .ruleUnexpected),
    Fault("accept ether from ⟦02:00⟧, ⟦02-00-00-00-00-01⟧", .ruleBadValue, .ruleBadValue),
    Fault("accept mark ⟦0x5/0x2⟧", .ruleBadValue),
    Fault("accept mark ⟦0X5⟧", .ruleBadValue),
    Fault("accept mark ⟦1_000⟧", .ruleBadValue),
    Fault("accept mark ⟦4294967296⟧", .ruleBadValue),
    Fault("accept mark ⟦99999999999999999999999⟧", .ruleBadValue),
    Fault("accept dscp ⟦64⟧ ttl ⟦256⟧ length ⟦65536⟧", .ruleBadValue, .ruleBadValue, .ruleBadValue),
    Fault("accept status ⟦asured⟧", .ruleUnknownWord, fixed: ["accept status assured"]),
    Fault("accept type ⟦anycast⟧", .ruleUnknownWord),
    Fault("accept new, ⟦establshed⟧", .ruleUnknownWord, fixed: ["accept new, established"]),
    // Stateful clauses and actions.
    Fault("accept connections ⟦4⟧", .ruleUnexpected),
    Fault("accept connections over ⟦many⟧", .ruleBadValue),
    Fault("accept limit ⟦10⟧", .ruleBadValue),
    Fault("accept limit ⟦0⟧/second", .ruleBadValue),
    Fault("accept limit ⟦10 / minute⟧", .ruleBadValue),
    Fault("accept limit 10/⟦min⟧", .ruleBadValue, fixed: ["accept limit 10/minute"]),
    Fault("accept limit ⟦5tbytes/second⟧", .ruleBadValue),
    Fault("accept limit 10/minute per source ⟦burst⟧ 5", .ruleUnexpected),
    Fault(
      "accept limit 10/minute per ⟦sorce⟧", .ruleUnknownWord, fixed: ["accept limit 10/minute per source"]),
    Fault("accept limit 10/minute per source/⟦33⟧", .ruleBadValue),
    Fault("accept limit 10/minute per source/24:⟦129⟧", .ruleBadValue),
    Fault("accept quota ⟦5⟧", .ruleBadValue),
    Fault("accept quota ⟦99999999999gbytes⟧", .ruleBadValue),
    Fault("accept add source ⟦x⟧", .ruleUnexpected, fixed: ["accept add source $x"]),
    Fault("accept add source $x timeout ⟦5⟧", .ruleBadValue),
    Fault("accept add source $x timeout ⟦5m1h⟧", .ruleBadValue),
    Fault("accept add source $x timeout ⟦05⟧s", .leadingZero),
    Fault("accept set ⟦foo⟧ 1", .ruleUnknownWord),
    Fault("accept set mss ⟦0⟧", .ruleBadValue),
    Fault("accept save⟦⟧", .ruleUnexpected),
    Fault("accept log ⟦\"⟧abc", .ruleUnclosedString),
    Fault(#"accept log "a⟦\n⟧b""#, .ruleBadValue, fixed: [#"accept log "a\\nb""#]),
    Fault("accept log ⟦Ssh⟧", .badName, fixed: ["accept log \"Ssh\""]),
    Fault("accept log ssh at ⟦5/minute⟧", .ruleUnexpected),
    Fault("accept log ssh at most 5/minute ⟦level⟧ info", .ruleUnexpected),
    Fault("accept log level ⟦loud⟧", .ruleUnknownWord),
    Fault("accept log nflog ⟦65536⟧", .ruleBadValue),
    Fault("drop ⟦with tcp-reset⟧", .ruleWithWithoutReject, fixed: ["reject with tcp-reset"]),
    Fault("accept ⟦with no-route⟧", .ruleWithWithoutReject),
    Fault("reject with ⟦tcp-rest⟧", .ruleUnknownWord, fixed: ["reject with tcp-reset"]),
    Fault("reject with⟦⟧", .ruleUnexpected),
    // Unknown and misplaced words.
    Fault("accept tcp 22 ⟦form⟧ 10.0.0.1", .ruleUnknownWord, fixed: ["accept tcp 22 from 10.0.0.1"]),
    Fault("accept ⟦establshed⟧", .ruleUnknownWord, fixed: ["accept established"]),
    Fault("accept ⟦iifname⟧ eth0", .ruleUnknownWord, fixed: ["accept in eth0"]),
    Fault("accept tcp 22 ⟦saddr⟧ 10.0.0.1", .ruleUnknownWord, fixed: ["accept tcp 22 from 10.0.0.1"]),
    Fault("accept ⟦état⟧", .ruleUnknownWord),
    Fault("accept ⟦any⟧", .ruleUnexpected),
    Fault("⟦ACCEPT⟧ tcp 22", .ruleUnknownWord, fixed: ["accept tcp 22"]),
    Fault("accept ⟦Tcp⟧ 22", .ruleUnknownWord, fixed: ["accept tcp 22"]),
    Fault("⟦ssh:accept⟧ tcp 22", .ruleUnknownWord, fixed: ["ssh: accept tcp 22"]),
    Fault("accept ⟦22/tcp⟧", .ruleUnexpected, fixed: ["accept tcp 22"]),
    Fault("accept ⟦tcp:22⟧ from $x", .ruleUnexpected, fixed: ["accept tcp 22 from $x"]),
    Fault("accept tcp ⟦!=⟧ 22", .ruleUnexpected, fixed: ["accept tcp not 22"]),
    Fault("accept from ⟦!10.0.0.1⟧", .ruleUnexpected, fixed: ["accept from not 10.0.0.1"]),
    Fault("accept tcp ⟦{22, 80}⟧ from $x", .ruleUnexpected),
    Fault("accept from ⟦{ 10.0.0.1, 10.0.0.2 }⟧ log", .ruleUnexpected),
    Fault("accept ⟦any-state⟧", .ruleUnexpected),
    Fault("accept tcp 22 ⟦drop⟧", .ruleUnexpected),
    Fault("accept ⟦\"x\"⟧", .ruleUnexpected),
    Fault("accept ⟦source⟧ 10.0.0.1", .ruleUnexpected, fixed: ["accept from 10.0.0.1"]),
    Fault("accept ⟦assuming⟧ $x empty", .ruleUnexpected),
    // Several faults of one rule.
    Fault(
      "accept tcp ⟦99999⟧ from ⟦10.0.0.1/8⟧ ⟦inn⟧ eth0 log at ⟦least⟧ 5", .ruleBadValue, .badAddress,
      .ruleUnknownWord,
      .ruleUnexpected),
  ]

  @Test(arguments: rules) func refused(_ fault: Fault) {
    let text = MarkedText(fault.marked).text
    let (rule, found) = parseRule(text)
    #expect(rule == nil)
    let ids =
      fault.ids.count == 1
      ? Array(repeating: fault.ids[0], count: MarkedText(fault.marked).spans.count) : fault.ids
    expectFaults(fault.marked, ids, found, sourceLocation: #_sourceLocation)
    // A fault of everything has fix-its of its parts only where the table says so.
    let fixed = found.flatMap(\.fixIts).map { applying($0, to: text) }
    if !fault.fixed.isEmpty { #expect(fixed == fault.fixed) }
    // A fix-it must cure: the same fault is not found again.
    for diagnostic in found {
      for fixIt in diagnostic.fixIts {
        let again = parseRule(applying(fixIt, to: text)).diagnostics
        #expect(
          !again.contains { $0.id == diagnostic.id && $0.span == diagnostic.span },
          "`\(text)`: \(fixIt.message) does not cure")
      }
    }
  }
}
