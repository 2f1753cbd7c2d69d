/// The table of pairs. Both sides are written by hand.
extension StockPair {
  static let definitions = [
    "admin: [10.20.0.0/16, \"2001:db8:20::/48\"]",
    "hosts: [10.0.0.1, 192.0.2.7]",
    "web: [tcp 80, tcp 443, udp 443]",
    "dns: [udp 53, tcp 53]",
    "high: [1024-65535]",
    "uplink: [eth0, \"ens*\"]",
    "daemons: [8, 1000-1999]",
    "shopmark: 7",
    "banned: { external: addresses, size: 1000, timeout: 1d }",
    "feed: { external: addresses, size: 500 }",
    "seen: { dynamic: addresses, size: 4096, timeout: 30s }",
    "kept: { dynamic: addresses, size: 16, timeout: never }",
    "nets: { dynamic: addresses, size: 64, timeout: never }",
  ]

  /// The named sets that the definitions become.
  static let sets = """
    set admin_4 { type ipv4_addr; flags constant,interval; elements = { 10.20.0.0/16 }; }
    set admin_6 { type ipv6_addr; flags constant,interval; elements = { 2001:db8:20::/48 }; }
    set hosts_4 { type ipv4_addr; flags constant; elements = { 10.0.0.1, 192.0.2.7 }; }
    set banned_4 { type ipv4_addr; size 1000; flags timeout; timeout 1d; }
    set banned_6 { type ipv6_addr; size 1000; flags timeout; timeout 1d; }
    set feed_4 { type ipv4_addr; size 500; flags timeout; }
    set feed_6 { type ipv6_addr; size 500; flags timeout; }
    set seen_4 { type ipv4_addr; size 4096; flags dynamic,timeout; timeout 30s; }
    set seen_6 { type ipv6_addr; size 4096; flags dynamic,timeout; timeout 30s; }
    set kept_4 { type ipv4_addr; size 16; flags dynamic; }
    set kept_6 { type ipv6_addr; size 16; flags dynamic; }
    set nets_4 { type ipv4_addr; size 64; flags dynamic; }
    set nets_6 { type ipv6_addr; size 64; flags dynamic; }
    set rate4 { type ipv4_addr; size 65535; flags dynamic,timeout; timeout 1m; }
    set rate6 { type ipv6_addr; size 65535; flags dynamic,timeout; timeout 1m; }
    set slow4 { type ipv4_addr; size 65535; flags dynamic,timeout; timeout 2m; }
    set count4 { type ipv4_addr; size 65535; flags dynamic; }
    set count6 { type ipv6_addr; size 65535; flags dynamic; }
    set apps { type cgroupsv2; size 2; flags timeout; }
    set both { type cgroupsv2; size 4; flags timeout; }
    set total { type mark; size 1; flags dynamic; }
    """

  static let groups = [
    StockGroup(hook: "input", pairs: protocols),
    StockGroup(hook: "input", pairs: addresses),
    StockGroup(hook: "input", pairs: states),
    StockGroup(hook: "input", pairs: limits),
    StockGroup(hook: "input", pairs: packets),
    StockGroup(hook: "input", pairs: dynamicSets),
    StockGroup(hook: "input", pairs: limiters),
    StockGroup(hook: "output", pairs: destinations),
    StockGroup(hook: "output", pairs: owners),
    StockGroup(hook: "output", type: "route", pairs: rerouting),
    StockGroup(hook: "forward", pairs: forward),
    StockGroup(hook: "postrouting", pairs: postrouting),
    StockGroup(hook: "prerouting", priority: "raw - 5", pairs: raw),
    StockGroup(hook: "prerouting", priority: "-450", pairs: beforeReassembly),
  ]

  // MARK: Protocols, ports, services, ICMP

