import Diagnostics
import PolicySyntax
import Testing

/// Every production of the grammar, with its canonical text where that differs.
@Suite struct RuleCanonicalTests {
  /// Texts that are canonical already.
  static let canonical = [
    // Verdicts.
    "accept", "drop", "continue", "return", "reject", "notrack", "masquerade", "jump ssh", "goto a-b2",
    "dnat to 192.0.2.1", "dnat to 192.0.2.1:80", "dnat to 192.0.2.1-192.0.2.9:1000-2000",
    "dnat to 192.0.2.0/24", "dnat to $web", "snat to 192.0.2.1", "snat to [2001:db8::1]",
    "snat to [2001:db8::1]:443", "snat to [2001:db8:ffff::]/48", "dnat to [2001:db8::1-2001:db8::9]:80-90",
    "dnat to [::]/0:1", "redirect", "redirect to 8080", "redirect to 10.0.0.1", "redirect to $local-names",
    "redirect to 8080 to 10.0.0.1", "redirect to local", "containers docker", "containers podman",
    "containers kubernetes",
    // Families, protocols, ports, services.
    "accept ipv4", "drop ipv6", "accept tcp", "accept tcp, udp", "accept tcp 22", "accept tcp 22, 80-90, ssh",
    "accept tcp not 22, $admin-ports", "accept tcp, udp, sctp, dccp, udplite 53", "accept not tcp",
    "accept not tcp, esp", "accept icmp, icmpv6, esp, ah, gre, igmp, vrrp, ospf", "accept protocol 47",
    "accept tcp, protocol 47", "accept not protocol 47, gre", "accept dhcp, dhcpv6, mdns", "accept $web",
    "accept $web, $dns", "accept not $web, $dns", "accept ipv6 udp 546", "accept tcp 0-65535",
    "accept icmp echo-request", "accept icmp 8, 3/4, redirect", "accept icmp not echo-request",
    "accept icmpv6 neighbour-discovery, packet-too-big", "accept icmp redirect", "accept icmpv6 not 255/255",
    "accept icmp", "accept icmp established",
    // States.
    "accept new", "accept established, related", "drop not established, related, new",
    "drop invalid, untracked",
    "accept new not established",
    // Endpoints.
    "accept from 10.0.0.1", "accept from 10.0.0.0/8, 2001:db8::/32, 10.0.0.1-10.0.0.9",
    "accept from not $admin", "accept from $a, $b except $c, 10.0.0.1", "accept from any",
    "accept to local, broadcast, multicast", "accept from not any except local",
    "accept tcp from 10.0.0.1 port 53", "accept tcp from port not 53, ssh",
    "accept tcp 22 from not $a port not 1-2",
    "accept udp 68 from port 67", "accept $dns from port 1024-65535", "accept from fe80::/10",
    "accept tcp 22 from 10.0.0.0/8 to not 10.0.0.1", "accept from 10.0.0.1/32, ::1/128",
    // Interfaces, owners, paths.
    "accept in lo", "accept out eth0, $wan, ens*", "accept in not lo",
    #"accept in "in", "a,b", "a,*", out*"#,
    "accept in eth0.100, br-*", "accept in en* in not en0", #"accept in "$x""#, #"accept in "a\"b\\c""#,
    "accept user 0", "accept user 1000-2000, $www", "accept user not 0", "accept group $staff group not 5",
    "accept cgroup system.slice/pgbackrest.service", #"accept cgroup "a b", c, "not", "$x""#,
    // Other matches.
    "accept status dnat", "accept status not snat, dnat, seen-reply, assured, confirmed, expected, dying",
    "accept mark 0x1", "accept mark not 0x10/0xff", "accept connmark 0x0/0xffffffff", "accept mark $vpn",
    "drop tcp flags fin, psh, urg of fin, psh, urg", "drop tcp flags none of fin, syn, rst, psh, ack, urg",
    "drop tcp flags not syn of syn, rst, ecn, cwr", "accept ether from 02:00:00:00:00:01",
    "accept ether from not 02:00:00:00:00:01, 02:00:00:00:00:02 ether to ff:ff:ff:ff:ff:ff",
    "accept dscp 46, 0-7", "accept ttl not 1", "accept length 0-1500, 9000", "accept type multicast, other",
    "accept type not unicast, broadcast", "accept hours 06:00-22:00", "accept hours 22:30-06:00",
    "accept days monday, sunday", "drop fragment", "drop not fragment", "drop spoofed", "drop not spoofed",
    "accept ipsec", "accept not ipsec",
    // Stateful.
    "drop tcp 22 new connections over 4 per source", "accept connections up to 10",
    "accept connections up to 0 per destination/24:64", "accept limit 10/minute",
    "drop limit over 50/second burst 100 per source/24:64", "accept limit 3gbytes/day burst 0",
    "accept limit 1/hour per source/24", "accept limit 1537bytes/second", "drop quota over 500gbytes",
    "accept quota 0bytes", "accept quota 1025kbytes",
    // Actions.
    "continue restore mark", "continue set mark 0x1", "continue set connmark 0xff", "continue set dscp 46",
    "continue set mss pmtu", "continue set mss 1400", "continue save mark", "continue set mark $vpn",
    "drop new add source $banned", "drop update source/24 $banned timeout 1d2h3m4s",
    "accept delete destination/32:128 $knock", "accept add source $a timeout 0s", "accept count",
    "accept count ssh-in", "accept count log", "accept log", "accept log ssh",
    #"accept log "a \"b\" \\ c, d""#,
    #"accept log """#, "accept log ssh level info", "accept log ssh level audit nflog 7 at most 5/second",
    "accept log at most 1/day", "accept log nflog 0", "accept log level emerg",
    "reject with tcp-reset", "reject with port-unreachable", "reject with host-unreachable",
    "reject with admin-prohibited", "reject with no-route",
    // Names that are no keywords, though words of the grammar's other places.
    "jump second", "accept count bytes", "accept log docker", "jump kernel", "accept log least",
    // All of it.
    "reject ipv4 tcp not 22 new from $a port 5 to not $b in eth0 out not eth1 user 5 group not 6 cgroup c "
      + "connmark 0x1 days friday dscp 1 ether from 02:00:00:00:00:01 ether to 02:00:00:00:00:02 "
      + "flags syn of syn fragment hours 01:00-02:00 ipsec length 1 mark not 0x2/0x3 not spoofed status dnat "
      + "ttl 64 type unicast connections over 3 limit over 4/hour quota over 5bytes restore mark "
      + "set connmark 0x1 set dscp 2 set mark 0x3 set mss 4 save mark add source $c update destination $d "
      + "delete source $e count f log g with no-route",
  ]

