/// One finished nf_tables message: nlmsghdr, nfgenmsg, attributes, padding.
package struct EncodedMessage: Sendable, Equatable {
  package enum Kind: Sendable {
    case table
    case baseChain
    case chain
    case object
    case set
    case elements
    /// A set of the rule that follows.
    case anonymousSet
    case anonymousElements
    case rule
  }

  package var kind: Kind
  /// Its length is a multiple of 4 and equals nlmsg_len.
  package var bytes: [UInt8]

  package init(kind: Kind, bytes: [UInt8]) {
    self.kind = kind
    self.bytes = bytes
  }
}
