import CLinux

/// `lockdown-apply`: pushes a compiled policy into the kernel and reads back that it is there.
///
/// Embedded Swift has no `CommandLine`, so C's entry point is defined here. SwiftPM links executables with
/// `--defsym main=MODULE_main`: that is its name.
@c(lockdown_apply_main)
public func applyMain(
  _ count: CInt, _ words: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
) -> CInt {
  lockdown_prepare_process()
  var arguments: [[UInt8]] = []
  for index in 1..<max(Int(count), 1) {
    guard let text = unsafe words?[index] else { break }
    arguments.append(unsafe Array(UnsafeRawBufferPointer(start: text, count: strlen(text))))
  }
  // What a kernel starts first must not end. The first process of a container is an ordinary one, and must not start its init.
  if getpid() == 1, Surroundings.isKernelsOwn, let words = unsafe words {
    unsafe InitProcess(words, arguments).run()
  }
  guard let options = Options.parse(arguments) else { return ExitCode.usage.rawValue }
  if options.command > 0, let words = unsafe words {
    return unsafe FilteredCommand.run(options, arguments, words).rawValue
  }
  return options.follows ? Follower(options).run() : Supervisor(options).run()
}

/// What the program ends with (docs/apply.md).
enum ExitCode: Int32 {
  /// The host equals the bundle.
  case equal = 0
  /// Refused or failed: the state from before is there.
  case refused = 1
  /// It could not run, or could not tell.
  case unknown = 2
  /// Applied, but for what is named.
  case gaps = 3
  /// What the host booted with before is live: the new one was refused or given up.
  case fallback = 4
  /// Neither is live: the host is closed, but for what the policy calls management.
  case closed = 5
  case usage = 64
  /// Another applier is at work.
  case busy = 75
}
