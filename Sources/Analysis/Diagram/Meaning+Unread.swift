import PolicyModel

/// Rules that nobody can read.
extension Meaning {
  /// Of such rules, by their programs: the first label. None where what packets have become before is not the same.
  static func unreadPrograms(_ rules: [Rule], _ firewalls: [Firewall?]) -> [String: UInt32] {
    var programs: [String: UInt32] = [:]
    for (label, rule) in rules.enumerated().dropFirst() where rule.unreadable != nil {
      if let program = rule.unreadProgram, programs[program] == nil { programs[program] = UInt32(label) }
    }
    guard !programs.isEmpty else { return [:] }
    // What packets have become before counts as well.
    let changing = firewalls.map { firewall in
      (firewall?.rules ?? []).filter { rule in
        if case .translate = rule.verdict { return true }
        return !rule.changes.isEmpty || rule.verdict == .notrack
      }
    }
    let areAlike = changing.allSatisfy { rules in
      rules.count == changing[0].count && zip(rules, changing[0]).allSatisfy { $0.isTheSame(as: $1) }
    }
    return areAlike ? programs : [:]
  }

  /// The labels of all rules with the program of one that cannot be read.
  func labels(like label: UInt32) -> [UInt32] {
    guard let program = rules[Int(label)].unreadProgram else { return [label] }
    return rules.indices.dropFirst().filter { rules[$0].unreadProgram == program }.map { UInt32($0) }
  }
}
