/// Small documents that hold every construct of the document layer, to be mutated.
enum DocumentSeeds {
  /// Bytes that mean something to a YAML reader, and a few that do not.
  static let significantBytes = Array("  \n\n:-,[]{}#'\"|>&*!%@`?\\/~=<.+0159abnutx$\t\r\u{e9}".utf8)

  static let documents = texts.enumerated().map { index, text in
    DocumentFile(path: "seed \(index)", bytes: Array(text.utf8))
  }

  private static let texts = [
    "policy: web\nlanguage: 1\n",
    "---\npolicy: web\n# a comment\nlanguage: 1   # another\n\n",
    "a:\n  b:\n    c: d\n  e: f\ng: h\n",
    "a:\r\n  b: c\r\n  d:\r\n  - e\r\n  - f\r\n",
    "rules:\n  - accept tcp 22 from $admin\n  - ssh: drop\n  - name: x\n    verdict: accept\n    ports: [22]\n",
    "rules:\n- a\n- b: c\n  d: e\n-\n  f: g\nlast: h\n",
    "a: 'it''s'\nb: \"say \\\"hi\\\" \\u00e9 \\\\ \\/\"\n'c d': \"e\" # f\n\"g\": h\n",
    "a: [b, 'c', \"d\", [e, f], {g: h}]\ni: {j: k, 'l': m, \"n\":o, p: [q]}\nr: []\ns: {}\n",
    "a: [\n  b,   # one\n  # two\n\n  c,\n  ]\nd: {\n  e: f,\n  g: [h,\n   i],\n }\n",
    "a:\n  [b, c]\nd:\n  'e'\nf:\n  g\n",
    "a: |\n  one\n    two\n\n  three # no comment\nb: |-\n  four\nc: >\n  five\n  six\nd: >-\n  seven\n",
    "- not a mapping\n",
    "description: \"one\\ntwo\\t\"\ncomment: 'tab\tin quotes'\n",
    "{\n  \"a\": 1,\n  \"b\": [true, {\"c\": \"d\"}],\n  \"e\" : { }\n}\n",
    "{\"a\":1,\"b\":[2,3],\"c\":{\"d\":\"e\"}}",
    "a: \"2001:db8::/32\"\nb: 2001:db8::1\nc: [2001:db8::/32, 10.0.0.0/8, 1000-2000, -5, 22:30]\nd: ::1\n",
    "a: b # c\n# d\ne: f\n  # g\nh:\n  # i\n  j: k\n    # l\n",
    "a#b: c#d\ne'f: g\"h\ni-j: k?l\nm: -n\no: ?p\n",
    "é: ü\n\"ß\": '日本'\nemoji: 😀 x\n",
    "a: log \"x # y\"\nb: 'log \"x # y\"'\n",
    "a:   b   \n'c'  : d\ne :   [ f , g ]  \n",
    "a: |\n  text\n  \n\n# comment\nb: >-\n  x  \n  y\n\n\nc: d\n",
    "a: {b: {c: {d: [e, [f, [g]]]}}}\nh:\n- i:\n  - j:\n    - k\n",
    "define:\n  web: [80, 443, 1000-2000]\n  blocked: $a, $b except $c\n  m: {map: {8080: \"10.0.0.2:80\"}}\n",
  ]
}