  private static let protocols = [
    StockPair("accept", "accept"),
    StockPair("drop", "drop"),
    StockPair("continue count", "counter"),
    StockPair("accept ipv4", "meta nfproto ipv4 accept"),
    StockPair("drop ipv6", "meta nfproto ipv6 drop"),
    StockPair("accept tcp", "meta l4proto tcp accept"),
    StockPair("accept udp", "meta l4proto udp accept"),
    StockPair("accept sctp", "meta l4proto sctp accept"),
    StockPair("accept dccp", "meta l4proto dccp accept"),
    StockPair("accept udplite", "meta l4proto udplite accept"),
    StockPair("accept gre", "meta l4proto 47 accept"),
    StockPair("accept esp", "meta l4proto esp accept"),
    StockPair("accept ah", "meta l4proto ah accept"),
    StockPair("accept vrrp", "meta l4proto 112 accept"),
    StockPair("accept ospf", "meta l4proto 89 accept"),
    StockPair("accept protocol 41", "meta l4proto 41 accept"),
    StockPair("accept tcp, udp", "meta l4proto { tcp, udp } accept"),
    StockPair("accept esp, ah, gre", "meta l4proto { 47, esp, ah } accept"),
    StockPair("accept icmp", "meta nfproto ipv4 meta l4proto icmp accept"),
    StockPair("accept icmpv6", "meta nfproto ipv6 meta l4proto icmpv6 accept"),
    StockPair("accept igmp", "meta nfproto ipv4 meta l4proto igmp accept"),
    StockPair("drop ipv4 not tcp", "meta nfproto ipv4 meta l4proto != tcp drop"),
    StockPair("drop ipv4 not tcp, udp", "meta nfproto ipv4 meta l4proto != { tcp, udp } drop"),
    StockPair("drop not tcp", "jump CHAIN", chain: ["meta l4proto tcp return", "drop"]),
    StockPair(
      "accept icmp, icmpv6", "meta nfproto ipv4 meta l4proto icmp accept",
      "meta nfproto ipv6 meta l4proto icmpv6 accept"),
    StockPair("accept tcp 22", "tcp dport 22 accept"),
    StockPair("accept tcp ssh", "tcp dport 22 accept"),
    StockPair("accept udp 53", "udp dport 53 accept"),
    StockPair("accept sctp 5060", "sctp dport 5060 accept"),
    StockPair("accept dccp 5060", "dccp dport 5060 accept"),
    StockPair("accept udplite 5060", "udplite dport 5060 accept"),
    StockPair("accept tcp 80, 443", "tcp dport { 80, 443 } accept"),
    StockPair("accept tcp 1000-2000", "tcp dport 1000-2000 accept"),
    StockPair("accept tcp 22, 1000-2000", "tcp dport { 22, 1000-2000 } accept"),
    StockPair("accept tcp 0-1023", "tcp dport 0-1023 accept"),
    StockPair("accept tcp 0, 5-7, 65535", "tcp dport { 0, 5-7, 65535 } accept"),
    StockPair("accept tcp $high", "tcp dport 1024-65535 accept"),
    StockPair("accept tcp, udp 53", "meta l4proto { tcp, udp } th dport 53 accept"),
    StockPair("accept tcp, udp 53, 853", "meta l4proto { tcp, udp } th dport { 53, 853 } accept"),
    StockPair(
      "drop tcp not 22", "meta l4proto tcp jump CHAIN", chain: ["tcp dport 22 return", "drop"]),
    StockPair(
      "drop tcp not 22, 80-90", "meta l4proto tcp jump CHAIN",
      chain: ["tcp dport { 22, 80-90 } return", "drop"]),
    StockPair("accept udp from port 53", "udp sport 53 accept"),
    StockPair("accept tcp 22 from port 1024-65535", "tcp sport 1024-65535 tcp dport 22 accept"),
    StockPair("accept tcp 22 from port 22", "tcp sport 22 tcp dport 22 accept"),
    StockPair("accept udp 500 from port 500", "udp sport 500 udp dport 500 accept"),
    StockPair("accept dhcp", "meta nfproto ipv4 udp dport 67-68 accept"),
    StockPair("accept dhcpv6", "meta nfproto ipv6 udp dport 546-547 accept"),
    StockPair("accept mdns", "udp dport 5353 accept"),
    StockPair("accept $dns", "meta l4proto { tcp, udp } th dport 53 accept"),
    StockPair("accept $web", "meta l4proto . th dport { tcp . 80, tcp . 443, udp . 443 } accept"),
    StockPair(
      "drop not $dns", "jump CHAIN", chain: ["meta l4proto { tcp, udp } th dport 53 return", "drop"]),
    StockPair("accept icmp echo-request", "meta nfproto ipv4 icmp type echo-request accept"),
    StockPair("accept icmp 8", "meta nfproto ipv4 icmp type 8 accept"),
    StockPair(
      "accept icmp echo-request, time-exceeded",
      "meta nfproto ipv4 icmp type { echo-request, time-exceeded } accept"),
    StockPair("accept icmp 3/4", "meta nfproto ipv4 icmp type 3 icmp code 4 accept"),
    StockPair("accept icmp 3/3, 3/4", "meta nfproto ipv4 icmp type . icmp code { 3 . 3, 3 . 4 } accept"),
    StockPair("accept icmpv6 128", "meta nfproto ipv6 icmpv6 type 128 accept"),
    StockPair("accept icmpv6 1/4", "meta nfproto ipv6 icmpv6 type 1 icmpv6 code 4 accept"),
    StockPair("accept icmpv6 neighbour-discovery", "meta nfproto ipv6 icmpv6 type 133-136 accept"),
    StockPair(
      "accept icmpv6 packet-too-big, time-exceeded",
      "meta nfproto ipv6 icmpv6 type 2-3 accept"),
    StockPair(
      "drop icmp not echo-request", "meta nfproto ipv4 meta l4proto icmp jump CHAIN",
      chain: ["meta nfproto ipv4 icmp type echo-request return", "drop"]),
  ]

  // MARK: Addresses and interfaces

