import PolicyModel

extension Hook {
  /// The hooks whose chains a packet of this place meets, in the order it meets them (LANGUAGE.md §6.2).
  var path: [Hook] {
    switch self {
    case .input: [.ingress, .prerouting, .input]
    case .forward: [.ingress, .prerouting, .forward, .postrouting]
    case .output: [.output, .postrouting]
    case .prerouting: [.ingress, .prerouting]
    case .ingress: [.ingress]
    case .postrouting: [.postrouting]
    }
  }
}
