import Diagnostics
import PolicyModel
import PolicySyntax

/// `sysctl` (LANGUAGE.md §2, §8).
extension Checker {
  /// Settings in the order of their keys.
  mutating func sysctls(_ node: SyntaxNode?) -> [SysctlSetting] {
    var settings: [SysctlSetting] = []
    for entry in node?.mapping ?? [] {
      guard let key = sysctlKey(entry.key), let scalar = entry.value.scalar else { continue }
      guard let setting = sysctl(key, entry.key, scalar) else { continue }
      settings.append(setting)
      items.append(Item("sysctl/\(setting.key)", setting.span))
    }
    reportConflicts(settings)
    return settings.sorted { $0.key < $1.key }
  }

  /// Reads a key, or reports why it is none.
  mutating func sysctlKey(_ scalar: SyntaxScalar) -> SysctlKey? {
    sysctlKey(scalar.text, scalar.span)
  }

  mutating func sysctlKey(_ text: String, _ span: SourceSpan) -> SysctlKey? {
    do {
      return try SysctlKey(text)
    } catch {
      let help: String =
        switch error {
        case .empty: "write it dotted, as in `kernel.kptr_restrict`"
        case .incomplete: "it is a directory below /proc/sys; a setting is a file in it"
        case .badSegment(let segment):
          segment.isEmpty
            ? "a part between two dots is empty" : "`\(segment)` can be no file below /proc/sys"
        case .slash:
          "write it with dots; a `/` stands for a dot inside the name of an interface and nowhere else"
        case .dottedInterface(let name): "a dot inside the name of an interface is written `/`: `\(name)`"
        case .badInterface(let name):
          "`\(name)` is no name of an interface: 1 to 15 bytes without `:` and blanks; `*` means all of them"
        case .pattern(let name):
          "`\(name)` is no name of an interface, and there are no patterns: `*` alone means all of them"
        case .star: "`*` stands for the interface of `net.ipv4.conf`, `net.ipv6.conf` and `neigh` keys only"
        }
      self.error(.sysctlBadKey, span, "`\(text)` is no sysctl key", help: [help])
      return nil
    }
  }

  private mutating func sysctl(
    _ key: SysctlKey, _ keyScalar: SyntaxScalar, _ scalar: SyntaxScalar
  ) -> SysctlSetting? {
    guard let row = SysctlTable.row(for: key) else {
      warning(
        .sysctlUnknownKey, keyScalar.span, "`\(key.text)` is not in the table of sysctl keys",
        help: suggestion(
          for: key.pattern, among: SysctlTable.rows.map(\.key), otherwise: "it is written as it stands")
          + ["its values have no order, so no statement can ask for `at least`"])
      guard isWritable(scalar) else { return nil }
      return SysctlSetting(
        key: key.text, value: scalar.text, strengthClass: .restorable, scope: key.scope,
        isNamespaced: key.segments.first == "net", isKnown: false, span: keyScalar.span)
    }
    guard isWritable(scalar) else { return nil }
    guard let value = row.normalized(scalar.text) else {
      error(
        .sysctlBadValue, scalar.span, "`\(key.text)` takes \(row.valueDescription), not `\(scalar.text)`",
        help: row.hint(for: scalar.text))
      return nil
    }
    if let since = row.since, since > target.kernel {
      warning(
        .sysctlNewerThanTarget, keyScalar.span,
        "`\(key.text)` is there since kernel \(since), and this policy is for \(target.kernel)",
        help: ["on an older kernel the key is reported absent, which is a gap and no failure"])
    }
    return SysctlSetting(
      key: key.text, value: value, strengthClass: row.strengthClass(of: value), scope: key.scope,
      isNamespaced: row.isNamespaced, isKnown: true, span: keyScalar.span)
  }

  /// A value goes to a file of /proc/sys in one write, and to one line of sysctl.conf.
  private mutating func isWritable(_ scalar: SyntaxScalar) -> Bool {
    if scalar.text.isEmpty || scalar.text.utf8.contains(where: { $0 < 0x20 || $0 == 0x7f }) {
      error(
        .sysctlBadValue, scalar.span,
        scalar.text.isEmpty
          ? "an empty value cannot be written" : "a value is one line without control characters")
      return false
    }
    if scalar.text.utf8.first == 0x20 || scalar.text.utf8.last == 0x20 {
      error(.sysctlBadValue, scalar.span, "a value does not begin or end with a blank")
      return false
    }
    // The kernel's own bound of proc_dostring callers is smaller; 1024 keeps a line readable by every tool.
    if scalar.text.utf8.count > 1024 {
      error(.sysctlBadValue, scalar.span, "a value is at most 1024 bytes long")
      return false
    }
    return true
  }

