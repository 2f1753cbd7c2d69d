internal import Synchronization

/// The outputs of one compile: given away as they are made, or kept.
final class OutputCollection: Sendable {
  private let take: (@Sendable (CompiledPolicy.OutputFile) -> Void)?
  /// Without the contents that were given away.
  private let made = Mutex<[CompiledPolicy.OutputFile]>([])

  init(_ take: (@Sendable (CompiledPolicy.OutputFile) -> Void)?) { self.take = take }

  /// One more output, or what comes next of one.
  func add(_ name: String, _ pieces: [[UInt8]]) {
    let kept = take == nil ? pieces : []
    made.withLock { made in
      if let index = made.firstIndex(where: { $0.name == name }) {
        made[index].pieces += kept
      } else {
        made.append(CompiledPolicy.OutputFile(name: name, pieces: kept))
      }
    }
    take?(CompiledPolicy.OutputFile(name: name, pieces: pieces))
  }

  func add(_ name: String, _ bytes: [UInt8]) { add(name, [bytes]) }

  func add(_ name: String, _ text: String) { add(name, [Array(text.utf8)]) }

  /// Puts bytes in the place of others that were added in the first piece.
  func replace(_ name: String, at place: Int, _ bytes: [UInt8]) {
    if let take { return take(CompiledPolicy.OutputFile(name: name, pieces: [bytes], place: place)) }
    made.withLock { made in
      guard let index = made.firstIndex(where: { $0.name == name }) else { return }
      made[index].pieces[0].replaceSubrange(place..<place + bytes.count, with: bytes)
    }
  }

  /// Says that nothing more comes of an output.
  func finish(_ name: String) { take?(CompiledPolicy.OutputFile(name: name, pieces: [], isWhole: true)) }

  /// By name.
  var files: [CompiledPolicy.OutputFile] {
    made.withLock { $0.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) } }
  }
}
