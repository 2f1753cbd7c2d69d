/// The types YAML readers give unquoted text.
package enum YAMLType: String, Hashable, Sendable {
  case string
  case null
  case bool
  case int
  case float
  case timestamp
  /// `<<`
  case merge
  /// `=`
  case value
}

/// What unquoted text is to a reader that resolves types.
package struct YAMLTypes: Hashable, Sendable {
  /// By YAML 1.1's type repository, in its wide reading: `y` and `22:30` are no strings.
  package var yaml11: YAMLType
  /// By the core schema of YAML 1.2.
  package var yaml12: YAMLType

  package init(yaml11: YAMLType, yaml12: YAMLType) {
    self.yaml11 = yaml11
    self.yaml12 = yaml12
  }

  /// Whether every reader takes the text as text.
  package var isString: Bool { yaml11 == .string && yaml12 == .string }

  /// The type to name in a message: the first one that is no string.
  package var other: YAMLType? {
    if yaml12 != .string { return yaml12 }
    return yaml11 == .string ? nil : yaml11
  }
}

extension SyntaxScalar {
  /// What YAML 1.1 and 1.2 resolve the scalar to; only unquoted text can be anything but a string.
  ///
  /// A string-typed key whose scalar is not `isString` gets `syntax/needs-quotes`.
  package var yamlTypes: YAMLTypes {
    guard style == .plain else { return YAMLTypes(yaml11: .string, yaml12: .string) }
    return YAMLTypes(resolving: text)
  }

  /// Whether unquoted text starts with a character that has a meaning of its own in YAML.
  ///
  /// The document layer has already refused all of them but `-`, `?` and `:` with text behind them, which
  /// numbers and addresses start with (`-5`, `::1`).
  package var startsWithIndicator: Bool {
    guard style == .plain, let first = text.utf8.first else { return false }
    return "-?:,[]{}#&*!|>'\"%@`".utf8.contains(first)
  }

  /// Whether unquoted text is a decimal number with a leading zero (`0755`, `-01`, `00`, `01.5`).
  ///
  /// YAML 1.1 reads `0755` as octal, 1.2 as decimal; a key of any type but text refuses it
  /// (`syntax/leading-zero`).
  package var hasLeadingZero: Bool {
    guard style == .plain else { return false }
    var digits = Substring(text).utf8
    if digits.first == 0x2d || digits.first == 0x2b { digits = digits.dropFirst() }
    guard digits.first == 0x30, let second = digits.dropFirst().first, (0x30...0x39).contains(second)
    else { return false }
    return digits.allSatisfy { (0x30...0x39).contains($0) || $0 == 0x2e || $0 == 0x5f }
  }
}

extension YAMLTypes {
  /// What readers take unquoted text for; patterns of <https://yaml.org/type/> and YAML 1.2.2 §10.3.2.
  package init(resolving text: String) {
    let bytes = Array(text.utf8)
    self.init(yaml11: Self.resolve11(bytes, text), yaml12: Self.resolve12(bytes, text))
  }

  private static func resolve11(_ bytes: [UInt8], _ text: String) -> YAMLType {
    switch text {
    case "", "~", "null", "Null", "NULL": return .null
    case "y", "Y", "yes", "Yes", "YES", "n", "N", "no", "No", "NO", "true", "True", "TRUE", "false", "False",
      "FALSE", "on", "On", "ON", "off", "Off", "OFF":
      return .bool
    case "<<": return .merge
    case "=": return .value
    default: break
    }
    guard let first = bytes.first, first < 0x3a else { return .string }
    if isInt11(bytes) { return .int }
    if isFloat11(bytes) { return .float }
    if isTimestamp(bytes) { return .timestamp }
    return .string
  }

  private static func resolve12(_ bytes: [UInt8], _ text: String) -> YAMLType {
    switch text {
    case "", "~", "null", "Null", "NULL": return .null
    case "true", "True", "TRUE", "false", "False", "FALSE": return .bool
    default: break
    }
    guard let first = bytes.first, first < 0x3a else { return .string }
    var scan = ByteScan(bytes)
    // 0o7, 0xF without sign
    if scan.take("0o") { return scan.takeAll(where: isOctal) > 0 && scan.isAtEnd ? .int : .string }
    if scan.take("0x") { return scan.takeAll(where: isHexadecimal) > 0 && scan.isAtEnd ? .int : .string }
    scan.takeSign()
    if scan.isSpecialFloat { return .float }
    let whole = scan.takeAll(where: isDigit)
    if whole > 0, scan.isAtEnd { return .int }
    var fraction = 0
    if scan.take(".") { fraction = scan.takeAll(where: isDigit) }
    guard whole + fraction > 0 else {
      return text == ".nan" || text == ".NaN" || text == ".NAN" ? .float : .string
    }
    if scan.take("e") || scan.take("E") {
      scan.takeSign()
      guard scan.takeAll(where: isDigit) > 0 else { return .string }
    }
    return scan.isAtEnd ? .float : .string
  }

