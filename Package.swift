// swift-tools-version: 6.2
import PackageDescription

// Debian's musl cross headers and libraries, for the static Embedded applier.
#if arch(arm64)
  let muslTriple = "aarch64-linux-musl"
  let gnuTriple = "aarch64-linux-gnu"
#else
  let muslTriple = "x86_64-linux-musl"
  let gnuTriple = "x86_64-linux-gnu"
#endif
let muslLibraries = "/usr/lib/\(muslTriple)"
let muslHeaders = "/usr/include/\(muslTriple)"

/// Settings of every Swift target; the loop at the end applies them.
let strict: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  // An existential has a cost, so it is written out.
  .enableUpcomingFeature("ExistentialAny"),
  // A member is visible only where its module is imported: the module graph stays honest.
  .enableUpcomingFeature("MemberImportVisibility"),
  // An import is an implementation detail until it says otherwise.
  .enableUpcomingFeature("InternalImportsByDefault"),
  .treatAllWarnings(as: .error),
]

/// Targets that touch C or raw memory: every unsafe use is marked `unsafe`.
let memoryStrict: Set<String> = [
  "NFTables", "HostState", "BundleFormat", "CanonicalJSON", "lockdown-apply", "Analysis", "SideThread",
]

/// Optimized in debug builds too: tests try every prefix and every deletion of a byte of every policy, hash and check
/// every change of a byte of a bundle, or walk thousands of random policies to their ends, which takes minutes
/// otherwise.
let alwaysOptimized: Set<String> = [
  "Analysis", "BundleFormat", "CanonicalJSON", "Diagnostics", "NFTables", "PolicyChecker", "PolicyModel",
  "PolicySyntax", "Ruleset", "SHA2", "TextBackends", "packet-sampler",
]

/// Embedded Swift against musl: no runtime, no library but libc.
let embedded: [SwiftSetting] = [
  .enableExperimentalFeature("Embedded"),
  .unsafeFlags([
    // Otherwise `--static-swift-stdlib`, which the CLI uses, fails: Embedded has no such library.
    "-no-static-stdlib", "-wmo", "-Osize", "-parse-as-library",
    // What is called once is a part of its caller; little else is.
    "-Xfrontend", "-sil-inline-caller-benefit-reduction-factor", "-Xfrontend", "4",
    // Size: no thread is ever started, nothing unwinds, and traps need no place of their own.
    "-assume-single-threaded", "-enforce-exclusivity=unchecked", "-Xfrontend", "-mergeable-traps",
    "-Xcc", "-fno-asynchronous-unwind-tables", "-Xcc", "-fno-unwind-tables", "-Xcc", "-mno-red-zone",
    "-Xllvm", "-enable-machine-outliner=always",
    // One module of machine code, not one for each file: what repeats is then outlined once, an eighth of the program.
    "-Xfrontend", "-enable-single-module-llvm-emission",
    // So that the linker leaves out what nothing calls.
    "-Xfrontend", "-function-sections",
    "-Xcc", "-fno-pic",
    // The clang importer must see musl's headers, and the kernel's behind them.
    "-Xcc", "-isystem", "-Xcc", muslHeaders,
    "-Xcc", "-idirafter", "-Xcc", "/usr/include",
    "-Xcc", "-idirafter", "-Xcc", "/usr/include/\(gnuTriple)",
  ]),
]
let embeddedLink: [LinkerSetting] = [
  .unsafeFlags([
    "-no-static-stdlib", "-enable-experimental-feature", "Embedded", "-use-ld=lld",
    "-Xclang-linker", "-nostdlib", "-Xclang-linker", "-nostartfiles", "-Xclang-linker", "-static",
    "-Xlinker", "--gc-sections", "-Xlinker", "--icf=all", "-Xlinker", "-s",
    // Size, where the linker makes the code: blocks stay as they lie, spills and loops are not tuned for speed, and
    // what ends alike is one.
    "-Xlinker", "-mllvm", "-Xlinker", "-disable-block-placement",
    "-Xlinker", "-mllvm", "-Xlinker", "-split-spill-mode=size",
    "-Xlinker", "-mllvm", "-Xlinker", "-disable-lsr", "-Xlinker", "-mllvm", "-Xlinker", "-tail-merge-size=1",
    // Enumerations come with a hash that nobody calls; its seed is not in musl.
    "-Xlinker", "--defsym=arc4random_buf=abort",
    // Allocator.swift; names of the runtime cannot be declared in Swift.
    "-Xlinker", "--defsym=posix_memalign=lockdown_allocate", "-Xlinker", "--defsym=free=lockdown_release",
    // The Embedded runtime counts references one way only.
    "-Xlinker", "--defsym=swift_nonatomic_retain=swift_retain",
    "-Xlinker", "--defsym=swift_nonatomic_release=swift_release",
    "-Xlinker", "--defsym=swift_nonatomic_retain_n=swift_retain_n",
    "-Xlinker", "--defsym=swift_nonatomic_release_n=swift_release_n",
    "\(muslLibraries)/crt1.o", "\(muslLibraries)/crti.o", "\(muslLibraries)/libc.a",
    "\(muslLibraries)/crtn.o",
  ])
]

