/// One of several orders of the fields to try, and how many nodes that may take.
///
/// No order is good for all rules, and the wrong one takes a hundred times the nodes. Which one is right shows when it is
/// tried: each has a part of the budget, and then the first one has it all. Nodes and not seconds are counted, so that
/// the same policies always give the same answer.
struct Attempt {
  private var isOther: Bool
  let budget: Int

  init(budget: Int = Diagram.defaultBudget) { self.init(isOther: false, budget: budget) }

  private init(isOther: Bool, budget: Int) {
    self.isOther = isOther
    self.budget = budget
  }

  /// Nodes of a try, of which there is another one.
  private static let trial = 6_000_000

  /// One after the other until nodes do not run out.
  static func all(budget: Int = Diagram.defaultBudget) -> [Attempt] {
    let first = min(trial, budget)
    let tries = [Attempt(isOther: false, budget: first), Attempt(isOther: true, budget: first)]
    return first < budget ? tries + [Attempt(isOther: false, budget: budget)] : tries
  }

  /// The result of the first try for which nodes have not run out, or else of the last one.
  static func first<Result>(
    budget: Int = Diagram.defaultBudget, _ body: (Attempt) -> (result: Result, isExhausted: Bool)
  ) -> Result {
    let tries = all(budget: budget)
    for attempt in tries.dropLast() {
      let tried = body(attempt)
      if !tried.isExhausted { return tried.result }
    }
    return body(tries[tries.count - 1]).result
  }

  /// Sets of link-layer addresses from which on rules tell who may send what.
  private static let senders = 16

  func order(for atoms: borrowing AtomTable) -> [Int] {
    let isRouter = atoms.setCount(PacketBox.Field.sourceLink.rawValue) >= Self.senders
    return isRouter != isOther ? DiagramField.routerOrder : DiagramField.order
  }
}
