internal import PolicyModel

extension MatchLowering {
  func lower(
    addresses match: AddressMatch, _ side: AddressSide, family: Families, isNegated: Bool
  ) -> LoweredMatch {
    if let tree = match.tree {
      family == .ipv6
        ? lower(tree, \.ipv6, .ipv6Address, side, family: family, isNegated: isNegated)
        : lower(tree, \.ipv4, .ipv4Address, side, family: family, isNegated: isNegated)
    } else if family == .ipv6 {
      lower(
        match.addresses.ipv6, excluding: match.exception?.addresses.ipv6 ?? [], .ipv6Address, of: match, side,
        family: family, isNegated: isNegated)
    } else {
      // Of either family: the static part is empty or everything in both.
      lower(
        match.addresses.ipv4, excluding: match.exception?.addresses.ipv4 ?? [], .ipv4Address, of: match, side,
        family: family, isNegated: isNegated)
    }
  }

  private func lower<Value>(
    _ ranges: [AddressRange<Value>], excluding excluded: [AddressRange<Value>],
    _ keyType: KernelSet.KeyType, of match: AddressMatch, _ side: AddressSide, family: Families,
    isNegated: Bool
  ) -> LoweredMatch {
    let everything = [AddressRange<Value>(0, .max)]
    let except = match.exception
    let terms = AddressTerms(side: side, family: family, keyType: keyType, prefixes: prefixes)
    // A list of everything needs no question; an exception of everything leaves nothing.
    let included =
      ranges == everything
      ? nil : terms.list(ranges, name: match.name, specials: match.specials, sets: match.sets)
    guard excluded != everything else { return isNegated ? .always : .never }
    let excepted = terms.list(
      excluded, name: except?.name, specials: except?.specials ?? [], sets: except?.sets ?? [])

    // Alternatives exclude each other, so that a rule acts once: each of a list says that none before it holds.
    func firsts(of list: [AddressTerms.Term]) -> [[Condition]] {
      list.indices.map { index in list[..<index].map { $0(.notEqual) } + [list[index](.equal)] }
    }
    let outside = excepted.map { $0(.notEqual) }
    guard let included else {
      if excepted.isEmpty { return isNegated ? .never : .always }
      return .anyOf(isNegated ? firsts(of: excepted).map { Conjunction($0) } : [Conjunction(outside)])
    }
    if included.isEmpty { return isNegated ? .always : .never }
    if included.count == 1, excepted.isEmpty {
      return .anyOf([Conjunction([included[0](isNegated ? .notEqual : .equal)])])
    }
    guard isNegated else { return .anyOf(firsts(of: included).map { Conjunction($0 + outside) }) }
    let inBoth = firsts(of: included).flatMap { inside in
      firsts(of: excepted).map { Conjunction(inside + $0) }
    }
    return .anyOf([Conjunction(included.map { $0(.notEqual) })] + inBoth)
  }

  /// A conjunction for each way in which the questions may be answered: they exclude each other.
  private func lower<Value>(
    _ tree: AddressTree, _ ranges: KeyPath<AddressSet, [AddressRange<Value>]>, _ keyType: KernelSet.KeyType,
    _ side: AddressSide, family: Families, isNegated: Bool
  ) -> LoweredMatch {
    let everything = [AddressRange<Value>(0, .max)]
    let terms = AddressTerms(side: side, family: family, keyType: keyType, prefixes: prefixes)
    let alternatives = tree.decisions(in: family).compactMap { decision -> Conjunction? in
      let known = decision.addresses[keyPath: ranges]
      var conditions: [Condition] = []
      if known == everything || known.isEmpty {
        guard known.isEmpty == isNegated else { return nil }
      } else {
        conditions = terms.list(known, name: nil, specials: [], sets: []).map {
          $0(isNegated ? .notEqual : .equal)
        }
      }
      let asked = decision.answers.map { answer in
        switch answer.question {
        case .special(let special): terms.isSpecial([special])(answer.isYes ? .equal : .notEqual)
        case .set(let name): terms.inSet(name)(answer.isYes ? .equal : .notEqual)
        }
      }
      return Conjunction(conditions + asked)
    }
    if alternatives.isEmpty { return .never }
    return alternatives == [Conjunction()] ? .always : .anyOf(alternatives)
  }
}

/// Questions about an address of packets of one family. Each has an answer for every packet.
private struct AddressTerms {
  typealias Term = (RuleStatement.Operator) -> Condition

  let side: AddressSide
  let family: Families
  let keyType: KernelSet.KeyType
  let prefixes: [String: AddressKey]

  /// What is constant comes first: an address that is in it is found, whatever becomes of the sets meanwhile.
  func list<Value>(
    _ ranges: [AddressRange<Value>], name: String?, specials: [AddressMatch.Special], sets: [String]
  ) -> [Term] {
    let specials = specials.filter { $0 == .local || family == .ipv4 }
    return (ranges.isEmpty ? [] : [inRanges(ranges, name)])
      + (specials.isEmpty ? [] : [isSpecial(specials)])
      + sets.map(inSet)
  }

  private func inRanges<Value>(_ ranges: [AddressRange<Value>], _ name: String?) -> Term {
    let operand: Condition.Operand =
      if let name {
        .inline(
          .set(
            .named(KernelName.set(name, family: family)),
            isInterval: ranges.contains { $0.lower != $0.upper }))
      } else {
        .ranges(of: ranges, keyType: keyType)
      }
    return { Condition(.address(side, isV6: family == .ipv6), $0, operand) }
  }

  func isSpecial(_ specials: [AddressMatch.Special]) -> Term {
    let types = specials.map { addressType($0).littleEndianBytes }
    let operand: Condition.Operand
    if let type = types.first, types.count == 1 {
      operand = .inline(.value(type))
    } else {
      let elements = types.map { KernelSet.Element($0, $0) }
      operand = .anonymous(
        KernelSet(name: nil, keyType: .fibAddressType, isInterval: false, elements: elements))
    }
    return { Condition(side == .source ? .fibSourceType : .fibDestinationType, $0, operand) }
  }

  func inSet(_ name: String) -> Term {
    let operand = Condition.Operand.inline(
      .set(.named(KernelName.set(name, family: family)), isInterval: false))
    let isV6 = family == .ipv6
    let address = RuleStatement.Field.address(side, isV6: isV6)
    let field = prefixes[name]?.mask(isV6: isV6).map { .masked(address, $0) } ?? address
    return { Condition(field, $0, operand) }
  }

  /// linux/rtnetlink.h RTN_LOCAL, RTN_BROADCAST.
  private func addressType(_ special: AddressMatch.Special) -> UInt32 {
    switch special {
    case .local: 2
    case .broadcast: 3
    }
  }
}
