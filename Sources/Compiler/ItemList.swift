internal import CanonicalJSON
internal import Diagnostics
internal import PolicyModel
internal import Ruleset

/// Every item of a policy that has an id, and where it was written.
struct ItemList {
  struct Item {
    var id: String
    var file: String
    var position: SourcePosition
    var includeChain: [String]
  }

  /// In the order of `policy.json`. An item's index, counted from 1, is the sequence number of its messages.
  private(set) var items: [Item] = []
  private var indexes: [String: UInt32] = [:]
  private let sources: SourceFiles
  /// Items of one file stand side by side.
  private var lastFile: (id: SourceID, file: SourceFile, includeChain: [String])?

  init(_ policy: HostPolicy, sources: SourceFiles) {
    self.sources = sources
    let ruleCount = policy.firewall?.ruleCount ?? 0
    items.reserveCapacity(ruleCount)
    indexes.reserveCapacity(ruleCount)
    policy.firewall?.forEachRule { add($0.id, $0.span) }
    for chain in policy.firewall?.baseChains ?? [] {
      for device in chain.devices { add(chain.deviceRuleID(device), chain.span) }
    }
    for set in policy.addressSets { add(ItemID.set(set), set.span) }
    for set in policy.dynamicSets { add(ItemID.set(set), set.span) }
    for setting in policy.sysctls { add(ItemID.sysctl(setting), setting.span) }
    for mount in policy.mounts { add(ItemID.mount(mount), mount.span) }
    for module in policy.modules.denied + policy.modules.allowed + policy.modules.required {
      add(ItemID.module(module), module.span)
    }
    for (id, parameter) in zip(ItemID.parameters(policy.kernel), policy.kernel.commandLine) {
      add(id, parameter.span)
    }
    for entry in (policy.systemCalls?.denied ?? []) + (policy.systemCalls?.allowed ?? []) {
      add(ItemID.systemCall(entry), entry.span)
    }
    for rule in policy.boot.input { add(rule.id, rule.span) }
    for rule in ClosedStage(policy)?.rules ?? [] { add(rule.id, rule.span) }
    for (list, place) in [
      (policy.expectations, "expect"), (policy.guarantees, "guarantee"), (policy.delegations, "delegate"),
    ] {
      for (id, statement) in zip(ItemID.statements(list, place: place), list) { add(id, statement.span) }
    }
  }

  /// Counted from 1; 0 for no item.
  func index(of id: String) -> UInt32 { indexes[id] ?? 0 }

  /// Nil: no item has this index.
  func id(of index: UInt32) -> String? {
    index > 0 && Int(index) <= items.count ? items[Int(index) - 1].id : nil
  }

  private mutating func add(_ id: String, _ span: SourceSpan) {
    // A module may be allowed and required: one item, at its first place.
    let next = UInt32(items.count + 1)
    guard Self.take(next, &indexes[id, default: 0]) else { return }
    if lastFile?.id != span.source {
      let file = sources[span.source]
      lastFile = (span.source, file, Self.includeChain(of: file, sources))
    }
    guard let (_, file, includeChain) = lastFile else { return }
    items.append(
      Item(
        id: id, file: file.name, position: file.position(of: span.start), includeChain: includeChain))
  }

  /// Fills a place that is empty; false if it is not.
  private static func take(_ index: UInt32, _ place: inout UInt32) -> Bool {
    guard place == 0 else { return false }
    place = index
    return true
  }

  /// The document of `policy.map.json`.
  var sourceMap: [UInt8] {
    let sorted = items.indices.sorted { items[$0].id.precedes(items[$1].id) }
    let document = JSONStream(canonical: { _ in }) { json in
      json.member("format", 1)
      json.longList("items") { json in
        // Lent out: the file's name is the same for all, and each copy would count a reference to it.
        let items = items.span
        for index in sorted {
          json.element { json in
            json.member("column", JSONValue(items[index].position.column))
            json.member("file", items[index].file)
            json.member("id", items[index].id)
            json.member("include-chain", texts: items[index].includeChain)
            json.member("line", JSONValue(items[index].position.line))
          }
        }
      }
    }
    return document.pretty
  }

  /// Where a file is named, where the file is named that names it, and so on: `FILE:LINE` each.
  private static func includeChain(of file: SourceFile, _ sources: SourceFiles) -> [String] {
    var chain: [String] = []
    var next = file.namedAt
    while let span = next {
      let naming = sources[span.source]
      chain.append("\(naming.name):\(naming.position(of: span.start).line)")
      next = naming.namedAt
    }
    return chain
  }
}

extension String {
  /// By bytes.
  fileprivate func precedes(_ other: String) -> Bool {
    let answer = utf8.withContiguousStorageIfAvailable { bytes in
      other.utf8.withContiguousStorageIfAvailable { bytes.lexicographicallyPrecedes($0) }
    }
    return (answer ?? nil) ?? utf8.lexicographicallyPrecedes(other.utf8)
  }
}
