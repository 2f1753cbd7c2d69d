import NFTables
import PolicyModel
import Ruleset

/// What a kernel holds and the model has no words for.
extension Lift {
  /// What of a table may decide about packets and is not looked at, in words.
  static func leftOut(of table: DumpedTable, _ own: String) -> [String] {
    switch table.family {
    case .arp, .bridge:
      let isAsked = table.chains.contains { $0.isBase && (!$0.rules.isEmpty || $0.base?.accepts != true) }
      return isAsked ? ["table `\(table.family) \(table.name)`"] : []
    default:
      // Our own reroutes where the policy says what by.
      guard table.family != .inet || table.name != own else { return [] }
      return table.chains.filter { $0.base?.type == .route && !$0.rules.isEmpty }.map { chain in
        "where chain `\(table.family) \(table.name) \(chain.name)` of type route sends packets"
      }
    }
  }

  /// A base chain of family netdev, which sees frames of its device before all rules of the model, or behind them:
  /// anything may become of those.
  func doubted(_ chain: DumpedChain, _ prefix: String) -> [BaseChain] {
    guard chain.isBase, !chain.rules.isEmpty || chain.base?.accepts != true else { return [] }
    let place = prefix + chain.name
    // NF_NETDEV_INGRESS and NF_NETDEV_EGRESS of linux/netfilter.h; nil: several devices.
    let hooks: [Hook] =
      switch chain.base?.hook {
      case 0: [.ingress]
      case 1: [.postrouting]
      default: [.ingress, .postrouting]
      }
    return hooks.map { hook in
      var rule = Rule(id: "\(place)#1", name: nil, text: "", verdict: .accept, span: span)
      rule.unreadable = "chain `\(place)`: of family netdev, which sees frames and not packets"
      rule.unreadProgram = Self.program(of: chain)
      if let device = chain.base?.device {
        rule.matches = [
          Match(.interfaces(hook == .ingress ? .input : .output, [InterfacePattern(device)]))
        ]
      }
      return BaseChain(
        name: place, hook: hook, priority: hook == .ingress ? chain.base?.priority ?? 0 : .max,
        policy: .accept,
        rules: [rule], span: span)
    }
  }

  /// What a chain asks and decides; nil: it leads to others, or asks sets.
  private static func program(of chain: DumpedChain) -> String? {
    var words = ["\(chain.base?.hook ?? .max) \(chain.base?.accepts ?? false) \(chain.base?.device ?? "")"]
    for rule in chain.rules {
      for expression in rule.expressions {
        switch expression {
        case .verdict(.jump), .verdict(.goto), .lookup: return nil
        default: words.append("\(expression)")
        }
      }
    }
    return words.joined(separator: " ")
  }
}