  private static let addresses = [
    StockPair("accept from 10.0.0.1", "ip saddr 10.0.0.1 accept"),
    StockPair("accept from 10.0.0.0/8", "ip saddr 10.0.0.0/8 accept"),
    StockPair("accept from 10.0.0.0/9", "ip saddr 10.0.0.0/9 accept"),
    StockPair("accept from 192.168.0.0/16", "ip saddr 192.168.0.0/16 accept"),
    StockPair("accept from 192.0.2.0/24", "ip saddr 192.0.2.0/24 accept"),
    StockPair("accept from 192.0.2.128/25", "ip saddr 192.0.2.128/25 accept"),
    StockPair("accept from 10.0.0.5-10.0.0.9", "ip saddr 10.0.0.5-10.0.0.9 accept"),
    StockPair("accept from 10.0.0.1, 10.0.0.3", "ip saddr { 10.0.0.1, 10.0.0.3 } accept"),
    StockPair("accept from 10.0.0.0/8, 192.0.2.1", "ip saddr { 10.0.0.0/8, 192.0.2.1 } accept"),
    StockPair(
      "accept from 10.0.0.0/8 except 10.1.0.0/16",
      "ip saddr { 10.0.0.0/16, 10.2.0.0-10.255.255.255 } accept"),
    StockPair("accept ipv4 from not 10.0.0.0/8", "ip saddr != 10.0.0.0/8 accept"),
    StockPair("accept ipv4 from not 10.0.0.1", "ip saddr != 10.0.0.1 accept"),
    StockPair("accept ipv4 from not 10.0.0.5-10.0.0.9", "ip saddr != 10.0.0.5-10.0.0.9 accept"),
    StockPair("accept ipv4 from not 10.0.0.1, 10.0.0.3", "ip saddr != { 10.0.0.1, 10.0.0.3 } accept"),
    StockPair("accept to 224.0.0.251", "ip daddr 224.0.0.251 accept"),
    StockPair("accept from 10.0.0.1 to 10.0.0.2", "ip saddr 10.0.0.1 ip daddr 10.0.0.2 accept"),
    StockPair("accept from 2001:db8::1", "ip6 saddr 2001:db8::1 accept"),
    StockPair("accept from fe80::/10", "ip6 saddr fe80::/10 accept"),
    StockPair("accept from 2001:db8::/32", "ip6 saddr 2001:db8::/32 accept"),
    StockPair("accept from 2001:db8:0:0:8000::/65", "ip6 saddr 2001:db8:0:0:8000::/65 accept"),
    StockPair("accept from 2001:db8::1-2001:db8::9", "ip6 saddr 2001:db8::1-2001:db8::9 accept"),
    StockPair("accept from 2001:db8::1, 2001:db8::3", "ip6 saddr { 2001:db8::1, 2001:db8::3 } accept"),
    StockPair("accept ipv6 to not fe80::/10", "ip6 daddr != fe80::/10 accept"),
    StockPair("accept to ff02::1", "ip6 daddr ff02::1 accept"),
    StockPair("accept from $admin", "ip saddr @admin_4 accept", "ip6 saddr @admin_6 accept"),
    StockPair("accept from not $admin", "ip saddr != @admin_4 accept", "ip6 saddr != @admin_6 accept"),
    StockPair("accept to $hosts", "ip daddr @hosts_4 accept"),
    StockPair(
      "accept tcp 22 from $admin", "meta nfproto ipv4 tcp dport 22 ip saddr @admin_4 accept",
      "meta nfproto ipv6 tcp dport 22 ip6 saddr @admin_6 accept"),
    StockPair(
      "accept from 10.0.0.0/8, 2001:db8::/32", "ip saddr 10.0.0.0/8 accept", "ip6 saddr 2001:db8::/32 accept"),
    StockPair(
      "drop to multicast", "ip daddr 224.0.0.0/4 drop", "ip6 daddr ff00::/8 drop"),
    StockPair("accept to local", "fib daddr type local accept"),
    StockPair("accept from local", "fib saddr type local accept"),
    StockPair("drop to not local", "fib daddr type != local drop"),
    StockPair("accept to broadcast", "meta nfproto ipv4 fib daddr type broadcast accept"),
    StockPair(
      "accept ipv4 to local, broadcast", "meta nfproto ipv4 fib daddr type { local, broadcast } accept"),
    StockPair(
      "accept ipv4 to local, 10.0.0.1", "ip daddr 10.0.0.1 accept",
      "ip daddr != 10.0.0.1 fib daddr type local accept"),
    StockPair("accept in lo", "iifname \"lo\" accept"),
    StockPair("accept in eth0, wg0", "iifname { \"eth0\", \"wg0\" } accept"),
    StockPair("accept in ens*", "iifname \"ens*\" accept"),
    StockPair("accept in $uplink", "iifname { \"eth0\", \"ens*\" } accept"),
    StockPair("drop in not lo", "iifname != \"lo\" drop"),
    StockPair("drop in not ens*", "iifname != \"ens*\" drop"),
    StockPair("drop in not eth0, wg0", "iifname != { \"eth0\", \"wg0\" } drop"),
    StockPair(
      "accept tcp 22 from 10.0.0.0/8 in eth0",
      "meta nfproto ipv4 tcp dport 22 ip saddr 10.0.0.0/8 iifname \"eth0\" accept"),
    StockPair(
      "accept udp 53 from fe80::/10 to ff02::fb in eth0",
      "meta nfproto ipv6 udp dport 53 ip6 saddr fe80::/10 ip6 daddr ff02::fb iifname \"eth0\" accept"),
  ]

  // MARK: Connection tracking

  private static let states = [
    // A list of states is a set, which nft writes with braces; a bare list is one comparison of bits.
    StockPair("accept established, related", "ct state { established, related } accept"),
    StockPair("accept new", "ct state new accept"),
    StockPair("drop invalid", "ct state invalid drop"),
    StockPair("accept untracked", "ct state untracked accept"),
    StockPair("drop not new", "ct state != new drop"),
    StockPair("drop not established, related", "ct state != { established, related } drop"),
    StockPair(
      "accept new, established, related", "ct state { new, established, related } accept"),
    StockPair("accept tcp 22 new", "tcp dport 22 ct state new accept"),
    StockPair("accept status dnat", "ct status dnat accept"),
    StockPair("accept status dnat, snat", "ct status dnat,snat accept"),
    StockPair("accept status seen-reply", "ct status seen-reply accept"),
    StockPair("accept status assured, confirmed", "ct status assured,confirmed accept"),
    StockPair("accept status expected", "ct status expected accept"),
    StockPair("drop status not assured", "jump CHAIN", chain: ["ct status assured return", "drop"]),
    StockPair("accept connmark 0x10", "ct mark 0x10 accept"),
    StockPair("accept connmark 0x10/0xf0", "ct mark & 0xf0 == 0x10 accept"),
    StockPair("accept connmark 0/1", "ct mark & 1 == 0 accept"),
    StockPair("accept connmark $daemons", "ct mark { 8, 1000-1999 } accept"),
    StockPair("accept connmark $high", "ct mark 1024-65535 accept"),
    StockPair("drop connmark not 0x10", "jump CHAIN", chain: ["ct mark 0x10 return", "drop"]),
    StockPair(
      "drop connmark not 0x10/0xf0", "jump CHAIN", chain: ["ct mark & 0xf0 == 0x10 return", "drop"]),
    StockPair(
      "drop tcp 22 connmark not 5", "tcp dport 22 jump CHAIN", chain: ["ct mark 5 return", "drop"]),
    StockPair("continue set connmark 7", "ct mark set 7"),
    StockPair("continue set connmark $shopmark", "ct mark set 7"),
    StockPair("accept set connmark 0xffffffff", "ct mark set 0xffffffff accept"),
    StockPair("continue restore mark", "meta mark set ct mark"),
    StockPair("continue save mark", "ct mark set meta mark"),
    StockPair("continue new set mark 1 save mark", "ct state new meta mark set 1 ct mark set meta mark"),
    StockPair("accept set mark 0x20 count", "meta mark set 0x20 counter accept"),
    StockPair("accept restore mark", "jump CHAIN", chain: ["meta mark set ct mark", "accept"]),
    StockPair(
      "accept tcp 80 restore mark count", "tcp dport 80 jump CHAIN",
      chain: ["meta mark set ct mark", "counter accept"]),
    StockPair(
      "continue set connmark 3 set mark 4", "ct mark set 3 meta mark set 4"),
  ]

