package import Ruleset

/// A table as messages describe it: read from the kernel, or taken from a stored batch.
package struct DumpedTable: Sendable, Equatable {
  package var family: TableFamily
  package var name: String
  /// NFT_TABLE_F_*: 1 dormant, 2 owner, 4 persist.
  package var flags: UInt32
  package var comment: String?
  /// Sorted by name.
  package var objects: [DumpedObject] = []
  /// Named sets, sorted by name.
  package var sets: [DumpedSet] = []
  /// As the kernel lists them: in the order of their creation.
  package var chains: [DumpedChain] = []

  package init(family: TableFamily, name: String, flags: UInt32, comment: String?) {
    self.family = family
    self.name = name
    self.flags = flags
    self.comment = comment
  }
}

/// A stateful object.
package struct DumpedObject: Sendable, Equatable {
  package var name: String
  /// NFT_OBJECT_*: 1 counter, 2 quota, 3 ct helper, 4 limit, …
  package var type: UInt32
  package var comment: String?
  package var label: [UInt8]
  /// NFTA_OBJ_DATA of anything but a counter, whose values are state.
  package var data: [UInt8]
}

package struct DumpedChain: Sendable, Equatable {
  package var name: String
  /// Nil for a regular chain, and for a base chain of a type or on a device that we never write.
  package var base: BaseHook?
  /// Whether it hangs on a hook, known to us or not.
  package var isBase: Bool
  package var rules: [DumpedRule] = []
}

package struct DumpedRule: Sendable, Equatable {
  package var chain: String
  /// The kernel's number of the rule; 0 in a message that was not sent yet.
  package var handle: UInt64
  /// nlmsg_seq of a stored message: index of the source item. 0 in dumps.
  package var source: UInt32
  package var comment: String?
  /// Bytes of the private userdata record 0x80; empty: none.
  package var label: [UInt8]
  /// Anonymous sets, in the order of their first look-up; `SetReference.anonymous` is an index into them.
  package var anonymousSets: [DumpedSet]
  package var expressions: [Expression]
}

package struct DumpedSet: Sendable, Equatable {
  /// Nil: anonymous. The kernel's `__set0` is nothing to compare.
  package var name: String?
  /// NFT_SET_*.
  package var flags: UInt32
  /// nft's number of the key type; 0 if there is none.
  package var keyTypeNumber: UInt32
  /// Bytes.
  package var keyLength: UInt32
  /// NFTA_SET_DATA_TYPE and NFTA_SET_DATA_LEN of a map; nil in a set.
  package var dataTypeNumber: UInt32?
  package var dataLength: UInt32?
  /// NFTA_SET_DESC_SIZE; nil: unlimited.
  package var size: UInt32?
  /// NFTA_SET_TIMEOUT in milliseconds; nil: elements stay.
  package var timeout: UInt64?
  package var comment: String?
  package var label: [UInt8]
  /// In ascending order. In an interval set the edges are joined to ranges again. None of a set that is filled while
  /// it is there: they are state.
  package var elements: [KernelSet.Element]
  /// Elements with more than a key and data (timeout, expressions), as the bytes of their attributes.
  package var otherElements: [[UInt8]]
  /// Where there are such: all elements, of those without what says nothing about packets, comments and counters. Nil:
  /// one has more.
  package var plainElements: [KernelSet.Element]?
  /// Numbers of the set's own attributes that we never write, as timeout.
  package var otherAttributes: [UInt16]

  /// Nil for a type that we never write.
  package var keyType: KernelSet.KeyType? { KernelSet.KeyType(number: keyTypeNumber, length: keyLength) }
}
