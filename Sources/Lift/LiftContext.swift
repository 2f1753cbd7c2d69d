import NFTables
import PolicyModel
import Ruleset

/// What a table says to all of its rules.
struct LiftContext {
  /// Of the packets that come to the table.
  var families = Families.both
  var sets: [String: DumpedSet] = [:]
  /// The groups whose numbers a set takes, by its name.
  var controlGroups: [String: [ControlGroup]] = [:]
  /// Definitions by the name of the set of one family.
  var names: [String: String] = [:]
  /// Counters of the policy by their names in the kernel.
  var counters: [String: String] = [:]
  /// Before the names of sets, which are each table's own.
  var setPrefix = ""
  /// Elements of sets whose table comes without them.
  var contents: [String: ElementList] = [:]
  /// Interfaces by their numbers in the network namespace.
  var interfaces = ConditionLift.firstInterface
  /// Quotas, limits and the like that rules name.
  var objects: [DumpedObject] = []
  /// Names of those that several rules name.
  var sharedObjects: Set<String> = []
  /// Whether each expression must be read in full, as it is with programs of ours. Else nothing is asked of what only
  /// counts, logs or marks for others, and of a condition without a word nobody can tell.
  var isStrict = true
  let keys = SetKeys()

  /// The names of limits and quotas that several rules of a table name.
  static func sharedObjects(of table: DumpedTable) -> Set<String> {
    guard !table.objects.isEmpty else { return [] }
    var (named, shared): (Set<String>, Set<String>) = ([], [])
    for rule in table.chains.lazy.flatMap(\.rules) {
      var own: Set<String> = []
      for case .objectReference(type: 2, let name) in rule.expressions { own.insert("quota " + name) }
      for case .objectReference(type: 4, let name) in rule.expressions { own.insert("limit " + name) }
      shared.formUnion(own.intersection(named))
      named.formUnion(own)
    }
    return shared
  }

  /// A definition has a set for each family.
  func definition(_ set: String) -> String {
    if !setPrefix.isEmpty { return setPrefix + set }
    return names[set] ?? (set.hasSuffix("_4") || set.hasSuffix("_6") ? String(set.dropLast(2)) : set)
  }
}

/// What rules have said about the sets that are filled.
///
/// SAFETY: of one lift, which goes from rule to rule.
final class SetKeys {
  private var bits: [Key: UInt8] = [:]
  private var owners: [String: String] = [:]
  private var addresses: [String: AddressSet] = [:]

  private struct Key: Hashable {
    var name: String
    var families: Families
  }

  /// Lists of addresses that are no sets of nftables.
  private(set) var filled: Set<String> = []

  func fill(_ name: String) { filled.insert(name) }

  /// How many leading bits of an address a set holds.
  func note(_ name: String, _ families: Families, _ count: UInt8) throws(LiftError) {
    let key = Key(name: name, families: families)
    guard bits[key, default: count] == count else {
      throw LiftError("the set `\(name)`, which others fill or ask with another part of an address")
    }
    bits[key] = count
  }

  func bits(of name: String, in families: Families) -> UInt8? { bits[Key(name: name, families: families)] }

  /// What counts in a set is one limiter.
  func own(_ set: String, by rule: String) throws(LiftError) {
    guard owners[set, default: rule] == rule else {
      throw LiftError("the set `\(set)`, in which several rules count")
    }
    owners[set] = rule
  }

  /// The addresses of a set, which may be millions and of many rules.
  func addresses(of set: String, keyLength: Int, _ bytes: [UInt8]) -> AddressSet {
    if let known = addresses[set] { return known }
    func number<Value: FixedWidthInteger>(_ start: Int, _: Value.Type) -> Value {
      bytes[start..<start + keyLength].reduce(0) { $0 << 8 | Value($1) }
    }
    let starts = stride(from: 0, to: bytes.count, by: 2 * keyLength)
    let result =
      keyLength == 4
      ? AddressSet(
        ipv4: starts.map { IPv4Range(number($0, UInt32.self), number($0 + keyLength, UInt32.self)) })
      : AddressSet(
        ipv6: starts.map { IPv6Range(number($0, UInt128.self), number($0 + keyLength, UInt128.self)) })
    addresses[set] = result
    return result
  }
}
