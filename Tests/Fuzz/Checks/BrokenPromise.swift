/// Something that holds for every input, and does not for this one.
package struct BrokenPromise: Error, CustomStringConvertible {
  package var description: String
}

func promise(_ holds: Bool, _ otherwise: String) throws(BrokenPromise) {
  if !holds { throw BrokenPromise(description: otherwise) }
}
