private import CLinux
private import Glibc
private import Synchronization

/// Room on the heap for what a large input becomes.
///
/// The C library's allocator takes memory from the system as it goes: for the heap of a further thread page by page,
/// each with a system call and a fault, which for many thousand rules is a fifth of the time. Room that is taken ahead
/// is address space only, in pages as large as the system has (madvise(2), `MADV_HUGEPAGE`); where it has none, or
/// grants none, nothing else changes.
///
/// The corresponding C functions are `mallopt` and `madvise`.
package enum HeapRoom {
  /// Bytes for the heap of each further thread.
  private static let ofThread = Atomic<Int>(0)
  /// Threads that are there now, and the most there were at once: one more than these has a new heap.
  private static let threads = Atomic<Int>(0)
  private static let heaps = Atomic<Int>(0)

  /// Smaller inputs need none.
  private static var smallestInput: Int { 64 << 10 }
  /// What the many values of a rule take, for each byte of its text.
  private static var growth: Int { 96 }
  /// What reading it takes of that on each of two threads.
  private static var firstGrowth: Int { 24 }
  private static var most: Int { 1 << 30 }
  /// The largest that the allocator has on a heap (`DEFAULT_MMAP_THRESHOLD_MAX` of mallopt(3)).
  private static var largestBlock: Int { 32 << 20 }
  /// A further thread's heap has 64 MiB at most, with its own data: two of these.
  private static var block: Int { 24 << 20 }

  /// Takes room for this and every further thread, and lets the system fill in pages of it while the input is read, by
  /// one thread: there is time for it on another processor.
  ///
  /// - Parameter byteCount: of the text of a policy.
  /// - Returns: to be waited for at the end; nil: there is nothing to wait for.
  package static func take(forInputOf byteCount: Int) -> SideThread<Void>? {
    guard byteCount >= smallestInput, ofThread.load(ordering: .relaxed) == 0 else { return nil }
    let count = min(byteCount, most / growth)
    lockdown_keep_heaps(largestBlock)
    ofThread.store(count * growth / 2, ordering: .relaxed)
    let start = take(count * growth, isMain: true)
    return SideThread {
      fill(from: start, count * firstGrowth)
      // The next thread has this one's heap.
      if let memory = unsafe malloc(min(count * firstGrowth, block)) {
        fill(from: UInt(bitPattern: memory), min(count * firstGrowth, block))
        unsafe free(memory)
      }
    }
  }

  /// At the beginning of a further thread.
  static func beginThread() {
    let count = threads.add(1, ordering: .relaxed).newValue
    let (known, _) = heaps.max(count, ordering: .relaxed)
    let room = ofThread.load(ordering: .relaxed)
    if room > 0, count > known { _ = take(room, isMain: false) }
  }

  /// At its end.
  static func endThread() { threads.subtract(1, ordering: .relaxed) }

  /// Whole blocks, given back at once: the heaps keep them. A further heap that was quite free would go; behind each
  /// block of one a small one stays.
  ///
  /// - Returns: the address of the first; 0: there is none.
  private static func take(_ room: Int, isMain: Bool) -> UInt {
    let pin = 64
    var blocks: [UnsafeMutableRawPointer] = unsafe []
    for _ in 0..<(room + block - 1) / block {
      guard let memory = unsafe malloc(block) else { break }
      // SAFETY: the block is ours; the advice is about whole pages of it and changes no byte.
      advise(UInt(bitPattern: memory), block, MADV_HUGEPAGE)
      unsafe blocks.append(memory)
      if !isMain { unsafe _ = malloc(pin) }
    }
    let start = unsafe UInt(bitPattern: blocks.first)
    while let memory = unsafe blocks.popLast() { unsafe free(memory) }
    return start
  }

  /// Fills in pages, a few at a time: others wait for the system meanwhile.
  private static func fill(from start: UInt, _ count: Int) {
    guard start > 0 else { return }
    let step = 1 << 20
    for place in stride(from: 0, to: count, by: step) {
      // madvise(2), since Linux 5.14; what holds the pages is not changed.
      advise(start + UInt(place), step, 23 /* MADV_POPULATE_WRITE */)
    }
  }

  /// Of the whole pages in it. What the system does not know or grant changes nothing.
  private static func advise(_ start: UInt, _ count: Int, _ advice: Int32) {
    let page: UInt = 4096
    let first = (start + page - 1) / page * page
    let end = (start + UInt(count)) / page * page
    guard first < end, let memory = unsafe UnsafeMutableRawPointer(bitPattern: first) else { return }
    unsafe madvise(memory, Int(end - first), advice)
  }
}
