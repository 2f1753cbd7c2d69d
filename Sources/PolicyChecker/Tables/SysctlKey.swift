import PolicyModel

/// A sysctl key as a policy writes it: dotted, with `/` for a dot inside the name of an interface.
struct SysctlKey: Hashable {
  enum KeyError: Error, Equatable {
    case empty
    /// A directory: `net.ipv4.conf.eth0`.
    case incomplete
    /// A segment between two dots is empty, or holds a byte no file below /proc/sys has.
    case badSegment(String)
    /// A `/` where no interface stands; also every way out of /proc/sys.
    case slash
    /// The name of an interface has a dot: `eth0.100` for `eth0/100`.
    case dottedInterface(String)
    case badInterface(String)
    /// The kernel takes such a name, and systemd-sysctl and sysctl(8) read it as a pattern of several.
    case pattern(String)
    /// `*` where no interface stands.
    case star
  }

  let text: String
  /// Segments below /proc/sys.
  let segments: [String]
  /// Which segment is an interface: `net.ipv4.conf.HERE.rp_filter`.
  let interfaceIndex: Int?

  /// Trees with one directory for each interface, and `all` and `default`.
  private static let interfaceTrees: [[String]] = [
    ["net", "ipv4", "conf"], ["net", "ipv6", "conf"], ["net", "ipv4", "neigh"], ["net", "ipv6", "neigh"],
    ["net", "mpls", "conf"],
  ]

  init(_ text: String) throws(KeyError) {
    guard !text.isEmpty else { throw .empty }
    let segments = text.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    let tree = Self.interfaceTrees.first {
      segments.count > $0.count && Array(segments.prefix($0.count)) == $0
    }
    let interfaceIndex = tree?.count
    for (index, segment) in segments.enumerated() {
      if index == interfaceIndex, !segment.isEmpty {
        guard segment == "*" || Self.isInterfaceSegment(segment) else { throw .badInterface(segment) }
        // What glob(7) gives a meaning.
        if segment != "*", segment.contains(where: { "*?[\\".contains($0) }) { throw .pattern(segment) }
        continue
      }
      if segment.contains("/") { throw .slash }
      if segment.contains("*") { throw .star }
      let isWord = segment.utf8.allSatisfy {
        (0x30...0x39).contains($0) || (0x41...0x5a).contains($0) || (0x61...0x7a).contains($0)
          || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: "-")
      }
      guard !segment.isEmpty, isWord else { throw .badSegment(segment) }
    }
    if let interfaceIndex {
      // `net.ipv4.neigh` has no key of its own, so a key has exactly one segment behind the interface.
      guard segments.count == interfaceIndex + 2 else {
        throw segments.count < interfaceIndex + 2
          ? .incomplete
          : .dottedInterface(segments[interfaceIndex..<(segments.count - 1)].joined(separator: "/"))
      }
    }
    // All that stands directly below /proc/sys is a directory.
    guard segments.count > 1 else { throw .empty }
    self.text = text
    self.segments = segments
    self.interfaceIndex = interfaceIndex
  }

  /// A name of an interface with `/` for its dots. dev_valid_name() refuses `.` and `..` too.
  private static func isInterfaceSegment(_ segment: String) -> Bool {
    InterfaceName.isValid(String(segment.map { $0 == "/" ? "." : $0 }))
  }

  /// With `*` for the interface: how the table names it. `conf.all` and `conf.default` are interfaces here,
  /// except where the table has a row for exactly them.
  var pattern: String {
    guard let interfaceIndex else { return text }
    var segments = segments
    let name = segments[interfaceIndex + 1]
    if segments[interfaceIndex] == "default", name.hasPrefix("gc_thresh") || name == "gc_interval" {
      return text
    }
    segments[interfaceIndex] = "*"
    return segments.joined(separator: ".")
  }

  /// `*`, `all`, `default`, or a name with `/` for its dots; nil for a key of the whole host.
  var interface: String? { interfaceIndex.map { segments[$0] } }

  func withInterface(_ name: String) -> SysctlKey? {
    guard let interfaceIndex else { return nil }
    var segments = segments
    segments[interfaceIndex] = name
    return try? SysctlKey(segments.joined(separator: "."))
  }

  var scope: SysctlScope {
    switch interface {
    case nil: .host
    case "*": .everyInterface
    default: .interface
    }
  }
}

/// Names of network interfaces.
enum InterfaceName {
  /// 1–15 bytes, not `.` or `..`, without `/`, `:` and white space; dev_valid_name() in net/core/dev.c.
  static func isValid(_ name: String) -> Bool {
    (1...15).contains(name.utf8.count) && name != "." && name != ".." && isPart(name)
  }

  /// What a name may hold.
  static func isPart(_ text: String) -> Bool {
    text.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7f && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: ":") }
  }
}