  private static func isInt11(_ bytes: [UInt8]) -> Bool {
    var scan = ByteScan(bytes)
    scan.takeSign()
    if scan.take("0b") {
      return scan.takeAll(where: { $0 == 0x30 || $0 == 0x31 || $0 == 0x5f }) > 0 && scan.isAtEnd
    }
    if scan.take("0x") { return scan.takeAll(where: { isHexadecimal($0) || $0 == 0x5f }) > 0 && scan.isAtEnd }
    if scan.take("0") {
      scan.takeAll(where: { isOctal($0) || $0 == 0x5f })
      return scan.isAtEnd
    }
    guard scan.takeAll(where: { isDigit($0) || $0 == 0x5f }) > 0, bytes[scan.digitStart] != 0x5f else {
      return false
    }
    if scan.isAtEnd { return true }
    return scan.takeSexagesimal() && scan.isAtEnd
  }

  private static func isFloat11(_ bytes: [UInt8]) -> Bool {
    var scan = ByteScan(bytes)
    scan.takeSign()
    if scan.isSpecialFloat { return true }
    let whole = scan.takeAll(where: { isDigit($0) || $0 == 0x5f })
    if whole > 0, bytes[scan.digitStart] == 0x5f { return false }
    if whole > 0, scan.isAtColon {
      guard scan.takeSexagesimal(), scan.take(".") else { return false }
      scan.takeAll(where: { isDigit($0) || $0 == 0x5f })
      return scan.isAtEnd
    }
    guard scan.take(".") else { return isNotANumber(bytes) }
    let fraction = scan.takeAll(where: { isDigit($0) || $0 == 0x5f })
    guard whole + fraction > 0 else { return isNotANumber(bytes) }
    if scan.take("e") || scan.take("E") {
      scan.takeSign()
      guard scan.takeAll(where: isDigit) > 0 else { return false }
    }
    return scan.isAtEnd
  }

  private static func isNotANumber(_ bytes: [UInt8]) -> Bool {
    var scan = ByteScan(bytes)
    return (scan.take(".nan") || scan.take(".NaN") || scan.take(".NAN")) && scan.isAtEnd
  }

  private static func isTimestamp(_ bytes: [UInt8]) -> Bool {
    var scan = ByteScan(bytes)
    guard scan.takeDigits(4...4), scan.take("-") else { return false }
    let month = scan.takeAll(where: isDigit)
    guard (1...2).contains(month), scan.take("-") else { return false }
    let day = scan.takeAll(where: isDigit)
    guard (1...2).contains(day) else { return false }
    if scan.isAtEnd { return month == 2 && day == 2 }
    if !scan.take("T"), !scan.take("t"), scan.takeAll(where: isBlank) == 0 { return false }
    guard scan.takeDigits(1...2), scan.take(":"), scan.takeDigits(2...2), scan.take(":"),
      scan.takeDigits(2...2)
    else { return false }
    if scan.take(".") { scan.takeAll(where: isDigit) }
    if scan.isAtEnd { return true }
    scan.takeAll(where: isBlank)
    if scan.take("Z") { return scan.isAtEnd }
    guard scan.take("+") || scan.take("-"), scan.takeDigits(1...2) else { return false }
    if scan.take(":") { return scan.takeDigits(2...2) && scan.isAtEnd }
    return scan.isAtEnd
  }

  private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
  private static func isOctal(_ byte: UInt8) -> Bool { (0x30...0x37).contains(byte) }
  private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }
  private static func isHexadecimal(_ byte: UInt8) -> Bool {
    isDigit(byte) || (0x41...0x46).contains(byte) || (0x61...0x66).contains(byte)
  }
}

/// A position in a few bytes, for patterns without branches back.
private struct ByteScan {
  private let bytes: [UInt8]
  private var position = 0
  /// Behind the sign.
  private(set) var digitStart = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  var isAtEnd: Bool { position == bytes.count }

  var isAtColon: Bool { position < bytes.count && bytes[position] == 0x3a }

  /// `.inf` up to the end, at the position.
  var isSpecialFloat: Bool {
    let rest = bytes[position...]
    return rest.elementsEqual(".inf".utf8) || rest.elementsEqual(".Inf".utf8)
      || rest.elementsEqual(".INF".utf8)
  }

  mutating func takeSign() {
    if position < bytes.count, bytes[position] == 0x2b || bytes[position] == 0x2d { position += 1 }
    digitStart = position
  }

  mutating func take(_ word: String) -> Bool {
    guard bytes[position...].starts(with: word.utf8) else { return false }
    position += word.utf8.count
    return true
  }

  @discardableResult
  mutating func takeAll(where matches: (UInt8) -> Bool) -> Int {
    let start = position
    while position < bytes.count, matches(bytes[position]) { position += 1 }
    return position - start
  }

  mutating func takeDigits(_ count: ClosedRange<Int>) -> Bool {
    count.contains(takeAll(where: { (0x30...0x39).contains($0) }))
  }

  /// `(:[0-5]?[0-9])+`
  mutating func takeSexagesimal() -> Bool {
    var found = false
    while take(":") {
      let start = position
      let count = takeAll(where: { (0x30...0x39).contains($0) })
      guard count == 1 || count == 2 && bytes[start] < 0x36 else { return false }
      found = true
    }
    return found
  }
}
