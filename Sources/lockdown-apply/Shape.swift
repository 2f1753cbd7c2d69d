/// What an attribute list is: which of its attributes are policy, which are the kernel's state.
///
/// Numbers are NFTA_* of linux/netfilter/nf_tables.h.
enum Shape {
  case table
  case chain
  case hook
  case object(isCounter: Bool)
  case set(isAnonymous: Bool)
  case setDescription
  case concatenationField
  case element
  case data
  case verdict
  case rule
  case expression(ExpressionShape)

  enum Treatment {
    /// State of the kernel, or a number local to the batch.
    case masked
    case exact
    /// Zero bytes at the end do not count.
    case text
    /// Absent is the same as all zeros. Only where the kernel says so: log level 0 is not its default.
    case zeroDefault
    case numberDefault(UInt64)
    /// Only these bits are policy.
    case bits(UInt64)
    case nest(Shape)
    case list(Shape)
    case expression
    case expressions
  }

  var highestKnown: Int {
    switch self {
    case .table: 7
    case .chain: 12
    // The list of devices repeats the one, and is there without it where others were added.
    case .hook: 3
    case .object: 8
    case .set: 18
    case .setDescription, .data: 2
    case .concatenationField: 1
    case .element, .rule: 11
    case .verdict: 3
    case .expression(let expression): expression.highestKnown
    }
  }

  func treatment(of number: Int) -> Treatment {
    switch self {
    case .table:
      switch number {
      case 1: .text
      case 2: .zeroDefault
      case 7: .exact
      // USE, HANDLE; USERDATA is never updated by the kernel, so it can name nothing.
      default: .masked
      }
    case .chain:
      switch number {
      case 1, 3, 7: .text
      case 4: .nest(.hook)
      case 5, 12: .exact
      // NFT_CHAIN_BASE is the kernel's; the others are policy.
      case 10: .bits(~1)
      default: .masked
      }
    case .hook: number == 3 ? .text : .exact
    case .object(let isCounter):
      switch number {
      case 1, 2: .text
      // Values of a counter are state.
      case 4: isCounter ? .masked : .exact
      case 5, 6: .masked
      default: .exact
      }
    case .set(let isAnonymous):
      switch number {
      case 1: .text
      case 2: isAnonymous ? .masked : .text
      case 3, 8, 11, 12: .zeroDefault
      case 9: .nest(.setDescription)
      case 10, 14, 16: .masked
      case 17: .expression
      case 18: .expressions
      default: .exact
      }
    case .setDescription: number == 1 ? .zeroDefault : .list(.concatenationField)
    case .concatenationField: .exact
    case .element:
      switch number {
      case 1, 2, 10: .nest(.data)
      case 3, 4: .zeroDefault
      // EXPIRATION, PAD.
      case 5, 8: .masked
      case 7: .expression
      case 9: .text
      case 11: .expressions
      default: .exact
      }
    case .data: number == 1 ? .exact : .nest(.verdict)
    case .verdict:
      switch number {
      case 1: .exact
      case 2: .text
      default: .masked
      }
    case .rule:
      switch number {
      case 1, 2: .text
      case 4: .expressions
      case 5, 7: .exact
      default: .masked
      }
    case .expression(let expression): expression.treatment(of: number)
    }
  }
}

/// The data of an expression, by the expression's name.
struct ExpressionShape {
  private enum Kind {
    case immediate, compare, payload, bitwise, range, lookup, counter, quota, limit, log, reject
    case objectReference, connectionLimit, dynamicSet, extensionHeader, other
  }

  private let kind: Kind
  /// A TCP reset: its code is dropped by the kernel. Or a log with a group: it has no level.
  private let isSpecial: Bool

  init(_ bytes: [UInt8], name: Range<Int>, data: Range<Int>) {
    func isNamed(_ text: Literal) -> Bool { bytes.holds(text, at: name) }
    var isSpecial = false
    kind =
      if isNamed("immediate") {
        .immediate
      } else if isNamed("cmp") {
        .compare
      } else if isNamed("lookup") {
        .lookup
      } else if isNamed("payload") {
        .payload
      } else if isNamed("bitwise") {
        .bitwise
      } else if isNamed("counter") {
        .counter
      } else if isNamed("range") {
        .range
      } else if isNamed("limit") {
        .limit
      } else if isNamed("log") {
        .log
      } else if isNamed("reject") {
        .reject
      } else if isNamed("objref") {
        .objectReference
      } else if isNamed("quota") {
        .quota
      } else if isNamed("connlimit") {
        .connectionLimit
      } else if isNamed("dynset") {
        .dynamicSet
      } else if isNamed("exthdr") {
        .extensionHeader
      } else {
        // meta, ct, fib, byteorder and the like: bytes as they are.
        .other
      }
    switch kind {
    // NFT_REJECT_TCP_RST.
    case .reject: isSpecial = bytes.number(1, in: data) == 1
    case .log: isSpecial = bytes.attribute(1, in: data) != nil
    default: break
    }
    self.isSpecial = isSpecial
  }

  var highestKnown: Int {
    switch kind {
    case .immediate, .counter, .reject, .connectionLimit: 2
    case .compare: 3
    case .range, .quota: 4
    case .lookup, .limit: 5
    case .log: 6
    case .bitwise, .extensionHeader: 7
    case .payload: 8
    case .objectReference: 5
    case .dynamicSet: 10
    // Of an expression that is not known here nothing may be added.
    case .other: 31
    }
  }

  func treatment(of number: Int) -> Shape.Treatment {
    switch (kind, number) {
    case (.immediate, 2), (.compare, 3), (.range, 3), (.range, 4): .nest(.data)
    case (.bitwise, 4), (.bitwise, 5), (.bitwise, 7): .nest(.data)
    // NFT_BITWISE_MASK_XOR.
    case (.bitwise, 6): .zeroDefault
    case (.payload, 6), (.payload, 8): .zeroDefault
    // The set's name is compared where sets are matched; SET_ID is local to the batch.
    case (.lookup, 1), (.lookup, 4): .masked
    case (.lookup, 5): .zeroDefault
    case (.counter, _): .masked
    // NFT_QUOTA_F_DEPLETED and CONSUMED are state.
    case (.quota, 2): .bits(1)
    case (.quota, 4): .masked
    case (.limit, 3), (.limit, 4), (.limit, 5): .zeroDefault
    case (.log, 2): .text
    case (.log, 3), (.log, 4), (.log, 6): .zeroDefault
    // LOGLEVEL_WARNING, where there is no group.
    case (.log, 5): isSpecial ? .exact : .numberDefault(4)
    case (.reject, 2): isSpecial ? .masked : .exact
    case (.objectReference, 2), (.objectReference, 4): .text
    case (.connectionLimit, 2): .zeroDefault
    case (.dynamicSet, 1): .text
    case (.dynamicSet, 2): .masked
    case (.dynamicSet, 6), (.dynamicSet, 9): .zeroDefault
    case (.dynamicSet, 7): .expression
    case (.dynamicSet, 10): .expressions
    case (.extensionHeader, 5), (.extensionHeader, 6): .zeroDefault
    default: .exact
    }
  }
}