  private mutating func reportConflicts(_ settings: [SysctlSetting]) {
    // The same file under two names: `ip_forward` is `conf.all.forwarding`.
    let (forwarding, all) = ("net.ipv4.conf.*.forwarding", "net.ipv4.conf.all.forwarding")
    let keys = Set(settings.map(\.key))
    var byFile: [String: SysctlSetting] = [:]
    for setting in settings {
      let file = setting.key == "net.ipv4.ip_forward" ? all : setting.key
      // `*` holds `all` too. Who wants another value there says so by that name.
      if file == all, setting.key != all, !keys.contains(all),
        let star = settings.first(where: { $0.key == forwarding }), star.value != setting.value
      {
        error(
          .sysctlConflict, setting.span,
          "`\(setting.key)` is one setting of those that `\(forwarding)` names, and they differ",
          help: ["write `\(all)` in its place: the same setting, and of two keys the more specific one wins"],
          related: [Diagnostic.Label(star.span, "`\(star.value)` here")])
      }
      guard let earlier = byFile[file] else {
        byFile[file] = setting
        continue
      }
      if earlier.value != setting.value {
        error(
          .sysctlConflict, setting.span,
          "`\(setting.key)` and `\(earlier.key)` are one setting, and they differ",
          related: [Diagnostic.Label(earlier.span, "`\(earlier.value)` here")])
      }
    }
  }
}

extension SysctlRow {
  /// The value as the kernel prints it, or nil if it is none of this key.
  func normalized(_ text: String) -> String? {
    switch values {
    case .integer(let range): SysctlRow.integer(text).flatMap { range.contains($0) ? String($0) : nil }
    case .choice(let choices): SysctlRow.integer(text).flatMap { choices.contains($0) ? String($0) : nil }
    case .integers(let count, let range):
      SysctlRow.integers(text, count, range)
    case .portRange: SysctlRow.portRange(text)
    case .text: text.utf8.count <= maximumLength ? text : nil
    case .portList: SysctlRow.portList(text)
    case .powerOfTwo, .multiple:
      SysctlRow.integer(text).flatMap { rounded($0) == $0 ? String($0) : nil }
    }
  }

  /// What the kernel makes of an integer; nil: it refuses it.
  private func rounded(_ value: Int) -> Int? {
    switch values {
    case .powerOfTwo(let largest):
      guard (0...largest).contains(value) else { return nil }
      return value == 0 ? 0 : 1 << (Int.bitWidth - (value - 1).leadingZeroBitCount)
    case .multiple(let unit):
      guard (1...Int(Int32.max) / unit * unit).contains(value) else { return nil }
      return (value + unit - 1) / unit * unit
    case .integer, .choice, .integers, .portRange, .text, .portList: return value
    }
  }

  private static func integer(_ text: String) -> Int? {
    text.utf8.first == UInt8(ascii: "-")
      ? Integer.parse(String(text.dropFirst())).map { -$0 } : Integer.parse(text)
  }

  private static func integers(_ text: String, _ count: Int, _ range: ClosedRange<Int>) -> String? {
    let parts = text.split(separator: " ").map { integer(String($0)) }
    let numbers = parts.compactMap { $0 }
    guard numbers.count == parts.count, numbers.count == count, numbers.allSatisfy(range.contains) else {
      return nil
    }
    // proc_dointvec prints tabs; readers compare fields.
    return numbers.map(String.init).joined(separator: " ")
  }

  private static func portRange(_ text: String) -> String? {
    guard let ends = integers(text, 2, 1...65535) else { return nil }
    let numbers = ends.split(separator: " ").compactMap { Int($0) }
    return numbers[0] <= numbers[1] ? ends : nil
  }

  /// Sorted, and what touches as one range: as proc_do_large_bitmap() prints it.
  private static func portList(_ text: String) -> String? {
    var ranges: [ClosedRange<Int>] = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      let ends = part.split(separator: "-", omittingEmptySubsequences: false).map {
        Integer.parse(String($0))
      }
      guard (1...2).contains(ends.count), let first = ends[0], let last = ends[ends.count - 1],
        first <= last, (0...65535).contains(first), (0...65535).contains(last)
      else { return nil }
      ranges.append(first...last)
    }
    var merged: [ClosedRange<Int>] = []
    for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
      if let before = merged.last, range.lowerBound <= before.upperBound + 1 {
        merged[merged.count - 1] = before.lowerBound...max(before.upperBound, range.upperBound)
      } else {
        merged.append(range)
      }
    }
    return merged.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }
      .joined(separator: ",")
  }

  var valueDescription: String {
    let unit = unit.isEmpty ? "" : " \(unit)"
    switch values {
    case .integer(let range):
      return range.upperBound == .max
        ? "an integer of at least \(range.lowerBound)\(unit)"
        : "\(range.lowerBound) to \(range.upperBound)\(unit)"
    case .choice(let choices):
      let words = choices.map(String.init)
      return words.dropLast().joined(separator: ", ") + " or " + (words.last ?? "")
    case .integers(let count, let range):
      return "\(count) integers of \(range.lowerBound) to \(range.upperBound)\(unit)"
    case .portRange: return "two ports, of which the second is not the lower"
    case .text: return "text of at most \(maximumLength) bytes"
    case .portList: return "ports and ranges of ports with commas between them"
    case .powerOfTwo(let largest): return "0 or a power of two up to \(largest)\(unit)"
    case .multiple(let factor): return "a multiple of \(factor)\(unit)"
    }
  }

  func hint(for text: String) -> [String] {
    switch (values, text) {
    case (.choice(let choices), "true"), (.choice(let choices), "on"), (.choice(let choices), "yes"):
      choices.contains(1) ? ["the kernel wants `1`"] : []
    case (.choice, "false"), (.choice, "off"), (.choice, "no"): ["the kernel wants `0`"]
    case (.powerOfTwo, _), (.multiple, _):
      SysctlRow.integer(text).flatMap(rounded).map { ["the kernel makes `\($0)` of it"] } ?? []
    default: []
    }
  }
}
