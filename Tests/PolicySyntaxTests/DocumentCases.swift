import Diagnostics

/// Documents by hand, in the order of the tables of LANGUAGE.md §1.
enum DocumentCases {
  static let accepted = [
    DocumentCase("document start", "---\na: b\n", kept: "+MAP =VAL a =VAL b -MAP"),
    DocumentCase("no line end", "a: b", kept: "+MAP =VAL a =VAL b -MAP"),
    DocumentCase(
      "CRLF", "a:\r\n  - b\r\n  - |\r\n    c\r\n", kept: "+MAP =VAL a +SEQ =VAL b =VAL c\\n -SEQ -MAP"),
    DocumentCase(
      "comments", "# a\na: b # c\n   # d\nc: d#e\n", kept: "+MAP =VAL a =VAL b =VAL c =VAL d#e -MAP"),
    DocumentCase("indented top", "  a: b\n  c: d\n", kept: "+MAP =VAL a =VAL b =VAL c =VAL d -MAP"),
    DocumentCase(
      "dashes at the column of their key", "a:\n- b\n- c\nd: e\n",
      kept: "+MAP =VAL a +SEQ =VAL b =VAL c -SEQ =VAL d =VAL e -MAP"),
    DocumentCase(
      "compact mapping", "a:\n  - b: c\n    d: e\n  -   f: g\n      h: i\n",
      kept:
        "+MAP =VAL a +SEQ +MAP =VAL b =VAL c =VAL d =VAL e -MAP +MAP =VAL f =VAL g =VAL h =VAL i -MAP -SEQ -MAP"
    ),
    DocumentCase(
      "node below its dash", "a:\n  -\n    b: c\n  -\n    - d\n",
      kept: "+MAP =VAL a +SEQ +MAP =VAL b =VAL c -MAP +SEQ =VAL d -SEQ -SEQ -MAP"),
    DocumentCase(
      "quoted keys", "'a b': c\n\"d\": e\n\"f\" : g\n",
      kept: "+MAP =VAL a b =VAL c =VAL d =VAL e =VAL f =VAL g -MAP"),
    DocumentCase(
      "quotes", "a: 'it''s'\nb: \"\\\"\\\\\\/\\u00e9\"\n",
      kept: "+MAP =VAL a =VAL it's =VAL b =VAL \"\\\\/é -MAP"),
    DocumentCase(
      "empty text and collections", "a: ''\nb: []\nc: {}\n",
      kept: "+MAP =VAL a =VAL  =VAL b +SEQ -SEQ =VAL c +MAP -MAP -MAP"),
    DocumentCase(
      "line ends and tabs in text for people", "description: \"a\\nb\\tc\"\nx: {comment: \"d\\u000a\"}\n",
      kept: "+MAP =VAL description =VAL a\\nb\\tc =VAL x +MAP =VAL comment =VAL d\\n -MAP -MAP"),
    DocumentCase(
      "a tab in quotes and comments", "a: 'b\tc' # d\te\n#\tf\n", kept: "+MAP =VAL a =VAL b\\tc -MAP"),
    DocumentCase(
      "flow over lines", "a: [b, # c\n\n  d,\n ]\ne:\n  {f: g,\n   h: [i]}\n",
      kept: "+MAP =VAL a +SEQ =VAL b =VAL d -SEQ =VAL e +MAP =VAL f =VAL g =VAL h +SEQ =VAL i -SEQ -MAP -MAP"),
    DocumentCase(
      "JSON", "{\n\"a\":1,\n\"b\": {\"c\" : [true]}\n}\n",
      kept: "+MAP =VAL a =VAL 1 =VAL b +MAP =VAL c +SEQ =VAL true -SEQ -MAP -MAP"),
    DocumentCase(
      "colons inside", "a: b:c\nd: [2001:db8::/32, x:y]\ne: ::1\n",
      kept: "+MAP =VAL a =VAL b:c =VAL d +SEQ =VAL 2001:db8::/32 =VAL x:y -SEQ =VAL e =VAL ::1 -MAP"),
    DocumentCase(
      "literal", "a: |\n  b\n\n    c\n\nd: |-\n  e\n",
      kept: "+MAP =VAL a =VAL b\\n\\n  c\\n =VAL d =VAL e -MAP"),
    DocumentCase(
      "folded", "a: >\n  b\n  c\nd: >-\n  e\n  f\n", kept: "+MAP =VAL a =VAL b c\\n =VAL d =VAL e f -MAP"),
    DocumentCase(
      "a value on the next line", "a:\n  b\nc:\n  'd'\n", kept: "+MAP =VAL a =VAL b =VAL c =VAL d -MAP"),
    DocumentCase(
      "keys that differ only as bytes", "e\u{301}: a\n\u{e9}: b\n",
      kept: "+MAP =VAL e\u{301} =VAL a =VAL \u{e9} =VAL b -MAP"),
    DocumentCase(
      "quotes inside plain text", "a: log \"x\" # \"\nb: it's\n",
      kept: "+MAP =VAL a =VAL log \"x\" =VAL b =VAL it's -MAP"),
  ]

