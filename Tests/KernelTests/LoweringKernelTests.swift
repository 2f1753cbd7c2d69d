import Foundation
import PolicyModel
import PolicySamples
import Ruleset
import Testing
import TextBackends

/// Stock nft and the kernel as judges of the lowering, its nft text and its expressions.
@Suite(.enabled(if: Namespace.isRequested, "needs root; set LOCKDOWN_KERNEL_TESTS=1"))
struct LoweringKernelTests {
  private static let digest = [UInt8](repeating: 0xab, count: 32)

  private static func ruleset(seed: UInt64) -> Ruleset {
    var random = RandomPolicy(seed: seed)
    return Lowering.lower(random.policy(ruleCount: 60), digest: digest)
  }

  @Test(arguments: 1...12 as ClosedRange<UInt64>)
  func nftMakesOfTheTextWhatTheExpressionsSay(seed: UInt64) throws {
    let ruleset = Self.ruleset(seed: seed)
    let text = NFTText.print(ruleset)
    let directory = try TemporaryDirectory()
    let file = try directory.file("a.nft", contents: Data(text.utf8))
    let result = try Namespace.run("nft --debug=netlink -f \(file.path)")
    #expect(result.status == 0, "\(result.errors.suffix(2000))\n\(text)")
    let sent = NetlinkNotation.Program(parsing: result.output)
    let expected = NetlinkNotation.Program(of: ruleset)
    #expect(sent.rules.count == expected.rules.count)
    for (index, (actual, wanted)) in zip(sent.rules, expected.rules).enumerated() where actual != wanted {
      Issue.record("rule \(index)\nnft:\n\(actual)\nours:\n\(wanted)")
    }
    #expect(sent.sets == expected.sets)
  }

  @Test(arguments: 41...48 as ClosedRange<UInt64>)
  func aListingLoadsAndListsTheSame(seed: UInt64) throws {
    let directory = try TemporaryDirectory()
    let file = try directory.file("a.nft", contents: Data(NFTText.print(Self.ruleset(seed: seed)).utf8))
    let listing = directory.url.appendingPathComponent("listing").path
    let result = try Namespace.run(
      """
      nft -f \(file.path)
      nft -s list ruleset >\(listing)
      nft flush ruleset
      nft -f \(listing)
      nft -s list ruleset | diff \(listing) -
      """)
    #expect(result.status == 0, "\(result.output)\(result.errors)")
  }

  @Test func loadingReplacesOurTableAndNoOther() throws {
    let directory = try TemporaryDirectory()
    let first = try directory.file("first.nft", contents: Data(NFTText.print(Self.ruleset(seed: 61)).utf8))
    let second = try directory.file("second.nft", contents: Data(NFTText.print(Self.ruleset(seed: 62)).utf8))
    let result = try Namespace.run(
      """
      nft 'add table inet other; add chain inet other c; add rule inet other c counter'
      nft -f \(second.path); nft -s list ruleset >\(directory.url.path)/wanted
      nft -f \(first.path); nft -s list ruleset >\(directory.url.path)/between
      nft -f \(second.path); nft -s list ruleset | diff \(directory.url.path)/wanted -
      ! cmp -s \(directory.url.path)/wanted \(directory.url.path)/between
      nft list table inet other
      """)
    #expect(result.status == 0, "\(result.output)\(result.errors)")
    #expect(result.output.contains("counter packets 0 bytes 0"))
  }

  @Test func theTextNeedsNoTableOfTheHost() throws {
    let directory = try TemporaryDirectory()
    let file = try directory.file("a.nft", contents: Data(NFTText.print(Self.ruleset(seed: 63)).utf8))
    let result = try Namespace.run(
      """
      unshare -m sh -euc '
        for table in protocols services passwd group; do mount --bind /dev/null /etc/$table; done
        nft -f \(file.path)'
      """)
    #expect(result.status == 0, "\(result.errors)")
  }

