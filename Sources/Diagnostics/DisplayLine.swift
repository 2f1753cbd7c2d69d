/// One source line as a terminal can show it: tabs widened, what would move the cursor or reorder text spelt
/// out, and the column of every byte.
struct DisplayLine {
  /// Blanks a tab becomes. They do not depend on its column, so that a change before it moves no caret.
  static let tabWidth = 4

  private var cells: [Cell] = []
  /// 0-based display column at which each byte's character begins, and one entry more for the end.
  private var columns: [Int] = []

  private struct Cell {
    var text: String
    var column: Int
    var width: Int
  }

  init(_ bytes: some Collection<UInt8>) {
    columns.reserveCapacity(bytes.count + 1)
    var parser = Unicode.UTF8.ForwardParser()
    var iterator = bytes.makeIterator()
    var rest = Array(bytes)[...]
    var column = 0
    func show(_ text: String, width: Int, byteCount: Int) {
      cells.append(Cell(text: text, column: column, width: width))
      columns += repeatElement(column, count: byteCount)
      column += width
      rest = rest.dropFirst(byteCount)
    }
    while true {
      switch parser.parseScalar(from: &iterator) {
      case .valid(let encoded):
        let scalar = Unicode.UTF8.decode(encoded)
        if scalar == "\t" {
          show(String(repeating: " ", count: Self.tabWidth), width: Self.tabWidth, byteCount: encoded.count)
        } else if let spelt = Self.spelling(of: scalar) {
          show(spelt, width: spelt.utf8.count, byteCount: encoded.count)
        } else {
          show(String(scalar), width: Self.width(of: scalar), byteCount: encoded.count)
        }
      case .error(let length):
        for byte in rest.prefix(length) {
          let spelt = "<\(Self.hexadecimal(UInt32(byte), digits: 2))>"
          show(spelt, width: spelt.utf8.count, byteCount: 1)
        }
      case .emptyInput:
        columns.append(column)
        return
      }
    }
  }

  /// Columns of the whole line.
  var width: Int { columns.last ?? 0 }

  /// The text between two display columns; a character on the edge is left out.
  func text(from lower: Int = 0, to upper: Int = .max) -> String {
    cells.lazy.filter { $0.column >= lower && $0.column + $0.width <= upper }.map(\.text).joined()
  }

  /// The display column of a byte offset in the line; offsets behind the line are its end.
  func column(of offset: Int) -> Int { columns[min(max(offset, 0), columns.count - 1)] }

  /// Text that names a character which must not reach a terminal: it could hide or reorder what is shown.
  private static func spelling(of scalar: Unicode.Scalar) -> String? {
    switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate:
      "<U+\(hexadecimal(scalar.value, digits: 4))>"
    default:
      nil
    }
  }

  static func isSpelt(_ scalar: Unicode.Scalar) -> Bool { spelling(of: scalar) != nil }

  private static func hexadecimal(_ value: UInt32, digits: Int) -> String {
    let text = String(value, radix: 16, uppercase: true)
    return String(repeating: "0", count: max(0, digits - text.utf8.count)) + text
  }

  /// Columns a terminal gives a character, after Unicode's East Asian Width (UAX #11): 0, 1 or 2.
  private static func width(of scalar: Unicode.Scalar) -> Int {
    if scalar.value < 0x300 { return 1 }
    switch scalar.properties.generalCategory {
    case .nonspacingMark, .enclosingMark: return 0
    default: break
    }
    if scalar.properties.isEmojiPresentation { return 2 }
    return wide.contains { $0.contains(scalar.value) } ? 2 : 1
  }

  /// The blocks whose assigned characters are wide, UAX #11; emoji are asked for apart.
  private static let wide: [ClosedRange<UInt32>] = [
    0x1100...0x115f, 0x2e80...0x303e, 0x3041...0x33ff, 0x3400...0x4dbf, 0x4e00...0x9fff, 0xa000...0xa4cf,
    0xa960...0xa97f, 0xac00...0xd7a3, 0xf900...0xfaff, 0xfe30...0xfe6f, 0xff00...0xff60, 0xffe0...0xffe6,
    0x20000...0x2fffd, 0x30000...0x3fffd,
  ]

  /// Text of a message or path, in which nothing reaches the terminal as a command.
  static func printable(_ text: String) -> String {
    // Nearly all text needs no change, and is not copied.
    guard text.unicodeScalars.contains(where: { spelling(of: $0) != nil }) else { return text }
    return text.unicodeScalars.map { spelling(of: $0) ?? String($0) }.joined()
  }
}
