import Diagnostics
import PolicyModel

/// The closed stage and delegations.
extension Comparison {
  /// The closed firewall before the policy is live lets in no more than the base's does, or the base's policy.
  mutating func compareClosedStage(_ diagnostics: inout DiagnosticList) {
    guard policy.boot.stage == .closed, base.boot.stage == .closed else { return }
    for (rule, index) in zip(policy.boot.input, places.closed) where rule.isEnabled {
      var witness: PacketBox?
      var isOpen = false
      let isUnknown = KernelChanges.isUnknown(boxes[index], .input, of: base.firewall)
      let steps = steps(Self.baseSide, .input)
      inEachFamily { comparison, meaning in
        let (asked, before) = (meaning.region(index), meaning.region(comparison.places.closedBase))
        var rest = meaning.diagram.subtract(asked, before)
        guard rest != Diagram.isFalse else { return }
        // Behind a translation the packet is not the one that arrived.
        guard !comparison.base.isTranslating, !isUnknown else {
          isOpen = true
          return
        }
        let path = comparison.path(meaning, Self.baseSide, steps, at: .input)
        rest = meaning.diagram.subtract(rest, Self.alwaysAccepted(path, meaning))
        rest = meaning.diagram.and(rest, meaning.possible(at: .input))
        rest = comparison.notPermitted(rest, .input, by: rule.id, meaning)
        witness = witness ?? meaning.representative(of: rest, at: .input)
      }
      guard !isOpen, !isExhausted else {
        undecided(.input, &diagnostics)
        return
      }
      guard let witness else { continue }
      diagnostics.report(
        Diagnostic(
          .extendsWidened, at: rule.span, "the closed firewall would let in what the base refuses",
          help: [
            "for example: \(Witness(from: witness, hook: .input).text)",
            "write an entry `packets: input accept …` under `loosen`",
          ]))
    }
  }

  /// A policy can pass on only what it may open itself.
  mutating func compareDelegations(_ diagnostics: inout DiagnosticList) {
    for (delegation, index) in zip(policy.delegations, places.delegations) {
      guard case .packets(let region, _, _) = delegation.body, let index else { continue }
      guard base.isTranslating || !KernelChanges.isUnknown(boxes[index], region.hook, of: base.firewall)
      else {
        undecided(region.hook, &diagnostics)
        return
      }
      var witness: PacketBox?
      let steps = steps(Self.baseSide, region.hook)
      inEachFamily { comparison, meaning in
        var rest = meaning.diagram.and(meaning.region(index), meaning.possible(at: region.hook))
        // Behind a translation the packet is not the one that arrived: there only what is passed on counts.
        if !comparison.base.isTranslating {
          let path = comparison.path(meaning, Self.baseSide, steps, at: region.hook)
          rest = meaning.diagram.subtract(rest, Self.alwaysAccepted(path, meaning))
        }
        rest = comparison.notPermitted(rest, region.hook, by: "delegate `\(delegation.text)`", meaning)
        witness = witness ?? meaning.representative(of: rest, at: region.hook)
      }
      if isExhausted {
        undecided(region.hook, &diagnostics)
        return
      }
      guard let witness else { continue }
      diagnostics.report(
        Diagnostic(
          .extendsWidened, at: delegation.span, "the base neither accepts nor delegates `\(delegation.text)`",
          help: [
            "for example: \(Witness(from: witness, hook: region.hook).text)",
            "a policy can pass on what it may open itself: what its base delegates, or what it loosens",
          ]))
    }
  }
}
