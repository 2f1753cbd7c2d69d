import BundleFormat

/// A small bundle with something in every section, its messages written out by hand.
enum SampleBundle {
  static let contents: BundleContents = {
    var contents = BundleContents(
      policyName: Array("sample".utf8), policyDigest: [UInt8](repeating: 0xd1, count: 32),
      minimumKernel: KernelRelease(major: 5, minor: 10))
    contents.isManagementProved = true
    contents.hasNetworkRoot = true
    contents.haltsOnFailure = true
    contents.sources = [
      BundleSource(id: Array("input/ssh".utf8), place: Array("sample.cos:7".utf8)),
      BundleSource(id: Array("input/closing".utf8), place: Array("sample.cos:4".utf8)),
    ]
    contents.messages = messages
    contents.closed = closed
    contents.sysctls = [
      BundleSysctl(
        path: Array("net/ipv4/conf/*/rp_filter".utf8), value: Array("1".utf8), strengthClass: .restorable,
        isNamespaced: true, source: 1),
      BundleSysctl(
        path: Array("kernel/kptr_restrict".utf8), value: Array("2".utf8), strengthClass: .restorable,
        isNamespaced: false, source: 0),
    ]
    contents.mounts = [
      BundleMount(
        path: Array("/tmp".utf8), attributesSet: 0xe, attributesCleared: 0, isSelfBind: true,
        options: Array("size=16m".utf8), source: 2)
    ]
    contents.notEnforced = [Array("module `usb_storage`: not in this release".utf8)]
    contents.sourceMap = Array("{\n}\n".utf8)
    // ld [4]; jeq #AUDIT_ARCH_X86_64, 0, 1; ret ALLOW; ret ERRNO(38).
    contents.systemCalls = BundleFilter(
      scope: .services, flags: 4,
      program: [
        0x20, 0, 0, 0, 4, 0, 0, 0, 0x15, 0, 0, 1, 0x3e, 0, 0, 0xc0, 0x06, 0, 0, 0, 0, 0, 0xff, 0x7f, 0x06, 0,
        0,
        0, 0x26, 0, 5, 0,
      ])
    contents.late = [
      BundleLateItem(kind: .device, name: Array("eth0".utf8), messages: deviceMessages, source: 1),
      BundleLateItem(
        kind: .controlGroup, name: Array("a.slice/b".utf8),
        messages: [elementMessage(key: [0, 0, 0, 0, 0, 0, 0, 0])],
        source: 2),
    ]
    contents.kernel = [
      BundleKernelItem(kind: .lockdown, source: 0, text: Array("integrity".utf8)),
      BundleKernelItem(kind: .sealAfterBoot, source: 0, text: []),
      BundleKernelItem(kind: .deniedModule, source: 2, text: Array("usb_storage".utf8)),
      BundleKernelItem(kind: .deniedModule, source: 2, text: Array("snd_*".utf8)),
      BundleKernelItem(kind: .requiredModule, source: 1, text: Array("nf_tables".utf8)),
    ]
    contents.programs = [
      // mov r0, 0; exit.
      BundleProgram(
        stage: .policy, hook: Array("kernel_post_read_file".utf8),
        instructions: [0xb7, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0]),
      BundleProgram(
        stage: .seal, hook: Array("sb_umount".utf8), instructions: [0x95, 0, 0, 0, 0, 0, 0, 0]),
    ]
    contents.relocations = [
      BundleRelocation(program: 1, instruction: 0, kind: .enumerator, text: Array("READING_MODULE".utf8)),
      BundleRelocation(program: 2, instruction: 0, kind: .device, text: []),
    ]
    return contents
  }()

  /// A base chain with NFTA_HOOK_DEV, and a rule that leads from it.
  static let deviceMessages: [BundleMessage] = [
    message(
      .baseChain, 3, 0x401, 0,
      string(1, "lockdown") + string(3, "ingress_eth0")
        + nest(4, number(1, 5) + number(2, 0xffff_fffb) + string(3, "eth0")) + number(5, 1)
        + string(7, "filter")),
    message(.rule, 6, 0xc01, 1, string(1, "lockdown") + string(2, "ingress_eth0") + nest(4, [])),
  ]

  /// LIST_ELEM {KEY {VALUE}} of NFTA_SET_ELEM_LIST_ELEMENTS.
  static func elementMessage(key: [UInt8], extra: [UInt8] = []) -> BundleMessage {
    message(
      .elements, 12, 0x401, 2,
      string(1, "lockdown") + string(2, "_cgroups_x")
        + nest(3, nest(1, nest(1, [UInt8(key.count + 4), 0, 1, 0] + key) + extra)))
  }

