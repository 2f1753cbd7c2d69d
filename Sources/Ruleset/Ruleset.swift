/// nftables as data: what one policy puts into the kernel, in the kernel's own terms.
package struct Ruleset: Sendable, Equatable {
  /// Own tables only: `inet lockdown`, or `inet lockdown-closed`.
  package var tables: [Table]

  package init(tables: [Table]) {
    self.tables = tables
  }
}

package enum TableFamily: UInt8, Sendable {
  // Values of linux/netfilter.h NFPROTO_*.
  case inet = 1
  case ipv4 = 2
  case arp = 3
  case netdev = 5
  case bridge = 7
  case ipv6 = 10
}

package struct Table: Sendable, Equatable {
  package var family: TableFamily
  package var name: String
  /// What nft prints as its comment; now always `lockdown`. Names no policy: the kernel never changes it.
  package var comment: String?
  /// Sorted by name.
  package var objects: [NamedObject]
  /// Named sets, sorted by name.
  package var sets: [KernelSet]
  /// Base chains in hook order, then the policy's regular chains by name, then generated ones in the order of
  /// first use.
  package var chains: [Chain]
  /// Base chains that are bound to a device each, and lead to one of `chains`. Older kernels refuse them, and all
  /// that is sent with them, where the device is missing: they are sent apart, late, when it is there.
  package var deviceChains: [Chain]
  /// Elements of `sets` whose keys are not known yet, sorted by set and path.
  package var lateElements: [LateElement]

  package init(
    family: TableFamily, name: String, comment: String? = "lockdown", objects: [NamedObject],
    sets: [KernelSet], chains: [Chain], deviceChains: [Chain] = [], lateElements: [LateElement] = []
  ) {
    self.family = family
    self.name = name
    self.comment = comment
    self.objects = objects
    self.sets = sets
    self.chains = chains
    self.deviceChains = deviceChains
    self.lateElements = lateElements
  }
}

/// The number of a control group that a set takes when the group is there.
package struct LateElement: Sendable, Equatable {
  package var set: String
  /// Below the root of the hierarchy.
  package var path: String
  /// Id of the first rule that looks the set up.
  package var ruleID: String

  package init(set: String, path: String, ruleID: String) {
    self.set = set
    self.path = path
    self.ruleID = ruleID
  }
}

/// A stateful object that rules use by name; now always a counter.
package struct NamedObject: Sendable, Equatable {
  package var name: String
  /// What nft prints as its comment.
  package var comment: String?
  /// Bytes of the private userdata TLV 0x80; empty: none.
  package var label: [UInt8]

  package init(name: String, comment: String?, label: [UInt8]) {
    self.name = name
    self.comment = comment
    self.label = label
  }
}

package struct Chain: Sendable, Equatable {
  package var name: String
  /// Nil for a regular chain.
  package var base: BaseHook?
  package var rules: [KernelRule]

  package init(name: String, base: BaseHook?, rules: [KernelRule]) {
    self.name = name
    self.base = base
    self.rules = rules
  }
}

package struct BaseHook: Sendable, Equatable {
  package enum ChainType: String, Sendable {
    case filter
    case nat
    case route
  }

  package var type: ChainType
  /// linux/netfilter.h NF_INET_*: 0 prerouting, 1 input, 2 forward, 3 output, 4 postrouting, 5 ingress.
  package var hook: UInt32
  package var priority: Int32
  /// The kernel's policy: true accepts.
  package var accepts: Bool
  /// Of the ingress hook: the device whose packets it sees.
  package var device: String?

  package init(type: ChainType, hook: UInt32, priority: Int32, accepts: Bool, device: String? = nil) {
    self.type = type
    self.device = device
    self.hook = hook
    self.priority = priority
    self.accepts = accepts
  }
}

/// One rule as the kernel holds it.
package struct KernelRule: Sendable, Equatable {
  /// Id of the policy rule it comes from.
  package var id: String
  /// Which of the kernel rules of that policy rule this is, from 0.
  package var part: UInt8
  /// What nft prints as its comment, at most 127 bytes.
  package var comment: String?
  /// Bytes of the private userdata TLV 0x80: 7 of the id's SHA-256, then the part; empty: none.
  package var label: [UInt8]
  /// Anonymous constant sets its look-ups use, by their index in this list.
  package var anonymousSets: [KernelSet]
  package var statements: [RuleStatement]

  package init(
    id: String, part: UInt8, comment: String?, label: [UInt8], anonymousSets: [KernelSet],
    statements: [RuleStatement]
  ) {
    self.id = id
    self.part = part
    self.comment = comment
    self.label = label
    self.anonymousSets = anonymousSets
    self.statements = statements
  }
}

