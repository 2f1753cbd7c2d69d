internal import CNFTables

/// A `struct nftnl_set` without elements; `NativeElement` writes those one at a time.
@safe struct NativeSet: ~Copyable {
  private let pointer: OpaquePointer

  init() throws(NFTablesError) {
    guard let pointer = unsafe nftnl_set_alloc() else { throw .outOfMemory }
    unsafe self.pointer = pointer
  }

  deinit {
    unsafe nftnl_set_free(pointer)
  }

  func set(_ attribute: nftnl_set_attr, string: String) throws(NFTablesError) {
    guard unsafe nftnl_set_set_str(pointer, UInt16(attribute.rawValue), string) == 0 else {
      throw .outOfMemory
    }
  }

  func set(_ attribute: nftnl_set_attr, _ value: UInt32) {
    unsafe nftnl_set_set_u32(pointer, UInt16(attribute.rawValue), value)
  }

  func set(_ attribute: nftnl_set_attr, _ value: UInt64) {
    unsafe nftnl_set_set_u64(pointer, UInt16(attribute.rawValue), value)
  }

  func set(_ attribute: nftnl_set_attr, data: [UInt8]) throws(NFTablesError) {
    guard unsafe nftnl_set_set_data(pointer, UInt16(attribute.rawValue), data, UInt32(data.count)) == 0 else {
      throw .outOfMemory
    }
  }

  func write(to buffer: inout MessageBuffer) {
    unsafe buffer.append { unsafe nftnl_set_nlmsg_build_payload($0, pointer) }
  }
}
