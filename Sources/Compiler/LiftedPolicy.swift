internal import BundleFormat
package import Diagnostics
package import Lift
package import NFTables
package import PolicyModel
internal import Ruleset

/// What is made of a host, read back from what a bundle would send to the kernel, or from what a kernel holds.
package struct LiftedPolicy: Sendable {
  package enum Origin: Sendable {
    /// Name, target, firewall, sysctls and mounts are the bundle's.
    case bundle
    /// There are rules, and nothing else.
    case kernel
  }

  package var origin: Origin
  /// The bundle, and the files that it says its rules are of; of those the lines alone are known.
  package var sources: SourceFiles
  package var policy: HostPolicy
  /// Its filter of system calls, `struct sock_filter` one behind the other; nil: none.
  package var filter: [UInt8]?
  package var filterIsForServices = false
  /// What a kernel holds beside the rules that were read and nobody looked at, in words.
  package var leftOut: [String] = []

  package enum Failure: Error {
    case damaged(String)
    case unreadable(LiftError)
  }

  /// - Parameter other: a policy to compare it with, which gives chains and sets their names.
  package init(path: String, bytes: [UInt8], like other: HostPolicy? = nil) throws(Failure) {
    let bundle: BundleContents
    do throws(BundleError) {
      bundle = try BundleContents.read(bytes)
    } catch {
      throw .damaged(
        "refused as a bundle: \(error.reason.text) (\(error.section.name), byte \(error.offset))")
    }
    origin = .bundle
    let places = BundlePlaces(path: path, bundle.sources)
    let span = places.span(of: 0)
    policy = HostPolicy(
      name: String(decoding: bundle.policyName, as: UTF8.self),
      target: Target(
        kernel: KernelVersion(Int(bundle.minimumKernel.major), Int(bundle.minimumKernel.minor))), span: span)
    policy.sysctls = bundle.sysctls.map { SysctlSetting($0, at: places.span(of: $0.source)) }
    policy.mounts = bundle.mounts.map { MountSetting($0, at: places.span(of: $0.source)) }
    filter = bundle.systemCalls?.program
    filterIsForServices = bundle.systemCalls?.scope == .services
    sources = places.files
    do {
      try read(bundle, places, like: other)
    } catch let error as LiftError {
      throw .unreadable(error)
    } catch {
      throw .damaged("a message of it cannot be read: \(error)")
    }
  }

  /// - Parameters:
  ///   - name: how findings name it.
  ///   - tables: all that a network namespace holds.
  ///   - interfaces: that are there, by their numbers.
  ///   - texts: how the rules are written.
  package init(
    name: String, tables: [DumpedTable], interfaces: [UInt32: String] = [:],
    texts: [Lift.RulePlace: KernelRuleText] = [:], like other: HostPolicy? = nil
  ) throws(Failure) {
    origin = .kernel
    sources = SourceFiles()
    let lines = texts.values.reduce(0) { max($0, $1.line ?? 0) }
    let file = sources.add(path: name, bytes: [UInt8](repeating: 0x0a, count: lines))
    let span = SourceSpan(file.id, 0, 0)
    policy = HostPolicy(name: "kernel", target: Target(kernel: KernelVersion(6, 1)), span: span)
    let (names, counters) = Self.names(of: other)
    var ids: [[UInt8]: String] = [:]
    other?.firewall?.forEachRule { ids[KernelRule.label(of: $0.id)] = $0.id }
    var lift = Lift(at: span, names: names, counters: counters, interfaces: interfaces) { rule in
      ids[Array(rule.label.dropLast())].map { ($0, span) }
    }
    lift.describe = { place in
      texts[place].map { text in
        (text.text, text.line.map { SourceSpan(file.id, $0 - 1, $0 - 1) } ?? span)
      }
    }
    do throws(LiftError) {
      let result = try lift.firewall(of: tables, own: KernelName.table, namedLike: other?.firewall)
      leftOut = result.leftOut
      policy.firewall = result.firewall.baseChains.isEmpty ? nil : result.firewall
      policy.dynamicSets = result.dynamicSets
    } catch {
      throw .unreadable(error)
    }
  }

  /// The other policy's names of sets and counters, by those in the kernel.
  private static func names(of other: HostPolicy?) -> (sets: [String: String], counters: [String: String]) {
    var sets: [String: String] = [:]
    for set in other?.dynamicSets ?? [] {
      for family in [Families.ipv4, .ipv6] { sets[KernelName.set(set.name, family: family)] = set.name }
    }
    var counters: [String: String] = [:]
    other?.firewall?.forEachRule { rule in
      if case .named(let name)? = rule.counter { counters[KernelName.counter(name)] = name }
    }
    return (sets, counters)
  }

  private mutating func read(
    _ bundle: BundleContents, _ places: BundlePlaces, like other: HostPolicy?
  ) throws {
    var groups: [String: [ControlGroup]] = [:]
    for item in bundle.late where item.kind == .controlGroup {
      for message in item.messages {
        guard let set = try StoredBatch.elementsSet(of: message.bytes) else { continue }
        groups[set, default: []].append(ControlGroup(String(decoding: item.name, as: UTF8.self)))
      }
    }
    let devices = bundle.late.filter { $0.kind == .device }.flatMap(\.messages)
    let tables = try StoredBatch.decode((bundle.messages + devices).map(\.bytes))
    let (names, counters) = Self.names(of: other)
    let lift = Lift(
      at: policy.span, controlGroups: groups.mapValues { $0.sorted() }, names: names, counters: counters
    ) { rule in
      places.id(of: rule.source).map { ($0, places.span(of: rule.source)) }
    }
    // INVARIANT: a bundle has one table (`MessageCheck`).
    guard let table = tables.first else { return }
    let result = try lift.firewall(of: table, namedLike: other?.firewall)
    policy.firewall = result.firewall.baseChains.isEmpty ? nil : result.firewall
    policy.dynamicSets = result.dynamicSets
  }
}