  // MARK: Limits, logs, refusals

  private static let limits = [
    StockPair("accept limit 10/second", "limit rate 10/second burst 5 packets accept"),
    StockPair("accept limit 10/minute burst 20", "limit rate 10/minute burst 20 packets accept"),
    StockPair("accept limit 1/hour", "limit rate 1/hour burst 5 packets accept"),
    StockPair("accept limit 1/day burst 1", "limit rate 1/day burst 1 packets accept"),
    StockPair("drop limit over 100/second", "limit rate over 100/second burst 5 packets drop"),
    StockPair("accept limit 500kbytes/second", "limit rate 512000 bytes/second accept"),
    StockPair(
      "accept limit 1mbytes/second burst 1500", "limit rate 1048576 bytes/second burst 1500 bytes accept"),
    StockPair("drop limit over 1mbytes/second", "limit rate over 1048576 bytes/second drop"),
    StockPair("accept quota 500mbytes", "quota 524288000 bytes accept"),
    StockPair("drop quota over 1gbytes", "quota over 1073741824 bytes drop"),
    StockPair(
      "accept tcp 22 limit 10/minute quota 1mbytes",
      "tcp dport 22 limit rate 10/minute burst 5 packets quota 1048576 bytes accept"),
    StockPair(
      "accept from $admin limit 10/minute", "ip saddr @admin_4 jump CHAIN", "ip6 saddr @admin_6 jump CHAIN",
      chain: ["limit rate 10/minute burst 5 packets accept"]),
    StockPair("accept count", "counter accept"),
    StockPair("drop log ssh", "log prefix \"ssh: \" drop"),
    StockPair("drop log \"a b \"", "log prefix \"a b \" drop"),
    StockPair("drop log ssh level info", "log prefix \"ssh: \" level info drop"),
    StockPair("drop log ssh level emerg", "log prefix \"ssh: \" level emerg drop"),
    StockPair("drop log ssh level debug", "log prefix \"ssh: \" level debug drop"),
    StockPair("drop log level audit", "log level audit drop"),
    StockPair("continue log level audit", "log level audit"),
    StockPair("drop log ssh nflog 5", "log prefix \"ssh: \" group 5 drop"),
    StockPair(
      "drop log ssh at most 5/minute", "limit rate 5/minute burst 5 packets log prefix \"ssh: \"", "drop"),
    StockPair(
      "continue log ssh at most 5/minute", "limit rate 5/minute burst 5 packets log prefix \"ssh: \""),
    StockPair("drop count log ssh", "counter log prefix \"ssh: \" drop"),
    StockPair(
      "accept limit 5/second log ssh at most 1/second", "jump CHAIN",
      chain: [
        "limit rate over 5/second burst 5 packets return",
        "limit rate 1/second burst 5 packets log prefix \"ssh: \"", "accept",
      ]),
    StockPair("reject", "reject with icmpx port-unreachable"),
    StockPair("reject with port-unreachable", "reject with icmpx port-unreachable"),
    StockPair("reject with admin-prohibited", "reject with icmpx admin-prohibited"),
    StockPair("reject with host-unreachable", "reject with icmpx host-unreachable"),
    StockPair("reject with no-route", "reject with icmpx no-route"),
    StockPair("reject tcp 113 with tcp-reset", "tcp dport 113 reject with tcp reset"),
    StockPair("reject ipv4", "meta nfproto ipv4 reject with icmp port-unreachable"),
    StockPair("reject ipv6", "meta nfproto ipv6 reject with icmpv6 port-unreachable"),
    StockPair("reject ipv4 with admin-prohibited", "meta nfproto ipv4 reject with icmpx admin-prohibited"),
    StockPair("return tcp 22", "tcp dport 22 accept"),
  ]

  // MARK: The packet

