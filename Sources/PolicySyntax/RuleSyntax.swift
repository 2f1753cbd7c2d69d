package import Diagnostics

/// A rule as written: a verdict and clauses, names unresolved (LANGUAGE.md §3).
package struct RuleSyntax: Sendable, Equatable {
  package var verdict: Spanned<VerdictSyntax>
  /// INVARIANT: in the order of canonical text, whatever order they were written in, so that two rules of
  /// the same clauses are equal. The spans tell the order of the source.
  package private(set) var clauses: [Spanned<ClauseSyntax>]
  package var span: SourceSpan

  package init(verdict: Spanned<VerdictSyntax>, clauses: [Spanned<ClauseSyntax>], span: SourceSpan) {
    self.verdict = verdict
    self.clauses = clauses.inCanonicalOrder
    self.span = span
  }

  package static func == (a: RuleSyntax, b: RuleSyntax) -> Bool {
    a.verdict == b.verdict && a.clauses == b.clauses
  }
}

/// What few rules say stands apart (`indirect`), here and in ``ClauseSyntax``: a value is copied from step to step, and
/// a policy may have many thousand.
package enum VerdictSyntax: Sendable, Equatable {
  case accept
  case drop
  case `continue`
  case `return`
  case reject
  case notrack
  case masquerade
  indirect case jump(Spanned<String>)
  indirect case goto(Spanned<String>)
  indirect case dnat(Spanned<TargetSyntax>)
  indirect case snat(Spanned<TargetSyntax>)
  /// The port, if one is given.
  indirect case redirect(Spanned<UInt16>?)
  /// `docker`, `podman` or `kubernetes`.
  indirect case containers(Spanned<String>)
}

/// One clause. A rule holds at most one of a kind (``ClauseSyntax/canonicalRank``) and polarity.
package enum ClauseSyntax: Sendable, Equatable {
  case family(IPFamily)
  case protocols(negated: Bool, [Spanned<ProtocolSyntax>], ports: PortListSyntax?)
  case icmp(IPFamily, negated: Bool, [Spanned<ICMPTypeSyntax>])
  /// `$web`: definitions of services.
  case services(negated: Bool, [Spanned<String>])
  case states(negated: Bool, [Spanned<StateSyntax>])
  /// `from`, `to`; `addresses` is nil in `from port 53`. Ports after `to` are another spelling of those
  /// after the protocol and stand there, so here `ports` are source ports only.
  case endpoint(Direction, negated: Bool, addresses: AddressListSyntax?, ports: PortListSyntax?)
  case interfaces(InterfaceDirection, negated: Bool, [Spanned<InterfaceSyntax>])
  case owner(OwnerKind, negated: Bool, [Spanned<IDSyntax>])
  case cgroup([Spanned<String>])
  /// nft's words: `expected`, `seen-reply`, `assured`, `confirmed`, `snat`, `dnat`, `dying`.
  case status(negated: Bool, [Spanned<String>])
  indirect case mark(MarkKind, negated: Bool, value: Spanned<NumberSyntax>, mask: Spanned<UInt32>?)
  case tcpFlags(negated: Bool, value: [Spanned<String>], mask: [Spanned<String>])
  /// Lower case, `02:00:00:00:00:01`.
  case ether(Direction, negated: Bool, [Spanned<String>])
  case numeric(NumericField, negated: Bool, [Spanned<NumericRangeSyntax>])
  /// `unicast`, `broadcast`, `multicast`, `other`.
  case packetType(negated: Bool, [Spanned<String>])
  indirect case hours(Spanned<HoursSyntax>)
  /// Full lower-case names, `monday`; `mon` is read as that.
  case days([Spanned<String>])
  case flag(PacketFlag, negated: Bool)
  /// Statements and queries only.
  case anyState

  indirect case connections(over: Bool, count: Spanned<UInt32>, per: KeySyntax?)
  indirect case limit(over: Bool, rate: Spanned<RateSyntax>, burst: Spanned<UInt32>?, per: KeySyntax?)
  /// The factor (powers of 1024) is applied.
  indirect case quota(over: Bool, bytes: Spanned<UInt64>)

  case restoreMark
  indirect case set(SetKey, value: Spanned<SetValueSyntax>)
  case saveMark
  indirect case update(SetOperation, KeySyntax, set: Spanned<String>, timeout: Spanned<DurationSyntax>?)
  indirect case count(name: Spanned<String>?)
  indirect case log(LogSyntax)
  indirect case with(Spanned<RejectKindSyntax>)
}

package enum IPFamily: String, Sendable, CaseIterable {
  case ipv4
  case ipv6
}

package enum Direction: String, Sendable {
  case from
  case to
}

package enum InterfaceDirection: String, Sendable {
  case `in`
  case out
}

package enum OwnerKind: String, Sendable {
  case user
  case group
}

package enum MarkKind: String, Sendable {
  case mark
  case connmark
}

package enum NumericField: String, Sendable {
  case dscp
  case ttl
  case length
}

package enum PacketFlag: String, Sendable {
  case fragment
  case spoofed
  case ipsec
}

/// What a `set` clause changes.
package enum SetKey: String, Sendable, CaseIterable {
  case connmark
  case dscp
  case mark
  case mss
}

package enum SetValueSyntax: Sendable, Equatable {
  /// Within the bounds of its key: `mark` and `connmark` 32 bits, `dscp` 6 bits, `mss` 16 bits.
  case number(UInt32)
  case reference(String)
  /// `set mss pmtu`
  case pathMTU
}

