import PolicyModel
import Ruleset

/// What a register holds: bytes of a packet or of what the kernel knows about it, or a constant.
enum RegisterContent: Equatable {
  case field(LoadedField)
  case constant([UInt8])
  /// By the destination port: an address of so many bytes, and a port in the word behind it.
  case targets([PortTarget], width: Int)
  /// Nobody knows what, and why not.
  case unknown(String)
}

/// A value as loaded, before it is compared.
struct LoadedField: Equatable {
  enum Source: Equatable {
    case meta(Expression.MetaKey)
    /// NFT_META_PROTOCOL: the protocol in the frame, as EtherType.
    case linkProtocol
    case payload(Expression.PayloadBase, offset: Int)
    case conntrack(Expression.ConntrackKey)
    case fib(Expression.FIBResult, flags: UInt32)
    case extensionHeader(type: UInt8, offset: Int)
    case route(Expression.RouteKey)
    case controlGroup(level: UInt32)
  }

  var source: Source
  /// Bytes.
  var length: Int
  /// Of the bits that were kept; nil: all.
  var mask: [UInt8]?
  /// Bits that were turned over behind the mask; nil: none.
  var flipped: [UInt8]?
  /// Whether bytes of a number in host order were turned round, so that greater numbers are greater bytes.
  var isTurned = false

  init(_ source: Source, length: Int) {
    self.source = source
    self.length = length
  }

  /// Whether the register holds the number with its least byte first.
  var isLittleEndian: Bool {
    guard !isTurned, length > 1 else { return false }
    return switch source {
    case .meta(.inputInterfaceName), .meta(.outputInterfaceName), .linkProtocol, .payload, .extensionHeader,
      .route:
      false
    case .meta, .conntrack, .fib, .controlGroup: true
    }
  }
}

/// The registers of one rule, in words of 4 bytes.
struct Registers {
  /// A few, each with its first word and how many it has.
  private var contents: [(word: Int, words: Int, content: RegisterContent)] = []

  // Registers 1–4 are 16 bytes, 8–23 are 4 (linux/netfilter/nf_tables.h); 0 takes a verdict.
  static func word(_ register: UInt32) -> Int {
    register < 8 ? (Int(register) - 1) * 4 : Int(register) - 8
  }

  private static func words(_ bytes: Int) -> Int { max(1, (bytes + 3) / 4) }

  subscript(_ register: UInt32) -> RegisterContent? { content(Self.word(register)) }

  private func content(_ word: Int) -> RegisterContent? {
    contents.first { $0.word == word }?.content ?? forgotten.map { .unknown($0) }
  }

  /// Why nothing is known of registers that nothing known was written to.
  private var forgotten: String?

  /// Something was written, and nobody knows what and where.
  mutating func forget(because reason: String) {
    contents = []
    forgotten = reason
  }

  /// Bytes that are constant, a part of what was written together as well.
  func constant(_ register: UInt32, _ count: Int) -> [UInt8]? {
    let word = Self.word(register)
    for written in contents where written.word <= word && word < written.word + written.words {
      guard case .constant(let bytes) = written.content else { return nil }
      let start = (word - written.word) * 4
      return start + count <= bytes.count ? Array(bytes[start..<start + count]) : nil
    }
    return nil
  }

  /// What was there before, in whole or in part, is gone.
  mutating func store(_ content: RegisterContent, bytes: Int, _ register: UInt32) {
    let (word, words) = (Self.word(register), Self.words(bytes))
    contents.removeAll { $0.word < word + words && $0.word + $0.words > word }
    contents.append((word, words, content))
  }

  /// The fields that a key of so many bytes is made of.
  func key(_ register: UInt32, length: Int) throws(LiftError) -> [LoadedField] {
    var fields: [LoadedField] = []
    var word = Self.word(register)
    var left = length
    while left > 0 {
      switch content(word) {
      case .field(let field)?: fields.append(field)
      case .unknown(let reason)?: throw LiftError(reason)
      default: throw LiftError("a look-up of what no expression has loaded")
      }
      let field = fields[fields.count - 1]
      let count = Self.words(field.length)
      word += count
      // A key of one field has no padding.
      left -= fields.count == 1 && field.length == length ? length : count * 4
    }
    guard left == 0 else { throw LiftError("a look-up of another length than what was loaded") }
    return fields
  }
}