  static let refused = characters + structure + mappings + lines + flow + text

  private static let characters = [
    DocumentCase(
      "carriage return", "a: b1️⃣\rc: d\n", .bareCR, fixed: "a: b\nc: d\n",
      kept: "+MAP =VAL a =VAL b =VAL c =VAL d -MAP"),
    DocumentCase("carriage return at the end", "a: b\n1️⃣\r", .bareCR, fixed: "a: b\n\n"),
    DocumentCase(
      "tab as indentation", "a:\n1️⃣\tb: c\n2️⃣\td: e\n", .tab, .tab, fixed: "a:\n  b: c\n  d: e\n",
      kept: "+MAP =VAL a +MAP =VAL b =VAL c =VAL d =VAL e -MAP -MAP"),
    DocumentCase("tab between words", "a:1️⃣\tb2️⃣\tc\n", .tab, .tab, fixed: "a: b c\n"),
    DocumentCase("tab in front of a colon", "a1️⃣\t: b\n", .tab, fixed: "a : b\n"),
    DocumentCase("tab in front of a comment", "a: b1️⃣\t# c\n", .tab, fixed: "a: b # c\n"),
    DocumentCase("tab in a block scalar", "a: |\n  b1️⃣\tc\n", .tab, fixed: "a: |\n  b  c\n"),
    DocumentCase("tab in brackets", "a: [b,1️⃣\tc]\n", .tab, fixed: "a: [b, c]\n"),
    DocumentCase("control character", "a: b1️⃣\u{7}c\n", .forbiddenCharacter, fixed: "a: bc\n"),
    DocumentCase(
      "control character in a comment", "a: b # 1️⃣\u{1b}[2J\n", .forbiddenCharacter, fixed: "a: b # [2J\n"),
    DocumentCase("bidirectional text", "a: 'b1️⃣\u{202e}\u{2066}c'\n", .forbiddenCharacter, fixed: "a: 'bc'\n"),
    DocumentCase("byte order mark", "1️⃣\u{feff}a: b\nc: d\n", .forbiddenCharacter, fixed: "a: b\nc: d\n"),
    DocumentCase(
      "NEL, LS", "a: b1️⃣\u{85}x2️⃣\u{2028}c\n", .forbiddenCharacter, .forbiddenCharacter, fixed: "a: bxc\n"),
    DocumentCase("soft hyphen in a key", "a1️⃣\u{ad}b: c\n", .forbiddenCharacter, fixed: "ab: c\n"),
    DocumentCase(
      "noncharacter", "a: b1️⃣" + String(decoding: [0xef, 0xb7, 0x90], as: UTF8.self) + "\n",
      .forbiddenCharacter, fixed: "a: b\n"),
    DocumentCase(
      "refused behind an escape", "a: \"b1️⃣\\u202ec2️⃣\\b3️⃣\\u0000\"\n", .forbiddenCharacter, .forbiddenCharacter,
      .forbiddenCharacter),
    DocumentCase("a line end in a rule", "a: \"b1️⃣\\nc\"\n", .forbiddenCharacter),
    DocumentCase("a carriage return in a description", "description: \"b1️⃣\\r\\nc\"\n", .forbiddenCharacter),
    DocumentCase(
      "escapes of YAML", "a: \"1️⃣\\x412️⃣\\e3️⃣\\_\"\n", .escape, .escape, .escape,
      fixed: "a: \"\\\\x41\\\\e\\\\_\"\n"),
    DocumentCase("escaped apostrophe", "a: \"it1️⃣\\'s\"\n", .escape, fixed: "a: \"it's\"\n"),
    DocumentCase("short escape", "a: \"1️⃣\\u12\"\n", .escape),
    DocumentCase("surrogate pair", "a: \"1️⃣\\ud83d\\ude00\"\n", .escape, fixed: "a: \"\u{1f600}\"\n"),
    DocumentCase("half a pair", "a: \"1️⃣\\ud83d\"\n", .escape),
  ]

