/// What the kernel holds has no words in the model of policies: nothing is guessed.
package struct LiftError: Error, Equatable, CustomStringConvertible {
  /// Nil: about the table, not about one of its chains.
  package var chain: String?
  /// From 1; nil: about the chain.
  package var rule: Int?
  package var reason: String

  package init(_ reason: String, chain: String? = nil, rule: Int? = nil) {
    self.reason = reason
    self.chain = chain
    self.rule = rule
  }

  package var description: String {
    let place = [rule.map { "rule \($0)" }, chain.map { "chain `\($0)`" }].compactMap { $0 }
    return place.isEmpty ? reason : "\(place.joined(separator: " of ")): \(reason)"
  }
}
