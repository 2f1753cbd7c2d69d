internal import NFTables
internal import PolicyModel
internal import Ruleset

/// A program that is one conjunction of conditions and a verdict, compared with its rule as its bytes stand.
///
/// Most rules are that, and nothing is made of them but numbers. Where anything is otherwise than it is understood
/// here, nothing is said: then the rule is lifted and compared as values.
struct PlainProgram {
  enum Field {
    case inputInterface
    case outputInterface
    case state
    case source
    case destination
    case sourcePort
    case destinationPort
    case icmpType
  }

  struct Condition {
    var field: Field
    var isNegated = false
    /// Whether one of the bits of `lower` must be set.
    var isAnyBit = false
    var lower: UInt128 = 0
    var upper: UInt128 = 0
    /// Of an anonymous set, in `lists`; -1: there is none.
    var list = -1
    /// Of a set with a name, in `names`; -1: there is none.
    var name = -1
  }

  enum Protocols: Equatable {
    case any
    case one(UInt8)
    case several([UInt8])
  }

  /// What the register of the look-ups and comparisons holds.
  private struct Loaded {
    var step: ProgramStep
    var mask: UInt128?
    /// Bytes.
    var length: UInt32
    /// Whether the last condition was about it.
    var isAsked = false
  }

  typealias Span = (lower: UInt128, upper: UInt128)

  enum Ending {
    case none
    case verdict(ProgramStep)
    case reject(RejectKind)
  }

  /// The elements of sets that have names.
  let contents: [String: ElementList]
  /// By the name of a set: addresses that were found to be what it holds.
  var known: [String: AddressSet] = [:]
  /// The kernel's names of chains, by the policy's.
  var chainNames: [String: [UInt8]] = [:]

  private var steps: [ProgramStep] = []
  var families = Families.both
  var protocols = Protocols.any
  var conditions: [Condition] = []
  var lists: [[Span]] = []
  var names: [String] = []
  var isCounted = false
  var ending = Ending.none

  init(_ contents: [String: ElementList]) { self.contents = contents }

  /// Whether a rule's programs are of this kind, and say what the rule says.
  ///
  /// - Parameter policy: what becomes of what returns from the rule's chain; nil: it goes back to the caller.
  mutating func says(
    _ rule: Rule, _ programs: ArraySlice<StoredPrograms.Program>, _ stored: StoredPrograms,
    endingWith policy: ChainPolicy?
  ) -> Bool {
    guard rule.onlyDecides || isOnlyCounted(rule) else { return false }
    switch programs.count {
    case 1:
      guard let program = programs.first, read(program, stored) else { return false }
      return families == rule.families && says(rule, program, stored, endingWith: policy)
    case 2:
      // One for each family.
      guard rule.families == .both, let first = programs.first, let second = programs.last else {
        return false
      }
      guard read(first, stored), families != .both else { return false }
      let family = families
      guard says(rule, first, stored, endingWith: policy), read(second, stored), families != .both,
        families != family
      else { return false }
      return says(rule, second, stored, endingWith: policy)
    default: return false
    }
  }

  private func isOnlyCounted(_ rule: Rule) -> Bool {
    rule.counter == .anonymous && !rule.isLimiting && rule.changes.isEmpty && rule.log == nil
  }

  // MARK: The program

  // NFT_META_*, NFT_CT_STATE, NFT_PAYLOAD_* and NFT_CMP_* of linux/netfilter/nf_tables.h.
  private static let inputName: UInt32 = 6
  private static let outputName: UInt32 = 7
  private static let family: UInt32 = 15
  private static let transportProtocol: UInt32 = 16
  private static let connectionState: UInt32 = 0
  private static let networkHeader: UInt32 = 1
  private static let transportHeader: UInt32 = 2
  private static let equal: UInt32 = 0
  private static let notEqual: UInt32 = 1
  private static let atMost: UInt32 = 3
  private static let atLeast: UInt32 = 5
  // IFNAMSIZ of linux/if.h.
  static let nameLength: UInt32 = 16

  private mutating func read(_ program: StoredPrograms.Program, _ stored: StoredPrograms) -> Bool {
    families = .both
    protocols = .any
    conditions.removeAll(keepingCapacity: true)
    lists.removeAll(keepingCapacity: true)
    names.removeAll(keepingCapacity: true)
    isCounted = false
    ending = .none
    guard stored.read(program, into: &steps) else { return false }
    var loaded: Loaded?
    for index in steps.indices {
      let step = steps[index]
      // Nothing stands behind a verdict, and no condition behind a counter.
      guard case .none = ending else { return false }
      switch step.action {
      case .loadMeta, .loadPayload, .loadConntrack:
        guard Self.isFirst(step.register), let length = Self.length(step) else { return false }
        loaded = Loaded(step: step, length: length)
      case .mask:
        guard Self.isFirst(step.register), loaded?.mask == nil, loaded?.length == step.length,
          loaded?.isAsked == false
        else { return false }
        loaded?.mask = step.lower
      case .compare, .range, .lookup:
        guard !isCounted, Self.isFirst(step.register), let field = loaded,
          add(step, field, program, stored)
        else { return false }
        loaded?.isAsked = true
      case .count:
        guard !isCounted else { return false }
        isCounted = true
      case .reject:
        guard let kind = kind(step) else { return false }
        ending = .reject(kind)
      case .verdict: ending = .verdict(step)
      }
    }
    return true
  }

