import Diagnostics
import PolicyModel
import PolicySyntax

/// `containers KIND`: a named item that stands for three visible rules (LANGUAGE.md §4.14).
extension Checker {
  private static let interfaces: [String: [InterfaceSyntax]] = [
    "docker": [.exact("docker0"), .prefix("br-")],
    "podman": [.prefix("podman"), .prefix("cni-podman")],
    "kubernetes": [
      .exact("cni0"), .prefix("cali"), .prefix("cilium_"), .prefix("lxc"), .prefix("veth"),
      .prefix("flannel"),
    ],
  ]

  mutating func containers(
    _ kind: Spanned<String>, _ item: RuleItemSyntax, _ syntax: RuleSyntax, at place: Place,
    _ names: inout RuleNames
  ) -> [Rule] {
    var isGood = true
    if let origin = place.origin(without: { $0 == .forward }) {
      error(
        .wrongHook, syntax.verdict.span, "`containers` holds in `forward`, not in `\(origin.name)`",
        help: ["the packets of containers pass through the host"], related: place.path(from: origin))
      isGood = false
    }
    // The rule grammar has refused clauses, and an item without a name.
    guard let name = item.name else { return [] }
    if let long = ["replies", "out", "published"].map({ "\(name.value)-\($0)" }).first(where: {
      !Name.isValid($0)
    }) {
      error(
        .badName, name.span, "`\(long)`, a rule this stands for, is over 40 bytes",
        help: ["give the item a name of at most 30 bytes"])
      isGood = false
    }
    guard isGood, let interfaces = Self.interfaces[kind.value] else { return [] }
    let span = item.span
    let list = interfaces.map { Spanned($0, span) }
    let parts: [(suffix: String, clauses: [ClauseSyntax])] = [
      ("replies", [.states(negated: false, [Spanned(.established, span), Spanned(.related, span)])]),
      ("out", [.interfaces(.in, negated: false, list)]),
      (
        "published",
        [.status(negated: false, [Spanned("dnat", span)]), .interfaces(.out, negated: false, list)]
      ),
    ]
    let origin = ItemID.named(place.name, name.value)
    return parts.compactMap { part in
      let syntax = RuleSyntax(
        verdict: Spanned(.accept, span), clauses: part.clauses.map { Spanned($0, span) }, span: span)
      let partName = Spanned("\(name.value)-\(part.suffix)", name.span)
      if let earlier = names[partName.value] {
        error(
          .duplicateRuleName, name.span,
          "`\(name.value)` stands for a rule `\(partName.value)`, and there is one",
          related: [earlier])
      }
      names[partName.value] = Diagnostic.Label(name.span, "`\(name.value)` stands for it")
      var partItem = item
      partItem.name = partName
      partItem.body = .rule(syntax)
      let id = ItemID.named(place.name, partName.value)
      items.append(Item(id, span))
      var rule = rule(syntax, partItem, id: id, text: syntax.canonicalText, at: place)
      rule?.origin = .expanded(from: origin)
      return rule
    }
  }
}
