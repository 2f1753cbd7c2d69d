internal import Lift
internal import NFTables
internal import PolicyModel
internal import Ruleset

/// The sets that have names, and what they hold.
extension TranslationCheck {
  static func contents(of ruleset: Ruleset) -> [String: ElementList] {
    var contents: [String: ElementList] = [:]
    for set in ruleset.tables.flatMap(\.sets) where set.filling == nil {
      if let name = set.name { contents[name] = set.elements }
    }
    return contents
  }

  static func groups(_ elements: [ControlGroupElement]) throws(LiftError) -> [String: [ControlGroup]] {
    var groups: [String: [ControlGroup]] = [:]
    do throws(NFTablesError) {
      for element in elements {
        guard let set = try StoredBatch.elementsSet(of: element.message.bytes) else { continue }
        groups[set, default: []].append(ControlGroup(element.path))
      }
    } catch {
      throw LiftError("a message cannot be read: \(error)")
    }
    return groups.mapValues { $0.sorted() }
  }

  /// Definitions by the name of the set of one family.
  static func names(_ sets: [DynamicSet]) -> [String: String] {
    var names: [String: String] = [:]
    for set in sets {
      for family in [Families.ipv4, .ipv6] { names[KernelName.set(set.name, family: family)] = set.name }
    }
    return names
  }

  func compareElements(_ messages: [EncodedMessage]) throws(Mismatch) {
    do throws(StoredElements.Fault) {
      try StoredElements.compare(
        messages.lazy.filter { $0.kind == .elements }.map(\.bytes), of: programs.table, with: contents)
    } catch {
      throw Mismatch(ruleID: nil, reason: "the set `\(error.set)`: \(error.reason)")
    }
  }

  /// Sets that are filled while they are there.
  func compareSets(_ policy: [DynamicSet]) throws(Mismatch) {
    for set in lift.dynamicSets {
      guard let wanted = policy.first(where: { $0.name == set.name }), wanted.filler == set.filler,
        // Nobody asks for what is of the other family.
        [32, wanted.ipv4Bits].contains(set.ipv4Bits), [128, wanted.ipv6Bits].contains(set.ipv6Bits)
      else { throw Mismatch(ruleID: nil, reason: "the set `\(set.name)` is another") }
    }
    let definitions = Dictionary(policy.map { ($0.name, $0) }) { first, _ in first }
    let names = Self.names(policy)
    for set in programs.table.sets {
      guard let name = set.name, contents[name] == nil else { continue }
      let isSame =
        if let definition = names[name].flatMap({ definitions[$0] }) {
          set.size == definition.size && set.timeout == definition.timeout.map { $0 * 1000 }
            && set.flags
              == Self.flags(
                isByRules: definition.filler == .rules,
                hasTimeouts: definition.timeout != nil || definition.filler == .others)
        } else if let groups = groups[name] {
          set.size == UInt32(groups.count) * 2 && set.timeout == nil
            && set.flags == Self.flags(isByRules: false, hasTimeouts: true)
        } else {
          // A limiter's, whose time its rule has shown. One for all packets counts them in one element.
          set.size == (set.keyTypeNumber == Self.mark ? 1 : DynamicSet.limiterSize)
            && set.flags == Self.flags(isByRules: true, hasTimeouts: set.timeout != nil)
        }
      guard isSame else { throw Mismatch(ruleID: nil, reason: "the set `\(name)` is another") }
    }
  }

  /// nft's number of the type of a packet's mark.
  private static let mark: UInt32 = 0x13

  // NFT_SET_EVAL and NFT_SET_TIMEOUT of linux/netfilter/nf_tables.h.
  private static func flags(isByRules: Bool, hasTimeouts: Bool) -> UInt32 {
    (isByRules ? 0x20 : 0) | (hasTimeouts ? 0x10 : 0)
  }
}