  private static let structure = [
    DocumentCase("directive", "1️⃣%YAML 1.2\n2️⃣---\na: b\n", .directive, .multipleDocuments),
    DocumentCase("document start on line 2", "# a\n1️⃣---\nb: c\n", .multipleDocuments),
    DocumentCase("document start with content", "1️⃣--- a: b\nc: d\n", .multipleDocuments),
    DocumentCase(
      "second document", "a: b\n1️⃣---\nc: d\n", .multipleDocuments, kept: "+MAP =VAL a =VAL b -MAP"),
    DocumentCase("document end", "a: b\n1️⃣...\n", .multipleDocuments, kept: "+MAP =VAL a =VAL b -MAP"),
    DocumentCase("empty file", "1️⃣", .emptyDocument),
    DocumentCase("only comments", "# a\n\n1️⃣", .emptyDocument),
    DocumentCase("text at the top", "1️⃣a\n", .emptyDocument),
    DocumentCase("list at the top", "1️⃣- a\n- b\n", .emptyDocument),
    DocumentCase("brackets at the top", "1️⃣[a]\n", .emptyDocument),
    DocumentCase("text behind the top", "{a: b}\n1️⃣c: d\n", .unexpected, kept: "+MAP =VAL a =VAL b -MAP"),
    DocumentCase("anchor and alias", "a: 1️⃣&x b\nc: 2️⃣*x\nd: e\n", .anchor, .anchor),
    DocumentCase(
      "anchor on its own line", "a: 1️⃣&x\n  b: c\n", .anchor, kept: "+MAP =VAL a +MAP =VAL b =VAL c -MAP -MAP"),
    DocumentCase("anchor at a key", "1️⃣&x a: b\n", .anchor, kept: "+MAP =VAL a =VAL b -MAP"),
    DocumentCase(
      "tag", "a: 1️⃣!!str b\nc: [2️⃣!x d]\n", .tag, .tag, kept: "+MAP =VAL a =VAL b =VAL c +SEQ =VAL d -SEQ -MAP"),
    DocumentCase("complex key", "1️⃣? a\n: b\nc: d\n", .complexKey, kept: "+MAP =VAL c =VAL d -MAP"),
    DocumentCase("collection as a key", "a: 1️⃣{b: c}: d\ne: f\n", .complexKey),
    DocumentCase("collection as a key of a block", "1️⃣2️⃣[a]: b\nc: d\n", .complexKey, .emptyDocument),
    DocumentCase(
      "collection as a key in braces", "a: {1️⃣[b]: c, d: e}\n", .complexKey,
      kept: "+MAP =VAL a +MAP =VAL d =VAL e -MAP -MAP"),
    DocumentCase("merge key", "a: b\n1️⃣<<: c\nd: {2️⃣<<: e}\n", .mergeKey, .mergeKey),
    DocumentCase(
      "dash behind a dash", "a:\n  1️⃣- - b\n", .nestedDash, fixed: "a:\n  - b\n",
      kept: "+MAP =VAL a +SEQ +SEQ =VAL b -SEQ -SEQ -MAP"),
    DocumentCase("dash behind a key", "a: 1️⃣- b\nc: d\n", .unexpected, kept: "+MAP =VAL c =VAL d -MAP"),
  ]

