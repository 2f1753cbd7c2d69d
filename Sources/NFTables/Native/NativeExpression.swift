internal import CNFTables

/// A `struct nftnl_expr`.
@safe struct NativeExpression: ~Copyable {
  private let pointer: OpaquePointer

  /// Fails on memory, and on a name that the installed libnftnl does not know.
  init(_ name: String) throws(NFTablesError) {
    guard let pointer = unsafe nftnl_expr_alloc(name) else { throw .outOfMemory }
    unsafe self.pointer = pointer
  }

  deinit {
    unsafe nftnl_expr_free(pointer)
  }

  /// Appends the name and the data.
  func write(to buffer: inout MessageBuffer) {
    unsafe buffer.append { unsafe nftnl_expr_build_payload($0, pointer) }
  }

  /// Gives the expression up: what takes it frees it.
  consuming func released() -> OpaquePointer {
    let pointer = unsafe self.pointer
    discard self
    return unsafe pointer
  }

  // libnftnl's attribute numbers are anonymous enumerations, which Swift imports as Int.

  func set(_ attribute: Int, _ value: UInt8) {
    unsafe nftnl_expr_set_u8(pointer, UInt16(attribute), value)
  }

  func set(_ attribute: Int, _ value: UInt16) {
    unsafe nftnl_expr_set_u16(pointer, UInt16(attribute), value)
  }

  func set(_ attribute: Int, _ value: UInt32) {
    unsafe nftnl_expr_set_u32(pointer, UInt16(attribute), value)
  }

  func set(_ attribute: Int, _ value: UInt64) {
    unsafe nftnl_expr_set_u64(pointer, UInt16(attribute), value)
  }

  func set(_ attribute: Int, string: String) throws(NFTablesError) {
    guard unsafe nftnl_expr_set_str(pointer, UInt16(attribute), string) == 0 else { throw .outOfMemory }
  }

  /// An expression inside this one, which from then on frees it.
  func set(_ attribute: Int, expression: consuming NativeExpression) throws(NFTablesError) {
    let inner = unsafe expression.released()
    guard unsafe nftnl_expr_set(pointer, UInt16(attribute), UnsafeRawPointer(inner), 0) == 0 else {
      unsafe nftnl_expr_free(inner)
      throw .outOfMemory
    }
  }

  /// Register bytes: 1 to 64, because libnftnl copies them into an array of that size without asking.
  func set(_ attribute: Int, data: [UInt8], owner: String) throws(NFTablesError) {
    guard (1...Int(NFT_DATA_VALUE_MAXLEN)).contains(data.count) else {
      throw .invalidData(owner: owner, length: data.count)
    }
    guard unsafe nftnl_expr_set(pointer, UInt16(attribute), data, UInt32(data.count)) == 0 else {
      throw .outOfMemory
    }
  }
}
