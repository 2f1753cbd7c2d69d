/// Why a file that a policy names could not be read, as the end of a sentence.
package enum SourceReadError: Error, Sendable, Equatable {
  case notFound
  case isDirectory
  /// A device, a pipe or a socket: reading it may wait for ever, and what it holds may be another thing each time.
  case notRegular
  /// Larger than the reader was asked to take; in bytes.
  case tooLarge(limit: Int)
  /// In the words of the system.
  case other(String)
}

extension SourceReadError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .notFound: "there is no such file"
    case .isDirectory: "it is a directory"
    case .notRegular: "it is no regular file"
    case .tooLarge(let limit): "it is larger than \(limit >> 20) MiB"
    case .other(let words): words
    }
  }
}

/// Where a compile gets the files that a policy names: it opens none itself.
///
/// The command line gives it the file system, tests a dictionary.
package protocol SourceReader: Sendable {
  /// The bytes of a file, whole.
  ///
  /// - Parameters:
  ///   - path: As ``SourcePath/resolve(_:from:)`` gives it, so that one file has one path.
  ///   - limit: Bytes; a larger file is an error, and what is read of it is bounded.
  func read(_ path: String, limit: Int) throws(SourceReadError) -> [UInt8]
}

/// Files in memory, by path; without any it refuses every file.
package struct SourceDictionary: SourceReader {
  package var files: [String: [UInt8]]

  package init(_ files: [String: [UInt8]] = [:]) { self.files = files }

  package func read(_ path: String, limit: Int) throws(SourceReadError) -> [UInt8] {
    guard let bytes = files[path] else { throw .notFound }
    guard bytes.count <= limit else { throw .tooLarge(limit: limit) }
    return bytes
  }
}
