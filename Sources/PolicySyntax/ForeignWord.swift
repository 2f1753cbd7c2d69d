/// A word that other firewalls have: what to write here instead, or that language 1 has no such thing.
struct ForeignWord: Sendable {
  /// Nil: language 1 has it under another name.
  var feature: String?
  var help: String
  /// The word to put in its place, where that alone cures it.
  var replacement: String?

  /// Words where a clause can begin.
  static let clauses: [String: ForeignWord] = table(
    notInLanguage: [
      "helper": ("conntrack helpers", "accept the connections by their ports, or by `related`"),
      "zone": ("conntrack zones", "all flows share one table of connections"),
      "expectation": ("conntrack expectations", "accept expected connections by `related`"),
      "event": ("conntrack events", "log the packets instead"),
      "flow": ("flowtables", "packets take the ordinary path"),
      "flowtable": ("flowtables", "packets take the ordinary path"),
      "offload": ("flowtables", "packets take the ordinary path"),
      "priority": ("packet priorities", "`set dscp` marks packets for queueing"),
      "vlan": ("VLAN matches", "match the VLAN's interface: `in vlan20`"),
      "ibrname": ("bridge matches", "match the bridge itself: `in br0`"),
      "obrname": ("bridge matches", "match the bridge itself: `out br0`"),
      "ibrport": ("bridge matches", "match the bridge itself: `in br0`"),
      "obrport": ("bridge matches", "match the bridge itself: `out br0`"),
      "physdev": ("bridge matches", "match the bridge itself: `in br0`"),
      "inner": ("matches inside tunnels", "match the tunnel's own interface: `in wg0`"),
      "tunnel": ("matches inside tunnels", "match the tunnel's own interface: `in wg0`"),
      ".": (
        "set keys other than addresses",
        "clauses hold together: `tcp 22 from 10.0.0.1`, and pairs are a verdict map's"
      ),
      "vxlan": ("matches inside tunnels", "match the tunnel's own interface: `in vxlan0`"),
      "geneve": ("matches inside tunnels", "match the tunnel's own interface"),
      "gretap": ("matches inside tunnels", "match the tunnel's own interface"),
      "numgen": ("random and numbered choices", "balance load outside the firewall"),
      "jhash": ("hashes of packets", "balance load outside the firewall"),
      "symhash": ("hashes of packets", "balance load outside the firewall"),
      "random": ("random choices", "a firewall that decides by chance cannot be proved"),
      "statistic": ("random and numbered choices", "balance load outside the firewall"),
      "iif": ("interface indexes", "match by name: `in eth0`"),
      "oif": ("interface indexes", "match by name: `out eth0`"),
      "iifgroup": ("interface groups", "list the interfaces: `in eth0, eth1`"),
      "oifgroup": ("interface groups", "list the interfaces: `out eth0, eth1`"),
      "payload": ("raw payload matches", "match by protocol and ports"),
      "u32": ("raw payload matches", "match by protocol and ports"),
      "string": ("matches of packet contents", "match by protocol and ports"),
      "egress": ("the egress hook", "use `postrouting` or `output`"),
      "queue": ("queueing to user space", "the kernel decides alone"),
      "dup": ("duplicating packets", "`log nflog 1` copies packets to a program"),
      "fwd": ("forwarding from ingress", "let routing forward"),
      "tproxy": ("transparent proxies", "`redirect` in nat sends packets to a local port"),
      "synproxy": ("SYN proxies", "`net.ipv4.tcp_syncookies: 1` defends the host itself"),
    ],
    elsewhere: [
      "iifname": ("input interfaces are written `in eth0`", "in"),
      "oifname": ("output interfaces are written `out eth0`", "out"),
      "interface": ("interfaces are written `in eth0` or `out eth0`", nil),
      "saddr": ("sources are written `from 192.0.2.1`", "from"),
      "daddr": ("destinations are written `to 192.0.2.1`", "to"),
      "source-address": ("sources are written `from 192.0.2.1`", "from"),
      "destination-address": ("destinations are written `to 192.0.2.1`", "to"),
      "dport": ("destination ports stand after the protocol: `tcp 22`", nil),
      "dports": ("destination ports stand after the protocol: `tcp 22, 80`", nil),
      "ports": ("destination ports stand after the protocol: `tcp 22, 80`", nil),
      "sport": ("source ports are written `from port 53`", nil),
      "sports": ("source ports are written `from port 53`", nil),
      "counter": ("counting is written `count`", "count"),
      "prefix": ("the text of a log stands after `log`: `log \"ssh: \"`", nil),
      "skuid": ("the sending user is written `user 1000`", "user"),
      "skgid": ("the sending group is written `group 1000`", "group"),
      "uid": ("the sending user is written `user 1000`", "user"),
      "gid": ("the sending group is written `group 1000`", "group"),
      "ct": ("states stand alone: `established, related`", nil),
      "ctstate": ("states stand alone: `established, related`", nil),
      "state": ("states stand alone: `established, related`", nil),
      "meta": ("write what it asks for: `in eth0`, `mark 1`, `user 1000`", nil),
      "ip": ("addresses are written `from 192.0.2.1`, the family `ipv4`", nil),
      "ip6": ("addresses are written `from 2001:db8::1`, the family `ipv6`", nil),
      "inet": ("a rule is for both families unless it says `ipv4` or `ipv6`", nil),
      "fib": ("the routing table is asked by `to local`, `to broadcast` and `spoofed`", nil),
      "ratelimit": ("rates are written `limit 10/minute`", "limit"),
      "limit-rate": ("rates are written `limit 10/minute`", "limit"),
      "service": ("a service stands behind its protocol, `tcp ssh`, or is a definition: `$web`", nil),
      "comment": ("a comment is a key of the item: `{name: …, rule: …, comment: …}`", nil),
      "frag": ("fragments but the first are matched by `fragment`", "fragment"),
      "weekday": ("days are written `days monday, tuesday`", "days"),
      "time": ("hours are written `hours 06:00-22:00`", "hours"),
      "icmp-type": ("types stand after the protocol: `icmp echo-request`", nil),
      "icmp6": ("ICMP for IPv6 is written `icmpv6`", "icmpv6"),
      "ipv6-icmp": ("ICMP for IPv6 is written `icmpv6`", "icmpv6"),
      "and": ("clauses stand side by side and hold together", nil),
      "or": ("alternatives are lists, `tcp 80, 443`, or two rules", nil),
      "on": ("interfaces are written `in eth0` or `out eth0`", nil),
      "if": ("clauses follow the verdict: `accept tcp 22 from $admin`", nil),
    ])

