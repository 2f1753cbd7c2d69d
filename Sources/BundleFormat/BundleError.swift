/// Why bytes are not a bundle, and where.
package struct BundleError: Error, Equatable, Sendable {
  package enum Reason: UInt8, Sendable {
    case truncated
    case tooLong
    case notABundle
    case unknownVersion
    case otherByteOrder
    case otherArchitecture
    case trailingBytes
    case checksumMismatch
    case reservedNotZero
    case badSectionTable
    case paddingNotZero
    case badText
    case badValue
    case badPath
    case unknownSource
    case countMismatch
    case badMessageFrame
    case badMessageType
    case badMessageFlags
    case badMessageFamily
    case badAttribute
    case duplicateAttribute
    case attributeNotAllowed
    case missingAttribute
    case foreignTable
    case badName
    case kindMismatch
    case badMessageOrder
    case badFilter
    case badProgram

    /// Lower case, without a full stop.
    package var text: StaticString {
      switch self {
      case .truncated: "it ends too early"
      case .tooLong: "it is longer than 1 GiB"
      case .notABundle: "it does not begin like a bundle"
      case .unknownVersion: "its format version is not known"
      case .otherByteOrder: "it is for machines of the other byte order"
      case .otherArchitecture: "it is for another architecture"
      case .trailingBytes: "its length is not the one it states"
      case .checksumMismatch: "its checksum is wrong: it was damaged or changed"
      case .reservedNotZero: "a reserved field is not zero"
      case .badSectionTable: "the section table does not describe the file"
      case .paddingNotZero: "padding is not zero"
      case .badText: "a text is empty or has a control character"
      case .badValue: "a number is not one of those defined"
      case .badPath: "a path is not in its plain form"
      case .unknownSource: "a source number is beyond the list of sources"
      case .countMismatch: "the section does not hold as many entries as the table says"
      case .badMessageFrame: "a message's length is wrong"
      case .badMessageType: "a message does not add something to nf_tables"
      case .badMessageFlags: "a message has other flags than those of its kind"
      case .badMessageFamily: "a message is not of family inet"
      case .badAttribute: "an attribute's length is wrong"
      case .duplicateAttribute: "an attribute stands twice"
      case .attributeNotAllowed: "an attribute has no place in its message"
      case .missingAttribute: "a message lacks an attribute"
      case .foreignTable: "a message names another table than its own"
      case .badName: "a name is empty or not ended by one zero byte"
      case .kindMismatch: "a message is not of the kind listed for it"
      case .badMessageOrder: "messages are not in the order of a fresh batch"
      case .badFilter: "an instruction of the filter is none the kernel takes"
      case .badProgram: "a program has no whole instructions, or too many"
      }
    }
  }

  package var section: BundleSection
  /// 0-based, from the start of the file, in bytes.
  package var offset: Int
  package var reason: Reason

  package init(_ section: BundleSection, at offset: Int, _ reason: Reason) {
    self.section = section
    self.offset = offset
    self.reason = reason
  }
}
