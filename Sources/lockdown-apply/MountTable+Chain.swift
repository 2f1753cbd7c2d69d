extension MountTable {
  /// The mount that is seen at `path` and those it hangs from, up to the root, by their numbers; and the number of its
  /// file system as its super block has it.
  func chain(at path: [UInt8]) -> (device: Int, mounts: [Int])? {
    guard var place = place(where: { isPath($0, path) }) else { return nil }
    let device = place.device
    var mounts = [place.number]
    // The root of all names itself, or one that cannot be seen.
    while place.parent != place.number, let next = self.place(numbered: place.parent) {
      place = next
      mounts.append(place.number)
    }
    return (device, mounts)
  }

  private struct Place {
    var number: Int
    var parent: Int
    var device: Int
  }

  private func place(numbered number: Int) -> Place? {
    var rest = 0..<bytes.count
    while let line = bytes.takeWord(&rest, separator: 0x0a) {
      if let place = place(of: line)?.place, place.number == number { return place }
    }
    return nil
  }

  /// The last one there.
  private func place(where isWanted: (Range<Int>) -> Bool) -> Place? {
    var found: Place?
    var rest = 0..<bytes.count
    while let line = bytes.takeWord(&rest, separator: 0x0a) {
      if let (place, path) = place(of: line), isWanted(path) { found = place }
    }
    return found
  }

  private func place(of line: Range<Int>) -> (place: Place, path: Range<Int>)? {
    // id, parent, major:minor, root, path.
    var words = line
    guard let number = takeNumber(&words), let parent = takeNumber(&words),
      let device = bytes.takeWord(&words, separator: 0x20),
      let colon = bytes.index(of: 0x3a, in: device),
      let major = Options.number(bytes, device.lowerBound..<colon),
      let minor = Options.number(bytes, (colon + 1)..<device.upperBound),
      bytes.takeWord(&words, separator: 0x20) != nil, let path = bytes.takeWord(&words, separator: 0x20)
    else { return nil }
    // MKDEV of linux/kdev_t.h.
    return (Place(number: number, parent: parent, device: major << 20 | minor), path)
  }

  private func takeNumber(_ words: inout Range<Int>) -> Int? {
    bytes.takeWord(&words, separator: 0x20).flatMap { Options.number(bytes, $0) }
  }
}