  private static let packets = [
    StockPair("accept mark 0x10", "meta mark 0x10 accept"),
    StockPair("accept mark 16", "meta mark 16 accept"),
    StockPair("drop mark not 0x10", "meta mark != 0x10 drop"),
    StockPair("accept mark 0x4000/0x4000", "meta mark & 0x4000 == 0x4000 accept"),
    StockPair("accept mark 0/0xff00", "meta mark & 0xff00 == 0 accept"),
    StockPair("drop mark not 0x10/0xf0", "meta mark & 0xf0 != 0x10 drop"),
    StockPair("accept mark $shopmark", "meta mark 7 accept"),
    StockPair("accept mark $high", "meta mark 1024-65535 accept"),
    StockPair("drop mark not $high", "meta mark != 1024-65535 drop"),
    StockPair("accept mark $daemons", "meta mark { 8, 1000-1999 } accept"),
    StockPair("drop mark not $daemons", "meta mark != { 8, 1000-1999 } drop"),
    StockPair(
      "drop tcp flags syn of syn, rst", "tcp flags & (syn | rst) == syn drop"),
    StockPair("accept flags syn of syn, rst, ack, fin", "tcp flags syn / fin,syn,rst,ack accept"),
    StockPair(
      "drop flags fin, psh, urg of fin, psh, urg", "tcp flags & (fin | psh | urg) == fin | psh | urg drop"),
    StockPair(
      "drop flags none of fin, syn, rst, psh, ack, urg",
      "tcp flags & (fin | syn | rst | psh | ack | urg) == 0x0 drop"),
    StockPair("accept flags syn of syn", "tcp flags & syn == syn accept"),
    StockPair("accept flags ecn, cwr of ecn, cwr", "tcp flags & (ecn | cwr) == ecn | cwr accept"),
    StockPair(
      "accept tcp 22 flags syn of syn, ack", "tcp dport 22 tcp flags & (syn | ack) == syn accept"),
    StockPair(
      "drop flags not syn of syn, ack", "meta l4proto tcp jump CHAIN",
      chain: ["tcp flags & (syn | ack) == syn return", "drop"]),
    StockPair("accept ether from 02:00:00:00:00:01", "ether saddr 02:00:00:00:00:01 accept"),
    StockPair("accept ether to ff:ff:ff:ff:ff:ff", "ether daddr ff:ff:ff:ff:ff:ff accept"),
    StockPair(
      "accept ether from 02:00:00:00:00:01, 02:00:00:00:00:02",
      "ether saddr { 02:00:00:00:00:01, 02:00:00:00:00:02 } accept"),
    StockPair(
      "accept ether from 02:00:00:00:00:01 ether to 02:00:00:00:00:02",
      "ether daddr 02:00:00:00:00:02 ether saddr 02:00:00:00:00:01 accept"),
    StockPair(
      "drop ether from not 02:00:00:00:00:01", "jump CHAIN",
      chain: ["ether saddr 02:00:00:00:00:01 return", "drop"]),
    StockPair(
      "accept tcp 22 from 10.0.0.0/8 ether from 02:00:00:00:00:01",
      "meta nfproto ipv4 tcp dport 22 ip saddr 10.0.0.0/8 ether saddr 02:00:00:00:00:01 accept"),
    StockPair("accept ipv4 dscp 8", "ip dscp 8 accept"),
    StockPair("accept ipv4 dscp ef", "ip dscp ef accept"),
    StockPair("accept ipv4 dscp af11, af12", "ip dscp { af11, af12 } accept"),
    StockPair("accept ipv4 dscp 8-15", "ip dscp 8-15 accept"),
    // Ranges of small fields are looked up value by value: an interval set would need a name and a type.
    StockPair("accept ipv4 dscp 0, 8-10, 63", "ip dscp { 0, 8, 9, 10, 63 } accept"),
    StockPair("drop ipv4 dscp not 8", "ip dscp != 8 drop"),
    StockPair("drop ipv4 dscp not 8-15", "ip dscp != 8-15 drop"),
    StockPair("drop ipv4 dscp not 8, 46", "ip dscp != { 8, 46 } drop"),
    StockPair("accept ipv6 dscp cs1", "ip6 dscp cs1 accept"),
    StockPair("accept ipv6 dscp 8-15", "ip6 dscp 8-15 accept"),
    StockPair("accept ipv6 dscp 1, 3", "ip6 dscp { 1, 3 } accept"),
    StockPair("accept ipv6 dscp 0, 8-10, 63", "ip6 dscp { 0, 8, 9, 10, 63 } accept"),
    StockPair("drop ipv6 dscp not cs1", "ip6 dscp != cs1 drop"),
    StockPair("accept dscp 46", "ip dscp 46 accept", "ip6 dscp 46 accept"),
    StockPair("accept ipv4 ttl 1", "ip ttl 1 accept"),
    StockPair("accept ipv4 ttl 1-5", "ip ttl 1-5 accept"),
    StockPair("drop ipv4 ttl not 255", "ip ttl != 255 drop"),
    StockPair("drop ipv4 ttl not 1-5", "ip ttl != 1-5 drop"),
    StockPair("accept ipv4 ttl 1, 64, 255", "ip ttl { 1, 64, 255 } accept"),
    StockPair("accept ipv4 ttl 1-5, 64", "ip ttl { 1, 2, 3, 4, 5, 64 } accept"),
    StockPair("accept ipv6 ttl 255", "ip6 hoplimit 255 accept"),
    StockPair("accept ipv6 ttl 1-5", "ip6 hoplimit 1-5 accept"),
    StockPair("accept ipv6 ttl 1, 64", "ip6 hoplimit { 1, 64 } accept"),
    StockPair("drop ttl 0-1", "ip ttl 0-1 drop", "ip6 hoplimit 0-1 drop"),
    StockPair("accept length 100", "meta length 100 accept"),
    StockPair("drop length not 100", "meta length != 100 drop"),
    StockPair("drop length 0-100", "meta length 0-100 drop"),
    StockPair("drop length not 100-1500", "meta length != 100-1500 drop"),
    StockPair("accept length 40, 52", "meta length { 40, 52 } accept"),
    StockPair("accept length 40, 100-1500", "meta length 40 accept", "meta length 100-1500 accept"),
    StockPair("drop length not 40, 100-1500", "meta length != 40 meta length != 100-1500 drop"),
    StockPair("drop type broadcast", "meta pkttype broadcast drop"),
    StockPair("drop type multicast", "meta pkttype multicast drop"),
    StockPair("drop type not unicast", "meta pkttype != unicast drop"),
    StockPair("drop type broadcast, multicast", "meta pkttype { broadcast, multicast } drop"),
    StockPair("drop type not broadcast, other", "meta pkttype != { broadcast, other } drop"),
    // nft reads a time of day in the time zone of its process, so the other side is written in seconds.
    StockPair("accept hours 06:00-22:00", "meta hour 21600-79199 accept"),
    StockPair("accept hours 00:00-12:00", "meta hour 0-43199 accept"),
    StockPair("accept hours 12:00-00:00", "meta hour 43200-86399 accept"),
    StockPair("accept hours 22:00-06:00", "meta hour != 21600-79199 accept"),
    StockPair("accept days monday", "meta day Monday accept"),
    StockPair("accept days sat, sun", "meta day { Saturday, Sunday } accept"),
    StockPair(
      "accept tcp 22 days mon, tue, wed, thu, fri hours 08:00-18:00",
      "tcp dport 22 meta day { Monday, Tuesday, Wednesday, Thursday, Friday } meta hour 28800-64799 accept"),
    StockPair("accept ipsec", "meta ipsec exists accept"),
    StockPair("drop not ipsec", "meta ipsec != exists drop"),
    StockPair("accept udp 1701 ipsec", "udp dport 1701 meta ipsec exists accept"),
    // Stock rules leave `lo` to the kernel, which finds no way back to an own address in `input`.
    StockPair("drop spoofed", "iifname != \"lo\" fib saddr . iif oif missing drop"),
    StockPair("drop in eth0 spoofed", "iifname \"eth0\" fib saddr . iif oif missing drop"),
    StockPair("drop in not lo spoofed", "iifname != \"lo\" fib saddr . iif oif missing drop"),
    StockPair("accept in eth0 not spoofed", "iifname \"eth0\" fib saddr . iif oif exists accept"),
    StockPair(
      "accept not spoofed", "iifname \"lo\" accept", "iifname != \"lo\" fib saddr . iif oif exists accept"),
    StockPair("drop ipv4 fragment", "ip frag-off & 0x1fff != 0 drop"),
    StockPair("drop ipv6 fragment", "frag frag-off != 0 drop"),
    StockPair("drop fragment", "ip frag-off & 0x1fff != 0 drop", "frag frag-off != 0 drop"),
    StockPair("accept ipv4 not fragment", "ip frag-off & 0x1fff == 0 accept"),
    StockPair(
      "accept ipv6 not fragment", "meta nfproto ipv6 jump CHAIN",
      chain: ["frag frag-off != 0 return", "accept"]),
    StockPair("accept ipv4 set dscp 8", "ip dscp set 8 accept"),
    StockPair("continue ipv6 set dscp ef", "ip6 dscp set ef"),
    StockPair("continue set dscp cs1", "ip dscp set cs1", "ip6 dscp set cs1"),
    StockPair("continue ipv4 dscp 8 set dscp 0", "ip dscp 8 ip dscp set 0"),
    StockPair("continue mark 1 set mark 2 count", "meta mark 1 meta mark set 2 counter"),
  ]

