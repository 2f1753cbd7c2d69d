import CLinux

/// One command under a bundle's filter of system calls, as `init` has it for all processes: without no_new_privs, so that
/// setuid and file capabilities mean what they did. Nothing else of the bundle is applied.
enum FilteredCommand {
  /// Comes back only where the command does not run: never does it run without the filter.
  ///
  /// - Parameter words: of the kernel, one more than `arguments`.
  static func run(
    _ options: Options, _ arguments: [[UInt8]], _ words: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
  ) -> ExitCode {
    guard let reader = Worker(options).open(Surroundings()) else { return .refused }
    guard let calls = reader.systemCalls else {
      Line("refused: the policy has no filter of system calls").print()
      return .refused
    }
    let program = reader.bytes.copy(calls.program)
    var result = unsafe lockdown_filter_calls(program, UInt16(clamping: program.count / 8), calls.flags)
    var line = Line("the filter of system calls is refused: ")
    if result == 0 {
      // Last, for what is denied here is denied to all that follows.
      let command = arguments[options.command]
      result = unsafe lockdown_become(command.terminated(), words.advanced(by: options.command + 1))
      line = Line("cannot be started: ")
      line.text.addForeign(command)
      line.text.add(": ")
    }
    line.text.add(errorNumber: -result)
    line.print()
    return .unknown
  }
}
