import Diagnostics
import PolicyModel
import PolicySyntax

/// Every key of the language: its type, whether it is required, where it may stand and what it is for.
///
/// To add a key: one line here, its meaning in the domain's file, a case, and the schema regenerated.
enum PolicyKeys {
  static let root = KeyTable(
    "a policy",
    [
      PolicyKey("policy", .name, "The name of this policy; exactly one of `policy` and `fragment`."),
      PolicyKey(
        "fragment", .name, "The name of this fragment, which policies include.", inFragment: true),
      PolicyKey("language", .integer(1...1), "The version of the language: 1.", .required, inFragment: true),
      PolicyKey("description", .text(limit: nil), "What the policy is for.", inFragment: true),
      PolicyKey("owner", .text(limit: nil), "Who answers for it.", inFragment: true),
      PolicyKey("extends", .path, "The one policy this one is based on."),
      PolicyKey("with", arguments, "Values for parameters of the policy that is extended."),
      PolicyKey(
        "include", .list(.either([.path, .mapping(include)])),
        "Fragments: files of definitions and of settings that become part of this one.", inFragment: true),
      PolicyKey("target", .mapping(target), "What the policy is compiled for.", .requiredInRoot),
      PolicyKey(
        "define", .dictionary(.name, .either([.element, .list(.element), .mapping(definition)])),
        "Lists of addresses, numbers, interfaces or services, used as `$name`.", inFragment: true),
      PolicyKey(
        "zones", .dictionary(.name, .either([.list(.element), .mapping(zone)])),
        "Named groups of interfaces and addresses, which share no packet."),
      PolicyKey("firewall", .mapping(firewall), "The packet filter: its base chains.", inFragment: true),
      PolicyKey("modules", .mapping(modules), "Which kernel modules may load.", inFragment: true),
      PolicyKey(
        "sysctl", .dictionary(.sysctl, .sysctlValue), "Kernel settings below /proc/sys, by dotted key.",
        inFragment: true),
      PolicyKey(
        "mounts", .dictionary(.mountPath, .mapping(mount)), "Flags of mount points, by absolute path.",
        inFragment: true),
      PolicyKey("kernel", .mapping(kernel), "Lockdown level and command line.", inFragment: true),
      PolicyKey("syscalls", .mapping(systemCalls), "The filter of system calls.", inFragment: true),
      PolicyKey("boot", .mapping(boot), "The closed stage before the policy is live."),
      PolicyKey(
        "management", .either([.words(["none"]), .list(.region)]),
        "Regions that must stay reachable, proved at compile time; `none` for a console-only host."),
      PolicyKey(
        "delegate", .list(.statement(isNamed: false)),
        "What a policy that extends this one may open without `loosen`."),
      PolicyKey(
        "loosen", .list(.mapping(exception)),
        "How this policy is weaker than its base, each with reason and end."),
      PolicyKey(
        "guarantee", .list(.statement(isNamed: true)),
        "Statements proved here and in every policy that extends this one."
      ),
      PolicyKey(
        "expect", .list(.statement(isNamed: true)), "Statements proved about this file.", inFragment: true),
    ])

  private static let arguments = ValueType.dictionary(
    .name, .either([.element, .list(.element), .mapping(definition)]))

  static let include = KeyTable(
    "an item of `include`",
    [
      PolicyKey("file", .path, "The fragment, relative to this file.", .required),
      PolicyKey("with", arguments, "Values for parameters of the fragment."),
    ])

  /// Keys of an exception that say what it is about; it has exactly one of them.
  static let exceptionTargets = [
    "packets", "sysctl", "module", "mount", "kernel", "syscalls", "boot", "guarantee",
  ]

