internal import CNFTables

/// A `struct nftnl_obj` of a counter that starts at zero.
@safe struct NativeCounter: ~Copyable {
  private let pointer: OpaquePointer

  init() throws(NFTablesError) {
    guard let pointer = unsafe nftnl_obj_alloc() else { throw .outOfMemory }
    unsafe self.pointer = pointer
    // The type comes first: the attributes of its data are looked up by it.
    unsafe nftnl_obj_set_u32(pointer, UInt16(NFTNL_OBJ_TYPE), UInt32(NFT_OBJECT_COUNTER))
    unsafe nftnl_obj_set_u64(pointer, UInt16(NFTNL_OBJ_CTR_BYTES), 0)
    unsafe nftnl_obj_set_u64(pointer, UInt16(NFTNL_OBJ_CTR_PKTS), 0)
  }

  deinit {
    unsafe nftnl_obj_free(pointer)
  }

  func set(table: String, name: String) throws(NFTablesError) {
    unsafe nftnl_obj_set_str(pointer, UInt16(NFTNL_OBJ_TABLE), table)
    unsafe nftnl_obj_set_str(pointer, UInt16(NFTNL_OBJ_NAME), name)
    // libnftnl's setters of an object tell no failure; a name that is not there failed to be copied.
    guard unsafe nftnl_obj_get_str(pointer, UInt16(NFTNL_OBJ_TABLE)) != nil,
      unsafe nftnl_obj_get_str(pointer, UInt16(NFTNL_OBJ_NAME)) != nil
    else { throw .outOfMemory }
  }

  func setUserdata(_ bytes: [UInt8]) throws(NFTablesError) {
    unsafe nftnl_obj_set_data(pointer, UInt16(NFTNL_OBJ_USERDATA), bytes, UInt32(bytes.count))
    guard unsafe nftnl_obj_is_set(pointer, UInt16(NFTNL_OBJ_USERDATA)) else { throw .outOfMemory }
  }

  func write(to buffer: inout MessageBuffer) {
    unsafe buffer.append { unsafe nftnl_obj_nlmsg_build_payload($0, pointer) }
  }
}
