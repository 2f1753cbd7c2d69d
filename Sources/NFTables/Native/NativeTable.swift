internal import CNFTables

/// A `struct nftnl_table`.
@safe struct NativeTable: ~Copyable {
  private let pointer: OpaquePointer

  init() throws(NFTablesError) {
    guard let pointer = unsafe nftnl_table_alloc() else { throw .outOfMemory }
    unsafe self.pointer = pointer
  }

  deinit {
    unsafe nftnl_table_free(pointer)
  }

  func set(name: String, flags: UInt32) throws(NFTablesError) {
    guard unsafe nftnl_table_set_str(pointer, UInt16(NFTNL_TABLE_NAME.rawValue), name) == 0 else {
      throw .outOfMemory
    }
    unsafe nftnl_table_set_u32(pointer, UInt16(NFTNL_TABLE_FLAGS.rawValue), flags)
  }

  func setUserdata(_ bytes: [UInt8]) throws(NFTablesError) {
    let attribute = UInt16(NFTNL_TABLE_USERDATA.rawValue)
    guard unsafe nftnl_table_set_data(pointer, attribute, bytes, UInt32(bytes.count)) == 0 else {
      throw .outOfMemory
    }
  }

  func write(to buffer: inout MessageBuffer) {
    unsafe buffer.append { unsafe nftnl_table_nlmsg_build_payload($0, pointer) }
  }
}