  // MARK: Output and beyond

  private static let owners = [
    StockPair("accept user 0", "meta skuid 0 accept"),
    StockPair("accept user 1000-1999", "meta skuid 1000-1999 accept"),
    StockPair("accept user 0, 8", "meta skuid { 0, 8 } accept"),
    StockPair("accept user $daemons", "meta skuid { 8, 1000-1999 } accept"),
    StockPair("accept group 100", "meta skgid 100 accept"),
    StockPair("accept group 100-200", "meta skgid 100-200 accept"),
    StockPair("accept user 1 group 2", "meta skuid 1 meta skgid 2 accept"),
    StockPair(
      "accept tcp 443 cgroup system.slice/backup.service",
      "tcp dport 443 socket cgroupv2 level 2 @apps accept"),
    StockPair("accept user 0 cgroup a/b", "meta skuid 0 socket cgroupv2 level 2 @apps accept"),
    StockPair("continue cgroup a.slice, a.slice/b count", "socket cgroupv2 level 1 @apps counter"),
    StockPair(
      "accept cgroup d.slice, b.slice/c, a.slice", "socket cgroupv2 level 1 @both accept",
      "socket cgroupv2 level 2 @apps accept"),
    StockPair("drop user not 0", "jump CHAIN", chain: ["meta skuid 0 return", "drop"]),
    StockPair(
      "drop tcp 25 user not 8", "tcp dport 25 jump CHAIN", chain: ["meta skuid 8 return", "drop"]),
    StockPair(
      "drop user not 1000-1999", "jump CHAIN", chain: ["meta skuid 1000-1999 return", "drop"]),
    StockPair("drop group not 7", "jump CHAIN", chain: ["meta skgid 7 return", "drop"]),
    StockPair("accept out lo", "oifname \"lo\" accept"),
    StockPair("accept out not lo", "oifname != \"lo\" accept"),
    StockPair("accept out eth0, ens*", "oifname { \"eth0\", \"ens*\" } accept"),
    StockPair("accept tcp 443 out eth0 user 0", "tcp dport 443 oifname \"eth0\" meta skuid 0 accept"),
    StockPair("continue set connmark 1", "ct mark set 1"),
    StockPair("continue save mark", "ct mark set meta mark"),
    StockPair(
      "continue tcp flags syn of syn, rst set mss pmtu",
      "tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu"),
    StockPair("continue tcp set mss 1400", "meta l4proto tcp tcp option maxseg size set 1400"),
    StockPair(
      "accept tcp 80 set mss 1400", "tcp dport 80 jump CHAIN",
      chain: ["meta l4proto tcp tcp option maxseg size set 1400", "accept"]),
  ]

  /// A chain that changes what packets are routed by is of type `route`.
  private static let rerouting = [
    StockPair("accept set mark 1", "meta mark set 1 accept"),
    StockPair("continue user 1000 set mark 0x10", "meta skuid 1000 meta mark set 0x10"),
    StockPair("continue restore mark", "meta mark set ct mark"),
    StockPair("continue ipv4 set dscp 46", "ip dscp set 46"),
    StockPair(
      "accept set dscp 46", "meta nfproto ipv4 ip dscp set 46 accept",
      "meta nfproto ipv6 ip6 dscp set 46 accept"),
    StockPair(
      "accept restore mark set dscp 46", "meta nfproto ipv4 jump CHAIN", "meta nfproto ipv6 jump CHAIN",
      chain: ["meta mark set ct mark", "ip dscp set 46", "ip6 dscp set 46", "accept"]),
    StockPair(
      "continue mark 0 restore mark count", "meta mark 0 jump CHAIN",
      chain: ["meta mark set ct mark", "counter"]),
  ]

