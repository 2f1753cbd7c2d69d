import BundleFormat
import Testing

/// What a bundle's messages may not be, whatever its checksum says.
@Suite struct MessageCheckTests {
  typealias Sample = SampleBundle

  struct Case: CustomTestStringConvertible {
    var what: String
    var reason: BundleError.Reason
    var messages: [BundleMessage]

    var testDescription: String { what }
  }

  static let table = Sample.messages[0]
  static let name = Sample.string(1, "lockdown")

  static let cases: [Case] = [
    Case(
      what: "a table of another name", reason: .foreignTable,
      messages: [Sample.message(.table, 0, 0x401, 0, Sample.string(1, "filter"))]),
    Case(
      what: "a chain in another table", reason: .foreignTable,
      messages: [
        table, Sample.message(.chain, 3, 0x401, 0, Sample.string(1, "filter") + Sample.string(3, "a")),
      ]),
    Case(
      what: "a table name that only begins like ours", reason: .foreignTable,
      messages: [Sample.message(.table, 0, 0x401, 0, Sample.string(1, "lockdown2"))]),
    Case(
      what: "the table attribute twice", reason: .duplicateAttribute,
      messages: [
        table, Sample.message(.chain, 3, 0x401, 0, name + Sample.string(3, "a") + Sample.string(1, "filter")),
      ]),
    Case(
      what: "a deletion", reason: .badMessageType,
      messages: [Sample.message(.table, 2, 0x401, 0, name)]),
    Case(
      what: "a message of another subsystem", reason: .badMessageType,
      messages: [
        {
          var message = table
          message.bytes[5] = 1
          return message
        }()
      ]),
    Case(
      what: "another family", reason: .badMessageFamily,
      messages: [Sample.message(.table, 0, 0x401, 0, name, family: 2)]),
    Case(
      what: "a replacement", reason: .badMessageFlags,
      messages: [Sample.message(.table, 0, 0x501, 0, name)]),
    Case(
      what: "a request for an acknowledgement", reason: .badMessageFlags,
      messages: [Sample.message(.table, 0, 0x405, 0, name)]),
    Case(
      what: "a rule that is put in front", reason: .badMessageFlags,
      messages: [table, Sample.message(.rule, 6, 0x401, 0, name + Sample.string(2, "input"))]),
    Case(
      what: "a rule by handle", reason: .attributeNotAllowed,
      messages: [
        table, Sample.message(.rule, 6, 0xc01, 0, name + Sample.string(2, "input") + Sample.number(3, 1)),
      ]),
    Case(
      what: "a source beyond the list", reason: .unknownSource,
      messages: [Sample.message(.table, 0, 0x401, 3, name)]),
    Case(
      what: "no name", reason: .missingAttribute,
      messages: [table, Sample.message(.chain, 3, 0x401, 0, name)]),
    Case(
      what: "an empty name", reason: .badName,
      messages: [table, Sample.message(.chain, 3, 0x401, 0, name + Sample.string(3, ""))]),
    Case(
      what: "a name with a zero byte inside", reason: .badName,
      messages: [table, Sample.message(.chain, 3, 0x401, 0, name + Sample.string(3, "a\0b"))]),
    Case(
      what: "a base chain without a hook", reason: .kindMismatch,
      messages: [table, Sample.message(.baseChain, 3, 0x401, 0, name + Sample.string(3, "input"))]),
    Case(
      what: "a regular chain with a hook", reason: .attributeNotAllowed,
      messages: [
        table,
        Sample.message(
          .chain, 3, 0x401, 0, name + Sample.string(3, "input") + Sample.nest(4, Sample.number(1, 1))),
      ]),
    Case(
      what: "an attribute longer than its nest", reason: .badAttribute,
      messages: [
        table,
        Sample.message(
          .rule, 6, 0xc01, 0, name + Sample.string(2, "input") + Sample.nest(4, [40, 0, 1, 0x80, 0, 0, 0, 0])),
      ]),
    Case(what: "no table first", reason: .badMessageOrder, messages: [Sample.messages[1]]),
    Case(what: "the table twice", reason: .badMessageOrder, messages: [table, table]),
    Case(
      what: "a chain behind a rule", reason: .badMessageOrder,
      messages: [table, Sample.messages[1], Sample.messages[8], Sample.messages[2]]),
    Case(
      what: "elements without their set", reason: .badMessageOrder,
      messages: [table, Sample.messages[5]]),
    Case(
      what: "an anonymous set without its rule", reason: .badMessageOrder,
      messages: [table, Sample.messages[6], Sample.messages[7]]),
    Case(
      what: "an anonymous set listed as a named one", reason: .kindMismatch,
      messages: [table, BundleMessage(kind: .set, bytes: Sample.messages[6].bytes)]),
    Case(
      what: "a length that is no multiple of four", reason: .badMessageFrame,
      messages: [
        {
          var message = table
          message.bytes[0] += 1
          return message
        }()
      ]),
  ]

  @Test(arguments: cases) func refused(_ example: Case) {
    var contents = SampleBundle.contents
    contents.messages = example.messages
    let bytes = contents.encoded()
    let error = #expect(throws: BundleError.self) { try BundleReader(bytes) }
    #expect(error?.reason == example.reason)
    #expect(error?.section == .messages)
  }

  @Test(arguments: [
    "/net/x", "net//x", "net/../x", "net/./x", "net/ipv4/", "..", "", "net/*", "net/a*/x", "net/*/x/*/y",
  ])
  func sysctlPathsThatLeaveTheirFolderAreRefused(_ path: String) {
    var contents = SampleBundle.contents
    contents.sysctls[0].path = Array(path.utf8)
    let bytes = contents.encoded()
    let error = #expect(throws: BundleError.self) { try BundleReader(bytes) }
    #expect(error?.section == .sysctls)
  }

  @Test(arguments: ["tmp", "/tmp/", "//", "/tmp/../etc", "/./tmp", ""])
  func mountPathsThatAreNotPlainAreRefused(_ path: String) {
    var contents = SampleBundle.contents
    contents.mounts[0].path = Array(path.utf8)
    let bytes = contents.encoded()
    let error = #expect(throws: BundleError.self) { try BundleReader(bytes) }
    #expect(error?.section == .mounts)
  }

  @Test func theRootIsAMount() throws {
    var contents = SampleBundle.contents
    contents.mounts[0].path = Array("/".utf8)
    #expect(try BundleContents.read(contents.encoded()) == contents)
  }

  @Test func aMountFlagIsNotSetAndClearedAtOnce() {
    var contents = SampleBundle.contents
    contents.mounts[0].attributesCleared = 0x2
    let bytes = contents.encoded()
    #expect(throws: BundleError.self) { try BundleReader(bytes) }
  }
}
