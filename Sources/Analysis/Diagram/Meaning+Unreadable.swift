import PolicyModel

/// Rules that cannot be read.
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

  /// Anything may become of the packets. That some of them may go on changed needs no word: whatever follows, what
  /// becomes of them is not known.
  func unreadable(_ label: UInt32) -> Diagram.Reference {
    // The same program lets through the same packets.
    let oracle = Oracle.unreadable(rules[Int(label)].unreadProgram.flatMap { unreadPrograms[$0] } ?? label)
    let accept = diagram.terminal(OutcomeTable.Outcome(kind: .accept, first: isLabelled ? label : 0))
    let drop = diagram.terminal(OutcomeTable.Outcome(kind: .drop, first: isLabelled ? label : 0))
    return diagram.branch(oracle, accept, diagram.branch(oracle, drop, Diagram.pass))
  }
}