  static let exception = KeyTable(
    "an exception",
    [
      PolicyKey("packets", .statement(isNamed: false), "Packets to accept: `PLACE accept REGION`."),
      PolicyKey("sysctl", .text(limit: nil), "A sysctl key; its value stands under `to`."),
      PolicyKey("module", .text(limit: 64), "A module that may load, or a glob."),
      PolicyKey("mount", .text(limit: nil), "A mount point; its weaker flags stand under `flags`."),
      PolicyKey(
        "kernel", .text(limit: nil), "`lockdown` or a kernel parameter; its value stands under `to`."),
      PolicyKey("syscalls", .text(limit: 64), "A system call to let through, or a group."),
      PolicyKey("boot", .words(["none"]), "No closed firewall before the policy is live."),
      PolicyKey("guarantee", .name, "A guarantee of the base that need not hold."),
      PolicyKey("to", .sysctlValue, "The weaker value."),
      PolicyKey(
        "flags", .list(.words(MountFlag.allCases.map(\.rawValue), fault: .mountUnknownFlag)),
        "The weaker flags of the mount."),
      PolicyKey("because", .text(limit: nil), "Why it must be.", .required),
      PolicyKey("owner", .text(limit: nil), "Who answers for it.", .required),
      PolicyKey("until", .until, "The last day it counts, `YYYY-MM-DD`, or never.", .required),
    ])

  static let target = KeyTable(
    "`target`",
    [
      PolicyKey("kernel", .version, "The oldest kernel to load on, as text: \"6.1\".", .required),
      PolicyKey(
        "architectures", .list(.words(Target.Architecture.allCases.map(\.rawValue), fault: .badTarget)),
        "Machines to load on; both, if not stated."),
    ])

  static let definition = KeyTable(
    "a definition",
    [
      PolicyKey("addresses", .list(.element), "Addresses, prefixes and ranges, whatever they look like."),
      PolicyKey("except", .list(.element), "Addresses taken out again."),
      PolicyKey("numbers", .list(.element), "Numbers and ranges of numbers."),
      PolicyKey("interfaces", .list(.element), "Interface names; a final `*` stands for any rest."),
      PolicyKey("services", .list(.element), "Protocols, each with at most one port or range."),
      PolicyKey("file", .path, "A list file, one address, prefix or range a line."),
      PolicyKey("sha256", .digest, "SHA-256 that the list file must have."),
      PolicyKey("dynamic", .words(["addresses"]), "A set that rules fill with `add` and `update`."),
      PolicyKey("external", .words(["addresses"]), "A set that other programs fill."),
      PolicyKey(
        "size", .integer(1...16_777_216), "Addresses of each family that a dynamic or external set can hold."),
      PolicyKey("timeout", .lifetime, "How long an address stays in it, or never."),
      PolicyKey(
        "map", .dictionary(.port, .text(limit: nil)),
        "Destination ports to targets, such as `8080: 10.0.0.2:80`, for `dnat to $NAME`."),
      PolicyKey(
        "parameter", .words(DefinitionElementSyntax.Kind.allCases.map(\.rawValue)),
        "What the value is that who includes or extends the file gives by `with`."),
      PolicyKey(
        "default", .either([.element, .list(.element)]),
        "The value of a parameter that is not given."),
    ])

  static let firewall = KeyTable(
    "`firewall`",
    [
      PolicyKey("ingress", chain, "Packets as devices deliver them, before all else."),
      PolicyKey("prerouting", chain, "Packets that arrive, before they are routed."),
      PolicyKey("input", pairedChain, "Packets to this host."),
      PolicyKey("forward", pairedChain, "Packets through this host."),
      PolicyKey("output", pairedChain, "Packets from this host."),
      PolicyKey("postrouting", chain, "Packets that leave, after they were routed."),
      PolicyKey("nat", .mapping(nat), "Translation of addresses."),
      PolicyKey(
        "between", .dictionary(.pair, .either([.list(.ruleItem), .mapping(pairKeys)])),
        "Rules between zones, by pairs `A to B` of zones, `host` and `any`."),
      PolicyKey(
        "chains", .dictionary(.name, namedChain),
        "Chains by name: regular ones, which rules lead to, and with `hook` further base chains.",
        inFragment: true),
    ])

