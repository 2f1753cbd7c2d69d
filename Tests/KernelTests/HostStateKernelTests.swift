import Foundation
import NFTables
import RulesetSamples
import Testing

/// Reading a live kernel: what is ours, what is not, and what changes meanwhile.
@Suite(.enabled(if: Namespace.isRequested, "needs root; set LOCKDOWN_KERNEL_TESTS=1"))
struct HostStateKernelTests {
  private let digits = String(repeating: "0123456789abcdef", count: 4)

  private func run(_ script: String, files: [String: String] = [:]) throws -> Namespace.Result {
    let directory = try TemporaryDirectory()
    for (name, contents) in files { _ = try directory.file(name, contents: Data(contents.utf8)) }
    return try Namespace.run("cd \(directory.url.path); \(script)")
  }

  @Test func theDigestIsReadFromTheCounter() throws {
    let text = "table inet lockdown { counter policy_digest { comment \"web-node sha256:\(digits)\"\n}\n}\n"
    let result = try run(
      "\"$PROBE\" digest; nft -f a.nft; \"$PROBE\" digest; nft delete table inet lockdown; \"$PROBE\" digest",
      files: ["a.nft": text])
    #expect(result.output == "none\nweb-node \(digits) 0\nnone\n", "\(result.errors)")
  }

  @Test func anEmptyKernelHasNoTableOfOurs() throws {
    let result = try run("\"$PROBE\" dump; \"$PROBE\" foreign")
    #expect(result.status == 0 && result.output.isEmpty, "\(result.errors)")
  }

  @Test func foreignBaseChainsAreNamedAndLeftAlone() throws {
    let text = """
      table ip docker { chain a { type filter hook forward priority 0; policy accept; }; chain b { }; }
      table inet firewalld { chain c { type nat hook postrouting priority 110; }; }
      table netdev edge { chain d { type filter hook ingress device lo priority 5; }; }
      table inet lockdown { chain input { type filter hook input priority -5; policy drop; }; }
      """
    let result = try run("nft -f a.nft; \"$PROBE\" foreign; \"$PROBE\" dump", files: ["a.nft": text])
    #expect(
      result.output == """
        2 docker a 2 0
        1 firewalld c 4 110
        5 edge d 0 5
        table inet lockdown flags 0
          chain input filter hook 1 priority -5 policy drop

        """, "\(result.errors)")
  }

  /// Somebody else wrote into our table what we never write: it is shown, as bytes, and nothing is lost.
  @Test func whatWeDoNotKnowIsShownAsBytes() throws {
    let text = """
      table inet lockdown {
        set seen { type ipv4_addr; flags dynamic, timeout; timeout 1m; }
        set swept { type ipv4_addr; flags timeout; gc-interval 5m; }
        set counted { type ipv4_addr; counter; elements = { 10.0.0.1 }; }
        set plain { type devgroup; elements = { 1 }; }
        map ports { type inet_service : verdict; elements = { 22 : accept }; }
        ct helper ftp { type "ftp" protocol tcp; }
        chain input {
          type filter hook input priority -5; policy drop;
          ip saddr 10.0.0.0/8 update @seen { ip saddr quota 1 mbytes } accept
          tcp dport vmap @ports
          tcp flags syn tcp option maxseg size 1-500 drop
          log prefix "x" flags all
          log group 3 snaplen 64
          ct original ip saddr 10.0.0.1 accept
          meta priority set 1:2
          ip saddr set 10.0.0.1
          counter accept
        }
        chain nat { type nat hook postrouting priority 100; masquerade; }
      }
      """
    let result = try run("nft -f a.nft; \"$PROBE\" dump", files: ["a.nft": text])
    #expect(result.status == 0, "\(result.errors)")
    let lines = result.output.split(separator: "\n")
    #expect(lines.count { $0.hasPrefix("    rule") } == 10)
    for name in ["dynset", "exthdr", "log", "ct", "meta", "payload"] {
      #expect(lines.contains { $0.hasPrefix("      unknown \"\(name)\" 0x") }, "\(name)")
    }
    #expect(lines.contains("      lookup reg 1 in @ports => reg 0"))
    // What is beside it is still understood.
    #expect(lines.contains("      counter"))
    // The element with its counter, and what a set is besides.
    #expect(lines.contains { $0.hasPrefix("    unknown 0x") })
    for name in ["counted", "swept"] {
      #expect(lines.contains { $0.hasPrefix("  set \(name) ") && $0.contains("other attributes") }, "\(name)")
    }
    #expect(lines.contains { $0.hasPrefix("  set plain type 35 ") })
    #expect(lines.contains { $0.hasPrefix("  object type 3 ftp data 0x") })
  }

  /// Another writer replaces the table again and again; each reading is wholly the one or wholly the other.
  @Test func aReadingIsOfOneGeneration() throws {
    func ruleset(_ network: Int) -> String {
      let elements = (0..<2_000).map { "10.\(network).\($0 / 250).\($0 % 250)" }.joined(separator: ", ")
      let rules = (0..<40).map { "ip saddr 10.\(network).0.\($0) accept" }.joined(separator: "\n")
      return """
        table inet lockdown
        delete table inet lockdown
        table inet lockdown {
          set hosts_4 { type ipv4_addr; flags constant; elements = { \(elements) }; }
          chain input { type filter hook input priority -5; policy drop;
          \(rules)
          ip saddr @hosts_4 accept; }
        }
        """
    }
    let script = """
      nft -f a.nft; "$PROBE" dump > a.txt
      nft -f b.nft; "$PROBE" dump > b.txt
      (for i in $(seq 40); do nft -f a.nft; nft -f b.nft; done; touch done) &
      same=0; busy=0
      while [ ! -e done ]; do
        if "$PROBE" dump > now.txt 2> error.txt; then
          cmp -s now.txt a.txt || cmp -s now.txt b.txt || { echo torn; exit 1; }
          same=$((same + 1))
        else
          grep -q 'changed during' error.txt || { cat error.txt; exit 1; }
          busy=$((busy + 1))
        fi
      done
      wait
      echo "read $same, busy $busy"
      [ "$((same + busy))" -ge 5 ]
      """
    let result = try run(script, files: ["a.nft": ruleset(1), "b.nft": ruleset(2)])
    print("readings against a writer:", result.output)
    #expect(result.status == 0, "\(result.output) \(result.errors)")
  }
}
