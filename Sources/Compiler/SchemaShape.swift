internal import CanonicalJSON

/// One member of an object in a JSON Schema.
struct SchemaMember {
  var key: String
  var value: JSONValue
  var isRequired: Bool

  static func required(_ key: String, _ value: JSONValue) -> SchemaMember {
    SchemaMember(key: key, value: value, isRequired: true)
  }

  static func optional(_ key: String, _ value: JSONValue) -> SchemaMember {
    SchemaMember(key: key, value: value, isRequired: false)
  }
}

/// The members of a JSON Schema that make an object of exactly these members.
enum SchemaShape {
  static func members(_ members: [SchemaMember]) -> [(String, JSONValue)] {
    let required = members.filter(\.isRequired).map(\.key).sorted()
    return [
      ("type", "object"), ("additionalProperties", false),
      ("properties", .object(present: members.map { ($0.key, $0.value) })),
    ] + (required.isEmpty ? [] : [("required", JSONValue(required))])
  }
}

extension CompiledSchema {
  static var text: JSONValue { ["type": "string"] }
  static var bool: JSONValue { ["type": "boolean"] }
  static var name: JSONValue {
    ["type": "string", "pattern": "^[a-z][a-z0-9]*(-[a-z0-9]+)*$", "maxLength": 40]
  }
  static var until: JSONValue { text(pattern: "^([0-9]{4}-[0-9]{2}-[0-9]{2}|never)$") }

  static func text(pattern: String) -> JSONValue { ["type": "string", "pattern": .string(pattern)] }

  static func words(_ words: [String]) -> JSONValue { ["enum": JSONValue(words)] }

  static func reference(_ name: String) -> JSONValue { ["$ref": .string("#/$defs/\(name)")] }

  static func oneOf(_ alternatives: [JSONValue]) -> JSONValue { ["oneOf": .array(alternatives)] }

  static func integer(from lower: Int, to upper: Int? = nil) -> JSONValue {
    .object(present: [
      ("type", "integer"), ("minimum", JSONValue(lower)), ("maximum", upper.map { JSONValue($0) }),
    ])
  }

  static func list(
    _ items: JSONValue, from lower: Int? = nil, to upper: Int? = nil, isUnique: Bool = false
  ) -> JSONValue {
    .object(present: [
      ("type", "array"), ("items", items), ("minItems", lower.map { JSONValue($0) }),
      ("maxItems", upper.map { JSONValue($0) }), ("uniqueItems", isUnique ? true : nil),
    ])
  }

  static func object(_ members: [SchemaMember], _ more: [(String, JSONValue)] = []) -> JSONValue {
    .object(present: SchemaShape.members(members) + more)
  }

  static func described(_ text: String, _ value: JSONValue) -> JSONValue {
    guard case .object(let members) = value else { return value }
    return .object(members + [.init("description", .string(text))])
  }
}
