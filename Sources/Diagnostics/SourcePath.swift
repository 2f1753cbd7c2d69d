/// Paths as policies write them: relative to the file that holds them, `/`-separated (LANGUAGE.md §2).
package enum SourcePath {
  /// Why a text is no path, with what to write.
  package enum Fault: Error, Equatable {
    case empty
    /// It would name another file on another machine.
    case absolute
    case directory
    case emptySegment
    case control
    case tooLong
  }

  /// The path of a file that another one names, without `.` and, but at its start, without `..`.
  ///
  /// `..` is taken away with the name before it and never looked up, so that a path means one file whether or not a
  /// directory on the way is a symbolic link. A path may lead out of the directory of the policy: a shared base
  /// often lies beside it.
  ///
  /// - Parameter file: The path of the file that names the other; its last component does not count.
  package static func resolve(_ text: String, from file: String) throws(Fault) -> String {
    let segments = try segments(of: text)
    var path: [Substring] = directory(of: file)
    let isAbsolute = file.utf8.first == UInt8(ascii: "/")
    for segment in segments {
      switch segment {
      case ".": continue
      case "..":
        if let last = path.last, last != ".." {
          path.removeLast()
        } else if !isAbsolute {
          path.append(segment)  // above the root directory there is only itself
        }
      default: path.append(segment)
      }
    }
    return (isAbsolute ? "/" : "") + path.joined(separator: "/")
  }

  private static func segments(of text: String) throws(Fault) -> [Substring] {
    guard !text.isEmpty else { throw .empty }
    guard text.utf8.first != UInt8(ascii: "/") else { throw .absolute }
    // PATH_MAX of linux/limits.h, with its NUL.
    guard text.utf8.count <= 4095 else { throw .tooLong }
    guard !text.utf8.contains(where: { $0 < 0x20 || $0 == 0x7f }) else { throw .control }
    let segments = text.split(separator: "/", omittingEmptySubsequences: false)
    guard let last = segments.last, !last.isEmpty, last != ".", last != ".." else { throw .directory }
    guard !segments.contains("") else { throw .emptySegment }
    return segments
  }

  /// The directory of a file as it was named on the command line, in the same form.
  package static func directory(of file: String) -> [Substring] {
    var path: [Substring] = []
    for segment in file.split(separator: "/").dropLast() where segment != "." {
      if segment == "..", let last = path.last, last != ".." {
        path.removeLast()
      } else {
        path.append(segment)
      }
    }
    return path
  }
}

extension SourcePath.Fault {
  /// What to do about it.
  package var help: String {
    switch self {
    case .empty: "name a file, relative to this one"
    case .absolute: "write it relative to this file: an absolute path names another file on another machine"
    case .directory: "it names a directory, and a file is wanted"
    case .emptySegment: "it holds `//`: write one `/`"
    case .control: "a path holds no control characters"
    case .tooLong: "a path is at most 4095 bytes long"
    }
  }
}
