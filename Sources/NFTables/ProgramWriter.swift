internal import CNFTables
internal import Ruleset

/// Writes a rule's program into its message.
///
/// libnftnl makes an object of each expression, sets its attributes one by one by number, and looks its kind up by
/// name, which for a rule of nine expressions takes longer than all else that is done with it. What most rules are made
/// of is therefore written here, attribute by attribute in the order of libnftnl 1.2; the rest is libnftnl's.
struct ProgramWriter {
  let encoder: ExpressionEncoder

  func write(_ program: [Expression], to buffer: inout MessageBuffer) throws(NFTablesError) {
    guard !program.isEmpty else { return }
    let list = buffer.beginNest(NFTA_RULE_EXPRESSIONS)
    for expression in program {
      let element = buffer.beginNest(NFTA_LIST_ELEM)
      try write(expression, to: &buffer)
      buffer.endNest(element)
    }
    buffer.endNest(list)
  }

  private func write(_ expression: Expression, to buffer: inout MessageBuffer) throws(NFTablesError) {
    switch expression {
    case .meta(let key, let register):
      let data = buffer.beginExpression("meta")
      buffer.put(NFTA_META_KEY, number: key.rawValue)
      buffer.put(NFTA_META_DREG, number: ExpressionEncoder.canonicalRegister(register))
      buffer.endNest(data)
    case .payload(let base, let offset, let length, let register):
      let data = buffer.beginExpression("payload")
      buffer.put(NFTA_PAYLOAD_DREG, number: ExpressionEncoder.canonicalRegister(register))
      buffer.put(NFTA_PAYLOAD_BASE, number: base.rawValue)
      buffer.put(NFTA_PAYLOAD_OFFSET, number: offset)
      buffer.put(NFTA_PAYLOAD_LEN, number: length)
      buffer.endNest(data)
    case .conntrack(let key, let register):
      let data = buffer.beginExpression("ct")
      buffer.put(NFTA_CT_KEY, number: key.rawValue)
      buffer.put(NFTA_CT_DREG, number: ExpressionEncoder.canonicalRegister(register))
      buffer.endNest(data)
    case .compare(let register, let comparison, let value):
      let data = buffer.beginExpression("cmp")
      buffer.put(NFTA_CMP_SREG, number: ExpressionEncoder.canonicalRegister(register))
      buffer.put(NFTA_CMP_OP, number: comparison.rawValue)
      try put(NFTA_CMP_DATA, value, to: &buffer)
      buffer.endNest(data)
    case .bitwise(let register, let destination, let mask, let xor):
      guard mask.count == xor.count else { throw .invalidData(owner: encoder.rule, length: xor.count) }
      let data = buffer.beginExpression("bitwise")
      buffer.put(NFTA_BITWISE_SREG, number: ExpressionEncoder.canonicalRegister(register))
      buffer.put(NFTA_BITWISE_DREG, number: ExpressionEncoder.canonicalRegister(destination))
      buffer.put(NFTA_BITWISE_OP, number: NFT_BITWISE_MASK_XOR.rawValue)
      buffer.put(NFTA_BITWISE_LEN, number: UInt32(mask.count))
      try put(NFTA_BITWISE_MASK, mask, to: &buffer)
      try put(NFTA_BITWISE_XOR, xor, to: &buffer)
      buffer.endNest(data)
    case .verdict(let verdict):
      let code = VerdictCode(verdict)
      let data = buffer.beginExpression("immediate")
      buffer.put(NFTA_IMMEDIATE_DREG, number: UInt32(NFT_REG_VERDICT.rawValue))
      let value = buffer.beginNest(NFTA_IMMEDIATE_DATA)
      let nested = buffer.beginNest(NFTA_DATA_VERDICT)
      buffer.put(NFTA_VERDICT_CODE, number: UInt32(bitPattern: code.number))
      if let chain = code.chain {
        buffer.put(NFTA_VERDICT_CHAIN, string: try ExpressionEncoder.checkedName(chain))
      }
      buffer.endNest(nested)
      buffer.endNest(value)
      buffer.endNest(data)
    default:
      let native = try encoder.encode(expression)
      native.write(to: &buffer)
    }
  }

  private func put(
    _ attribute: some RawRepresentable<UInt32>, _ value: [UInt8], to buffer: inout MessageBuffer
  ) throws(NFTablesError) {
    guard (1...Int(NFT_DATA_VALUE_MAXLEN)).contains(value.count) else {
      throw .invalidData(owner: encoder.rule, length: value.count)
    }
    let nest = buffer.beginNest(attribute)
    buffer.put(NFTA_DATA_VALUE, bytes: value)
    buffer.endNest(nest)
  }
}

extension MessageBuffer {
  /// The name of an expression, and the nest of its data.
  fileprivate mutating func beginExpression(_ name: String) -> Int {
    put(NFTA_EXPR_NAME, string: name)
    return beginNest(NFTA_EXPR_DATA)
  }
}
