import CanonicalJSON
import Diagnostics
import Testing

@Suite struct JSONRendererTests {
  @Test func nothingIsLeftOut() {
    let source = MarkedSource(path: "a.cos", "é: «no»\nb: «1\n2»\n")
    let value = JSONRenderer(files: source.files).render([
      Diagnostic(
        .needsQuotes, .warning, at: source.spans[0], "message", label: "label",
        related: [.init(source.spans[1], "related")], help: ["help"],
        fixIts: [FixIt("quote it", replace: source.spans[0], with: "\"no\"")])
    ])
    #expect(
      String(decoding: value.pretty(), as: UTF8.self)
        == #"""
        [
          {
            "fix-its": [
              {
                "message": "quote it",
                "place": {
                  "column": 4,
                  "end-column": 6,
                  "end-line": 1,
                  "end-offset": 6,
                  "file": "a.cos",
                  "line": 1,
                  "start-offset": 4
                },
                "replacement": "\"no\""
              }
            ],
            "help": ["help"],
            "id": "syntax/needs-quotes",
            "label": "label",
            "message": "message",
            "place": {
              "column": 4,
              "end-column": 6,
              "end-line": 1,
              "end-offset": 6,
              "file": "a.cos",
              "line": 1,
              "start-offset": 4
            },
            "related": [
              {
                "message": "related",
                "place": {
                  "column": 4,
                  "end-column": 2,
                  "end-line": 3,
                  "end-offset": 13,
                  "file": "a.cos",
                  "line": 2,
                  "start-offset": 10
                }
              }
            ],
            "severity": "warning"
          }
        ]

        """#)
  }

  @Test func withoutPlace() {
    let value = JSONRenderer(files: SourceFiles()).render(Diagnostic(.fileUnreadable, at: nil, "gone"))
    #expect(value["place"] == .null)
    #expect(value["severity"] == "error")
  }
}