  private static let mappings = [
    DocumentCase("equal keys", "a: b\n1️⃣'a': c\n", .duplicateKey, kept: "+MAP =VAL a =VAL b -MAP"),
    DocumentCase("equal keys behind an escape", "a: {b: c, 1️⃣\"\\u0062\": d}\n", .duplicateKey),
    DocumentCase(
      "equal keys among many", "a: 1\nb: 1\nc: 1\nd: 1\ne: 1\nf: 1\ng: 1\nh: 1\ni: 1\nj: 1\n1️⃣d: 2\n2️⃣j: 2\n",
      .duplicateKey,
      .duplicateKey),
    DocumentCase("no value", "1️⃣a:\nb: c\n", .emptyValue, kept: "+MAP =VAL b =VAL c -MAP"),
    DocumentCase("no value at the end", "a:\n  1️⃣b: # c\n", .emptyValue),
    DocumentCase("no item", "a:\n  1️⃣-\n  - b\n", .emptyValue, kept: "+MAP =VAL a +SEQ =VAL b -SEQ -MAP"),
    DocumentCase("no value in braces", "a: {1️⃣b: , 2️⃣c: }\n", .emptyValue, .emptyValue),
    DocumentCase("no key", "1️⃣: a\nb: c\n", .unexpected),
    DocumentCase("no colon", "a: b\n1️⃣c\nd: e\n", .unexpected, kept: "+MAP =VAL a =VAL b =VAL d =VAL e -MAP"),
    DocumentCase("no space behind the colon", "a: b\n1️⃣c:d\ne: f\n", .unexpected, fixed: "a: b\nc: d\ne: f\n"),
    DocumentCase("two keys on a line", "a: 1️⃣b: c\nd: e\n", .accidentalMapping, fixed: "a: 'b: c'\nd: e\n"),
    DocumentCase(
      "a colon at the end", "a: 1️⃣drop to $b:\nc: d\n", .accidentalMapping, fixed: "a: 'drop to $b:'\nc: d\n"),
    DocumentCase("a key behind quotes", "a: 'b'1️⃣: c\n", .accidentalMapping),
    DocumentCase("a pair in braces without value", "a: {1️⃣80, 2️⃣443}\n", .flowPair, .flowPair),
    DocumentCase("a pair without a space", "a: {1️⃣b:c}\n", .flowPair, fixed: "a: {b: c}\n"),
    DocumentCase("a pair in brackets", "a: [1️⃣b: c, d]\n", .flowPair, fixed: "a: [{ b: c }, d]\n"),
    DocumentCase("a limit on keys", String(repeating: "k", count: 1025).marked + ": a\n", .limit),
    DocumentCase(
      "a limit on quoted keys", "a: {" + "\"\(String(repeating: "k", count: 1023))\"".marked + ": b}\n",
      .limit),
    DocumentCase("a limit on lines", ("a: " + String(repeating: "b", count: 65_534)).marked + "\n", .limit),
    DocumentCase(
      "a limit on depth",
      "a: " + String(repeating: "[", count: 63) + "1️⃣[x" + String(repeating: "]", count: 64) + "\n", .limit),
  ]