  private static let forward = [
    StockPair("accept in eth0 out eth1", "iifname \"eth0\" oifname \"eth1\" accept"),
    StockPair("accept in lan* out wan0 new", "ct state new iifname \"lan*\" oifname \"wan0\" accept"),
    StockPair("drop in ppp0 spoofed", "iifname \"ppp0\" fib saddr . iif oif missing drop"),
    StockPair("accept ipsec", "meta ipsec exists accept"),
    StockPair("accept ether from 02:00:00:00:00:01", "ether saddr 02:00:00:00:00:01 accept"),
    StockPair(
      "continue tcp out ppp0 flags syn of syn, rst set mss pmtu",
      "meta l4proto tcp oifname \"ppp0\" tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu"),
    StockPair(
      "accept tcp set mss pmtu limit 5/second", "meta l4proto tcp jump CHAIN",
      chain: [
        "limit rate over 5/second burst 5 packets return",
        "meta l4proto tcp tcp option maxseg size set rt mtu",
        "accept",
      ]),
    StockPair("accept mark 0x10/0x10 out eth0", "oifname \"eth0\" meta mark & 0x10 == 0x10 accept"),
    StockPair("continue in eth0 set mark 1", "iifname \"eth0\" meta mark set 1"),
    StockPair(
      "reject tcp 25 in lan0 with tcp-reset", "tcp dport 25 iifname \"lan0\" reject with tcp reset"),
  ]

  // MARK: Dynamic and external sets

  private static let dynamicSets = [
    StockPair("accept from $banned", "ip saddr @banned_4 accept", "ip6 saddr @banned_6 accept"),
    StockPair("drop from $feed", "ip saddr @feed_4 drop", "ip6 saddr @feed_6 drop"),
    StockPair("drop ipv4 from not $banned", "ip saddr != @banned_4 drop"),
    StockPair("accept ipv6 to $seen", "ip6 daddr @seen_6 accept"),
    StockPair(
      "drop from $banned except $admin count", "ip saddr @banned_4 ip saddr != @admin_4 counter drop",
      "ip6 saddr @banned_6 ip6 saddr != @admin_6 counter drop"),
    StockPair(
      "accept to $hosts, $seen", "ip daddr { 10.0.0.1, 192.0.2.7 } accept",
      "ip daddr != { 10.0.0.1, 192.0.2.7 } ip daddr @seen_4 accept", "ip6 daddr @seen_6 accept"),
    StockPair(
      "drop ipv4 from not 10.0.0.0/8, $seen",
      "ip saddr != 10.0.0.0/8 ip saddr != @seen_4 drop"),
    StockPair(
      "drop ipv4 from not $banned except $seen", "ip saddr != @banned_4 drop",
      "ip saddr @banned_4 ip saddr @seen_4 drop"),
    StockPair(
      "accept from $seen, $kept", "ip saddr @kept_4 accept", "ip saddr != @kept_4 ip saddr @seen_4 accept",
      "ip6 saddr @kept_6 accept", "ip6 saddr != @kept_6 ip6 saddr @seen_6 accept"),
    StockPair("drop from any except $seen", "ip saddr != @seen_4 drop", "ip6 saddr != @seen_6 drop"),
    StockPair("accept ipv4 from not any except $seen", "ip saddr @seen_4 accept"),
    StockPair(
      "accept to local except $seen", "meta nfproto ipv4 fib daddr type local ip daddr != @seen_4 accept",
      "meta nfproto ipv6 fib daddr type local ip6 daddr != @seen_6 accept"),
    StockPair("accept ipv4 to 10.0.0.0/8 except local", "ip daddr 10.0.0.0/8 fib daddr type != local accept"),
    StockPair(
      "drop ipv4 to broadcast, local except 10.0.0.1",
      "meta nfproto ipv4 fib daddr type { local, broadcast } ip daddr != 10.0.0.1 drop"),
    StockPair(
      "continue tcp 7001 new add source $seen",
      "meta nfproto ipv4 tcp dport 7001 ct state new add @seen_4 { ip saddr }",
      "meta nfproto ipv6 tcp dport 7001 ct state new add @seen_6 { ip6 saddr }"),
    StockPair(
      "continue ipv4 update destination $seen timeout 2h",
      "meta nfproto ipv4 update @seen_4 { ip daddr timeout 2h }"),
    StockPair("continue ipv6 delete source $kept", "meta nfproto ipv6 delete @kept_6 { ip6 saddr }"),
    StockPair(
      "continue add source/20:64 $nets", "meta nfproto ipv4 add @nets_4 { ip saddr & 255.255.240.0 }",
      "meta nfproto ipv6 add @nets_6 { ip6 saddr & ffff:ffff:ffff:ffff:: }"),
    StockPair(
      "continue ipv6 delete destination/20:64 $nets",
      "meta nfproto ipv6 delete @nets_6 { ip6 daddr & ffff:ffff:ffff:ffff:: }"),
    StockPair(
      "drop from $nets", "ip saddr & 255.255.240.0 @nets_4 drop",
      "ip6 saddr & ffff:ffff:ffff:ffff:: @nets_6 drop"),
    StockPair("accept ipv4 to not $nets", "ip daddr & 255.255.240.0 != @nets_4 accept"),
    StockPair(
      "drop ipv4 from $seen delete source $seen", "ip saddr @seen_4 delete @seen_4 { ip saddr } drop"),
    StockPair(
      "drop tcp 7001 new add source $seen", "meta nfproto ipv4 tcp dport 7001 ct state new jump CHAIN",
      "meta nfproto ipv6 tcp dport 7001 ct state new jump CHAIN",
      chain: [
        "meta nfproto ipv4 add @seen_4 { ip saddr }", "meta nfproto ipv6 add @seen_6 { ip6 saddr }", "drop",
      ]),
    StockPair(
      "drop ipv4 from $seen update source $seen add destination $kept delete source $kept",
      "ip saddr @seen_4 jump CHAIN",
      chain: [
        "meta nfproto ipv4 add @kept_4 { ip daddr }", "meta nfproto ipv4 update @seen_4 { ip saddr }",
        "meta nfproto ipv4 delete @kept_4 { ip saddr }", "drop",
      ]),
    StockPair(
      "accept ipv4 tcp 22 add source $seen limit 5/second", "meta nfproto ipv4 tcp dport 22 jump CHAIN",
      chain: [
        "limit rate over 5/second burst 5 packets return", "meta nfproto ipv4 add @seen_4 { ip saddr }",
        "accept",
      ]),
  ]

