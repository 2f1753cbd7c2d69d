internal import CanonicalJSON
internal import PolicyModel

extension CompiledSchema {
  static var dynamicSet: JSONValue {
    object([
      .required("id", text), .required("name", name), .required("filled-by", words(["rules", "others"])),
      .required("size", described("Addresses of each family.", integer(from: 1, to: 16_777_216))),
      .optional(
        "timeout",
        described("Seconds that an address stays; absent: until it is taken out.", integer(from: 1))),
      .optional(
        "ipv4-bits",
        described("Leading bits that it holds of each address; absent: all.", integer(from: 0, to: 31))),
      .optional("ipv6-bits", described("The same for IPv6.", integer(from: 0, to: 127))),
    ])
  }

  static var setUpdate: JSONValue {
    object([
      .required("operation", words(["add", "update", "delete"])),
      .required("side", words(["source", "destination"])), .required("set", name),
      .optional("timeout", described("Seconds; absent: as the set says.", integer(from: 1))),
    ])
  }

  static var key: JSONValue {
    described(
      "What is counted apart: the leading bits of an address, in a set of the kernel for each family. When it is full, new keys do not match.",
      object([
        .required("side", words(["source", "destination"])),
        .required("ipv4-bits", integer(from: 0, to: 32)), .required("ipv6-bits", integer(from: 0, to: 128)),
        .required("size", ["const": JSONValue(DynamicSet.limiterSize)]),
        .optional(
          "timeout",
          described(
            "Seconds that a key is kept after its last packet; absent: while it has connections.",
            integer(from: 1))),
      ]))
  }

  static var exceptedAddresses: JSONValue {
    let specials = AddressMatch.Special.allCases.map(\.rawValue).sorted()
    return described(
      "What is taken out again of all the rest; what is known is out of `addresses` already.",
      object(
        [
          .optional("set", name), .optional("addresses", reference("set")),
          .required("special", list(words(specials))), .optional("dynamic-sets", list(name, from: 1)),
        ], [("oneOf", [["required": ["set"]], ["required": ["addresses"]]])]))
  }

  static var assumption: JSONValue {
    object([.required("set", name), .required("within", reference("set"))])
  }
}