  @Test(arguments: canonical) func staysItself(_ text: String) {
    let (rule, diagnostics) = parseRule(text)
    #expect(diagnostics.isEmpty)
    #expect(rule?.canonicalText == text)
    #expect(rule?.span == SourceSpan(SourceID(0), 0, text.utf8.count))
  }

  static let others: [(String, String)] = [
    ("accept  tcp\t22\n", "accept tcp 22"),
    ("accept tcp 22,80 ,443 , 8080", "accept tcp 22, 80, 443, 8080"),
    ("accept from $admin tcp 22", "accept tcp 22 from $admin"),
    ("accept tcp to 10.0.0.1 port 22", "accept tcp 22 to 10.0.0.1"),
    ("accept to port 22 tcp", "accept tcp 22"),
    ("accept tcp to not $x port not 22, ssh", "accept tcp not 22, ssh to not $x"),
    ("accept log with tcp-reset", ""),
    ("reject log with tcp-reset tcp 22 established", "reject tcp 22 established log with tcp-reset"),
    ("accept tcp from $a from not $b port 53", "accept tcp from $a port 53 from not $b"),
    ("accept tcp from not $b from port 53", "accept tcp from not $b port 53"),
    ("accept tcp 0x16", "accept tcp 22"),
    ("accept tcp 22-22", "accept tcp 22"),
    ("accept from 2001:0DB8:0:0:0:0:0:1", "accept from 2001:db8::1"),
    ("accept from 10.0.0.1-10.0.0.1", "accept from 10.0.0.1"),
    ("accept from ::ffff:0:1.2.3.4", "accept from ::ffff:0:102:304"),
    (#"accept in "eth0", "en*""#, "accept in eth0, en*"),
    (#"accept cgroup "x""#, "accept cgroup x"),
    ("accept mark 16", "accept mark 0x10"),
    ("accept mark 1/255", "accept mark 0x1/0xff"),
    ("continue set mark 16", "continue set mark 0x10"),
    ("continue set dscp ef", "continue set dscp 46"),
    ("accept dscp af41, cs1", "accept dscp 34, 8"),
    ("accept days mon, tue, wednesday", "accept days monday, tuesday, wednesday"),
    ("accept ether from AA:BB:CC:DD:EE:FF", "accept ether from aa:bb:cc:dd:ee:ff"),
    ("accept quota 1024kbytes", "accept quota 1mbytes"),
    ("accept limit 2048bytes/second", "accept limit 2kbytes/second"),
    ("accept add source $x timeout 90s", "accept add source $x timeout 1m30s"),
    ("accept add source $x timeout 25h61m", "accept add source $x timeout 1d2h1m"),
    ("accept in not en0 in en*", "accept in en* in not en0"),
    (#"accept log"x"in"eth0""#, #"accept in eth0 log "x""#),
    (
      "continue set mss pmtu flags syn of syn, rst out ppp0 tcp",
      "continue tcp out ppp0 flags syn of syn, rst set mss pmtu"
    ),
  ]

  @Test(arguments: others.filter { !$0.1.isEmpty }) func printsAs(_ text: String, _ canonical: String) {
    let (rule, diagnostics) = parseRule(text)
    #expect(diagnostics.isEmpty)
    #expect(rule?.canonicalText == canonical)
    #expect(rule == parseRule(canonical).rule)
  }

  @Test func identityLeavesOutLogAndCount() {
    let (rule, _) = parseRule("accept tcp 22 from $admin count c log ssh at most 1/second limit 5/hour")
    #expect(rule?.identityText == "accept tcp 22 from $admin limit 5/hour")
  }

  @Test func spansPointAtTheText() throws {
    let marked = MarkedText("⟦accept⟧ ⟦tcp ⟦22⟧, ⟦$x⟧⟧ ⟦from not ⟦10.0.0.0/8⟧⟧ ⟦log ⟦\"a b\"⟧⟧")
    let rule = try #require(parseRule(marked.text).rule)
    var found = [rule.verdict.span]
    for clause in rule.clauses {
      found.append(clause.span)
      switch clause.value {
      case .protocols(_, _, .some(let ports)): found += ports.ports.map(\.span)
      case .endpoint(_, _, .some(let addresses), _): found += addresses.included.map(\.span)
      case .log(let log): found += [try #require(log.label).span]
      default: Issue.record("unexpected clause \(clause.value.canonicalText)")
      }
    }
    #expect(found == marked.spans)
  }
}
