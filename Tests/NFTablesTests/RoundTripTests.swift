import NFTables
import Ruleset
import RulesetSamples
import Testing

/// What is encoded decodes to the same, and any damage is an error or another value, never a trap.
struct RoundTripTests {
  @Test(arguments: RulesetSample.corpus.indices)
  func decodesWhatItEncodes(index: Int) throws {
    let sample = RulesetSample.corpus[index]
    let ruleset = sample.ruleset
    let table = try #require(ruleset.tables.first)
    let decoded = try #require(StoredBatch.decode(encode(sample).map(\.bytes)).first)
    #expect(decoded.name == table.name)
    #expect(decoded.comment == table.comment)
    #expect(decoded.objects.map(\.name) == table.objects.map(\.name))
    #expect(decoded.objects.map(\.label) == table.objects.map(\.label))
    #expect(decoded.chains.map(\.name) == table.chains.map(\.name))
    #expect(decoded.chains.map(\.base) == table.chains.map(\.base))
    for set in table.sets { expectSame(decoded.sets.first { $0.name == set.name }, set) }
    for (chain, written) in zip(decoded.chains, table.chains) {
      #expect(chain.rules.count == written.rules.count)
      for (rule, source) in zip(chain.rules, written.rules) {
        #expect(rule.comment == source.comment)
        #expect(rule.label == source.label)
        #expect(rule.source == 5)
        #expect(rule.expressions.map(explicit) == sample.expressions(of: source).map(explicit))
        #expect(rule.anonymousSets.count == source.anonymousSets.count)
        for (set, original) in zip(rule.anonymousSets, source.anonymousSets) { expectSame(set, original) }
      }
    }
  }

  private func expectSame(_ decoded: DumpedSet?, _ set: KernelSet) {
    #expect(decoded?.elements == set.elements.sorted { $0.lower.lexicographicallyPrecedes($1.lower) })
    #expect(decoded?.keyType == set.keyType)
    #expect(decoded?.comment == set.comment)
    #expect(decoded?.otherElements == [])
    #expect(decoded?.otherAttributes == [])
  }

  /// The level that is sent when neither level nor group is given.
  private func explicit(_ expression: Expression) -> Expression {
    if case .log(let prefix, nil, nil) = expression { return .log(prefix: prefix, level: 4, group: nil) }
    return expression
  }

  @Test func theSameRulesetGivesTheSameBytes() throws {
    for sample in RulesetSample.corpus {
      #expect(try encode(sample) == encode(sample))
    }
  }

  /// Long lists are encoded in halves side by side.
  @Test func halvesGiveTheSameBytes() throws {
    for sample in RulesetSample.corpus {
      let halves = try BatchEncoder.encode(
        sample.ruleset, longList: 2, expressions: sample.expressions(of:), sourceIndex: { _ in 5 })
      #expect(try encode(sample) == halves)
    }
  }

  @Test func messagesAreWhole() throws {
    for sample in RulesetSample.corpus {
      var sequences: Set<UInt32> = []
      for message in try encode(sample) {
        let length = message.bytes.prefix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
        #expect(length == message.bytes.count && length % 4 == 0)
        // No acknowledgement is asked for, and the port is the kernel's to fill in.
        #expect(message.bytes[6] & 4 == 0)
        #expect(message.bytes[12..<16].allSatisfy { $0 == 0 })
        sequences.insert(UInt32(message.bytes[8]))
      }
      #expect(sequences == [0, 5])
    }
  }

  @Test func everyTruncationIsAnError() throws {
    let sample = RulesetSample.corpus[0]
    for message in try encode(sample) {
      for count in 1..<message.bytes.count {
        #expect(throws: NFTablesError.self) { try StoredBatch.decode([Array(message.bytes.prefix(count))]) }
      }
    }
  }

  @Test func noChangedByteTraps() throws {
    // A trap would end the test run; what the bytes then mean does not matter.
    for sample in RulesetSample.corpus where ["logs", "concatenations"].contains(sample.name) {
      let messages = try encode(sample).map(\.bytes)
      var outcomes = (decoded: 0, refused: 0)
      for index in messages.indices {
        for position in messages[index].indices {
          var damaged = messages
          damaged[index][position] ^= UInt8(1 << (position % 8))
          if (try? StoredBatch.decode(damaged)) == nil {
            outcomes.refused += 1
          } else {
            outcomes.decoded += 1
          }
        }
      }
      #expect(outcomes.refused > 0 && outcomes.decoded > 0)
    }
  }

  private func encode(_ sample: RulesetSample) throws -> [EncodedMessage] {
    try BatchEncoder.encode(
      sample.ruleset, expressions: sample.expressions(of:), sourceIndex: { _ in 5 })
  }
}
