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
  }

  /// The place of its rules' ids.
  var name: String
  var key: SyntaxEntry
  /// Nil: a regular chain.
  var base: Base?
  var items: [RuleItemSyntax]

  var span: SourceSpan { key.key.span }

  /// Names of chains that its rules lead to, where they are written.
  var targets: [Spanned<String>] {
    items.flatMap { item -> [Spanned<String>] in
      switch item.body {
      case .rule(let rule): [rule.verdict.value.target].compactMap { $0 }
      case .verdictMap(let map):
        (map.entries.map(\.verdict) + [map.otherwise]).compactMap(\.value.target)
      }
    }
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