/// A number, or the name of a definition of one.
package enum NumberSyntax: Sendable, Equatable {
  case value(UInt32)
  case reference(String)
}

package enum SetOperation: String, Sendable {
  case add
  case update
  case delete
}

package enum StateSyntax: String, Sendable, CaseIterable {
  case new
  case established
  case related
  case invalid
  case untracked
}

package enum RejectKindSyntax: String, Sendable, CaseIterable {
  case tcpReset = "tcp-reset"
  case portUnreachable = "port-unreachable"
  case hostUnreachable = "host-unreachable"
  case adminProhibited = "admin-prohibited"
  case noRoute = "no-route"
}

package enum ProtocolSyntax: Sendable, Equatable, Hashable {
  /// A keyword of the grammar: `tcp`, `icmp`, `esp`, `dhcp`, `mdns` …
  case named(String)
  /// `protocol N`.
  case number(UInt8)
}

package struct PortListSyntax: Sendable, Equatable {
  package var negated: Bool
  package var ports: [Spanned<PortSyntax>]

  package init(negated: Bool, ports: [Spanned<PortSyntax>]) {
    self.negated = negated
    self.ports = ports
  }
}

package enum PortSyntax: Sendable, Equatable {
  /// One port is a range of one; `lower ≤ upper`.
  case range(UInt16, UInt16)
  case service(String)
  case reference(String)
}

package enum ICMPTypeSyntax: Sendable, Equatable {
  case named(String)
  case number(type: UInt8, code: UInt8?)
}

package struct AddressListSyntax: Sendable, Equatable {
  package var included: [Spanned<AddressSyntax>]
  package var excluded: [Spanned<AddressSyntax>]

  package init(included: [Spanned<AddressSyntax>], excluded: [Spanned<AddressSyntax>]) {
    self.included = included
    self.excluded = excluded
  }
}

package enum AddressSyntax: Sendable, Equatable {
  case range(AddressRangeSyntax)
  case any
  case local
  case broadcast
  case multicast
  case reference(String)
}

/// An address, prefix or range, as its inclusive bounds; `prefix` tells how it was written.
package struct AddressRangeSyntax: Sendable, Equatable, Hashable {
  package var family: IPFamily
  /// IPv4 in the low 32 bits.
  package var lower: UInt128
  package var upper: UInt128
  /// Bits of the prefix, if written as one (also `/32` and `/128`); nil for one address or a range.
  package var prefix: Int?

  package init(family: IPFamily, lower: UInt128, upper: UInt128, prefix: Int?) {
    self.family = family
    self.lower = lower
    self.upper = upper
    self.prefix = prefix
  }
}

package enum InterfaceSyntax: Sendable, Equatable {
  case exact(String)
  /// The text before the `*`.
  case prefix(String)
  case reference(String)
}

package enum IDSyntax: Sendable, Equatable {
  case range(UInt32, UInt32)
  case reference(String)
}

package struct NumericRangeSyntax: Sendable, Equatable {
  package var lower: UInt32
  package var upper: UInt32

  package init(lower: UInt32, upper: UInt32) {
    self.lower = lower
    self.upper = upper
  }
}

package struct TargetSyntax: Sendable, Equatable {
  package enum Address: Sendable, Equatable {
    case range(AddressRangeSyntax)
    case reference(String)
  }

  package var address: Address
  package var ports: PortSyntax?

  package init(address: Address, ports: PortSyntax?) {
    self.address = address
    self.ports = ports
  }
}

package struct KeySyntax: Sendable, Equatable {
  /// `source` or `destination`.
  package var field: Direction
  package var ipv4Bits: UInt8?
  package var ipv6Bits: UInt8?
  package var span: SourceSpan

  package init(field: Direction, ipv4Bits: UInt8?, ipv6Bits: UInt8?, span: SourceSpan) {
    self.field = field
    self.ipv4Bits = ipv4Bits
    self.ipv6Bits = ipv6Bits
    self.span = span
  }

  package static func == (a: KeySyntax, b: KeySyntax) -> Bool {
    a.field == b.field && a.ipv4Bits == b.ipv4Bits && a.ipv6Bits == b.ipv6Bits
  }
}

package enum RateUnit: String, Sendable, CaseIterable {
  case second
  case minute
  case hour
  case day
}

package struct RateSyntax: Sendable, Equatable {
  /// Packets, or bytes with the factor (powers of 1024) applied; not 0.
  package var amount: UInt64
  package var isBytes: Bool
  package var unit: RateUnit

  package init(amount: UInt64, isBytes: Bool, unit: RateUnit) {
    self.amount = amount
    self.isBytes = isBytes
    self.unit = unit
  }
}

package struct LogSyntax: Sendable, Equatable {
  package enum Label: Sendable, Equatable {
    /// `log ssh`
    case tag(String)
    /// `log "text"`
    case text(String)
  }

  package var label: Spanned<Label>?
  package var level: Spanned<String>?
  package var nflog: Spanned<UInt16>?
  package var atMost: Spanned<RateSyntax>?

  package init(
    label: Spanned<Label>? = nil, level: Spanned<String>? = nil, nflog: Spanned<UInt16>? = nil,
    atMost: Spanned<RateSyntax>? = nil
  ) {
    self.label = label
    self.level = level
    self.nflog = nflog
    self.atMost = atMost
  }
}
