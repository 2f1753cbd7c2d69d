import Diagnostics
import PolicyModel
import PolicySyntax

/// One chain as written, its items read and nothing resolved: what its clauses may ask depends on the chains
/// that lead to it.
struct ChainSource {
  /// The hook and the priority of a base chain.
  struct Base {
    var hook: Hook
    var isNAT = false
    var priority: Int32
    /// Of an ingress chain.
    var devices: [String] = []
  }

  /// The place of its rules' ids.
  var name: String
  var key: SyntaxEntry
  /// Nil: a regular chain.
  var base: Base?
  var items: [RuleItemSyntax]
  /// Made of `between`: of a pair of zones, or a list of several pairs.
  var isOfPairs = false
  var pair: ZonePair?
  /// Chains that it leads to by rules of the compiler's.
  var led: [Spanned<String>] = []

  var span: SourceSpan { key.key.span }

  /// Names of chains that its rules lead to, the compiler's too.
  var targets: [Spanned<String>] { led + writtenTargets }

  /// Those that its own rules name, where they are written.
  var writtenTargets: [Spanned<String>] {
    var targets: [Spanned<String>] = []
    for item in items {
      switch item.body {
      case .rule(let rule): if let target = rule.verdict.value.target { targets.append(target) }
      case .verdictMap(let map):
        targets += (map.entries.map(\.verdict) + [map.otherwise]).compactMap(\.value.target)
      }
    }
    return targets
  }
}

extension VerdictSyntax {
  fileprivate var target: Spanned<String>? {
    switch self {
    case .jump(let name), .goto(let name): name
    default: nil
    }
  }
}
