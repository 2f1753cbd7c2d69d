import Diagnostics
import Testing

@Suite struct PlainRendererTests {
  private static let start = "policy: web\nlanguage: 1\n"

  @Test func placeReasonAndHelp() {
    let source = MarkedSource(
      path: "policies/web.cos",
      "policy: web\nlanguage: 1\ntarget:\n  kernel: \"6.1\"\n\nfirewall:\n  input:\n    policy: drop\n    rules:\n"
        + "      - replies: accept established, related\n\n    - accept tcp «htps»\n")
    #expect(
      source.render(
        Diagnostic(
          .unknownService, at: source.spans[0], "unknown service `htps`",
          label: "not a port, range or known service", help: ["did you mean `https` (443)?"]))
          == """
          error[firewall/unknown-service]: unknown service `htps`
            --> policies/web.cos:12:18
             |
          12 |     - accept tcp htps
             |                  ^^^^ not a port, range or known service
             = help: did you mean `https` (443)?

          """)
  }

  @Test func relatedPlacesNearAndFar() {
    let source = MarkedSource(
      path: "a.cos", "«policy»: web\nlanguage: 1\nsysctl:\n  «a»: 1\n  b: 2\n  «a»: 3\n")
    #expect(
      source.render(
        Diagnostic(
          .duplicateKey, at: source.spans[2], "key `a` is there twice", label: "again",
          related: [.init(source.spans[1], "first"), .init(source.spans[0], "in this policy")]))
          == """
          error[syntax/duplicate-key]: key `a` is there twice
           --> a.cos:6:3
            |
          1 | policy: web
            | ------ in this policy
          ...
          4 |   a: 1
            |   - first
          ...
          6 |   a: 3
            |   ^ again

          """)
  }

  @Test func relatedPlaceInAnotherFile() {
    var source = MarkedSource(path: "child.cos", "extends: base.cos\nx: «1»\n")
    source.add(path: "base.cos", "one\ntwo\nthree\nx: «2»\n")
    #expect(
      source.render(
        Diagnostic(
          .sysctlConflict, .warning, at: source.spans[0], "two values",
          related: [.init(source.spans[1], "the other")]))
          == """
          warning[sysctl/conflict]: two values
           --> child.cos:2:4
            |
          2 | x: 1
            |    ^
           ::: base.cos:4:4
            |
          4 | x: 2
            |    - the other

          """)
  }

  @Test func twoMarksOnOneLine() {
    let source = MarkedSource(path: "a.cos", "- accept «tcp 22» «tcp 23»\n")
    #expect(
      source.render(
        Diagnostic(
          .ruleSecondClause, at: source.spans[1], "two", label: "second",
          related: [.init(source.spans[0], "first")]))
          == """
          error[rule/second-clause]: two
           --> a.cos:1:17
            |
          1 | - accept tcp 22 tcp 23
            |          ------ first
            |                 ^^^^^^ second

          """)
  }

  @Test func spanOverFewAndManyLines() {
    let few = MarkedSource(path: "a.cos", "x: «[1,\n   2,\n   3]»\n")
    #expect(
      few.render(Diagnostic(.wrongType, at: few.spans[0], "a list", label: "this"))
        == """
        error[syntax/wrong-type]: a list
         --> a.cos:1:4
          |
        1 | x: [1,
          |    ^^^
        2 |    2,
          |    ^^
        3 |    3]
          |    ^^ this

        """)
    let many = MarkedSource(path: "a.cos", "x: «[1,\n 2,\n 3,\n 4,\n 5]»\n")
    #expect(
      many.render(Diagnostic(.wrongType, at: many.spans[0], "a list", label: "this"))
        == """
        error[syntax/wrong-type]: a list
         --> a.cos:1:4
          |
        1 | x: [1,
          |    ^^^
        ...
        5 |  5]
          |  ^^ this

        """)
  }

  @Test func tabsAndWideText() {
    let tab = MarkedSource(path: "a.cos", "x:«\t»1 # \té\n")
    #expect(
      tab.render(Diagnostic(.tab, at: tab.spans[0], "tab"))
        == """
        error[syntax/tab]: tab
         --> a.cos:1:3
          |
        1 | x:    1 #     é
          |   ^^^^

        """)
    // Two columns each for the ideographs and the emoji, none for the combining accent.
    let wide = MarkedSource(path: "a.cos", "# 日本 🔒 e\u{301} «abc»\n")
    #expect(
      wide.render(Diagnostic(.unexpected, at: wide.spans[0], "abc"))
        == """
        error[syntax/unexpected]: abc
         --> a.cos:1:11
          |
        1 | # 日本 🔒 e\u{301} abc
          |             ^^^

        """)
  }

  @Test func nothingReachesTheTerminalAsACommand() {
    let source = MarkedSource(path: "a\u{1b}[2J.cos", "# \u{202e}«\u{1b}»[31m\n")
    #expect(
      source.render(
        Diagnostic(.forbiddenCharacter, at: source.spans[0], "`\u{7}` here", help: ["first\nsecond\u{200b}"]))
          == """
          error[syntax/forbidden-character]: `<U+0007>` here
           --> a<U+001B>[2J.cos:1:4
            |
          1 | # <U+202E><U+001B>[31m
            |           ^^^^^^^^
            = help: first
                    second<U+200B>

          """)
  }

  @Test func damagedUTF8() {
    var files = SourceFiles()
    let file = files.add(path: "a.cos", bytes: [0x61, 0xff, 0xc3, 0x28, 0x0a])
    #expect(
      PlainRenderer(files: files).render(Diagnostic(.notUTF8, at: SourceSpan(file.id, 2, 3), "not UTF-8"))
        == """
        error[syntax/not-utf8]: not UTF-8
         --> a.cos:1:3
          |
        1 | a<FF><C3>(
          |      ^^^^

        """)
  }

  @Test func endOfLineAndEndOfFile() {
    let line = MarkedSource(path: "a.cos", "a:«»\r\nb: 1\r\n")
    #expect(
      line.render(Diagnostic(.emptyValue, at: line.spans[0], "no value", label: "here"))
        == """
        error[syntax/empty-value]: no value
         --> a.cos:1:3
          |
        1 | a:
          |   ^ here

        """)
    let file = MarkedSource(path: "a.cos", "«»")
    #expect(
      file.render(Diagnostic(.emptyDocument, at: file.spans[0], "empty"))
        == """
        error[syntax/empty-document]: empty
         --> a.cos:1:1
          |
        1 |
          | ^

        """)
    let lineEnd = MarkedSource(path: "a.cos", "a: 1«\n»b: 2\n")
    #expect(
      lineEnd.render(Diagnostic(.unexpected, at: lineEnd.spans[0], "line end"))
        == """
        error[syntax/unexpected]: line end
         --> a.cos:1:5
          |
        1 | a: 1
          |     ^

        """)
  }

  @Test func longLinesAreCutAroundTheSpan() {
    let source = MarkedSource(
      path: "a.cos", String(repeating: "a", count: 200) + "«bcd»" + String(repeating: "e", count: 300) + "\n")
    #expect(
      source.render(Diagnostic(.unexpected, at: source.spans[0], "long", label: "here"))
        == """
        error[syntax/unexpected]: long
         --> a.cos:1:201
          |
        1 | …\(String(repeating: "a", count: 40))bcd\(String(repeating: "e", count: 97))…
          |  \(String(repeating: " ", count: 40))^^^ here

        """)
  }

  @Test func withoutPlace() {
    #expect(
      PlainRenderer(files: SourceFiles()).render(
        Diagnostic(.fileUnreadable, at: nil, "cannot read `x.cos`: no such file", help: ["look"]))
          == """
          error[file/unreadable]: cannot read `x.cos`: no such file
            = help: look

          """)
  }

  @Test func fixIts() {
    let source = MarkedSource(path: "a.cos", "value: «no»«»\nother: «1 »\n")
    #expect(
      source.render(
        Diagnostic(
          .needsQuotes, at: source.spans[0], "`no` needs quotes",
          fixIts: [
            FixIt("quote it", replace: source.spans[0], with: "\"no\""),
            FixIt("remove the blank", replace: source.spans[2], with: "1"),
            FixIt("remove the value", replace: source.spans[2], with: ""),
            FixIt("put it on a line of its own", replace: source.spans[1], with: "\n  "),
          ]))
          == """
          error[syntax/needs-quotes]: `no` needs quotes
           --> a.cos:1:8
            |
          1 | value: no
            |        ^^
            = fix: quote it
            |
          1 | value: "no"
            |        ++++
            = fix: remove the blank
            |
          2 | other: 1
            |        +
            = fix: remove the value
            |
          2 | other:\(" ")
            = fix: put it on a line of its own

          """)
  }

  @Test func colours() {
    let source = MarkedSource(path: "a.cos", "«x»: «1»\n")
    #expect(
      source.render(
        Diagnostic(
          .unknownKey, at: source.spans[0], "unknown key", label: "this",
          related: [.init(source.spans[1], "that")], help: ["look"]), isColored: true)
          == """
          \u{1b}[1;31merror[syntax/unknown-key]\u{1b}[0m\u{1b}[1m: unknown key\u{1b}[0m
           \u{1b}[1;34m-->\u{1b}[0m a.cos:1:1
           \u{1b}[1;34m |\u{1b}[0m
          \u{1b}[1;34m1 |\u{1b}[0m x: 1
           \u{1b}[1;34m |\u{1b}[0m \u{1b}[1;31m^ this\u{1b}[0m
           \u{1b}[1;34m |\u{1b}[0m    \u{1b}[34m- that\u{1b}[0m
           \u{1b}[1;34m = \u{1b}[0m\u{1b}[1mhelp:\u{1b}[0m look

          """)
  }

  @Test func severalDiagnostics() {
    let source = MarkedSource(path: "a.cos", "«a»\n«b»\n")
    let text = source.render(
      Diagnostic(.unexpected, at: source.spans[0], "one"), Diagnostic(.unexpected, at: source.spans[1], "two")
    )
    #expect(text.contains("  | ^\n\nerror[syntax/unexpected]: two\n"))
  }
}