  /// What nft cannot write must be refused as a whole, not loaded as something else.
  @Test(arguments: [
    Samples.rule("input/a", .accept, Match(.interfaces(.input, [InterfacePattern("x\" drop #")]))),
    Samples.rule("input/b", .accept, Match(.interfaces(.input, [InterfacePattern("x\\", isPrefix: true)]))),
    Samples.rule("input/c", .accept) { $0.log = Log(prefix: "a\" accept #") },
    Samples.rule("input/d", .accept) { $0.log = Log(prefix: "costs $5") },
  ])
  func whatNFTCannotSayIsRefused(rule: Rule) throws {
    let text = NFTText.print(
      Lowering.lower(Samples.policy([Samples.chain(.input, [rule])]), digest: Self.digest))
    let directory = try TemporaryDirectory()
    let file = try directory.file("a.nft", contents: Data(text.utf8))
    let result = try Namespace.run("nft -f \(file.path) && exit 9; nft list ruleset")
    #expect(result.status == 0, "loaded:\n\(text)")
    #expect(result.output.isEmpty)
    #expect(result.errors.contains("syntax error"))
  }

  @Test func noKeywordOfNFTBecomesAName() throws {
    // Each word as a counter, in the text as we would name it: a single one that nft refuses fails all.
    let words = NFTWords.all
    let rules = words.map { word in
      Samples.rule("input/\(word)", .continue) { $0.counter = .named(word) }
    }
    let ruleset = Lowering.lower(Samples.policy([Samples.chain(.input, rules)]), digest: Self.digest)
    let names = ruleset.tables[0].objects.map(\.name)
    #expect(names.count == words.count + 1)
    let directory = try TemporaryDirectory()
    let file = try directory.file("a.nft", contents: Data(NFTText.print(ruleset).utf8))
    // As names of chains and sets too.
    let others = names.map { "chain \($0) {\n}\nset \($0) {\ntype ipv4_addr\n}\n" }
    let more = try directory.file(
      "b.nft", contents: Data(("table inet names {\n" + others.joined() + "}\n").utf8))
    let result = try Namespace.run("nft -f \(file.path); nft -f \(more.path)")
    #expect(result.status == 0, "\(result.errors)")
  }
}

/// Words that nft 1.0.6 or a later one uses in its language, in any place.
enum NFTWords {
  static let all: [String] = """
    eq ne le lt ge gt lshift rshift xor and or not vmap include define redefine undefine describe chains sets
    tables rules trace hook device devices table chain rule set element map flowtable handle ruleset socket
    transparent wildcard cgroupv2 level tproxy accept drop continue jump goto return to inet netdev add replace
    update create insert delete get list reset flush rename import export monitor destroy position index
    comment constant interval dynamic timeout elements expires policy size performance memory flow offload
    meter meters flowtables limits maps secmarks synproxys tunnel tunnels hooks counter name packets bytes last
    never counters quotas log prefix snaplen group queue num bypass fanout limit rate burst second minute week
    over quota until used hour day reject with icmpx snat dnat masquerade redirect random persistent port ll
    nh th bridge ether saddr daddr type typeof vlan id cfi dei pcp arp htype ptype hlen plen operation ip
    version hdrlength dscp ecn length ttl protocol checksum lsrr rr ssrr ra ptr value option options ackseq
    doff window urgptr echo eol maxseg mss nop noop sack sack0 timestamp fastopen mptcp md5sig left right count
    tsval tsecr subtype time icmp icmpv6 gateway code mtu taddr sequence igmp mrt ip6 priority flowlabel
    hoplimit nexthdr ah reserved spi esp comp cpi flags udp udplite csumcov sport dport vxlan vni geneve gre
    gretap tcp dccp sctp chunk vtag data init heartbeat abort shutdown error ecne cwr asconf tsn stream ssn
    ppid seqno rt rt0 rt2 srh addr hbh frag reserved2 dst mh meta mark iif iifname iiftype oif oifname oiftype
    skuid skgid nftrace rtclassid ibriport ibrname obriport obrname pkttype cpu iifgroup oifgroup cgroup
    nexthop tag sid classid ct avgpkt l3proto zone original reply direction event expectation expiration helper
    helpers label state status numgen inc jhash symhash seed mod offset dup fwd fib check osf synproxy wscale
    tos notrack all xml json vm exists missing exthdr ipsec reqid spnum in out secmark xt
    input output forward prerouting postrouting ingress trying waiting open management
    """.split { $0 == " " || $0 == "\n" }.map(String.init)
}