  private static let chain = ValueType.either([.list(.ruleItem), .mapping(chainKeys)])

  /// Where pairs of zones lead to it, `between` makes it, and its policy is `drop`.
  private static let pairedChain = ValueType.either([
    .list(.ruleItem), .mapping(KeyTable("a chain", [policy(.optional)] + commonChainKeys)),
  ])

  private static let namedChain = ValueType.either([.list(.ruleItem), .mapping(namedChainKeys)])

  static let chainKeys = KeyTable("a chain", [policy(.requiredInRoot)] + commonChainKeys)

  /// Of a chain below `chains`.
  static let namedChainKeys = KeyTable(
    "a chain",
    [
      PolicyKey(
        "hook", .words(Hook.allCases.map(\.rawValue)),
        "Makes the chain one more base chain of that hook; without it the chain is a regular one."),
      policy(.optional),
    ] + commonChainKeys)

  private static let pairKeys = KeyTable(
    "a pair of zones",
    [policy(.optional)] + commonChainKeys.filter { $0.name != "priority" && $0.name != "devices" })

  static let zone = KeyTable(
    "a zone",
    [
      PolicyKey("interfaces", .list(.element), "Interface names; a final `*` stands for any rest."),
      PolicyKey("addresses", .list(.element), "Addresses, prefixes and ranges."),
    ])

  private static func policy(_ requirement: PolicyKey.Requirement) -> PolicyKey {
    PolicyKey(
      "policy", .words(["accept", "drop", "reject"]),
      "What happens to a packet no rule decides; reject in input, forward and output.", requirement)
  }

  static let nat = KeyTable(
    "`nat`",
    [
      PolicyKey("prerouting", natChain, "Packets that arrive: dnat and redirect."),
      PolicyKey("input", natChain, "Packets to this host: snat."),
      PolicyKey("output", natChain, "Packets from this host: dnat and redirect."),
      PolicyKey("postrouting", natChain, "Packets that leave: snat and masquerade."),
    ])

  private static let natChain = ValueType.either([
    .list(.ruleItem), .mapping(KeyTable("a nat chain", commonChainKeys)),
  ])

  private static let commonChainKeys = [
    PolicyKey("priority", .priority, "`WORD`, `WORD + N`, `WORD - N` or a number; lower runs first."),
    PolicyKey("rules", .list(.ruleItem), "Rules, first to last."),
    PolicyKey("devices", .list(.element), "Interfaces whose packets an ingress chain sees, by exact names."),
    PolicyKey(
      "replace", .dictionary(.name, .ruleItem), "New rules for named rules of the base, in their places."),
    PolicyKey("remove", .list(.name), "Named rules of the base to leave out."),
    PolicyKey("before", .dictionary(.name, .list(.ruleItem)), "Rules before a named rule of the base."),
    PolicyKey("after", .dictionary(.name, .list(.ruleItem)), "Rules after a named rule of the base."),
  ]

  /// What an item of a rule list may hold beside its rule (LANGUAGE.md §3, form 3).
  static let annotations = KeyTable(
    "a rule item",
    [
      PolicyKey("name", .name, "The rule's name, unique in its place."),
      PolicyKey("comment", .text(limit: 127), "Goes into the kernel with the rule."),
      PolicyKey("owner", .text(limit: nil), "Who answers for the rule."),
      PolicyKey("because", .text(limit: nil), "Why the rule is there."),
      PolicyKey("until", .until, "The last day the rule is meant to stand, `YYYY-MM-DD`, or never."),
      PolicyKey("enabled", .bool, "false: checked and listed, not enforced."),
      PolicyKey("controls", .list(.text(limit: nil)), "Ids of the benchmark controls it answers."),
    ])