let package = Package(
  name: "lockdown",
  products: [
    .executable(name: "lockdown", targets: ["lockdown"]),
    .executable(name: "lockdown-apply", targets: ["lockdown-apply"]),
  ],
  dependencies: [
    // The command line: parsing, help and completion are its whole job.
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    // Tests only: an oracle for what YAML 1.1 readers make of our documents.
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
  ],
  targets: [
    // Leaves.
    .target(name: "CanonicalJSON"),
    .target(name: "SideThread", dependencies: ["CLinux"]),
    .target(name: "Diagnostics", dependencies: ["CanonicalJSON"]),
    .systemLibrary(name: "CSHA2"),
    .target(name: "SHA2", dependencies: ["CSHA2"]),
    .systemLibrary(name: "CLinux"),
    .systemLibrary(
      name: "CNFTables", pkgConfig: "libnftnl", providers: [.apt(["libnftnl-dev", "libmnl-dev"])]),

    // The language.
    .target(name: "PolicySyntax", dependencies: ["Diagnostics"]),
    .target(name: "PolicyModel", dependencies: ["Diagnostics"]),
    .target(
      name: "PolicyChecker",
      dependencies: ["CanonicalJSON", "Diagnostics", "PolicyModel", "PolicySyntax", "SHA2", "SideThread"]),

    // What a policy becomes.
    .target(name: "Ruleset", dependencies: ["PolicyModel", "SHA2"]),
    .target(name: "TextBackends", dependencies: ["CanonicalJSON", "PolicyModel", "Ruleset"]),
    .target(name: "Seccomp", dependencies: ["PolicyModel"]),
    .target(name: "ModuleGuard", dependencies: ["PolicyModel"]),
    .target(name: "NFTables", dependencies: ["CNFTables", "Ruleset", "SHA2", "SideThread"]),
    .target(name: "BundleFormat", dependencies: ["SHA2"]),
    .target(name: "Analysis", dependencies: ["Diagnostics", "PolicyModel"]),
    .target(
      name: "Compiler",
      dependencies: [
        "Analysis", "BundleFormat", "CanonicalJSON", "Diagnostics", "Lift", "ModuleGuard", "NFTables",
        "PolicyChecker",
        "PolicyModel", "PolicySyntax", "Ruleset", "SHA2", "Seccomp", "SideThread", "TextBackends",
      ]),
    // What `lockdown install` puts on a host, and the slots it boots with.
    .target(name: "Installation", dependencies: ["SHA2"]),
    // The way back from the kernel's programs to the model of policies.
    .target(name: "Lift", dependencies: ["Diagnostics", "NFTables", "PolicyModel", "Ruleset"]),
    .target(name: "HostState", dependencies: ["CLinux", "NFTables", "Ruleset"]),

    // Programs.
    .executableTarget(
      name: "lockdown",
      dependencies: [
        "Analysis", "BundleFormat", "CLinux", "CanonicalJSON", "Compiler", "Diagnostics", "HostState",
        "Installation", "Lift", "NFTables", "PolicyChecker", "PolicyModel", "PolicySyntax", "Ruleset", "SHA2",
        "SideThread",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),
    // It compiles the files of BundleFormat and SHA2 itself, by symbolic link: an Embedded module cannot
    // import an ordinary one, and two Embedded ones would each have a copy of what they share. The ordinary
    // build proves that the files are good for both.
    .executableTarget(
      name: "lockdown-apply",
      dependencies: ["CLinux", "CSHA2"],
      swiftSettings: embedded,
      linkerSettings: embeddedLink),

    // Tests.
    // Rulesets written by hand, each as nft text and as expressions.
    .target(name: "RulesetSamples", dependencies: ["Ruleset"], path: "Tests/RulesetSamples"),
    // Acts inside a network namespace, where a test process itself must not go.
    .executableTarget(
      name: "ruleset-probe", dependencies: ["CNFTLibrary", "HostState", "NFTables", "Ruleset"],
      path: "Tests/RulesetProbe"),
    .systemLibrary(name: "CNFTLibrary", path: "Tests/CNFTLibrary"),
    // Policies as a checker hands them over, by hand and at random.
    .target(
      name: "PolicySamples", dependencies: ["Diagnostics", "PolicyModel"], path: "Tests/PolicySamples"),
    // Packets for a policy, by what its rules tell apart; the kernel's tests send them.
    .executableTarget(
      name: "packet-sampler",
      dependencies: ["Analysis", "Compiler", "Diagnostics", "PolicyChecker", "PolicyModel", "PolicySamples"],
      path: "Tests/PacketSampler"),
    // What must hold for every input; the fuzzing programs ask it of theirs, a test of the seeds.
    .target(
      name: "FuzzChecks",
      dependencies: [
        "BundleFormat", "Compiler", "Diagnostics", "PolicyChecker", "PolicyModel", "PolicySyntax", "SHA2",
      ],
      path: "Tests/Fuzz/Checks"),
    .testTarget(name: "FuzzTests", dependencies: ["FuzzChecks"]),
    .testTarget(name: "CanonicalJSONTests", dependencies: ["CanonicalJSON"]),
    .testTarget(name: "DiagnosticsTests", dependencies: ["CanonicalJSON", "Diagnostics"]),
    .testTarget(
      name: "PolicySyntaxTests",
      dependencies: ["Diagnostics", "PolicySyntax", .product(name: "Yams", package: "Yams")]),
    .testTarget(
      name: "PolicyCheckerTests",
      dependencies: ["Diagnostics", "PolicyChecker", "PolicyModel", "PolicySamples", "PolicySyntax"],
      exclude: ["Layouts"]),
    // What the library makes of the same names and rules; the product links none of it.
    .systemLibrary(name: "CSeccomp", path: "Tests/CSeccomp"),
    .testTarget(
      name: "SeccompTests",
      dependencies: ["CSeccomp", "Diagnostics", "PolicyChecker", "PolicyModel", "PolicySamples", "Seccomp"]),
    .testTarget(
      name: "ModuleGuardTests", dependencies: ["Diagnostics", "ModuleGuard", "PolicyModel"]),
    .testTarget(name: "SHA2Tests", dependencies: ["SHA2"]),
    .testTarget(
      name: "RulesetTests",
      dependencies: [
        "Diagnostics", "PolicyChecker", "PolicyModel", "PolicySamples", "PolicySyntax", "Ruleset",
        "TextBackends",
      ],
      exclude: ["Cases"]),
    .testTarget(name: "InstallationTests", dependencies: ["Installation"]),
    .testTarget(name: "HostStateTests", dependencies: ["HostState"]),
    .testTarget(
      name: "NFTablesTests", dependencies: ["NFTables", "PolicyModel", "Ruleset", "RulesetSamples"]),
    .testTarget(name: "BundleFormatTests", dependencies: ["BundleFormat", "SHA2"]),
    .testTarget(
      name: "LiftTests",
      dependencies: [
        "Analysis", "Diagnostics", "Lift", "NFTables", "PolicyModel", "PolicySamples", "Ruleset",
      ]),
    .testTarget(
      name: "AnalysisTests", dependencies: ["Analysis", "Diagnostics", "PolicyModel", "PolicySamples"]),
    .testTarget(
      name: "CompilerTests",
      dependencies: [
        "Analysis", "BundleFormat", "CanonicalJSON", "Compiler", "Diagnostics", "Lift", "NFTables",
        "PolicyChecker", "PolicyModel", "PolicySamples", "Ruleset", "SHA2",
      ],
      exclude: ["Audits", "Cases", "Differences", "Expectations", "Findings", "Lint"]),
    .testTarget(
      name: "KernelTests",
      dependencies: [
        "BundleFormat", "Compiler", "Diagnostics", "HostState", "NFTables", "PolicyChecker", "PolicyModel",
        "PolicySamples", "PolicySyntax",
        "Ruleset", "RulesetSamples", "TextBackends", "ruleset-probe",
      ]),
  ]
)

// `make fuzz` only: programs without a main function, which libFuzzer brings.
if Context.environment["LOCKDOWN_FUZZ"] != nil {
  for name in ["Document", "Rules", "Lists", "Bundles", "Policies"] {
    package.targets.append(
      .executableTarget(
        name: "fuzz-\(name.lowercased())", dependencies: ["FuzzChecks"], path: "Tests/Fuzz/\(name)",
        swiftSettings: [.unsafeFlags(["-parse-as-library"])]))
  }
}

for target in package.targets where target.type != .system {
  var settings = target.swiftSettings ?? []
  settings += strict
  if alwaysOptimized.contains(target.name) {
    settings.append(.unsafeFlags(["-O"], .when(configuration: .debug)))
  }
  if memoryStrict.contains(target.name) { settings.append(.strictMemorySafety()) }
  target.swiftSettings = settings
}