  private static let lines = [
    DocumentCase(
      "a lost dash", "a:\n  - accept b\n    1️⃣accept c\n  - d\n", .multiLinePlain,
      fixed: "a:\n  - accept b\n  - accept c\n  - d\n",
      kept: "+MAP =VAL a +SEQ =VAL accept b =VAL d -SEQ -MAP"),
    DocumentCase(
      "a dash too deep", "a:\n  - accept b\n    1️⃣- accept c\n", .multiLinePlain,
      fixed: "a:\n  - accept b\n  - accept c\n",
      kept: "+MAP =VAL a +SEQ =VAL accept b =VAL accept c -SEQ -MAP"),
    DocumentCase(
      "text over two lines", "a: one\n  1️⃣two\nb: c\n", .multiLinePlain, fixed: "a: one two\nb: c\n",
      kept: "+MAP =VAL a =VAL one =VAL b =VAL c -MAP"),
    DocumentCase(
      "text over two lines in brackets", "a: [b\n  1️⃣c]\n", .multiLinePlain, fixed: "a: [b,\n  c]\n",
      kept: "+MAP =VAL a +SEQ =VAL b =VAL c -SEQ -MAP"),
    DocumentCase(
      "quotes over two lines", "a: 1️⃣\"b\n  c\"\nd: e\n", .multiLineQuoted, fixed: "a: \"b c\"\nd: e\n",
      kept: "+MAP =VAL a =VAL b\\n  c =VAL d =VAL e -MAP"),
    DocumentCase("quotes over three lines", "a: [1️⃣'b\n\n  c']\nd: e\n", .multiLineQuoted),
    DocumentCase("a quote that is not closed", "a: 1️⃣\"b\nc: d\n", .unclosed, fixed: "a: \"b\"\nc: d\n"),
    DocumentCase(
      "a key whose quote is not closed", "a: b\n1️⃣'c: d\ne: f\n", .unclosed,
      kept: "+MAP =VAL a =VAL b =VAL e =VAL f -MAP"),
    DocumentCase(
      "text behind quotes", "a: 'b' 1️⃣c\nd: e\n", .unexpected, kept: "+MAP =VAL a =VAL b =VAL d =VAL e -MAP"),
    DocumentCase("a comment without a space", "a: 'b'1️⃣#c\n", .unexpected, fixed: "a: 'b' #c\n"),
    DocumentCase("header with a digit", "a: 1️⃣|2\n  b\n", .blockScalar, fixed: "a: |\n  b\n"),
    DocumentCase("header with a plus", "a: 1️⃣>+\n  b\n", .blockScalar, fixed: "a: >\n  b\n"),
    DocumentCase("header with a comment", "a: | 1️⃣# b\n  c\n", .blockScalar),
    DocumentCase("header on its own line", "a:\n  1️⃣|\n  b\n", .blockScalar, fixed: "a: |\n  b\n"),
    DocumentCase("first line blank", "a: |\n1️⃣\n  b\n", .blockScalar, fixed: "a: |\n  b\n"),
    DocumentCase("no text", "a: 1️⃣|\nb: c\n", .blockScalar),
    DocumentCase("blank line in folded text", "a: >\n  b\n\n1️⃣  c\n", .blockScalar),
    DocumentCase("deeper line in folded text", "a: >\n  b\n  1️⃣  c\n", .blockScalar),
    DocumentCase(
      "shallower line", "a: |\n    b\n  1️⃣c\nd: e\n", .blockScalar,
      kept: "+MAP =VAL a =VAL b\\n =VAL d =VAL e -MAP"),
    DocumentCase("no line end behind a block scalar", "a: |\n  b1️⃣", .blockScalar, fixed: "a: |\n  b\n"),
    DocumentCase(
      "a key too deep", "a:\n  b: c\n    1️⃣d: e\n  f: g\n", .indentation,
      fixed: "a:\n  b: c\n  d: e\n  f: g\n",
      kept: "+MAP =VAL a +MAP =VAL b =VAL c =VAL d =VAL e =VAL f =VAL g -MAP -MAP"),
    DocumentCase(
      "a key not deep enough", "a:\n    b: c\n  1️⃣d: e\nf: g\n", .indentation,
      fixed: "a:\n    b: c\n    d: e\nf: g\n"),
    DocumentCase(
      "a dash not deep enough", "a:\n    - b\n  1️⃣- c\n", .indentation, fixed: "a:\n    - b\n    - c\n"),
    DocumentCase("no dash", "a:\n  - b\n  1️⃣c\n", .unexpected, fixed: "a:\n  - b\n  - c\n"),
    DocumentCase("no dash at the column of the key", "a:\n- b\n1️⃣c\n", .unexpected, fixed: "a:\n- b\n- c\n"),
    DocumentCase("a key among dashes", "a:\n  - b: c\n  1️⃣d: e\n", .indentation),
  ]