  /// NFT_REG_1 and NFT_REG32_00 are the same bytes.
  private static func isFirst(_ register: UInt32) -> Bool { register == 1 || register == 8 }

  /// Bytes that a load fills; nil: it is another one.
  private static func length(_ step: ProgramStep) -> UInt32? {
    switch (step.action, step.key) {
    case (.loadMeta, inputName), (.loadMeta, outputName): nameLength
    case (.loadMeta, family), (.loadMeta, transportProtocol): 1
    case (.loadConntrack, connectionState): 4
    case (.loadPayload, networkHeader), (.loadPayload, transportHeader): step.length
    default: nil
    }
  }

  private mutating func add(
    _ step: ProgramStep, _ loaded: Loaded, _ program: StoredPrograms.Program, _ stored: StoredPrograms
  ) -> Bool {
    switch (loaded.step.action, loaded.step.key) {
    case (.loadMeta, Self.family):
      guard step.action == .compare, step.key == Self.equal, step.length == 1, !loaded.isAsked else {
        return false
      }
      // NFPROTO_IPV4, NFPROTO_IPV6.
      guard families == .both, step.lower == 2 || step.lower == 10 else { return false }
      families = step.lower == 2 ? .ipv4 : .ipv6
      return true
    case (.loadMeta, Self.transportProtocol): return addProtocols(step, loaded, program, stored)
    case (.loadMeta, let key):
      let field: Field = key == Self.inputName ? .inputInterface : .outputInterface
      // Fewer bytes are compared where a name is a prefix.
      if step.action == .compare, step.length < Self.nameLength {
        return addPrefix(step, field, loaded)
      }
      return addValues(step, field, loaded, program, stored)
    case (.loadConntrack, _):
      guard step.action == .compare, loaded.mask != nil else {
        return loaded.mask == nil && addValues(step, .state, loaded, program, stored)
      }
      guard step.key == Self.notEqual, step.lower == 0, step.length == 4, let mask = loaded.mask else {
        return false
      }
      conditions.append(Condition(field: .state, isAnyBit: true, lower: mask))
      return !loaded.isAsked
    case (_, Self.networkHeader): return addAddresses(step, loaded, program, stored)
    default:
      guard loaded.mask == nil, let field = transportField(loaded.step) else { return false }
      let count = conditions.count
      guard addValues(step, field, loaded, program, stored) else { return false }
      // The kernel ends the rule for a packet without ports, whatever it asks.
      return conditions[count...].allSatisfy { !$0.isNegated }
    }
  }

  private mutating func addPrefix(_ step: ProgramStep, _ field: Field, _ loaded: Loaded) -> Bool {
    guard step.key == Self.equal || step.key == Self.notEqual, !loaded.isAsked else { return false }
    var condition = Condition(field: field, isNegated: step.key == Self.notEqual)
    let free = UInt128(8 * (Self.nameLength - step.length))
    (condition.lower, condition.upper) = (step.lower << free, step.lower << free | (1 << free - 1))
    // With a NUL in it, it is a whole name.
    for byte in 0..<UInt128(step.length) where step.lower >> (8 * byte) & 0xff == 0 { return false }
    conditions.append(condition)
    return true
  }

  private mutating func addProtocols(
    _ step: ProgramStep, _ loaded: Loaded, _ program: StoredPrograms.Program, _ stored: StoredPrograms
  ) -> Bool {
    guard protocols == .any, !loaded.isAsked else { return false }
    if step.action == .compare {
      guard step.key == Self.equal, step.length == 1 else { return false }
      protocols = .one(UInt8(truncatingIfNeeded: step.lower))
      return true
    }
    guard step.action == .lookup, !step.isNegated, let spans = spans(step, 1, program, stored),
      spans.allSatisfy({ $0.lower == $0.upper })
    else { return false }
    protocols = .several(spans.map { UInt8(truncatingIfNeeded: $0.lower) })
    return true
  }

  private mutating func addAddresses(
    _ step: ProgramStep, _ loaded: Loaded, _ program: StoredPrograms.Program, _ stored: StoredPrograms
  ) -> Bool {
    // Offsets of linux/ip.h and linux/ipv6.h.
    let field: Field
    switch (families, loaded.step.offset) {
    case (.ipv4, 12), (.ipv6, 8): field = .source
    case (.ipv4, 16), (.ipv6, 24): field = .destination
    default: return false
    }
    let width: UInt32 = families == .ipv4 ? 4 : 16
    guard (1...width).contains(loaded.length) else { return false }
    let free = UInt128(8 * (width - loaded.length))
    guard loaded.mask != nil || free > 0 else { return addValues(step, field, loaded, program, stored) }
    // A mask of leading ones, and fewer bytes, are a prefix.
    guard step.action == .compare, step.key == Self.equal || step.key == Self.notEqual, !loaded.isAsked,
      step.length == loaded.length
    else { return false }
    let host = loaded.mask.map { ~$0 & Self.ones(8 * UInt128(loaded.length)) } ?? 0
    guard host & (host &+ 1) == 0, step.lower & host == 0 else { return false }
    var condition = Condition(field: field, isNegated: step.key == Self.notEqual)
    condition.lower = step.lower << free
    condition.upper = (step.lower | host) << free | Self.ones(free)
    conditions.append(condition)
    return true
  }

