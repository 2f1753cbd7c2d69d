import Diagnostics

/// `22`, `1000-2000` or the name of a service.
enum PortText {
  static func parse(_ text: ArraySlice<UInt8>) throws(ValueTextError) -> PortSyntax {
    let isNumeric = text.allSatisfy {
      ($0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9")) || $0 == UInt8(ascii: "-")
    }
    if isNumeric || text.starts(with: [UInt8(ascii: "0"), UInt8(ascii: "x")]) {
      let range = try NumberText.parseRange(text, "a port", in: 0...65535)
      return .range(UInt16(range.lower), UInt16(range.upper))
    }
    let word = String(decoding: text, as: UTF8.self)
    if let colon = text.firstIndex(of: UInt8(ascii: ":")), NumberText.startsNumber(text) {
      let fixed =
        String(decoding: text[..<colon], as: UTF8.self) + "-"
        + String(decoding: text[(colon + 1)...], as: UTF8.self)
      throw ValueTextError(
        .ruleBadValue, "`\(word)` is not a port", label: "a range has a `-`", at: text.indices,
        replacements: [("write `\(fixed)`", fixed)])
    }
    let isService = text.allSatisfy {
      ($0 >= UInt8(ascii: "a") && $0 <= UInt8(ascii: "z"))
        || ($0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9"))
        || $0 == UInt8(ascii: "-")
    }
    guard isService, text.first != UInt8(ascii: "-"), text.last != UInt8(ascii: "-") else {
      let lower = text.map { $0 >= UInt8(ascii: "A") && $0 <= UInt8(ascii: "Z") ? $0 | 0x20 : $0 }
      let isShouted = lower[...] != text && (try? parse(lower[...])) != nil
      let fixed = String(decoding: lower, as: UTF8.self)
      throw ValueTextError(
        .ruleBadValue, "`\(word)` is not a port", label: "expected a port, a range or a service",
        help: [isShouted ? "services are in lower case" : "ports look like `22`, `1000-2000` or `ssh`"],
        at: text.indices, replacements: isShouted ? [("write `\(fixed)`", fixed)] : [])
    }
    return .service(word)
  }
}

/// The name of an interface, or its beginning and a `*`.
enum InterfaceText {
  static func parse(_ text: ArraySlice<UInt8>) throws(ValueTextError) -> InterfaceSyntax {
    let word = String(decoding: text, as: UTF8.self)
    func bad(_ label: String, help: [String] = []) -> ValueTextError {
      ValueTextError(
        .ruleBadValue, text.isEmpty ? "an empty name of an interface" : "`\(word)` is not an interface",
        label: label, help: help, at: text.indices)
    }
    let isPrefix = text.last == UInt8(ascii: "*")
    let name = isPrefix ? text.dropLast() : text
    guard !name.isEmpty else {
      throw bad(
        isPrefix ? "matches every interface" : "expected an interface",
        help: isPrefix ? ["leave the clause out"] : [])
    }
    // IFNAMSIZ in <linux/if.h>, with its final zero.
    guard name.count <= 15 else { throw bad("names have at most 15 bytes") }
    // dev_valid_name() of the kernel.
    guard word != ".", word != ".." else { throw bad("no name the kernel allows") }
    for byte in name {
      switch byte {
      case UInt8(ascii: "*"): throw bad("a `*` stands only at the end")
      case UInt8(ascii: "/"), UInt8(ascii: ":"): throw bad("names hold no `/` and no `:`")
      // The kernel's isspace() is that of Latin-1.
      case 0, UInt8(ascii: " "), 0x09...0x0d, 0xa0: throw bad("names hold no white space")
      default: break
      }
    }
    let nameText = String(decoding: name, as: UTF8.self)
    return isPrefix ? .prefix(nameText) : .exact(nameText)
  }
}

/// A hardware address, `02:00:00:00:00:01`; read in any case, kept in lower case.
enum LinkAddressText {
  static func parse(_ text: ArraySlice<UInt8>) throws(ValueTextError) -> String {
    let bytes = Array(text)
    let isAddress =
      bytes.count == 17
      && bytes.indices.allSatisfy { index in
        let byte = bytes[index]
        if index % 3 == 2 { return byte == UInt8(ascii: ":") }
        let lower = byte | 0x20
        return (byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9"))
          || (lower >= UInt8(ascii: "a") && lower <= UInt8(ascii: "f"))
      }
    let word = String(decoding: text, as: UTF8.self)
    guard isAddress else {
      throw ValueTextError(
        .ruleBadValue, "`\(word)` is not a hardware address", label: "six pairs of hexadecimal digits",
        help: ["as in `02:00:00:00:00:01`"], at: text.indices)
    }
    // Digits and colons have the bit of lower case set already.
    return String(decoding: bytes.map { $0 | 0x20 }, as: UTF8.self)
  }
}

/// The target of `dnat` and `snat`: an address, range or prefix, IPv6 in brackets, and ports.
enum TargetText {
  static func parse(_ text: ArraySlice<UInt8>) throws(ValueTextError) -> TargetSyntax {
    let colons = text.reduce(0) { $0 + ($1 == UInt8(ascii: ":") ? 1 : 0) }
    guard text.first == UInt8(ascii: "[") else {
      guard colons <= 1 else {
        let word = String(decoding: text, as: UTF8.self)
        throw ValueTextError(
          .badAddress, "an IPv6 target stands in brackets", label: "where does the address end?",
          help: ["as in `[2001:db8::1]:443`"], at: text.indices,
          replacements: (try? AddressText.parse(text)) == nil ? [] : [("put it in brackets", "[\(word)]")])
      }
      let colon = text.firstIndex(of: UInt8(ascii: ":"))
      let address = try AddressText.parse(text[..<(colon ?? text.endIndex)])
      return TargetSyntax(
        address: .range(address),
        ports: try colon.map { (at) throws(ValueTextError) in try ports(text[(at + 1)...]) })
    }
    guard let close = text.firstIndex(of: UInt8(ascii: "]")) else {
      throw ValueTextError(
        .badAddress, "a bracket is not closed", label: "it begins here",
        at: text.startIndex..<text.startIndex + 1)
    }
    let inner = text[(text.startIndex + 1)..<close]
    guard inner.contains(UInt8(ascii: ":")) else {
      throw ValueTextError(
        .badAddress, "brackets hold an IPv6 address", label: "not one",
        at: close > text.startIndex + 1 ? inner.indices : text.startIndex..<close + 1)
    }
    let rest = text[(close + 1)...]
    let colon = rest.firstIndex(of: UInt8(ascii: ":"))
    let suffix = rest[..<(colon ?? rest.endIndex)]
    let address: AddressRangeSyntax
    if suffix.isEmpty {
      address = try AddressText.parse(inner)
    } else {
      guard suffix.first == UInt8(ascii: "/"), !inner.contains(UInt8(ascii: "/")),
        !inner.contains(UInt8(ascii: "-"))
      else {
        throw ValueTextError(
          .badAddress, "unexpected text after the bracket",
          label: "expected `/` and a length, or `:` and a port",
          at: suffix.indices)
      }
      do {
        address = try AddressText.parse(ArraySlice(Array(inner) + Array(suffix)))
      } catch {
        var whole = error
        whole.range = text.indices
        whole.replacements = []
        throw whole
      }
    }
    guard !inner.contains(UInt8(ascii: "/")) else {
      throw ValueTextError(
        .badAddress, "the length stands behind the bracket", label: "as in `[2001:db8::]/48`",
        at: inner.indices)
    }
    return TargetSyntax(
      address: .range(address),
      ports: try colon.map { (at) throws(ValueTextError) in try ports(text[(at + 1)...]) })
  }

  private static func ports(_ text: ArraySlice<UInt8>) throws(ValueTextError) -> PortSyntax {
    let range = try NumberText.parseRange(text, "a port", in: 0...65535)
    return .range(UInt16(range.lower), UInt16(range.upper))
  }
}