  private static let flow = [
    DocumentCase(
      "closing bracket at the column of its key", "a: [\n  b\n1️⃣]\nc: d\n", .flowIndent,
      fixed: "a: [\n  b\n ]\nc: d\n", kept: "+MAP =VAL a +SEQ =VAL b -SEQ =VAL c =VAL d -MAP"),
    DocumentCase(
      "items at the column of their key", "a: {\n1️⃣b: c,\n2️⃣d: e }\n", .flowIndent, .flowIndent,
      fixed: "a: {\n  b: c,\n  d: e }\n"),
    DocumentCase(
      "items at the column of their dash", "a:\n  - [b,\n  1️⃣c]\n", .flowIndent, fixed: "a:\n  - [b,\n    c]\n"
    ),
    DocumentCase(
      "a bracket not closed", "a: 1️⃣[b, c\nd: e\n", .unclosed,
      kept: "+MAP =VAL a +SEQ =VAL b =VAL c -SEQ =VAL d =VAL e -MAP"),
    DocumentCase(
      "a brace not closed", "a:\n  - 1️⃣{ b: c\n  - d\n", .unclosed,
      kept: "+MAP =VAL a +SEQ +MAP =VAL b =VAL c -MAP =VAL d -SEQ -MAP"),
    DocumentCase("not closed at the end", "a: [b, 1️⃣{c: d\n", .unclosed),
    DocumentCase("the wrong bracket", "a: [b1️⃣}\n", .unexpected, fixed: "a: [b]\n"),
    DocumentCase("a second comma", "a: [b, 1️⃣, c]\n", .unexpected, fixed: "a: [b,  c]\n"),
    DocumentCase("no comma", "a: ['b' 1️⃣'c']\n", .unexpected, fixed: "a: ['b', 'c']\n"),
    DocumentCase("a dash in brackets", "a: [1️⃣- b]\n", .unexpected, fixed: "a: [ b]\n"),
    DocumentCase("a colon on the next line", "{\"a\"\n1️⃣: b}\n", .unexpected, fixed: "{\"a\": b}\n"),
    DocumentCase("no space in front of a brace", "a: {b1️⃣:{c: d}}\n", .unexpected, fixed: "a: {b: {c: d}}\n"),
    DocumentCase("a colon first", "a: [1️⃣::1, b]\n", .flowColon, fixed: "a: ['::1', b]\n"),
    DocumentCase("a colon last", "a: [1️⃣fe80::, b]\n", .flowColon, fixed: "a: ['fe80::', b]\n"),
    DocumentCase("a colon last in braces", "a: {b: 1️⃣fe80::}\n", .flowColon, fixed: "a: {b: 'fe80::'}\n"),
    DocumentCase("a question mark", "a: [1️⃣b?, c]\n", .needsQuotes, fixed: "a: ['b?', c]\n"),
    DocumentCase("a hash in brackets", "a: [b,1️⃣#c]\n", .needsQuotes, fixed: "a: [b,'#c']\n"),
  ]

  private static let text = [
    DocumentCase(
      "indicators", "a: 1️⃣%b\nc: 2️⃣@d\ne: 3️⃣`f\ng: 4️⃣*\nh: 5️⃣, i\nj: 6️⃣>= 5\nk: 7️⃣]\n", .needsQuotes, .needsQuotes,
      .needsQuotes, .needsQuotes, .needsQuotes, .needsQuotes, .needsQuotes,
      fixed: "a: '%b'\nc: '@d'\ne: '`f'\ng: '*'\nh: ', i'\nj: '>= 5'\nk: ']'\n"),
    DocumentCase("an apostrophe in quoted text", "a: 1️⃣@it's\n", .needsQuotes, fixed: "a: '@it''s'\n"),
    DocumentCase(
      "a hash in a string", "a: drop log \"x 1️⃣# y\" count # z\n", .accidentalComment,
      fixed: "a: 'drop log \"x # y\" count' # z\n", kept: "+MAP =VAL a =VAL drop log \"x # y\" count -MAP"),
    DocumentCase("a quote left open", "a: log \"x 1️⃣# y\nb: c\n", .accidentalComment),
    DocumentCase(
      "several errors", "a: 1️⃣@b\nc: [d, 2️⃣::1]\ne:3️⃣\tx\nf:\n  - g\n    4️⃣h\ni: j\n", .needsQuotes, .flowColon,
      .tab, .multiLinePlain, fixed: "a: '@b'\nc: [d, '::1']\ne: x\nf:\n  - g\n  - h\ni: j\n",
      kept:
        "+MAP =VAL a =VAL @b =VAL c +SEQ =VAL d =VAL ::1 -SEQ =VAL e =VAL x =VAL f +SEQ =VAL g -SEQ =VAL i =VAL j -MAP"
    ),
  ]
}

extension String {
  fileprivate var marked: String { "1️⃣" + self }
}
