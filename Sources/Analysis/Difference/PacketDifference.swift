package import Diagnostics
package import PolicyModel

/// What two policies do otherwise to packets.
package struct PacketDifference: Sendable {
  package enum Direction: String, Sendable, CaseIterable {
    /// More is accepted, or the same more often.
    case widened
    /// Neither more nor less, or not known which.
    case incomparable
    case narrowed
    /// As much is accepted, and it can be seen that something changed: dropped or rejected, another mark.
    case visible
  }

  package struct RuleReference: Sendable, Equatable {
    package var id: String
    package var text: String
    package var span: SourceSpan
  }

  /// Packets that one rule of the old policy and one of the new decide differently.
  package struct Change: Sendable {
    package var direction: Direction
    /// `input`, `forward`, `output`, or a chain that is compared for itself.
    package var place: String
    package var before: String
    package var after: String
    /// Those that decide about the example. Nil: the policy of a chain does.
    package var oldRule: RuleReference?
    package var newRule: RuleReference?
    /// How many other rules decide about some of the packets.
    package var otherOldRules = 0
    package var otherNewRules = 0
    /// An irredundant cover, in the words of the language; empty text: all packets.
    package var regions: [String]
    /// Whether `regions` are all.
    package var isComplete: Bool
    package var witness: String
    /// Why that packet cannot arrive on a host with the kernel's own settings; nil: it can.
    package var cannotArrive: String?
    /// The packet that `witness` describes.
    package var sample: PacketSample
    /// Whether packets that open a flow are among them.
    package var opensFlows: Bool
  }

  package struct Unknown: Sendable {
    package var place: String
    package var reason: String

    package init(place: String, reason: String) {
      self.place = place
      self.reason = reason
    }
  }

  /// Flow-opening ones first, then by direction, place and rules.
  package var changes: [Change] = []
  package var unknown: [Unknown] = []
  /// How many rules of each side that nobody can read are met by some packet.
  package var unreadRulesMet = (old: 0, new: 0)
  /// Limiters that count packets of the other side's apart, or together.
  package var sharings: [LimiterSharing.Finding] = []

  /// Regions of one change that are written out; where there are many changes, fewer.
  package static let regionLimit = 64

  /// - Parameters:
  ///   - listsInFull: else regions have the first few elements of a long list.
  ///   - sideEffect: for which packets it is there is compared, in place of what becomes of them; nil: it is that.
  package init(
    from old: HostPolicy, to new: HostPolicy, listsInFull: Bool = false, sideEffect: SideEffect? = nil,
    budget: Int? = nil
  ) {
    var run = DifferenceRun(old, new, listsInFull: listsInFull, sideEffect, budget ?? Diagram.defaultBudget)
    run.compare()
    changes = run.sortedChanges
    unknown = run.unknown
    unreadRulesMet = run.unreadRulesMet
    sharings = run.sharing.findings
  }
}
