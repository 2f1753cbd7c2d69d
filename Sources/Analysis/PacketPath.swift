package import Diagnostics
package import PolicyModel

/// The way of one packet, rule by rule.
package struct PacketPath: Sendable {
  package struct Step: Sendable {
    /// The chain, by the place of its rules.
    package var chain: String
    /// Nil: what the chain does with what no rule has decided.
    package var ruleID: String?
    package var text: String
    /// What follows from it.
    package var effect: String
    package var span: SourceSpan?
  }

  package var packet: String
  package var hook: Hook
  package var steps: [Step] = []
  /// `accepted`, `dropped`, …; with the limiters that decide.
  package var outcome: String
  package var isAccepted: Bool
  /// False: the packet meets a rule that nobody can read, and is followed no further.
  package var isKnown = true
}

/// Takes one packet through a firewall as the kernel does, and notes each rule that it meets.
///
/// Apart from the diagrams: rules are asked one by one, as boxes.
struct PathTracer {
  private let firewall: Firewall
  private(set) var steps: [PacketPath.Step] = []
  /// Of each base chain that it has come to, the step that decided there.
  private(set) var decisions: [PacketPath.Step] = []
  /// Why it could not go on: a rule that nobody can read.
  private(set) var unreadable: String?
  private var box: PacketBox
  /// Where a limiter lets by only some, the trace goes on with the others.
  private var fuel = 10_000

  private enum End {
    case accept
    case refuse
    case next
    case left
  }

  init(_ firewall: Firewall, _ packet: PacketBox) {
    self.firewall = firewall
    box = packet
  }

  mutating func follow(_ steps: [Meaning.Step]) {
    for index in steps.flatMap(\.chains) {
      let chain = firewall.baseChains[index]
      let noted = self.steps.count
      let goesOn = walk(chain)
      if noted < self.steps.count, var decision = self.steps.last {
        decision.chain = chain.place
        decisions.append(decision)
      }
      guard goesOn else { return }
    }
  }

  /// Whether the packet goes on to the next base chain.
  private mutating func walk(_ chain: BaseChain) -> Bool {
    let whole = box
    box = box.seen(at: chain.hook)
    defer {
      (box.inputInterface, box.outputInterface) = (whole.inputInterface, whole.outputInterface)
      for field in [PacketBox.Field.user, .group] { box[field] = whole[field] }
    }
    guard chain.families.contains(box.family) else { return true }
    let isElsewhere = chain.devices.allSatisfy { box.inputInterface.intersection(.exactly($0)).isEmpty }
    if !chain.devices.isEmpty, isElsewhere { return true }
    let isNew = box[.state].contains(UInt128(PacketBox.states.firstIndex(of: .new) ?? 3))
    if chain.isNAT, !isNew {
      note(chain.place, nil, "", "its connection's addresses stand since its first packet", nil)
      return true
    }
    switch run(chain.rules[...], chain.place) {
    case .accept: return true
    case .refuse: return false
    case .next, .left:
      let effect =
        switch chain.policy {
        case .accept: "accepted here"
        case .drop: "dropped"
        case .reject: "rejected"
        }
      note(chain.place, nil, "no rule decides", "\(effect) by the policy of the chain", chain.span)
      return chain.policy == .accept
    }
  }

  private mutating func note(
    _ chain: String, _ rule: Rule?, _ text: String, _ effect: String, _ span: SourceSpan?
  ) {
    steps.append(PacketPath.Step(chain: chain, ruleID: rule?.id, text: text, effect: effect, span: span))
  }

  private func meets(_ rule: Rule) -> Bool {
    rule.isEnabled && rule.families.contains(box.family)
      && Guard(matches: rule.matches, family: box.family).boxes.contains { box.intersection($0) != nil }
  }