  /// A table, its one chain, a set whose elements have an end, and a rule.
  static let closed: [BundleMessage] = [
    message(.table, 0, 0x401, 0, string(1, "lockdown-closed")),
    message(
      .baseChain, 3, 0x401, 0,
      string(1, "lockdown-closed") + string(3, "input") + nest(4, number(1, 1) + number(2, 0xffff_fffb))
        + number(5, 0) + string(7, "filter")),
    // NFTA_SET_FLAGS timeout, NFTA_SET_TIMEOUT.
    message(
      .set, 9, 0x401, 0,
      string(1, "lockdown-closed") + string(2, "waiting") + number(3, 0x10) + number(4, 2) + number(5, 1)
        + number(10, 1) + attribute(11, [0, 0, 0, 0, 0, 1, 0xd4, 0xc0])),
    message(
      .elements, 12, 0x401, 0,
      string(1, "lockdown-closed") + string(2, "waiting") + number(4, 1)
        + nest(3, nest(1, nest(1, attribute(1, [2]))))),
    message(.rule, 6, 0xc01, 2, string(1, "lockdown-closed") + string(2, "input") + nest(4, [])),
  ]

  static let messages: [BundleMessage] = [
    // NFTA_TABLE_NAME, NFTA_TABLE_FLAGS.
    message(.table, 0, 0x401, 0, string(1, "lockdown") + number(2, 0)),
    // NFTA_CHAIN_TABLE, NAME, HOOK {HOOKNUM input, PRIORITY -5}, POLICY drop, TYPE.
    message(
      .baseChain, 3, 0x401, 0,
      string(1, "lockdown") + string(3, "input") + nest(4, number(1, 1) + number(2, 0xffff_fffb))
        + number(5, 0) + string(7, "filter")),
    message(.chain, 3, 0x401, 0, string(1, "lockdown") + string(3, "replies")),
    // NFTA_OBJ_TABLE, NAME, TYPE counter, DATA (empty nest), USERDATA.
    message(
      .object, 18, 0x401, 0,
      string(1, "lockdown") + string(2, "policy_digest") + number(3, 1) + nest(4, [])
        + attribute(8, [0, 3, 0x61, 0x62, 0])),
    // NFTA_SET_TABLE, NAME, FLAGS constant, KEY_TYPE, KEY_LEN, DESC {SIZE}, ID.
    message(
      .set, 9, 0x401, 0,
      string(1, "lockdown") + string(2, "admin_4") + number(3, 2) + number(4, 7) + number(5, 4)
        + nest(9, number(1, 1)) + number(10, 1)),
    message(
      .elements, 12, 0x401, 0,
      string(1, "lockdown") + string(2, "admin_4") + number(4, 1)
        + nest(3, nest(1, nest(1, attribute(1, [10, 0, 0, 1]))))),
    message(
      .anonymousSet, 9, 0x401, 1,
      string(1, "lockdown") + string(2, "__set%d") + number(3, 3) + number(4, 13) + number(5, 2)
        + nest(9, number(1, 1)) + number(10, 2)),
    message(
      .anonymousElements, 12, 0x401, 1,
      string(1, "lockdown") + string(2, "__set%d") + number(4, 2)
        + nest(3, nest(1, nest(1, attribute(1, [0, 22]))))),
    // NFTA_RULE_TABLE, CHAIN, EXPRESSIONS {ELEM {NAME counter, DATA}}.
    message(
      .rule, 6, 0xc01, 2,
      string(1, "lockdown") + string(2, "input") + nest(4, nest(1, string(1, "counter") + nest(2, [])))),
  ]

  static func message(
    _ kind: BundleMessage.Kind, _ type: UInt8, _ flags: UInt16, _ sequence: UInt32, _ attributes: [UInt8],
    family: UInt8 = 1
  ) -> BundleMessage {
    let length = UInt32(20 + attributes.count)
    var bytes: [UInt8] = littleEndian(length)
    bytes += [type, 10]
    bytes += littleEndian(flags)
    bytes += littleEndian(sequence)
    bytes += [0, 0, 0, 0]  // port
    bytes += [family, 0, 0, 0]
    bytes += attributes
    return BundleMessage(kind: kind, bytes: bytes)
  }

  static func attribute(_ number: UInt16, _ payload: [UInt8]) -> [UInt8] {
    var bytes = littleEndian(UInt16(4 + payload.count))
    bytes += littleEndian(number)
    bytes += payload
    while bytes.count % 4 != 0 { bytes.append(0) }
    return bytes
  }

  static func nest(_ number: UInt16, _ payload: [UInt8]) -> [UInt8] { attribute(number | 0x8000, payload) }

  static func string(_ number: UInt16, _ text: String) -> [UInt8] {
    attribute(number, Array(text.utf8) + [0])
  }

  static func number(_ attributeNumber: UInt16, _ value: UInt32) -> [UInt8] {
    attribute(attributeNumber, littleEndian(value).reversed())
  }

  static func littleEndian<Value: FixedWidthInteger & UnsignedInteger>(_ value: Value) -> [UInt8] {
    (0..<MemoryLayout<Value>.size).map { UInt8(truncatingIfNeeded: value >> Value(8 * $0)) }
  }
}
