import CLinux

/// The closed firewall, where no policy takes its place.
enum ClosedTable {
  /// Takes the place of a policy. False after a message.
  static func takeOver(_ reader: BundleReader, _ options: Options) -> Bool {
    let report = FirewallReport()
    do {
      var stage = try FirewallStage(reader, .closed)
      stage.isTakingOver = true
      if case .equal = stage.run(options, report) { return true }
    } catch { report.fail("netlink", errorNumber: error.errorNumber) }
    var line = Line("firewall: the closed one cannot take its place: ")
    line.text.add(report.failure)
    line.print()
    return false
  }

  /// Lets management in at once, for no policy comes any more. False: there is a policy, or no closed firewall.
  static func endWait() -> Bool {
    let report = FirewallReport()
    var line = Line("no policy is live: the host is closed, and management ")
    do {
      var stage = try TryStage()
      for _ in 0...TryStage.maximumRestarts {
        let generation = try stage.socket.generation()
        guard try !stage.socket.rules(.policy), try stage.socket.rules(.closed) else { return false }
        // Without `management` nobody waits.
        guard try Trial.has("waiting", .closed, &stage.socket) else { break }
        let batch = Batch(generation)
        batch.empty("waiting", of: .closed)
        batch.end()
        if case .committed = try stage.send(batch, [], generation, report, nil) {
          line.text.add("is let in from now on")
          line.print()
          return true
        }
      }
    } catch { report.fail("netlink", errorNumber: error.errorNumber) }
    // The kernel ends the wait by itself, when its time is over.
    line.text.add("is let in later, if the policy has any ")
    line.text.add(report.failure)
    line.print()
    return true
  }
}
