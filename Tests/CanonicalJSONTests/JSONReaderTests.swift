import CanonicalJSON
import Foundation
import Testing

@Suite struct JSONReaderTests {
  private func read(_ text: String) throws(JSONError) -> JSONValue {
    try JSONValue(parsing: Array(text.utf8))
  }

  @Test func values() throws {
    #expect(
      try read(" { \"a\" : [ 1 , -2 , true , false , null , \"x\" ] , \"b\" : { } , \"c\" : [ ] }\n")
        == ["a": [1, -2, true, false, .null, "x"], "b": [:], "c": []])
    #expect(try read(#""\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00""#) == "\"\\/\u{8}\u{c}\n\r\té😀")
    #expect(try read("9007199254740991") == .integer(9_007_199_254_740_991))
  }

  @Test(arguments: [
    ("", JSONError(.unexpectedEnd, at: 0)), ("{", JSONError(.unexpectedEnd, at: 1)),
    ("[1,]", JSONError(.unexpected, at: 3)), ("{\"a\":1,}", JSONError(.unexpected, at: 7)),
    ("{\"a\" 1}", JSONError(.unexpected, at: 5)), ("[1 2]", JSONError(.unexpected, at: 3)),
    ("{a:1}", JSONError(.unexpected, at: 1)), ("01", JSONError(.unexpected, at: 0)),
    ("-", JSONError(.unexpected, at: 1)), ("1.5", JSONError(.fraction, at: 1)),
    ("1e3", JSONError(.fraction, at: 1)), ("9007199254740992", JSONError(.largeNumber, at: 0)),
    ("99999999999999999999", JSONError(.largeNumber, at: 0)),
    ("{\"a\":1,\"a\":2}", JSONError(.repeatedKey, at: 7)),
    ("{\"\u{e9}\":1}", JSONError(.keyNotASCII, at: 1)), ("\"a", JSONError(.unexpectedEnd, at: 2)),
    ("\"\\x\"", JSONError(.badEscape, at: 1)), ("\"\\ud83d\"", JSONError(.badEscape, at: 1)),
    ("\"\\ude00\"", JSONError(.badEscape, at: 1)), ("\"\\u12\"", JSONError(.badEscape, at: 1)),
    ("\"\t\"", JSONError(.controlCharacter, at: 1)), ("1 x", JSONError(.textBehindValue, at: 2)),
    ("tru", JSONError(.unexpected, at: 0)), ("\"\\", JSONError(.unexpectedEnd, at: 2)),
    (String(repeating: "[", count: 129), JSONError(.tooDeep, at: 128)),
  ])
  func refusals(_ text: String, _ error: JSONError) {
    #expect(throws: error) { try read(text) }
  }

  @Test func notUTF8() {
    #expect(throws: JSONError(.notUTF8, at: 0)) { try JSONValue(parsing: [0x22, 0xff, 0x22]) }
  }

  /// Every text of the official suite that another reader accepts is read as it reads it, or refused for what this type
  /// leaves out; none that must be refused is accepted.
  @Test func officialSuite() throws {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appending(path: "../../../shared/data/json-test-suite")
    guard let walk = FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil) else {
      return
    }
    var accepted = 0
    for case let file as URL in walk where file.pathExtension == "json" {
      let name = file.lastPathComponent
      let bytes = [UInt8](try Data(contentsOf: file))
      do {
        let value = try JSONValue(parsing: bytes)
        accepted += 1
        #expect(!name.hasPrefix("n_"), "\(name)")
        let theirs = try JSONSerialization.jsonObject(with: Data(bytes), options: .fragmentsAllowed)
        let ours = try JSONSerialization.jsonObject(with: Data(value.canonical()), options: .fragmentsAllowed)
        #expect(NSArray(object: theirs).isEqual(NSArray(object: ours)), "\(name)")
      } catch let error as JSONError where name.hasPrefix("y_") {
        #expect([.fraction, .largeNumber, .repeatedKey, .keyNotASCII].contains(error.reason), "\(name)")
      } catch is JSONError {}
    }
    #expect(accepted > 50)
  }
}
