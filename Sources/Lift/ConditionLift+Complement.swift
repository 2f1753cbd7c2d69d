import PolicyModel
import Ruleset

/// A negated look-up of several fields.
extension ConditionLift {
  /// What no element holds, field by field: conditions without a packet in common. A packet that lacks a field is in
  /// none.
  func complement(
    of elements: [[Span]], _ fields: ArraySlice<LoadedField>
  ) throws(LiftError) -> [[Match]] {
    guard let field = fields.first else { return elements.isEmpty ? [[]] : [] }
    let rest = fields.dropFirst()
    switch field.source {
    case .meta(.inputInterfaceName): return try complement(of: elements, .input, rest)
    case .meta(.outputInterfaceName): return try complement(of: elements, .output, rest)
    default: break
    }
    let largest = field.length == 16 ? UInt128.max : (1 << UInt128(8 * field.length)) - 1
    let parts = elements.map { (Self.number($0[0].lower), Self.number($0[0].upper), Array($0.dropFirst())) }
    // Where the elements that hold a value change.
    var starts: Set<UInt128> = [0]
    for (lower, upper, _) in parts {
      starts.insert(lower)
      if upper < largest { starts.insert(upper + 1) }
    }
    let cuts = starts.sorted()
    var found: [[Match]] = []
    var free: [Span] = []
    for (index, start) in cuts.enumerated() {
      let end = index + 1 < cuts.count ? cuts[index + 1] - 1 : largest
      let inside = parts.filter { $0.0 <= start && end <= $0.1 }.map(\.2)
      let span = (Self.bytes(start, field.length), Self.bytes(end, field.length))
      if inside.isEmpty {
        free.append(span)
        continue
      }
      let others = try complement(of: inside, rest)
      var conditions = fresh()
      try conditions.add(field, [span], isNegated: false)
      for one in try conditions.alone() { found += others.map { one + $0 } }
    }
    guard !free.isEmpty else { return found }
    let others = try complement(of: [], rest)
    var conditions = fresh()
    try conditions.add(field, free, isNegated: false)
    for one in try conditions.alone() { found += others.map { one + $0 } }
    return found
  }

  /// The same for names of interfaces, which are compared as patterns: each packet at this hook has one.
  func complement(
    of elements: [[Span]], _ side: InterfaceSide, _ fields: ArraySlice<LoadedField>
  ) throws(LiftError) -> [[Match]] {
    let parts = try elements.map { element throws(LiftError) in
      (pattern: try Self.pattern(element[0], false), rest: Array(element.dropFirst()))
    }
    let patterns = Set(parts.map(\.pattern)).sorted()
    func holds(_ outer: InterfacePattern, _ inner: InterfacePattern) -> Bool {
      outer == inner || outer.isPrefix && inner.name.utf8.starts(with: outer.name.utf8)
    }
    let none = patterns.isEmpty ? [] : [Match(.interfaces(side, patterns), isNegated: true)]
    var found = try complement(of: [], fields).map { none + $0 }
    for pattern in patterns {
      let nested = patterns.filter { $0 != pattern && holds(pattern, $0) }
      var conditions = [Match(.interfaces(side, [pattern]))]
      if !nested.isEmpty { conditions.append(Match(.interfaces(side, nested), isNegated: true)) }
      let inside = parts.filter { holds($0.pattern, pattern) }.map(\.rest)
      found += try complement(of: inside, fields).map { conditions + $0 }
    }
    return found
  }

  static func bytes(_ number: UInt128, _ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: number >> UInt128(8 * (count - 1 - $0))) }
  }
}
