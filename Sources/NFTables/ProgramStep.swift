/// What one expression of a rule's program does, as its bytes say.
///
/// Plain bytes: programs of many thousand rules are read into one list of these, and nothing is made for each.
package struct ProgramStep: Sendable, Equatable {
  package enum Action: UInt8, Sendable {
    /// `key` is an NFT_META_*.
    case loadMeta
    /// `key` is the base; `offset` and `length` in bytes.
    case loadPayload
    /// `key` is an NFT_CT_*.
    case loadConntrack
    /// Only the bits of `lower` are kept, of `length` bytes.
    case mask
    /// With `lower`, of `length` bytes; `key` is an NFT_CMP_*.
    case compare
    /// From `lower` to `upper`, both inside.
    case range
    /// In the set of the number `key` in the batch; 0: of the name.
    case lookup
    case count
    /// `key` is the type, `lower` the code.
    case reject
    /// `key` is the number of the verdict, `nameLength` 0 where it leads to no chain.
    case verdict
  }

  package var action: Action
  package var isNegated = false
  package var register: UInt32 = 0
  package var key: UInt32 = 0
  package var offset: UInt32 = 0
  package var length: UInt32 = 0
  /// Bytes as a number, the first of them the most significant.
  package var lower: UInt128 = 0
  package var upper: UInt128 = 0
  /// Where in the message a name of a set or a chain stands, without its NUL.
  package var nameStart = 0
  package var nameLength = 0

  init(_ action: Action) { self.action = action }
}
