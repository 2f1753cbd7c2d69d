internal import SHA2

/// Names every interval set by what it holds, so that a changed one is another set.
///
/// The kernel (6.18 and before) switches to the rules of a batch before it publishes the elements of the
/// interval sets that are new in it: for that moment a `drop` by one of them lets packets through. A set that is
/// there already has no such moment. So changed interval sets are loaded in a batch of their own, beside those in
/// use, and only then the rules that look them up (docs/apply.md); which needs names that do not collide, and no
/// interval set that is bound to a rule. Hash sets are published with the rules and keep their form.
enum IntervalSets {
  /// - Parameter sets: the named sets that the rules look up; sorted by name again at the end.
  static func nameByContent(_ sets: inout [KernelSet], in chains: inout [Chain]) {
    var contentNames: [String: String] = [:]
    var finished: [String: KernelSet] = [:]
    for var set in sets {
      guard let name = set.name else { continue }
      if set.isInterval {
        let contentName = KernelName.intervalSet(named: name, contentHash: contentHash(of: set))
        contentNames[name] = contentName
        set.name = contentName
      }
      finished[set.name ?? name] = set
    }
    for chain in chains.indices {
      for rule in chains[chain].rules.indices {
        chains[chain].rules[rule].lookUpIntervalsByName(contentNames, addingTo: &finished)
      }
    }
    sets = finished.values.sorted { ($0.name ?? "") < ($1.name ?? "") }
  }

  /// Of all that makes the set: its type, and its elements in their order.
  fileprivate static func contentHash(of set: KernelSet) -> [UInt8] {
    var digest = SHA256()
    digest.update(Array((set.keyType.contentName + "\n").utf8))
    if let packed = set.elements.packed {
      digest.update(packed.bytes)
    } else {
      for element in set.elements {
        digest.update(element.lower)
        digest.update(element.upper)
      }
    }
    return digest.finish()
  }
}

extension KernelRule {
  fileprivate mutating func lookUpIntervalsByName(
    _ contentNames: [String: String], addingTo sets: inout [String: KernelSet]
  ) {
    if anonymousSets.isEmpty, contentNames.isEmpty { return }
    var kept: [KernelSet] = []
    let references = anonymousSets.map { (set) -> SetReference in
      guard set.isInterval else {
        kept.append(set)
        return .anonymous(kept.count - 1)
      }
      let name = KernelName.intervalSet(set.keyType, contentHash: IntervalSets.contentHash(of: set))
      var named = set
      named.name = name
      sets[name] = named
      return .named(name)
    }
    anonymousSets = kept
    for index in statements.indices {
      // Maps are hashes.
      if case .verdictMap(let field, .anonymous(let position)) = statements[index] {
        statements[index] = .verdictMap(field, references[position])
      }
      if case .natMap(let isV6, let field, .anonymous(let position)) = statements[index] {
        statements[index] = .natMap(isV6: isV6, field, references[position])
      }
      guard case .match(let field, let comparison, .set(let reference, let isInterval)) = statements[index]
      else { continue }
      let renamed: SetReference =
        switch reference {
        case .named(let name): .named(contentNames[name] ?? name)
        // INVARIANT: a rule's references index its own list.
        case .anonymous(let position): references[position]
        }
      statements[index] = .match(field, comparison, .set(renamed, isInterval: isInterval))
    }
  }
}

extension KernelSet.KeyType {
  /// A word for the keys, at most 19 bytes of a kernel name.
  var contentName: String {
    switch self {
    case .family: "families"
    case .ipv4Address: "ipv4"
    case .ipv6Address: "ipv6"
    case .inetProtocol: "protocols"
    case .inetService: "ports"
    case .interfaceName: "interfaces"
    case .conntrackState: "states"
    case .icmpType: "icmp"
    case .icmpCode: "codes"
    case .icmpv6Type: "icmpv6"
    case .icmpv6Code: "codes6"
    case .uid: "users"
    case .gid: "groups"
    case .fibAddressType: "fib"
    case .mark: "marks"
    case .dscp: "dscp"
    case .ipv6DSCP: "dscp6"
    case .timeToLive: "ttl"
    case .packetLength: "lengths"
    case .packetType: "types"
    case .linkAddress: "links"
    case .day: "days"
    case .controlGroup: "cgroups"
    case .concatenation(let types): types.map(\.contentName).joined(separator: "_")
    }
  }
}
