import CanonicalJSON
import PolicySyntax

/// The five forms of a rule item as JSON Schema (LANGUAGE.md §3).
enum RuleItemSchema {
  static func anyForm(
    annotations: [(String, JSONValue)], named: (JSONValue) -> JSONValue
  ) -> JSONValue {
    [
      "anyOf": [
        ["$ref": "#/$defs/rule"],
        named(["$ref": "#/$defs/rule"]),
        closed(annotations + [("rule", ["$ref": "#/$defs/rule"])], required: ["rule"]),
        closed(annotations + twinKeys, required: ["verdict"]),
        named(["$ref": "#/$defs/verdict-map"]),
      ]
    ]
  }

  static var definitions: [(String, JSONValue)] {
    [
      (
        "terms",
        [
          "description": "A list of values, or the clause's text.",
          "anyOf": [
            ["type": ["integer", "string"]],
            ["type": "array", "minItems": 1, "items": ["type": ["integer", "string"]]],
          ],
        ]
      ),
      ("value", ["type": ["integer", "string"]]),
      (
        "verdict",
        [
          "anyOf": [
            ["type": "string", "minLength": 1],
            [
              "type": "object", "minProperties": 1, "maxProperties": 1,
              "propertyNames": [
                "enum": ["jump", "goto", "dnat", "snat", "redirect", "containers", "reject"]
              ],
              "additionalProperties": value,
            ],
          ]
        ]
      ),
      (
        "verdict-map",
        closed(
          [
            ("dispatch", ["type": "string", "minLength": 1]),
            ("table", ["type": "object", "minProperties": 1, "additionalProperties": ["type": "string"]]),
            ("else", ["type": "string", "minLength": 1]),
          ], required: ["dispatch", "table", "else"])
      ),
    ]
  }

  private static let terms: JSONValue = ["$ref": "#/$defs/terms"]
  private static let value: JSONValue = ["$ref": "#/$defs/value"]
  private static let bool: JSONValue = ["$ref": "#/$defs/bool"]

  private static func closed(_ members: [(String, JSONValue)], required: [String]) -> JSONValue {
    [
      "type": "object", "additionalProperties": false, "required": JSONValue(required),
      "properties": .object(members),
    ]
  }

  /// A mapping, or the clause's text.
  private static func parts(_ members: [(String, JSONValue)], required: [String] = []) -> JSONValue {
    ["anyOf": [["type": ["boolean", "integer", "string"]], closed(members, required: required)]]
  }

  /// The keys of form 4.
  private static var twinKeys: [(String, JSONValue)] {
    let negatable = RuleItemSyntax.negatableKeys.map { ($0, matchValue($0)) }
    let not: [(String, JSONValue)] = [("not", closed(negatable, required: []))]
    let others = RuleItemSyntax.otherMatchKeys.map { ($0, terms) }
    return [("verdict", ["$ref": "#/$defs/verdict"])] + negatable + others + not + actions
  }

  private static func matchValue(_ key: String) -> JSONValue {
    switch key {
    case "flags":
      ["anyOf": [terms, closed([("value", terms), ("mask", terms)], required: ["value", "mask"])]]
    case "ether": ["anyOf": [terms, closed([("from", terms), ("to", terms)], required: [])]]
    default: terms
    }
  }

  private static var actions: [(String, JSONValue)] {
    let set = SetKey.allCases.map { ($0.rawValue, value) }
    let change = parts([("key", value), ("set", value), ("timeout", value)], required: ["key", "set"])
    return [
      ("connections", parts([("over", value), ("up-to", value), ("per", value)])),
      (
        "limit",
        parts([("rate", value), ("burst", value), ("over", bool), ("per", value)], required: ["rate"])
      ),
      ("quota", parts([("size", value), ("over", bool)], required: ["size"])),
      ("restore", value),
      ("set", parts(set)),
      ("save", value),
      ("add", change),
      ("update", change),
      ("delete", change),
      ("count", ["type": ["boolean", "string"]]),
      (
        "log",
        parts([("tag", value), ("text", value), ("level", value), ("nflog", value), ("at-most", value)])
      ),
    ]
  }
}