/// A set of the kernel, named or anonymous: constant, or filled while it is there.
///
/// Elements are ranges of keys, whatever the kernel's form. Who encodes one for the kernel turns a range of
/// an interval set into its edges: the start, and the key after the end with NFT_SET_ELEM_INTERVAL_END
/// (none after the last key of all), led by an end at zero unless a range starts there. A concatenation of
/// ranges instead keeps its ranges, as key and key end.
package struct KernelSet: Sendable, Equatable {
  /// What the keys are. The kernel holds the number opaque; nft prints by it.
  package enum KeyType: Sendable, Equatable {
    /// NFPROTO_*.
    case family
    case ipv4Address
    case ipv6Address
    case inetProtocol
    case inetService
    case interfaceName
    case conntrackState
    case icmpType
    case icmpCode
    case icmpv6Type
    case icmpv6Code
    case uid
    case gid
    case fibAddressType
    case mark
    /// Code points times 4, one byte.
    case dscp
    /// Code points times 64, two bytes.
    case ipv6DSCP
    case timeToLive
    case packetLength
    case packetType
    case linkAddress
    case day
    /// The number of a directory of the cgroup file system, as name_to_handle_at(2) gives it: 8 bytes.
    case controlGroup
    /// `meta l4proto . th dport` and the like: each field padded to 4 bytes.
    case concatenation([KeyType])
  }

  /// What a map's elements hold beside their keys.
  package enum DataType: Sendable, Equatable {
    case verdict
    case value(KeyType)
  }

  package enum ElementData: Sendable, Hashable {
    case verdict(KernelVerdict)
    /// Register bytes.
    case value([UInt8])
  }

  /// Nil: anonymous.
  package var name: String?
  package var keyType: KeyType
  /// Nil: a set and no map.
  package var dataType: DataType?
  /// Whether elements are ranges of keys.
  package var isInterval: Bool
  /// Key bytes as in the register at the look-up; ascending, disjoint. In a plain set `lower == upper`.
  /// So ids, marks, lengths and states, which are in host order, are little-endian; in an interval set they
  /// are big-endian, for the rule turns the register round first.
  package var elements: ElementList
  package var comment: String?
  /// Nil: constant. Otherwise the elements, if any, are what it holds at first, each for the set's own time.
  package var filling: Filling?

  /// How elements come to a set that is not constant, and how long they stay.
  package struct Filling: Sendable, Equatable {
    /// Whether rules make elements, or other programs.
    package var isByRules: Bool
    package var size: UInt32
    /// Whether an element may have an end.
    package var hasTimeouts: Bool
    /// Seconds, for elements that come without a time of their own; nil: for good.
    package var timeout: UInt64?
    /// What rules give each element. One that is there keeps what it was made with, so that another state needs
    /// another set.
    package var state: ElementState?
    /// The bits of an address that rules put in; nil: all. Others are others' elements.
    package var prefix: [UInt8]?

    package init(
      isByRules: Bool, size: UInt32, hasTimeouts: Bool, timeout: UInt64?, state: ElementState? = nil,
      prefix: [UInt8]? = nil
    ) {
      self.isByRules = isByRules
      self.size = size
      self.hasTimeouts = hasTimeouts
      self.timeout = timeout
      self.state = state
      self.prefix = prefix
    }
  }

  package struct Element: Sendable, Equatable, Hashable {
    package var lower: [UInt8]
    package var upper: [UInt8]
    /// Of a map; nil in a set.
    package var data: ElementData?

    package init(_ lower: [UInt8], _ upper: [UInt8], data: ElementData? = nil) {
      self.lower = lower
      self.upper = upper
      self.data = data
    }
  }

  /// A set that is filled while it is there.
  package init(name: String, keyType: KeyType, filling: Filling) {
    self.init(name: name, keyType: keyType, isInterval: false, elements: ElementList([]))
    self.filling = filling
  }

  package init(
    name: String?, keyType: KeyType, isInterval: Bool, dataType: DataType? = nil, elements: [Element],
    comment: String? = nil
  ) {
    self.init(
      name: name, keyType: keyType, isInterval: isInterval, dataType: dataType,
      elements: ElementList(elements), comment: comment)
  }

  package init(
    name: String?, keyType: KeyType, isInterval: Bool, dataType: DataType? = nil, elements: ElementList,
    comment: String? = nil
  ) {
    self.name = name
    self.keyType = keyType
    self.dataType = dataType
    self.isInterval = isInterval
    self.elements = elements
    self.comment = comment
  }
}

/// Where a look-up finds its set.
package enum SetReference: Sendable, Equatable {
  case named(String)
  /// Index into the rule's `anonymousSets`.
  case anonymous(Int)
}
