import NFTables
import PolicyModel
import Ruleset
import TextBackends

/// A ruleset loaded as nft text and as netlink messages, one after the other in one network namespace, and what the
/// kernel holds each time.
struct RouteComparison {
  /// What is not the same.
  struct Fault: Error, Equatable, CustomStringConvertible {
    enum Kind: String {
      case expressions
      case listing
      case sentAndDumped = "sent and dumped"
      case lateExpressions = "late expressions"
      case lateListing = "late listing"
      case unknownExpression = "an expression nobody understands"
      case missingRules = "rules are missing"
      case missingDevice = "a device's chain is missing"
      case notEncodable = "messages cannot be made of it"
      case refusedText = "the text is refused"
      case refusedMessages = "the messages are refused"
    }

    var kind: Kind
    var details: String

    var description: String { "\(kind.rawValue): \(details)" }
  }

  /// `nft -s list ruleset` and the decoded expressions.
  private struct Held {
    var dump: String
    var listing: String
  }

  let child: ProbeChild

  /// - Parameter sent: what the messages are made of, if not of the same ruleset.
  /// - Returns: nil if both are the same.
  func fault(of ruleset: Ruleset, sent: Ruleset? = nil) throws -> Fault? {
    do {
      try compare(ruleset, sent: sent ?? ruleset)
      return nil
    } catch let fault as Fault {
      return fault
    } catch let error as NFTablesError {
      return Fault(kind: .notEncodable, details: "\(error)")
    }
  }

  private func compare(_ ruleset: Ruleset, sent: Ruleset) throws {
    let messages = try BatchEncoder.encode(sent, sourceIndex: { _ in 1 }).map(\.bytes)
    let late = try BatchEncoder.encodeDeviceChains(of: sent, sourceIndex: { _ in 1 })
    for device in late.map(\.device) { try child.addInterface(device) }

    let text = try loaded(
      .refusedText, [{ try child.load(text: NFTText.print(ruleset)) }]
    )
    let batch = try loaded(.refusedMessages, [{ try child.load(messages: messages) }])
    try expectSame(.expressions, text.dump, batch.dump)
    try expectSame(.listing, text.listing, batch.listing)
    guard !batch.dump.contains("unknown") else { throw Fault(kind: .unknownExpression, details: batch.dump) }
    // What was sent reads the same as what the kernel gives back.
    let stored = DumpText(showsLabels: false).print(try StoredBatch.decode(messages))
    try expectSame(.sentAndDumped, stored, batch.dump)
    let rules = ruleset.tables.flatMap(\.chains).flatMap(\.rules).count
    let held = batch.dump.split(separator: "\n").count { $0.hasPrefix("    rule") }
    guard held == rules else { throw Fault(kind: .missingRules, details: "\(held) of \(rules)") }
    guard !late.isEmpty else { return }

    // Behind the rest: as text twice, which changes nothing, and each device's batch once.
    let lateText = NFTText.printLate(ruleset)
    let textBehind = try loaded(
      .refusedText,
      [
        { try child.load(text: NFTText.print(ruleset)) }, { try child.load(text: lateText) },
        { try child.load(text: lateText) },
      ])
    let batchBehind = try loaded(
      .refusedMessages,
      ([messages] + late.map { $0.messages.map(\.bytes) }).map { batch in { try child.load(messages: batch) }
      })
    try expectSame(.lateExpressions, textBehind.dump, batchBehind.dump)
    try expectSame(.lateListing, textBehind.listing, batchBehind.listing)
    for device in late.map(\.device) where !batchBehind.dump.contains("device \(device)") {
      throw Fault(kind: .missingDevice, details: device)
    }
  }

  private func expectSame(_ kind: Fault.Kind, _ text: String, _ batch: String) throws {
    // The whole texts first: most are the same.
    guard text != batch, let difference = RouteTests.difference(text: text, batch: batch) else { return }
    throw Fault(kind: kind, details: difference)
  }

  /// An empty kernel, and then what the steps leave in it.
  private func loaded(_ refusal: Fault.Kind, _ steps: [() throws -> Void]) throws -> Held {
    try child.flush()
    do {
      for step in steps { try step() }
    } catch let failure as ProbeChild.Failure {
      throw Fault(kind: refusal, details: failure.description)
    }
    return Held(dump: try child.dump(), listing: try child.listing())
  }
}
