private import CLinux
private import Glibc

/// Work on a thread of its own, beside the caller's.
///
/// The work is a function of what it holds, so that it does not matter which of both is done first. The standard
/// library's tasks would bring a pool of threads and an executor for what are two threads in all.
///
/// The corresponding C functions are `pthread_create` and `pthread_join`.
package struct SideThread<Value: Sendable>: ~Copyable {
  private let work: Work<Value>
  /// Nil: there is no thread, and the work is done when its value is asked for.
  private let thread: pthread_t?

  /// Recursion is as deep as a diagram has variables, or a value has levels.
  private static var stackSize: Int { 16 << 20 }

  package init(_ body: @escaping @Sendable () -> Value) {
    work = Work(body)
    var attributes = pthread_attr_t()
    var thread = pthread_t()
    unsafe pthread_attr_init(&attributes)
    unsafe pthread_attr_setstacksize(&attributes, Self.stackSize)
    let started = unsafe Unmanaged<AnyWork>.passRetained(work)
    let status = unsafe pthread_create(
      &thread, &attributes,
      { argument in
        if let argument = unsafe argument {
          HeapRoom.beginThread()
          unsafe Unmanaged<AnyWork>.fromOpaque(argument).takeRetainedValue().run()
          HeapRoom.endThread()
        }
        return nil
      }, started.toOpaque())
    if status != 0 { unsafe started.release() }
    unsafe pthread_attr_destroy(&attributes)
    self.thread = status == 0 ? thread : nil
  }

  /// Waits for the end of the work.
  package borrowing func wait() -> Value {
    if let thread, !work.isJoined {
      pthread_join(thread, nil)
      work.isJoined = true
    }
    return work.value()
  }

  deinit {
    // What nobody asks for any more ends before what it was given does.
    if let thread, !work.isJoined { pthread_join(thread, nil) }
  }
}

/// What the thread is handed, of whatever value.
private class AnyWork {
  func run() {}
}

/// SAFETY: one thread runs the work, and the others see its result when they have joined it.
private final class Work<Value: Sendable>: AnyWork, @unchecked Sendable {
  private let body: @Sendable () -> Value
  private var result: Value?
  var isJoined = false

  init(_ body: @escaping @Sendable () -> Value) { self.body = body }

  override func run() { result = body() }

  func value() -> Value {
    if let result { return result }
    let result = body()
    self.result = result
    return result
  }
}
