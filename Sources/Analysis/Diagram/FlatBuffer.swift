/// A growing array of plain values, owned by one place: no reference count, and no bounds check in release builds.
///
/// Diagrams do little else than read and write such arrays.
@safe struct FlatBuffer<Element: BitwiseCopyable>: ~Copyable {
  // INVARIANT: the first `count` of `capacity` elements are initialized.
  private var elements: UnsafeMutablePointer<Element>
  private var capacity: Int
  private(set) var count: Int

  init(capacity: Int = 16) {
    unsafe elements = .allocate(capacity: max(capacity, 1))
    self.capacity = max(capacity, 1)
    count = 0
  }

  init(repeating element: Element, count: Int) {
    unsafe elements = .allocate(capacity: max(count, 1))
    unsafe elements.initialize(repeating: element, count: count)
    capacity = max(count, 1)
    self.count = count
  }

  deinit { unsafe elements.deallocate() }

  subscript(index: Int) -> Element {
    @inline(__always) get {
      assert(index >= 0 && index < count, "an index is inside its buffer")
      return unsafe elements[index]
    }
    @inline(__always) set {
      assert(index >= 0 && index < count, "an index is inside its buffer")
      unsafe elements[index] = newValue
    }
  }

  @inline(__always)
  mutating func append(_ element: Element) {
    if count == capacity { grow() }
    unsafe (elements + count).initialize(to: element)
    count += 1
  }

  mutating func removeLast() {
    assert(count > 0, "there is a last element")
    count -= 1
  }

  private mutating func grow() {
    let larger = UnsafeMutablePointer<Element>.allocate(capacity: capacity * 2)
    unsafe larger.moveInitialize(from: elements, count: count)
    unsafe elements.deallocate()
    unsafe elements = larger
    capacity *= 2
  }
}
