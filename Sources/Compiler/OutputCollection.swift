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

  /// By name.
  var files: [CompiledPolicy.OutputFile] {
    made.withLock { $0.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) } }
  }
}
