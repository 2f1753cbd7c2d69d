internal import CNFTables

/// A `struct nftnl_chain`.
@safe struct NativeChain: ~Copyable {
  private let pointer: OpaquePointer

  init() throws(NFTablesError) {
    guard let pointer = unsafe nftnl_chain_alloc() else { throw .outOfMemory }
    unsafe self.pointer = pointer
  }

  deinit {
    unsafe nftnl_chain_free(pointer)
  }

  func set(_ attribute: nftnl_chain_attr, string: String) throws(NFTablesError) {
    guard unsafe nftnl_chain_set_str(pointer, UInt16(attribute.rawValue), string) == 0 else {
      throw .outOfMemory
    }
  }

  func set(_ attribute: nftnl_chain_attr, _ value: UInt32) {
    unsafe nftnl_chain_set_u32(pointer, UInt16(attribute.rawValue), value)
  }

  func set(_ attribute: nftnl_chain_attr, _ value: Int32) {
    unsafe nftnl_chain_set_s32(pointer, UInt16(attribute.rawValue), value)
  }

  func write(to buffer: inout MessageBuffer) {
    unsafe buffer.append { unsafe nftnl_chain_nlmsg_build_payload($0, pointer) }
  }
}
