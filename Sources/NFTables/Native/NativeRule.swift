internal import CNFTables

/// A `struct nftnl_rule`.
@safe struct NativeRule: ~Copyable {
  private let pointer: OpaquePointer

  init() throws(NFTablesError) {
    guard let pointer = unsafe nftnl_rule_alloc() else { throw .outOfMemory }
    unsafe self.pointer = pointer
  }

  deinit {
    unsafe nftnl_rule_free(pointer)
  }

  func set(_ attribute: nftnl_rule_attr, string: String) throws(NFTablesError) {
    guard unsafe nftnl_rule_set_str(pointer, UInt16(attribute.rawValue), string) == 0 else {
      throw .outOfMemory
    }
  }

  func setUserdata(_ bytes: [UInt8]) throws(NFTablesError) {
    let attribute = UInt16(NFTNL_RULE_USERDATA.rawValue)
    guard unsafe nftnl_rule_set_data(pointer, attribute, bytes, UInt32(bytes.count)) == 0 else {
      throw .outOfMemory
    }
  }

  func append(_ expression: consuming NativeExpression) {
    unsafe nftnl_rule_add_expr(pointer, expression.released())
  }

  func write(to buffer: inout MessageBuffer) {
    unsafe buffer.append { unsafe nftnl_rule_nlmsg_build_payload($0, pointer) }
  }
}
