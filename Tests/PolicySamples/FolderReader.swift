package import Diagnostics
package import Foundation

/// The files below a folder, by their path relative to it: what a test compiles reads nothing else.
package struct FolderReader: SourceReader {
  private let folder: URL
  private let directory: String

  /// - Parameter file: A file of the folder as the compiler is told of it; its directory stands for the folder.
  package init(_ folder: URL, as file: String = "") {
    self.folder = folder
    directory = String(file[..<(file.lastIndex(of: "/").map { file.index(after: $0) } ?? file.startIndex)])
  }

  package func read(_ path: String, limit: Int) throws(SourceReadError) -> [UInt8] {
    guard path.hasPrefix(directory) else { throw .notFound }
    let url = folder.appendingPathComponent(String(path.dropFirst(directory.count)))
    var isDirectory: ObjCBool = false
    guard FileManager.default.fileExists(atPath: url.path, isDirectory: &isDirectory) else {
      throw .notFound
    }
    guard !isDirectory.boolValue else { throw .isDirectory }
    guard let data = try? Data(contentsOf: url) else { throw .other("it cannot be read") }
    guard data.count <= limit else { throw .tooLarge(limit: limit) }
    return Array(data)
  }
}
