package import NFTables

/// Reads what the running kernel enforces. Nothing here changes it.
package enum HostState {
  /// Our table, as the kernel names it.
  package static let table = LiveRuleset.TableName(family: 1, name: "lockdown")

  /// The counter whose userdata names the policy.
  package static let digestCounter = "policy_digest"

  /// The policy that the network namespace of this process holds; nil if none is loaded.
  ///
  /// It names the policy and proves nothing: only a comparison of the whole ruleset does.
  package static func readDigest() throws(HostStateError) -> LoadedPolicy? {
    do {
      var socket = try NetlinkSocket()
      guard let counter = try LiveRuleset.counter(digestCounter, in: table, &socket) else { return nil }
      return LoadedPolicy(comment: counter.comment ?? "", messageDigest: counter.label)
    } catch {
      throw .firewall(error)
    }
  }

  /// The ruleset of the network namespace of this process: our table in full, of the others their names and
  /// base chains.
  package static func readRuleset() throws(HostStateError) -> LiveRuleset {
    do {
      var socket = try NetlinkSocket()
      return try LiveRuleset.read(&socket) { $0 == table }
    } catch {
      throw .firewall(error)
    }
  }

  /// Our table as text, one expression per line; empty if it is not loaded.
  ///
  /// - Parameter showsLabels: prints the records that nft text cannot carry.
  package static func dump(showsLabels: Bool) throws(HostStateError) -> String {
    try DumpText(showsLabels: showsLabels).print(readRuleset().tables)
  }
}
