import CLinux

extension TryStage {
  /// Lets everything pass the chains that close, for so many seconds; one that is open already gets the new time.
  mutating func open(seconds: Int, _ report: FirewallReport) throws(NetlinkSocket.Failure) -> FirewallOutcome
  {
    for _ in 0...Self.maximumRestarts {
      guard try takeAway(report) else { return .refused }
      let generation = try socket.generation()
      let batch = Batch(generation)
      try addLeads(.open, of: .policy, seconds, batch)
      try addLeads(.open, of: .closed, seconds, batch)
      if batch.isEmpty {
        report.fail("there is no firewall of ours that closes anything", errorNumber: 0)
        return .refused
      }
      batch.end()
      switch try send(batch, [], generation, report, nil) {
      case .committed: return .equal(.completed)
      case .refused: return .refused
      case .outrun, .doubtful: continue
      }
    }
    return .unknown
  }
}