  static func ones(_ count: UInt128) -> UInt128 { count >= 128 ? .max : 1 << count - 1 }

  private func transportField(_ load: ProgramStep) -> Field? {
    switch (load.offset, load.length, protocols) {
    case (0, 1, .one(1)) where families == .ipv4: return .icmpType
    case (0, 1, .one(58)) where families == .ipv6: return .icmpType
    case (0, 2, .one(let number)): return Self.hasPorts(number) ? .sourcePort : nil
    case (2, 2, .one(let number)): return Self.hasPorts(number) ? .destinationPort : nil
    case (0, 2, .several(let numbers)): return numbers.allSatisfy(Self.hasPorts) ? .sourcePort : nil
    case (2, 2, .several(let numbers)): return numbers.allSatisfy(Self.hasPorts) ? .destinationPort : nil
    default: return nil
    }
  }

  /// IPPROTO_TCP, _UDP, _DCCP, _SCTP, _UDPLITE.
  static func hasPorts(_ number: UInt8) -> Bool {
    switch number {
    case 6, 17, 33, 132, 136: true
    default: false
    }
  }

  /// A condition on a whole value.
  private mutating func addValues(
    _ step: ProgramStep, _ field: Field, _ loaded: Loaded, _ program: StoredPrograms.Program,
    _ stored: StoredPrograms
  ) -> Bool {
    guard loaded.mask == nil else { return false }
    var condition = Condition(field: field)
    switch step.action {
    case .compare:
      guard step.length == loaded.length else { return false }
      (condition.lower, condition.upper) = (step.lower, step.lower)
      switch step.key {
      case Self.equal: break
      case Self.notEqual: condition.isNegated = true
      case Self.atLeast: condition.upper = Self.ones(8 * UInt128(step.length))
      case Self.atMost: condition.lower = 0
      default: return false
      }
    case .range:
      guard step.length == loaded.length, step.lower <= step.upper else { return false }
      (condition.lower, condition.upper, condition.isNegated) = (step.lower, step.upper, step.isNegated)
    default:
      guard !loaded.isAsked else { return false }
      condition.isNegated = step.isNegated
      if let spans = spans(step, loaded.length, program, stored) {
        condition.list = lists.count
        lists.append(spans)
      } else {
        // A set with a name is one of whole addresses.
        guard step.nameLength > 0, field == .source || field == .destination,
          let set = stored.set(step, in: program), let name = set.name, set.dataTypeNumber == nil,
          set.keyLength == loaded.length, contents[name]?.packed?.keyLength == Int(loaded.length)
        else { return false }
        condition.name = names.count
        names.append(name)
      }
    }
    // A range is compared bound by bound.
    if loaded.isAsked {
      guard step.action == .compare, step.key == Self.atMost, let last = conditions.last, last.field == field,
        !last.isNegated, last.list < 0, last.name < 0, last.lower <= condition.upper,
        last.upper == Self.ones(8 * UInt128(step.length))
      else { return false }
      conditions[conditions.count - 1].upper = condition.upper
      return true
    }
    conditions.append(condition)
    return true
  }

  /// The elements of an anonymous set of keys of so many bytes, ascending; nil: it is another one.
  private func spans(
    _ step: ProgramStep, _ length: UInt32, _ program: StoredPrograms.Program, _ stored: StoredPrograms
  ) -> [Span]? {
    guard step.key != 0, let set = stored.set(step, in: program), set.name == nil, set.dataTypeNumber == nil,
      set.keyLength == length, !set.elements.isEmpty, set.otherElements.isEmpty, set.otherAttributes.isEmpty
    else { return nil }
    var spans: [Span] = []
    spans.reserveCapacity(set.elements.count)
    for element in set.elements {
      guard element.data == nil, element.lower.count == Int(length), element.upper.count == Int(length) else {
        return nil
      }
      spans.append((Self.number(element.lower), Self.number(element.upper)))
    }
    return spans
  }

  private static func number(_ bytes: [UInt8]) -> UInt128 {
    bytes.reduce(0) { $0 << 8 | UInt128($1) }
  }

  private func kind(_ step: ProgramStep) -> RejectKind? {
    // NFT_REJECT_TCP_RST, NFT_REJECT_ICMPX_UNREACH; NFT_REJECT_ICMPX_* of linux/netfilter/nf_tables.h. Others are
    // lifted, and resets of what is not known to be TCP.
    if step.key == 1, protocols == .one(6) { return .tcpReset }
    guard step.key == 2 else { return nil }
    switch step.lower {
    case 0: return .noRoute
    case 1: return .automatic
    case 2: return .hostUnreachable
    case 3: return .adminProhibited
    default: return nil
    }
  }
}
