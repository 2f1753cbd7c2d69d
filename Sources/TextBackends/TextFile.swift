import PolicyModel

/// A configuration file of lines and `#` comments, for a stock tool.
struct TextFile {
  private(set) var text: String

  /// - Parameter tool: who reads the file, in the words of its first line.
  init(_ policy: HostPolicy, readBy tool: String) {
    text = "# Policy \(policy.name), compiled by lockdown for \(tool).\n"
  }

  /// An empty line, and lines of comment.
  mutating func section(_ comment: [String]) {
    text += "\n"
    self.comment(comment)
  }

  mutating func comment(_ lines: [String]) {
    for line in lines { text += "# \(line)\n" }
  }

  mutating func lines(_ lines: [String]) {
    for line in lines { text += line + "\n" }
  }
}
