internal import Glibc

/// Why a ruleset could not be encoded, sent, read or decoded.
package enum NFTablesError: Error, Equatable {
  case outOfMemory
  /// A name that is empty, longer than 255 bytes or holds a NUL (NFT_NAME_MAXLEN).
  case invalidName(String)
  /// A comment or log prefix that is too long or holds a NUL.
  case invalidText(String)
  /// Bytes of a register that are none or more than 64 (NFT_DATA_VALUE_MAXLEN), or do not fit their partner.
  case invalidData(owner: String, length: Int)
  /// More than the kernel takes in one rule (NFT_RULE_MAXEXPRS).
  case tooManyExpressions(rule: String, count: Int)
  /// A look-up in an anonymous set that the rule does not have, or in a named set nobody declared.
  case unknownSet(rule: String, name: String)
  /// An expression that was read from a kernel and that we do not know how to write.
  case notEncodable(rule: String, expression: String)
  /// A kernel log level beside a log group: the kernel takes one of them.
  case logLevelAndGroup(rule: String)
  /// An element whose key has another length than its set's keys, or whose bounds are out of order.
  case invalidElement(set: String, index: Int)
  /// Bytes that are not a well-formed message; `offset` counts from the message's first byte.
  case malformed(what: String, offset: Int)
  /// A system call failed.
  case system(call: String, errorNumber: Int32)
  /// The kernel refused a message. `sequence` is the message's, `offset` its offending attribute's, if told.
  case refused(errorNumber: Int32, sequence: UInt32, offset: UInt32?)
  /// Others changed the ruleset during each of our attempts to read it.
  case changedWhileReading(attempts: Int)
  /// No error, and yet the kernel's generation did not move.
  case notCommitted
}

extension NFTablesError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .outOfMemory: "out of memory"
    case .invalidName(let name): "`\(name)` cannot be a kernel name: 1 to 255 bytes, none of them NUL"
    case .invalidText(let text): "`\(text)` is too long for the kernel or holds a NUL"
    case .invalidData(let owner, let length): "\(owner): register data of \(length) bytes"
    case .tooManyExpressions(let rule, let count): "\(rule): \(count) expressions, the kernel takes 128"
    case .unknownSet(let rule, let name): "\(rule): look-up in the unknown set \(name)"
    case .notEncodable(let rule, let name): "\(rule): cannot write the expression `\(name)`"
    case .logLevelAndGroup(let rule): "\(rule): log level and log group exclude each other"
    case .invalidElement(let set, let index): "set \(set): element \(index) does not fit the key type"
    case .malformed(let what, let offset): "malformed \(what) at byte \(offset)"
    case .system(let call, let errorNumber): "\(call): \(Self.text(ofError: errorNumber))"
    case .refused(let errorNumber, let sequence, let offset):
      "the kernel refused message \(sequence): \(Self.text(ofError: errorNumber))"
        + (offset.map { ", attribute at byte \($0)" } ?? "")
    case .changedWhileReading(let attempts): "the ruleset changed during \(attempts) attempts to read it"
    case .notCommitted: "the kernel answered without an error and changed nothing"
    }
  }

  /// What errno(3) means, with its number: texts of C libraries differ.
  private static func text(ofError number: Int32) -> String {
    // In the C locale, which is the one of a program that never calls setlocale.
    guard let text = unsafe strerror(number) else { return "error \(number)" }
    return unsafe "\(String(cString: text)) (error \(number))"
  }
}