  private mutating func run(_ rules: ArraySlice<Rule>, _ place: String) -> End {
    for rule in rules where meets(rule) {
      fuel -= 1
      guard fuel > 0 else { return .refuse }
      if let reason = rule.unreadable {
        note(place, rule, rule.text, "could not tell: \(reason)", rule.span)
        unreadable = reason
        return .refuse
      }
      let verdict: Verdict
      if case .dispatch(let map) = rule.verdict {
        guard Guard(fieldsOf: map, family: box.family).boxes.contains(where: { box.intersection($0) != nil })
        else { continue }
        let entry = map.entries.first { entry in
          Guard(entry, of: map, family: box.family).boxes.contains { box.intersection($0) != nil }
        }
        verdict = entry?.verdict ?? map.otherwise
      } else {
        verdict = rule.verdict
      }
      if rule.isLimiting {
        note(
          place, rule, rule.text, "\(Self.word(verdict)) up to \(Meaning.words(of: rule)); the others go on",
          rule.span)
        continue
      }
      apply(rule.changes)
      switch verdict {
      case .accept:
        note(place, rule, rule.text, "accepted here", rule.span)
        return .accept
      case .drop, .reject:
        note(place, rule, rule.text, Self.word(verdict), rule.span)
        return .refuse
      case .translate(let translation):
        note(place, rule, rule.text, "translated", rule.span)
        translate(translation)
        return .accept
      case .return:
        note(place, rule, rule.text, "leaves the chain", rule.span)
        return .left
      case .continue, .dispatch, .notrack:
        note(place, rule, rule.text, "goes on", rule.span)
      case .jump(let name), .goto(let name):
        note(place, rule, rule.text, "goes to `\(name)`", rule.span)
        guard let chain = firewall.regularChains.first(where: { $0.name == name }) else { continue }
        var end = run(chain.rules[...], name)
        if end == .next || end == .left, let policy = chain.policy {
          note(
            name, nil, "no rule decides", "\(policy == .accept ? "accepted here" : "refused") by the pair",
            chain.span)
          end = policy == .accept ? .accept : .refuse
        }
        if end == .accept || end == .refuse { return end }
        if case .goto = verdict { return .left }
      }
    }
    return .next
  }

  private static func word(_ verdict: Verdict) -> String {
    switch verdict {
    case .accept: "accepted"
    case .drop: "dropped"
    case .reject(let kind): kind == .automatic ? "rejected" : "rejected with \(kind.rawValue)"
    case .jump(let name), .goto(let name): "to `\(name)`"
    default: "met"
    }
  }

  private mutating func apply(_ changes: Changes) {
    let hasConnection = !box.connectionMark.cubes.isEmpty
    func set(_ value: UInt32) -> MarkSet { MarkSet(MarkValues([AddressRange(value, value)])) }
    if changes.restoresMark, hasConnection { box.mark = set(box.connectionMark.sample ?? 0) }
    func setting(_ value: UInt32, _ mask: UInt32, of mark: MarkSet) -> MarkSet {
      set(mask == .max ? value : (mark.sample ?? 0) & ~mask | value & mask)
    }
    if let value = changes.connectionMark, hasConnection {
      box.connectionMark = setting(value, changes.connectionMarkMask, of: box.connectionMark)
    }
    if let value = changes.dscp { box[.dscp] = IntervalSet([AddressRange(UInt128(value), UInt128(value))]) }
    if let value = changes.mark { box.mark = setting(value, changes.markMask, of: box.mark) }
    if changes.savesMark, hasConnection { box.connectionMark = set(box.mark.sample ?? 0) }
  }

  /// The first address and port of a target: which one is taken is the kernel's choice.
  private mutating func translate(_ translation: Translation) {
    func point(_ value: UInt128) -> IntervalSet<UInt128> { IntervalSet([AddressRange(value, value)]) }
    func first(_ addresses: NATAddresses) -> UInt128 {
      switch addresses {
      case .ipv4(let range): UInt128(range.lower)
      case .ipv6(let range): range.lower
      }
    }
    let (address, port) = (box[.destinationAddress], box[.destinationPort])
    defer {
      // The kernel notes that of a connection whose destination is another one then.
      let isRedirected = if case .redirect = translation { true } else { false }
      if isRedirected || box[.destinationAddress] != address || box[.destinationPort] != port {
        box[.status] = point(PacketBox.destinationTranslated)
      }
    }
    switch translation {
    case .masquerade: break
    case .redirect(let port):
      box[.destinationType] = point(0)
      if let port { box[.destinationPort] = point(UInt128(port)) }
    case .source(let target):
      box[.sourceAddress] = point(first(target.addresses))
      if let ports = target.ports { box[.sourcePort] = point(UInt128(ports.lower)) }
    case .destination(let target):
      box[.destinationAddress] = point(first(target.addresses))
      if let ports = target.ports { box[.destinationPort] = point(UInt128(ports.lower)) }
    case .destinationByPort(let targets):
      guard let target = targets.first(where: { box[.destinationPort].contains(UInt128($0.port)) }) else {
        return
      }
      box[.destinationAddress] = point(first(target.address))
      box[.destinationPort] = point(UInt128(target.targetPort))
    }
  }
}