  private static let limiters = [
    StockPair(
      "accept tcp 22 limit 10/minute per source",
      "meta nfproto ipv4 tcp dport 22 update @rate4 { ip saddr limit rate 10/minute } accept",
      "meta nfproto ipv6 tcp dport 22 update @rate6 { ip6 saddr limit rate 10/minute } accept"),
    StockPair(
      "accept ipv4 tcp 22 limit 10/minute burst 20 per source/24",
      "meta nfproto ipv4 tcp dport 22 update @slow4 { ip saddr & 255.255.255.0 limit rate 10/minute burst 20 packets } accept"
    ),
    StockPair(
      "drop ipv6 limit over 50/second burst 100 per source/24:64",
      "meta nfproto ipv6 update @rate6 { ip6 saddr & ffff:ffff:ffff:ffff:: limit rate over 50/second burst 100 packets } drop"
    ),
    StockPair(
      "drop ipv4 udp limit over 50/second per destination/9",
      "meta nfproto ipv4 meta l4proto udp update @rate4 { ip daddr & 255.128.0.0 limit rate over 50/second } drop"
    ),
    StockPair(
      "drop ipv4 limit over 1/second per source/0",
      "meta nfproto ipv4 update @rate4 { ip saddr & 0.0.0.0 limit rate over 1/second } drop"),
    StockPair(
      "accept ipv4 limit 1mbytes/second burst 4096 per destination",
      "meta nfproto ipv4 update @rate4 { ip daddr limit rate 1048576 bytes/second burst 4096 bytes } accept"),
    StockPair(
      "drop tcp 22 new connections over 4 per source",
      "meta nfproto ipv4 tcp dport 22 ct state new update @count4 { ip saddr ct count over 4 } drop",
      "meta nfproto ipv6 tcp dport 22 ct state new update @count6 { ip6 saddr ct count over 4 } drop"),
    StockPair(
      "accept tcp 80 connections up to 100",
      "tcp dport 80 update @total { meta mark & 0 ct count 100 } accept"),
    StockPair(
      "drop udp connections over 1000 count",
      "meta l4proto udp update @total { meta mark & 0 ct count over 1000 } counter drop"),
    StockPair(
      "reject ipv4 tcp 5432 new connections over 200 per source with tcp-reset",
      "meta nfproto ipv4 tcp dport 5432 ct state new update @count4 { ip saddr ct count over 200 } reject with tcp reset"
    ),
    StockPair(
      "accept ipv4 tcp 22 connections up to 3 per source limit 10/minute per source quota 1mbytes",
      "meta nfproto ipv4 tcp dport 22 update @count4 { ip saddr ct count 3 } update @rate4 { ip saddr limit rate 10/minute } quota 1 mbytes accept"
    ),
    StockPair(
      "accept ipv4 tcp 22 connections up to 3 limit 10/minute",
      "meta nfproto ipv4 tcp dport 22 update @total { meta mark & 0 ct count 3 } limit rate 10/minute accept"),
  ]

  private static let destinations = [
    StockPair(
      "accept ipv4 to $seen user 1000", "ip daddr @seen_4 meta skuid 1000 accept"),
    StockPair(
      "drop ipv4 udp 53 limit over 100/second per destination",
      "meta nfproto ipv4 udp dport 53 update @rate4 { ip daddr limit rate over 100/second } drop"),
    StockPair(
      "continue ipv4 tcp 443 new update destination $seen",
      "meta nfproto ipv4 tcp dport 443 ct state new update @seen_4 { ip daddr }"),
  ]

  private static let postrouting = [
    StockPair("accept out eth0", "oifname \"eth0\" accept"),
    StockPair("accept user 1000 out eth0", "oifname \"eth0\" meta skuid 1000 accept"),
    StockPair(
      "continue tcp flags syn of syn, rst set mss 1360",
      "tcp flags & (syn | rst) == syn tcp option maxseg size set 1360"),
    StockPair("continue ipv4 out eth0 set dscp cs1", "meta nfproto ipv4 oifname \"eth0\" ip dscp set cs1"),
    StockPair("continue save mark", "ct mark set meta mark"),
    StockPair("accept type multicast out eth0", "oifname \"eth0\" meta pkttype multicast accept"),
  ]

  private static let raw = [
    StockPair("notrack", "notrack"),
    StockPair("notrack udp 53", "udp dport 53 notrack"),
    StockPair("notrack udp from port 53", "udp sport 53 notrack"),
    StockPair("notrack in lo", "iifname \"lo\" notrack"),
    StockPair("notrack from 10.0.0.0/8", "ip saddr 10.0.0.0/8 notrack"),
    StockPair("notrack tcp 80 flags syn of syn, ack", "tcp dport 80 tcp flags & (syn | ack) == syn notrack"),
    StockPair("notrack udp 53 count", "udp dport 53 counter notrack"),
    StockPair("notrack udp 53 log dns", "udp dport 53 log prefix \"dns: \" notrack"),
    StockPair("notrack udp 53 limit 5/second", "udp dport 53 limit rate 5/second burst 5 packets notrack"),
    StockPair("notrack udp 53 set mark 1", "udp dport 53 meta mark set 1 notrack"),
    StockPair("drop spoofed in eth0", "iifname \"eth0\" fib saddr . iif oif missing drop"),
    StockPair("continue set mark 5", "meta mark set 5"),
    StockPair(
      "drop ether from not 02:00:00:00:00:01 in eth0", "iifname \"eth0\" jump CHAIN",
      chain: ["ether saddr 02:00:00:00:00:01 return", "drop"]),
  ]

  private static let beforeReassembly = [
    StockPair("drop fragment", "ip frag-off & 0x1fff != 0 drop", "frag frag-off != 0 drop"),
    StockPair(
      "drop ipv4 fragment in eth0", "meta nfproto ipv4 iifname \"eth0\" ip frag-off & 0x1fff != 0 drop"),
    StockPair("accept ipv4 not fragment", "ip frag-off & 0x1fff == 0 accept"),
    StockPair(
      "drop fragment length 0-576", "ip frag-off & 0x1fff != 0 meta length 0-576 drop",
      "frag frag-off != 0 meta length 0-576 drop"),
  ]
}
