internal import CNFTables
internal import Ruleset

/// A `struct nftnl_set_elem` that is filled and written again for each element.
@safe struct NativeElement: ~Copyable {
  private let pointer: OpaquePointer

  init() throws(NFTablesError) {
    guard let pointer = unsafe nftnl_set_elem_alloc() else { throw .outOfMemory }
    unsafe self.pointer = pointer
  }

  deinit {
    unsafe nftnl_set_elem_free(pointer)
  }

  /// INVARIANT: keys have at most NFT_DATA_VALUE_MAXLEN bytes; libnftnl does not check.
  func fill(_ item: ElementEncoder.Item) throws(NFTablesError) {
    try set(NFTNL_SET_ELEM_KEY, item.key)
    if let end = item.end { try set(NFTNL_SET_ELEM_KEY_END, end) }
    if item.endsInterval {
      let flag = UInt32(NFT_SET_ELEM_INTERVAL_END.rawValue)
      unsafe nftnl_set_elem_set_u32(pointer, UInt16(NFTNL_SET_ELEM_FLAGS), flag)
    } else {
      unsafe nftnl_set_elem_unset(pointer, UInt16(NFTNL_SET_ELEM_FLAGS))
    }
    try setData(item.data)
    if item.isOpen {
      try set(NFTNL_SET_ELEM_USERDATA, Userdata.openInterval)
    } else {
      unsafe nftnl_set_elem_unset(pointer, UInt16(NFTNL_SET_ELEM_USERDATA))
    }
  }

  private func setData(_ data: KernelSet.ElementData?) throws(NFTablesError) {
    for attribute in [NFTNL_SET_ELEM_VERDICT, NFTNL_SET_ELEM_CHAIN, NFTNL_SET_ELEM_DATA] {
      unsafe nftnl_set_elem_unset(pointer, UInt16(attribute))
    }
    switch data {
    case .verdict(let verdict)?:
      let code = VerdictCode(verdict)
      unsafe nftnl_set_elem_set_u32(
        pointer, UInt16(NFTNL_SET_ELEM_VERDICT), UInt32(bitPattern: code.number))
      guard let chain = code.chain else { return }
      let name = try ExpressionEncoder.checkedName(chain)
      guard unsafe nftnl_set_elem_set_str(pointer, UInt16(NFTNL_SET_ELEM_CHAIN), name) == 0 else {
        throw .outOfMemory
      }
    case .value(let bytes)?: try set(NFTNL_SET_ELEM_DATA, bytes)
    case nil: break
    }
  }

  private func set(_ attribute: Int, _ data: [UInt8]) throws(NFTablesError) {
    guard unsafe nftnl_set_elem_set(pointer, UInt16(attribute), data, UInt32(data.count)) == 0 else {
      throw .outOfMemory
    }
  }

  func write(to buffer: inout MessageBuffer) {
    // `nftnl_set_elems_nlmsg_build_payload` would write a whole list and wrap its length at 64 KiB.
    unsafe buffer.append {
      unsafe _ = nftnl_set_elem_nlmsg_build($0, pointer, Int32(NFTA_LIST_ELEM.rawValue))
    }
  }
}
