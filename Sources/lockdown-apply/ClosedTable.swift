/// The closed firewall, where no policy takes its place.
enum ClosedTable {
  // As for the policy's own batch.
  private static let maximumRestarts = 5

  /// Lets management in at once, for no policy comes any more. False: there is a policy, or no closed firewall.
  static func endWait() -> Bool {
    do {
      var socket = try NetlinkSocket()
      for _ in 0...maximumRestarts {
        let generation = try socket.generation()
        guard try !socket.holds(.policy), try socket.holds(.closed) else { return false }
        let batch = Batch.endingWait(generation: generation.number)
        try socket.send(batch.head, [], 0..<0, batch.tail)
        let answers = BatchAnswers(&socket)
        guard let error = answers.errors.first else {
          Line("no policy is live: the host is closed, and management is let in from now on").print()
          return true
        }
        if error.errorNumber == ErrorNumber.restart { continue }
        // Without `management` nobody waits.
        guard error.errorNumber != ErrorNumber.notFound else {
          Line("no policy is live: the host is closed, also for management, of which the policy has none")
            .print()
          return true
        }
        return fail(error.errorNumber)
      }
      return fail(ErrorNumber.restart)
    } catch { return fail(error.errorNumber) }
  }

  /// The kernel ends the wait by itself, when its time is over.
  private static func fail(_ errorNumber: Int) -> Bool {
    var line = Line("no policy is live: the host is closed, and management is let in later: ")
    line.text.add(errorNumber: errorNumber)
    line.print()
    return true
  }
}
