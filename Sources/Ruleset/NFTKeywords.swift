/// Words that nft reads as keywords wherever a name may stand.
///
/// Netlink takes any name, but nft cannot quote one: a chain, set or object with such a name is listed and
/// does not parse again. The list is the union of what 1.0.6 refuses (a test tries each) and what 1.1 added.
enum NFTKeywords {
  static let all: Set<Substring> = Set(
    """
    accept add ah all and arp bridge bytes cgroup chain comment comp constant continue counter cpu
    create ct day dccp define delete describe destroy device devices dnat drop dst dup dynamic ecn
    element elements eq esp ether exists expires export exthdr fib flags flow flowtable flush frag fwd
    ge geneve get goto gre gretap gt handle hbh hook hour ibriport ibrname icmp icmpv6 igmp iif
    iifgroup iifname iiftype import include index inet insert interval ip ip6 ipsec jhash jump last le
    limit list ll log lshift lt map mark masquerade meta meter mh missing monitor name ne netdev
    nftrace nh not notrack numgen obriport obrname offload oif oifgroup oifname oiftype or osf packets
    pkttype policy position priority queue quota random redefine redirect reject rename replace reset
    return rshift rt rt0 rt2 rtclassid rule ruleset sctp secmark set size skgid skuid snat socket srh
    symhash synproxy table tcp th time timeout tproxy tunnel type typeof udp udplite undefine update
    vlan vmap vni vxlan xor xt
    """.split { $0 == " " || $0 == "\n" })
}
