package import CanonicalJSON
internal import PolicyModel

/// The JSON Schema of `policy.json`: what `CanonicalPolicy` writes, member by member, its words from the same tables.
///
/// To add a member there, add it here; the tests validate every compiled policy.
///
/// JSON Schema, draft 2020-12.
package enum CompiledSchema {
  package static var schema: JSONValue {
    var root = SchemaShape.members([
      .required("policy", described("Name of the policy.", name)),
      .required("language", ["const": 1]),
      .optional("owner", text),
      .required("target", target),
      .required(
        "sets",
        described("Definitions that rules use by name, sorted by name.", list(reference("named-set")))),
      .optional(
        "dynamic-sets",
        described(
          "Sets that are filled while the policy is in force, sorted by name; what they hold is no part of it. Absent if there are none.",
          list(dynamicSet, from: 1))),
      .required(
        "chains",
        described(
          "Base chains of the table `inet lockdown`, in the order of their hooks.", list(reference("chain")))),
      .optional(
        "regular-chains",
        described(
          "Chains that rules lead to, sorted by name; absent if there are none.", list(regularChain, from: 1))
      ),
      .required("sysctls", described("Sorted by key.", list(reference("sysctl")))),
      .required("mounts", described("Sorted by path.", list(reference("mount")))),
      .required("modules", modules),
      .required("kernel", kernel),
      .optional("syscalls", systemCalls),
      .required("boot", boot),
      .required(
        "management", oneOf([["const": "none"], ["const": "unstated"], list(reference("region"), from: 1)])),
      .required("expectations", list(reference("statement"))),
      .required("guarantees", list(reference("statement"))),
      .required("delegations", list(reference("statement"))),
      .optional(
        "opened-by-delegation",
        described(
          "What the policy opens because its base delegates it: settings, or ids of rules. Only if there is any.",
          list(object([.required("delegation", text), .required("opened", list(text, from: 1))]), from: 1))),
      .optional(
        "exceptions",
        described(
          "Entries of `loosen` of this policy and of all it extends, the root's first, with what each was needed for. Only if there are any.",
          list(reference("exception"), from: 1))),
      .required("digest", text(pattern: "^sha256:[0-9a-f]{64}$")),
    ])
    root += [
      ("$schema", "https://json-schema.org/draft/2020-12/schema"),
      ("$id", "urn:lockdown:schema:compiled:1"),
      ("title", "A compiled lockdown policy (policy.json)"),
      (
        "description",
        "The canonical value of a policy and its digest: SHA-256 over `lockdown policy 1`, a line feed and the RFC 8785 form of this document without its members `digest`, `elements` and `file`, at every depth."
      ),
      ("$defs", .object(present: definitions)),
    ]
    return .object(present: root)
  }

  private static var definitions: [(String, JSONValue)] {
    [
      ("set", set(named: [])),
      ("named-set", set(named: [.required("id", text), .required("name", name)])),
      ("families", list(words(["ipv4", "ipv6"]), from: 1, isUnique: true)),
      ("sysctl", sysctl),
      ("mount", mount),
      ("module", object([.required("id", text), .required("pattern", text)])),
      ("region", region),
      (
        "statement",
        object([
          .required("id", text), .optional("name", text), .required("text", text),
          .optional("region", reference("region")),
        ])
      ),
      ("system-call", systemCall),
      (
        "word",
        described("As text beyond 2^53 - 1.", ["anyOf": [integer(from: 0), text(pattern: "^[0-9]+$")]])
      ),
      ("exception", exception),
    ] + ruleDefinitions
  }

  // MARK: Sets

  private static func set(named members: [SchemaMember]) -> JSONValue {
    object(
      [
        .required("count-v4", integer(from: 0)), .required("count-v6", integer(from: 0)),
        .required("sha256", text(pattern: "^[0-9a-f]{64}$")),
        .optional(
          "elements",
          described(
            "At most \(CanonicalSets.listedLimit) prefixes, else `file`. No part of the digest: `sha256` stands for it.",
            .object(
              present: [
                ("type", "array"), ("items", text), ("maxItems", JSONValue(CanonicalSets.listedLimit)),
              ]))),
        .optional(
          "file",
          described(
            "Where the prefixes are, relative to this file. No part of the digest.",
            text(pattern: "^\(CompiledPolicy.setDirectory)/[a-z_0-9-]+\\.netset$"))),
      ] + members, [("oneOf", [["required": ["elements"]], ["required": ["file"]]])])
  }

  // MARK: Settings

  private static var target: JSONValue {
    object([
      .required("kernel", described("The oldest kernel to load on.", text(pattern: #"^[0-9]+\.[0-9]+$"#))),
      .required(
        "architectures",
        list(words(Target.Architecture.allCases.map(\.rawValue).sorted()), from: 1, isUnique: true)),
    ])
  }

  private static var sysctl: JSONValue {
    object([
      .required("id", text), .required("key", text), .required("value", text),
      .required("class", words(SysctlClass.allCases.map(\.rawValue))),
      .required("scope", words(SysctlScope.allCases.map(\.rawValue))),
      .required("namespaced", described("Whether each network namespace has its own.", bool)),
    ])
  }

  private static var mount: JSONValue {
    object([
      .required("id", text), .required("path", text(pattern: "^/")),
      .required("flags", list(words(MountFlag.allCases.map(\.rawValue)), isUnique: true)),
      .required("bind", ["enum": ["self", .null]]), .required("options", list(text)),
    ])
  }

  private static var modules: JSONValue {
    let patterns = list(reference("module"))
    return object([
      .required("default", words(["allow", "deny"])), .required("deny", patterns),
      .required("allow", patterns), .required("require", patterns),
      .required("seal", words(ModulePolicy.Seal.allCases.map(\.rawValue))),
      .required("compressed", words(["pass", "deny"])),
    ])
  }

  private static var kernel: JSONValue {
    let levels = KernelSettings.Lockdown.allCases.map { JSONValue.string($0.rawValue) }
    return object([
      .required("lockdown", ["enum": .array(levels + [.null])]),
      .required("command-line", list(object([.required("id", text), .required("parameter", text)]))),
    ])
  }

  private static var systemCalls: JSONValue {
    let refusals = words(SystemCallFilter.Refusal.allCases.map(\.rawValue))
    return described(
      "Absent where the policy says nothing of system calls.",
      object([
        .required("default", words(["allow", "deny"])), .required("deny", list(reference("system-call"))),
        .required("allow", list(reference("system-call"))), .required("on-deny", refusals),
        .required("on-unknown", refusals),
        .required("scope", words(SystemCallFilter.Scope.allCases.map(\.rawValue))),
      ]))
  }

  private static var systemCall: JSONValue {
    let word = reference("word")
    let value = oneOf([
      object([.required("first", word), .required("last", word)]),
      object([.required("bits", word), .required("mask", word)]),
    ])
    let condition = object([
      .required("argument", integer(from: 0, to: 5)), .required("bits", ["enum": [32, 64]]),
      .required("not", bool), .required("values", described("One must fit.", list(value, from: 1))),
    ])
    return object([
      .required("id", text),
      .required("text", described("Canonical: a name, a group, or a name and conditions.", text)),
      .required(
        "calls",
        described(
          "All calls it stands for, other forms of them on 32-bit ABIs too.",
          list(text(pattern: "^[a-z0-9_]+$"), isUnique: true))),
      .required("conditions", described("All must hold.", list(condition))),
    ])
  }

  private static var boot: JSONValue {
    object([
      .required("stage", words(BootSettings.Stage.allCases.map(\.rawValue))),
      .required("input", list(reference("rule"))),
      .required("root", words(BootSettings.Root.allCases.map(\.rawValue))),
      .required("management-after", described("Seconds.", integer(from: 0))),
      .required("unprotected", words(BootSettings.Unprotected.allCases.map(\.rawValue))),
      .required("on-failure", words(BootSettings.OnFailure.allCases.map(\.rawValue))),
    ])
  }

  // MARK: Statements and exceptions

  private static var region: JSONValue {
    object([
      .required("place", words(Hook.allCases.map(\.rawValue))), .required("text", text),
      .required("families", reference("families")), .required("matches", list(reference("match"))),
      .required("opens-flows-only", bool), .required("loopback", bool),
      .optional(
        "assuming",
        described("What dynamic and external sets are taken to hold, at most.", list(assumption, from: 1))),
    ])
  }

  private static var exception: JSONValue {
    object([
      .required("policy", described("The policy that holds it.", text)),
      .required(
        "file", described("Its file, relative to that of the policy; not part of the digest.", text)),
      .required("text", text), .required("because", text), .required("owner", text),
      .required("until", until),
      .required(
        "loosened",
        described("Settings, ids of rules, or the witness against a guarantee.", list(text, from: 1))),
      .optional("region", reference("region")),
    ])
  }
}
