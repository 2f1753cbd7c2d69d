import CanonicalJSON
import PolicyModel
import PolicySyntax

/// The JSON Schemas of `.cos` files, of policies and of benchmarks, made from the tables of keys: for editors and for
/// generators, which write the same documents as JSON.
///
/// A document is read under the failsafe schema, where every scalar is text. So wherever the language has a
/// number or a boolean, the schema takes the JSON type and the same as text. What a schema cannot say (names
/// that resolve, families that meet) is left to the compiler.
///
/// JSON Schema, draft 2020-12.
package enum PolicySchema {
  /// The whole schema of policies; ends in a line feed.
  package static func jsonText() -> String { String(decoding: schema.pretty(), as: UTF8.self) }

  /// The same of benchmarks.
  package static func benchmarkText() -> String { String(decoding: benchmarkSchema.pretty(), as: UTF8.self) }

  private static var schema: JSONValue {
    var root = object(PolicyKeys.root)
    root.append(("$schema", "https://json-schema.org/draft/2020-12/schema"))
    root.append(("$id", "urn:lockdown:schema:policy:1"))
    root.append(("title", "A lockdown policy (language 1)"))
    root.append(
      (
        "description",
        "A .cos file. Values are text: where a number or a boolean stands, its text may stand too."
      ))
    root.append(("oneOf", [["required": ["policy"]], ["required": ["fragment"]]]))
    let rootOnly = PolicyKeys.root.keys.filter { $0.requirement == .requiredInRoot }.map(\.name)
    root.append(
      (
        "if", ["required": ["policy"], "not": ["required": ["extends"]]]
      ))
    root.append(("then", ["required": JSONValue(rootOnly)]))
    root.append(("$defs", JSONValue.object(definitions)))
    return .object(root)
  }

  private static var benchmarkSchema: JSONValue {
    var root = object(BenchmarkKeys.root)
    root.append(("$schema", "https://json-schema.org/draft/2020-12/schema"))
    root.append(("$id", "urn:lockdown:schema:benchmark:1"))
    root.append(("title", "A lockdown benchmark (language 1)"))
    root.append(
      (
        "description",
        "A .cos file that policies are held to. Values are text: where a number stands, its text may stand too."
      ))
    root.append(("$defs", JSONValue.object(commonDefinitions)))
    return .object(root)
  }

  // MARK: Types

  private static func type(_ type: ValueType) -> JSONValue {
    switch type {
    case .text(let limit): text(limit: limit)
    case .name: reference("name")
    case .bool: reference("bool")
    case .until: reference("until")
    case .path: ["type": "string", "minLength": 1, "not": ["pattern": "^/"]]
    case .digest: ["type": "string", "pattern": "^[0-9a-f]{64}$"]
    case .integer(let range): integer(range)
    case .version: ["type": "string", "pattern": #"^(0|[1-9][0-9]{0,3})\.(0|[1-9][0-9]{0,3})$"#]
    case .lifetime:
      ["type": "string", "pattern": "^(never|(?=.)([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?)$"]
    case .duration: ["type": "string", "pattern": "^(?=.)([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?$"]
    case .words(let words, _): ["enum": JSONValue(words)]
    case .sysctlValue: reference("number-or-text")
    case .element: reference("number-or-text")
    case .priority: reference("number-or-text")
    case .ruleItem: reference("rule-item")
    case .statement(let isNamed): reference(isNamed ? "named-statement" : "statement")
    case .region: reference("region")
    case .list(let element): ["type": "array", "items": self.type(element)]
    case .mapping(let table): JSONValue.object(object(table))
    case .dictionary(let key, let value):
      [
        "type": "object", "propertyNames": propertyNames(key), "additionalProperties": self.type(value),
      ]
    case .either(let types): ["anyOf": .array(types.map(self.type))]
    case .anything: true
    }
  }

  private static func text(limit: Int?) -> JSONValue {
    // The limit is in bytes, and JSON Schema counts characters: what it lets through is judged by bytes later.
    if let limit { ["type": "string", "maxLength": JSONValue(limit)] } else { ["type": "string"] }
  }

  private static func integer(_ range: ClosedRange<Int>) -> JSONValue {
    if range.lowerBound == range.upperBound {
      return ["enum": [JSONValue(range.lowerBound), .string(String(range.lowerBound))]]
    }
    return [
      "anyOf": [
        ["type": "integer", "minimum": JSONValue(range.lowerBound), "maximum": JSONValue(range.upperBound)],
        ["type": "string", "pattern": .string(integerPattern)],
      ]
    ]
  }

  private static let integerPattern = "^(0|[1-9][0-9]*|0x[0-9a-f]+)$"

  private static func propertyNames(_ key: DictionaryKey) -> JSONValue {
    switch key {
    case .name: reference("name")
    case .pair: ["pattern": "^[a-z][a-z0-9-]* +to +[a-z][a-z0-9-]*$"]
    case .port: ["pattern": .string(integerPattern)]
    case .sysctl: ["pattern": #"^[A-Za-z0-9_-]+(\.[^.]+)+$"#]
    case .mountPath: ["pattern": "^/"]
    }
  }

  private static func object(_ table: KeyTable) -> [(String, JSONValue)] {
    let required = table.keys.filter { $0.requirement == .required }.map(\.name)
    return [
      ("type", "object"),
      ("additionalProperties", false),
      (
        "properties",
        JSONValue.object(table.keys.map { ($0.name, described($0)) })
      ),
    ] + (required.isEmpty ? [] : [("required", JSONValue(required))])
  }

  private static func described(_ key: PolicyKey) -> JSONValue {
    let description = JSONValue.string(key.documentation)
    switch type(key.type) {
    case .object(let members):
      return .object(members.map { ($0.key, $0.value) } + [("description", description)])
    default:
      return ["description": description]
    }
  }

  private static func reference(_ name: String) -> JSONValue { ["$ref": .string("#/$defs/\(name)")] }

  // MARK: Definitions

  /// Of policies and benchmarks.
  private static var commonDefinitions: [(String, JSONValue)] {
    [
      ("name", ["type": "string", "pattern": .string(Name.pattern), "maxLength": 40]),
      ("number-or-text", ["type": ["integer", "string"]]),
      (
        "statement",
        ["type": "string", "minLength": 1, "description": "A statement about packets, or a fact."]
      ),
    ]
  }

  private static var definitions: [(String, JSONValue)] {
    commonDefinitions + [
      ("bool", ["enum": [true, false, "true", "false"]]),
      ("until", ["type": "string", "pattern": "^([0-9]{4}-[0-9]{2}-[0-9]{2}|never)$"]),
      ("rule", ["type": "string", "minLength": 1, "description": "A rule: a verdict and clauses."]),
      (
        "region", ["type": "string", "minLength": 1, "description": "Packets: clauses that match, or `any`."]
      ),
      ("named-statement", ["anyOf": [reference("statement"), named(reference("statement"))]]),
      ("rule-item", RuleItemSchema.anyForm(annotations: annotations, named: named)),
    ] + RuleItemSchema.definitions
  }

  /// `NAME: VALUE` alone.
  private static func named(_ value: JSONValue) -> JSONValue {
    [
      "type": "object", "minProperties": 1, "maxProperties": 1,
      "propertyNames": [
        "allOf": [reference("name"), ["not": ["enum": ["rule", "name", "verdict", "closing"]]]]
      ],
      "additionalProperties": value,
    ]
  }

  private static var annotations: [(String, JSONValue)] {
    PolicyKeys.annotations.keys.map { ($0.name, described($0)) }
  }
}

extension JSONValue {
  static func object(_ members: [(String, JSONValue)]) -> JSONValue {
    .object(members.map { Member($0.0, $0.1) })
  }
}
