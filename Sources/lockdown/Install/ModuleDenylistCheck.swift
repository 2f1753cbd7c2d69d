import ArgumentParser
import Installation

/// Whether a host's boot loaders pass a `module_blacklist=` beside the policy's: the kernel keeps the last one only.
enum ModuleDenylistCheck {
  private static let parameter = Array("module_blacklist=".utf8)

  /// The files that still have the one of the policy that was installed before.
  ///
  /// Exit code 1 after messages: somebody else has one too.
  static func check(
    _ root: borrowing RootDirectory, _ lines: [BootLoaderLine], _ commandLine: String
  ) throws -> [String] {
    let own = values(in: commandLine.utf8.split(separator: 0x20).map(Array.init)).last
    var old: [UInt8]?
    if case .file(let bytes) = try root.look(InstalledPath.commandLine) {
      old = values(in: bytes.split(whereSeparator: { $0 <= 0x20 }).map(Array.init)).last
    }
    var stale: [String] = []
    var isRefused = false
    for line in lines where !line.isDerived {
      let found = values(in: line.words).filter { $0 != own }
      guard !found.isEmpty else { continue }
      let name = root.name(line.path)
      if found.allSatisfy({ $0 == old }) {
        if stale.last != name { stale.append(name) }
      } else if own != nil {
        isRefused = true
        printError(
          "lockdown: kernel/derived-parameter: \(name) has another `module_blacklist=`: `\(line.text)`")
      }
    }
    guard isRefused else { return stale }
    printError(
      "lockdown: the kernel keeps only the last one: write its names into `modules.deny`, and take it away there"
    )
    throw ExitCode(1)
  }

  /// Of each such parameter. The kernel takes `-` for `_` in its name.
  private static func values(in words: [[UInt8]]) -> [[UInt8]] {
    let parameters = words.filter { word in
      word.count >= parameter.count
        && zip(word, parameter).allSatisfy { $0 == $1 || $0 == UInt8(ascii: "-") && $1 == UInt8(ascii: "_") }
    }
    return parameters.map { Array($0.dropFirst(parameter.count)) }
  }
}