  static let modules = KeyTable(
    "`modules`",
    [
      PolicyKey(
        "default", .words(["allow", "deny"]), "What happens to a module not listed; allow, if not stated."),
      PolicyKey("deny", .list(.text(limit: 64)), "Names or globs of modules that may not load."),
      PolicyKey("allow", .list(.text(limit: 64)), "Names or globs of modules that may load."),
      PolicyKey(
        "undeny", .list(.text(limit: 64)), "Takes modules off the deny lists of a base and of fragments."),
      PolicyKey("require", .list(.text(limit: 64)), "Modules loaded before any seal."),
      PolicyKey(
        "seal", .words(["never", "after-boot"]), "Whether loading ends for good; never, if not stated."),
      PolicyKey(
        "compressed", .words(["pass", "deny"]),
        "Compressed images, whose module name the kernel hook cannot see; pass, if not stated."),
    ])

  static let mount = KeyTable(
    "a mount",
    [
      PolicyKey(
        "flags", .list(.words(MountFlag.allCases.map(\.rawValue), fault: .mountUnknownFlag)),
        "Flags; one not named is left as it is."),
      PolicyKey(
        "bind", .words(["self"]), "Binds the directory onto itself first, so that it has flags of its own."),
      PolicyKey("options", .list(.text(limit: 256)), "Options of the file system, such as size=16g."),
    ])

  static let kernel = KeyTable(
    "`kernel`",
    [
      PolicyKey(
        "lockdown", .words(KernelSettings.Lockdown.allCases.map(\.rawValue)),
        "Level of the kernel's lockdown LSM."),
      PolicyKey("command-line", .list(.text(limit: 1024)), "Parameters for the kernel's command line."),
    ])

  private static let refusals = SystemCallFilter.Refusal.allCases.map(\.rawValue)

  static let systemCalls = KeyTable(
    "`syscalls`",
    [
      PolicyKey(
        "default", .words(["allow", "deny"]), "What happens to a call not listed; allow, if not stated."),
      PolicyKey(
        "deny", .list(.text(limit: 1024)),
        "Calls that are refused: names, groups such as \"@module\", or a name and what its arguments are."),
      PolicyKey("allow", .list(.text(limit: 1024)), "Calls that are permitted, in the same forms."),
      PolicyKey("undeny", .list(.text(limit: 64)), "Names and groups taken out of what `deny` lists."),
      PolicyKey("on-deny", .words(refusals), "What a refused call gets; eperm, if not stated."),
      PolicyKey(
        "on-unknown", .words(refusals),
        "What calls newer than the target's kernel get; enosys, if not stated."
      ),
      PolicyKey(
        "scope", .words(SystemCallFilter.Scope.allCases.map(\.rawValue)),
        "init: for all processes, before PID 1 runs; services: for service managers and container runtimes; init, if not stated."
      ),
    ])

  static let boot = KeyTable(
    "`boot`",
    [
      PolicyKey(
        "stage", .words(BootSettings.Stage.allCases.map(\.rawValue)),
        "Whether a closed firewall stands from early boot on; closed, if not stated."),
      PolicyKey("input", .list(.ruleItem), "What the closed firewall accepts besides."),
      PolicyKey(
        "root", .words(BootSettings.Root.allCases.map(\.rawValue)),
        "Where the root file system is; local, if not stated."),
      PolicyKey(
        "management-after", .duration,
        "When the kernel lets the regions of `management` in by itself; 120s, if not stated."),
      PolicyKey(
        "unprotected", .words(BootSettings.Unprotected.allCases.map(\.rawValue)),
        "What happens when no closed firewall can be loaded; stop, if not stated."),
      PolicyKey(
        "on-failure", .words(BootSettings.OnFailure.allCases.map(\.rawValue)),
        "What the applier does as PID 1 when it fails; init, if not stated."),
    ])
}

extension Hook {
  /// nft_reject_inet hooks: a reply can be sent from there.
  var canReject: Bool { self == .input || self == .forward || self == .output }
}
