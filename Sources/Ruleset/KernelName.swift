package import PolicyModel
internal import SHA2

/// Names of kernel objects, as `LANGUAGE.md` §7 and `APPLY.md` §6.1 give them.
package enum KernelName {
  /// NFT names may have 255 bytes; older tools and the applier's tables count on 31.
  package static let maximumLength = 31

  package static let table = "lockdown"
  /// What stands before the policy does.
  package static let closedTable = "lockdown-closed"
  /// The tables of the applier, of whatever family; the last one is there while a policy is tried (`APPLY.md` §11).
  package static let ownTables: Set<String> = [table, closedTable, "lockdowntry"]
  /// There, the chain that lets the regions of `management` in, and the families for which it is too early.
  static let management = "management"
  static let waiting = "waiting"
  /// The object whose userdata names the policy.
  package static let policyDigest = "policy_digest"

  /// A base chain's name is a function of its place: another type or priority is another chain.
  package static func baseChain(
    hook: Hook, isNAT: Bool = false, priority: Int32, reroutes: Bool = false
  ) -> String {
    let place = hook.rawValue + (isNAT ? "_nat" : reroutes ? "_route" : "")
    guard priority != defaultPriority(of: hook, isNAT: isNAT) else { return place }
    return place + "_" + (priority < 0 ? "m" : "p") + String(priority.magnitude)
  }

  /// The base chain that one device has of an ingress chain. Its name is readable where nft reads it back and the
  /// length allows.
  static func deviceChain(_ chain: String, device: String) -> String {
    let isPlain = device.utf8.allSatisfy { isNameByte($0) || $0 == UInt8(ascii: ".") }
    let name = chain + "_" + device
    return isPlain && !hasFormOfHash(device) && name.utf8.count <= maximumLength
      ? name : chain + "_" + hashed(device)
  }

  /// Five before the well-known priority, so that a chain of ours never ties with one of iptables-nft.
  package static func defaultPriority(of hook: Hook, isNAT: Bool = false) -> Int32 {
    if isNAT { return hook == .prerouting || hook == .output ? -105 : 95 }  // dstnat - 5, srcnat - 5
    return switch hook {
    case .ingress, .input, .forward, .output: -5  // filter - 5
    case .prerouting, .postrouting: -155  // mangle - 5
    }
  }

  /// The set of one family of an address definition.
  package static func set(_ definition: String, family: Families) -> String {
    let suffix = family == .ipv4 ? "_4" : "_6"
    let name = underscored(definition) + suffix
    return isUsable(name) ? name : hashed(definition) + suffix
  }

  /// An interval set of a definition: `set`, told apart by what it holds. At most 18 + 2 + 1 + 10 bytes.
  static func intervalSet(named set: String, contentHash: [UInt8]) -> String {
    set.dropLast(2).prefix(18) + set.suffix(2) + "_" + shortHash(digest: contentHash)
  }

  /// An interval set that a rule spells out.
  static func intervalSet(_ keyType: KernelSet.KeyType, contentHash: [UInt8]) -> String {
    "_" + keyType.contentName.prefix(19) + "_" + shortHash(digest: contentHash)
  }

  /// The set that holds what a rule's `limit` or `connections` counts. A leading underscore is reserved for what we
  /// generate. 1 + 17 + 1 + 10 + 2 bytes.
  static func limiterSet(ruleID: String, kind: String, family: Families?) -> String {
    let suffix = family.map { $0 == .ipv4 ? "_4" : "_6" } ?? ""
    return "_" + readable(ruleID, bytes: 17) + "_" + shortHash("\(ruleID)\n\(kind)") + suffix
  }

  /// The set for the numbers of control groups. A leading underscore is reserved for what we generate.
  static func controlGroupSet(_ paths: [String]) -> String {
    "_cgroups_" + shortHash(paths.joined(separator: "\n"))
  }

  package static func counter(_ counter: String) -> String {
    let name = underscored(counter)
    return isUsable(name) ? name : hashed(counter)
  }

  /// A regular chain of the policy.
  package static func chain(_ name: String) -> String {
    let written = underscored(name)
    return isUsable(written) ? written : hashed(name)
  }

  /// The chain generated for a rule: readable, and told apart by its id's digest.
  ///
  /// A leading underscore is reserved for what we generate. 1 + 19 + 1 + 10 bytes.
  static func generatedChain(ruleID: String, variant: Int = 1) -> String {
    "_" + readable(ruleID, bytes: 19) + "_" + shortHash(variant == 1 ? ruleID : "\(ruleID)\n\(variant)")
  }

  private static func readable(_ ruleID: String, bytes: Int) -> String {
    let readable = ruleID.utf8.prefix(bytes).map { byte -> UInt8 in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): byte
      default: UInt8(ascii: "_")
      }
    }
    return String(decoding: readable, as: UTF8.self)
  }

  /// Whether nft reads the name back and none of ours is meant by it.
  static func isUsable(_ name: String) -> Bool {
    let bytes = name.utf8
    guard let first = bytes.first, bytes.count <= maximumLength,
      (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(first)
    else { return false }
    guard bytes.allSatisfy({ isNameByte($0) }) else { return false }
    return !NFTKeywords.all.contains(Substring(name)) && !reserved.contains(name) && !hasFormOfHook(name)
      && !hasFormOfHash(name)
  }

  /// What stands for a name that cannot be used; one written so would be taken for another.
  private static func hasFormOfHash(_ name: String) -> Bool {
    name.hasPrefix("x_") && name.utf8.count == 12
      && name.utf8.dropFirst(2).allSatisfy { (0x61...0x7a).contains($0) || (0x32...0x37).contains($0) }
  }

  /// Sets, objects and chains of the applier (`APPLY.md` §6.1).
  private static let reserved: Set<String> = [
    policyDigest, "trying", waiting, "open", "fresh4", "fresh6", management,
  ]

  private static func isNameByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"): true
    default: false
    }
  }

  /// HOOK, then `_nat` or `_route`, then `_pN` or `_mN`; at ingress then a device of any name.
  private static func hasFormOfHook(_ name: String) -> Bool {
    var parts = name.split(separator: "_", omittingEmptySubsequences: false)[...]
    guard let hook = parts.popFirst(), let known = Hook(rawValue: String(hook)) else { return false }
    if known == .ingress { return true }
    if let type = parts.first, type == "nat" || type == "route" { parts.removeFirst() }
    if let place = parts.first, place.first == "p" || place.first == "m", place.count > 1,
      place.dropFirst().allSatisfy({ $0.isASCII && $0.isNumber })
    {
      parts.removeFirst()
    }
    return parts.isEmpty
  }

  private static func underscored(_ name: String) -> String {
    String(
      decoding: name.utf8.map { $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: ".") ? UInt8(ascii: "_") : $0 },
      as: UTF8.self)
  }

  private static func hashed(_ name: String) -> String { "x_" + shortHash(name) }

  /// The first ten base32 characters (RFC 4648, lower case) of the SHA-256: 50 bits.
  private static func shortHash(_ text: String) -> String { shortHash(digest: SHA256.hash(text.utf8)) }

  private static func shortHash(digest: [UInt8]) -> String {
    var bits: UInt64 = 0
    for byte in digest.prefix(7) { bits = bits << 8 | UInt64(byte) }
    let alphabet = Array("abcdefghijklmnopqrstuvwxyz234567".utf8)
    let characters = (0..<10).map { alphabet[Int(bits >> UInt64(56 - 5 * ($0 + 1)) & 31)] }
    return String(decoding: characters, as: UTF8.self)
  }
}
