/// One look-up in place of a list of rules (LANGUAGE.md §3, form 5).
package struct VerdictMap: Sendable, Equatable {
  /// What is looked up. A packet without one of the fields is none of the map's.
  package enum Field: Sendable, Hashable {
    /// The destination port of a protocol with ports.
    case port(UInt8)
    case interface(InterfaceSide)
    case address(AddressSide)
    /// The packet's mark; every packet has one.
    case mark
  }

  /// Values of one field; of a key, all of its parts hold.
  package enum Part: Sendable, Equatable {
    case ports(PortSet)
    case interfaces([InterfacePattern])
    case addresses(AddressSet)
    /// Ascending and merged.
    case marks([AddressRange<UInt32>])
  }

  package struct Entry: Sendable, Equatable {
    /// Each has one part for each field.
    package var keys: [[Part]]
    package var verdict: Verdict

    package init(keys: [[Part]], verdict: Verdict) {
      self.keys = keys
      self.verdict = verdict
    }
  }

  /// One or two, of which a packet may have both.
  package var fields: [Field]
  /// In the order written. No packet meets two keys.
  package var entries: [Entry]
  /// For a packet that has the fields and meets no key.
  package var otherwise: Verdict

  package init(fields: [Field], entries: [Entry], otherwise: Verdict) {
    self.fields = fields
    self.entries = entries
    self.otherwise = otherwise
  }

  /// All verdicts it may give.
  package var verdicts: [Verdict] { entries.map(\.verdict) + [otherwise] }
}
