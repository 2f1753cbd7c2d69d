import PolicyModel

extension NamedAddressSet {
  /// What a text about two policies may name: what both define alike, and, with a word which of them it is, what one of
  /// them alone defines. A name that means something else in the other one names nothing.
  static func told(of old: HostPolicy, _ new: HostPolicy) -> [NamedAddressSet] {
    let sides = [old, new].map { policy in
      Dictionary(policy.addressSets.map { ($0.name, $0) }) { first, _ in first }
    }
    var (both, single): ([NamedAddressSet], [NamedAddressSet]) = ([], [])
    for (side, policy) in [old, new].enumerated() {
      for set in policy.addressSets {
        guard let other = sides[1 - side][set.name] else {
          var told = set
          told.name += side == 0 ? " (old)" : " (new)"
          single.append(told)
          continue
        }
        if side == 0, other.addresses == set.addresses { both.append(set) }
      }
    }
    return both + single
  }
}
