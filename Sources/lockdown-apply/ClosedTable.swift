import CLinux

/// The closed firewall, where no policy takes its place.
enum ClosedTable {
  // As for the policy's own batch.
  private static let maximumRestarts = 5

  /// Takes the place of a policy, whatever that is: the closed firewall is loaded beside it, and then the policy goes.
  /// False after a message.
  static func takeOver(_ reader: BundleReader) -> Bool {
    let wanted = WantedTable(reader, .closed)
    do {
      var socket = try NetlinkSocket()
      for _ in 0...(2 * maximumRestarts) {
        let generation = try socket.generation()
        let batch: Batch
        if try !socket.holds(.closed) {
          batch = .fresh(wanted, generation)
        } else if try socket.holds(.policy) {
          lockdown_wait_for_packets()
          batch = .removing(OtherTables(policy: true), generation)
        } else {
          return true
        }
        // The next look says what became of it, whatever the answer.
        do { try batch.send(socket, wanted.bytes) } catch { continue }
        let answers = BatchAnswers(&socket)
        guard let error = answers.error, error.errorNumber != ErrorNumber.restart else { continue }
        return failToTakeOver(error.errorNumber)
      }
      return failToTakeOver(ErrorNumber.restart)
    } catch { return failToTakeOver(error.errorNumber) }
  }

  private static func failToTakeOver(_ errorNumber: Int) -> Bool {
    var line = Line("firewall: the closed one cannot take its place: ")
    line.text.add(errorNumber: errorNumber)
    line.print()
    return false
  }

  /// Lets management in at once, for no policy comes any more. False: there is a policy, or no closed firewall.
  static func endWait() -> Bool {
    do {
      var socket = try NetlinkSocket()
      for _ in 0...maximumRestarts {
        let generation = try socket.generation()
        guard try !socket.holds(.policy), try socket.holds(.closed) else { return false }
        let batch = Batch(generation)
        batch.empty("waiting", of: .closed)
        batch.end()
        try batch.send(socket, [])
        let answers = BatchAnswers(&socket)
        guard let error = answers.error else {
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