/// How a rule of the kernel is written in the file that it is of.
package struct KernelRuleText: Sendable {
  package var text: String
  /// From 1; nil: it is not known.
  package var line: Int?

  package init(text: String, line: Int?) {
    self.text = text
    self.line = line
  }
}

/// The source items of a bundle.
private struct BundlePlaces {
  private let items: [BundleSource]
  private let bundle: SourceID
  private(set) var files = SourceFiles()
  private var known: [String: SourceID] = [:]

  init(path: String, _ items: [BundleSource]) {
    self.items = items
    bundle = files.add(path: path, bytes: []).id
    var lengths: [String: Int] = [:]
    for item in items {
      let (file, line) = Self.place(item)
      lengths[file] = max(lengths[file] ?? 0, line)
    }
    for (file, lines) in lengths.sorted(by: { $0.key < $1.key }) {
      known[file] = files.add(path: file, bytes: [UInt8](repeating: 0x0a, count: lines)).id
    }
  }

  private static func place(_ item: BundleSource) -> (file: String, line: Int) {
    let text = String(decoding: item.place, as: UTF8.self)
    guard let colon = text.lastIndex(of: ":"), let line = Int(text[text.index(after: colon)...]),
      // A file of so many lines is made up.
      (1...10_000_000).contains(line)
    else { return (text, 1) }
    return (String(text[..<colon]), line)
  }

  /// - Parameter source: from 1; 0 is the bundle itself.
  func span(of source: UInt32) -> SourceSpan {
    guard let item = item(source) else { return SourceSpan(bundle, 0, 0) }
    let (file, line) = Self.place(item)
    return known[file].map { SourceSpan($0, line - 1, line - 1) } ?? SourceSpan(bundle, 0, 0)
  }

  func id(of source: UInt32) -> String? { item(source).map { String(decoding: $0.id, as: UTF8.self) } }

  private func item(_ source: UInt32) -> BundleSource? {
    source > 0 && Int(source) <= items.count ? items[Int(source) - 1] : nil
  }
}

extension SysctlSetting {
  fileprivate init(_ item: BundleSysctl, at span: SourceSpan) {
    // Slashes of the path are the key's dots, and the other way round.
    let key = String(
      String(decoding: item.path, as: UTF8.self).map { $0 == "/" ? "." : $0 == "." ? "/" : $0 })
    let parts = key.split(separator: ".")
    let isOfInterface = parts.count > 3 && ["conf", "neigh"].contains(parts[2])
    let strengthClass: SysctlClass =
      switch item.strengthClass {
      case .restorable: .restorable
      case .lossy: .lossy
      case .oneWay: .oneWay
      case .neutral: .neutral
      }
    self.init(
      key: key, value: String(decoding: item.value, as: UTF8.self), strengthClass: strengthClass,
      scope: isOfInterface ? (parts[3] == "*" ? .everyInterface : .interface) : .host,
      isNamespaced: item.isNamespaced, isKnown: true, span: span)
  }
}

extension MountSetting {
  fileprivate init(_ item: BundleMount, at span: SourceSpan) {
    let flags = MountFlag.allCases.filter { flag in
      // MOUNT_ATTR_* of linux/mount.h, read apart from `BundleAssembly`.
      switch flag {
      case .readOnly: item.attributesSet & 0x1 != 0
      case .readWrite: item.attributesCleared & 0x1 != 0
      case .noSuid: item.attributesSet & 0x2 != 0
      case .suid: item.attributesCleared & 0x2 != 0
      case .noDevices: item.attributesSet & 0x4 != 0
      case .devices: item.attributesCleared & 0x4 != 0
      case .noExec: item.attributesSet & 0x8 != 0
      case .exec: item.attributesCleared & 0x8 != 0
      case .noSymlinkFollow: item.attributesSet & 0x20_0000 != 0
      case .symlinkFollow: item.attributesCleared & 0x20_0000 != 0
      }
    }
    let options = String(decoding: item.options, as: UTF8.self)
    self.init(
      path: String(decoding: item.path, as: UTF8.self), flags: flags, isSelfBind: item.isSelfBind,
      options: options.isEmpty ? [] : options.split(separator: ",").map(String.init), span: span)
  }
}
