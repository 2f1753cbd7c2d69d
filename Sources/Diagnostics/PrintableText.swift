/// Text of others as a terminal may show it: what would move its cursor, hide or reorder text is spelt out.
package enum PrintableText {
  /// Lines of text. Line feeds and tabs stay.
  package static func lines(_ text: String) -> String {
    guard text.unicodeScalars.contains(where: isSpelt) else { return text }
    return text.unicodeScalars.map { isSpelt($0) ? DisplayLine.printable(String($0)) : String($0) }.joined()
  }

  private static func isSpelt(_ scalar: Unicode.Scalar) -> Bool {
    guard scalar != "\n", scalar != "\t", scalar.value >= 0x7f || scalar.value < 0x20 else { return false }
    return DisplayLine.isSpelt(scalar)
  }
}

/// Text of others in GitHub's Markdown, in a cell of a table or outside of one.
package enum MarkdownText {
  /// As it stands: nothing of it is markup.
  package static func plain(_ text: String) -> String {
    var result = ""
    for character in DisplayLine.printable(text) {
      switch character {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "\\", "`", "*", "_", "[", "]", "|", "~": result += "\\\(character)"
      default: result.append(character)
      }
    }
    return result
  }

  /// A span of code.
  package static func code(_ text: String) -> String {
    let text = DisplayLine.printable(text)
    // A row of backticks that is not in it ends it; in a table a bar has a backslash even there.
    var (longest, length) = (0, 0)
    for character in text {
      length = character == "`" ? length + 1 : 0
      longest = max(longest, length)
    }
    let mark = String(repeating: "`", count: longest + 1)
    let blank = text.hasPrefix("`") || text.hasSuffix("`") ? " " : ""
    return mark + blank + text.replacing("|", with: "\\|") + blank + mark
  }
}
