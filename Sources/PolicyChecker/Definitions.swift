import Diagnostics
import PolicyModel
import PolicySyntax

/// The definitions of a file, resolved once each, on first use.
struct Definitions {
  enum Value {
    case addresses(AddressMatch)
    case numbers([AddressRange<UInt32>])
    case interfaces([InterfacePattern])
    case services([Service])
    /// Ascending by port, of one family.
    case targets([PortTarget])
    /// A list without elements, which is of any kind.
    case empty
    /// Reported already; its uses stay silent.
    case damaged

    var kindName: String {
      switch self {
      case .addresses: "addresses"
      case .numbers: "numbers"
      case .interfaces: "interfaces"
      case .services: "services"
      case .targets: "a map of targets"
      case .empty, .damaged: "nothing"
      }
    }
  }

  struct Definition {
    var name: String
    var span: SourceSpan
    var node: SyntaxNode
    var value: Value?
    var isBeingResolved = false
    var isUsed = false
    /// Used by name in a rule, so that it becomes named sets of the kernel.
    var isNamedSet = false
    /// Of a definition that is filled while the policy is in force.
    var dynamicSet: DynamicSet?
    /// The first clause that fills or empties it, which says how much of an address it holds.
    var updateSpan: SourceSpan?
  }

  /// In the order written.
  private(set) var all: [Definition] = []
  private var indexes: [String: Int] = [:]

  var names: [String] { all.map(\.name) }

  mutating func add(name: String, span: SourceSpan, node: SyntaxNode) {
    guard indexes[name] == nil else { return }  // the document layer has reported the duplicate
    indexes[name] = all.count
    all.append(Definition(name: name, span: span, node: node))
  }

  subscript(name: String) -> Definition? {
    get { indexes[name].map { all[$0] } }
    set {
      guard let index = indexes[name], let newValue else { return }
      all[index] = newValue
    }
  }

  /// Takes over what a copy of these resolved definitions was used for meanwhile; false, and nothing of it, if the
  /// copy differs in more than uses.
  mutating func mergeUses(of other: Definitions) -> Bool {
    let areAlike = zip(all, other.all).allSatisfy {
      $0.dynamicSet == $1.dynamicSet && $0.updateSpan == $1.updateSpan
    }
    guard areAlike, all.count == other.all.count else { return false }
    for (index, used) in other.all.enumerated() {
      if used.isUsed { all[index].isUsed = true }
      if used.isNamedSet { all[index].isNamedSet = true }
    }
    return true
  }

  /// Sorted by name.
  var usedAddressSets: [NamedAddressSet] {
    all.compactMap { definition in
      guard definition.isNamedSet, case .addresses(let match) = definition.value, match.isStatic else {
        return nil
      }
      return NamedAddressSet(name: definition.name, addresses: match.addresses, span: definition.span)
    }.sorted { $0.name < $1.name }
  }

  /// Sorted by name.
  var usedDynamicSets: [DynamicSet] {
    all.filter(\.isNamedSet).compactMap(\.dynamicSet).sorted { $0.name < $1.name }
  }
}