  /// Words behind `ct`, `meta` and `set` that have a meaning of their own elsewhere.
  static let fields: [String: ForeignWord] = table(
    notInLanguage: [
      "timeout": (
        "conntrack timeouts", "`net.netfilter.nf_conntrack_tcp_timeout_established` and its like set them"
      ),
      "label": ("conntrack labels", "`connmark` keeps a number with each connection"),
      "direction": ("the direction of a connection", "match the other side: `from port 22`"),
      "original": ("addresses of connections", "match those of the packet, by `from` and `to`"),
      "reply": ("addresses of connections", "match those of the packet, by `from` and `to`"),
      "ttl": ("changes of the time to live", "the host's own is `net.ipv4.ip_default_ttl`"),
    ],
    elsewhere: [
      "mark": ("the mark of a connection is `connmark 1`, that of a packet `mark 1`", nil),
      "status": ("the status of a connection is written `status dnat`", nil),
      "count": ("connections are counted by `connections over 10 per source`", nil),
      "l4proto": ("protocols stand alone: `tcp 22`, `esp`, `protocol 47`", nil),
      "protocol": ("families stand alone, `ipv4`, and so do protocols: `tcp 22`, `esp`, `protocol 47`", nil),
      "length": ("lengths are written `length 0-1500`", nil),
      "pkttype": ("types of packets are written `type broadcast`", nil),
      "cgroup": ("control groups are written by their paths: `cgroup system.slice/a.service`", nil),
      "hour": ("hours are written `hours 06:00-22:00`", nil),
      "day": ("days are written `days monday, tuesday`", nil),
    ])

  /// Words of clauses that are also names of services, and so are foreign only where no port can stand.
  static let ambiguous: [String: ForeignWord] = table(
    notInLanguage: [:],
    elsewhere: [
      "src": ("sources are written `from 192.0.2.1`", "from"),
      "dst": ("destinations are written `to 192.0.2.1`", "to"),
    ])

  /// Words where a verdict can stand.
  static let verdicts: [String: ForeignWord] = table(
    notInLanguage: [
      "queue": ("queueing to user space", "the kernel decides alone"),
      "dup": ("duplicating packets", "`continue log nflog 1` copies packets to a program"),
      "fwd": ("forwarding from ingress", "let routing forward"),
      "tproxy": ("transparent proxies", "`redirect` in nat sends packets to a local port"),
      "synproxy": ("SYN proxies", "`net.ipv4.tcp_syncookies: 1` defends the host itself"),
      "flow": ("flowtables", "packets take the ordinary path"),
      "offload": ("flowtables", "packets take the ordinary path"),
    ],
    elsewhere: [
      "allow": ("write `accept`", "accept"),
      "permit": ("write `accept`", "accept"),
      "pass": ("write `accept`", "accept"),
      "deny": ("write `drop`, or `reject` to answer", "drop"),
      "block": ("write `drop`, or `reject` to answer", "drop"),
      "discard": ("write `drop`", "drop"),
      "masq": ("write `masquerade`", "masquerade"),
      "call": ("write `jump` and the name of a chain", "jump"),
      "log": ("write `continue log …`: `continue` decides nothing", nil),
    ])

  private static func table(
    notInLanguage: [String: (feature: String, help: String)],
    elsewhere: [String: (help: String, replacement: String?)]
  ) -> [String: ForeignWord] {
    var table = notInLanguage.mapValues { ForeignWord(feature: $0.feature, help: $0.help) }
    for (word, entry) in elsewhere {
      table[word] = ForeignWord(feature: nil, help: entry.help, replacement: entry.replacement)
    }
    return table
  }
}
