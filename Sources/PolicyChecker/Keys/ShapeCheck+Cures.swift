import Diagnostics
import PolicyModel
import PolicySyntax

/// What to write where a list or a mapping is asked for and something else stands, as other formats have it.
extension Checker {
  func cure(of node: SyntaxNode, _ type: ValueType) -> (help: [String], fixIts: [FixIt]) {
    switch (type, node.content) {
    case (.list, .scalar(let scalar)): textForList(scalar, node)
    case (.either(let types), .scalar(let scalar)) where types.contains(where: \.isChain):
      ChainPolicy(rawValue: scalar.text) == nil
        ? textForList(scalar, node) : replaced(node, by: "{ policy: \(scalar.text) }")
    case (.either(let types), .scalar(let scalar)) where types.contains(where: \.isList):
      textForList(scalar, node)
    case (.dictionary(.sysctl, _), .scalar(let scalar)): assignments([scalar], node)
    case (.dictionary(.sysctl, _), .sequence(let items)):
      assignments(items.compactMap(\.scalar), node)
    case (.mapping(let table), .scalar(let scalar)) where table.name == PolicyKeys.mount.name:
      mountFlags(scalar.text.split(whereSeparator: { $0 == "," || $0 == " " }).map(String.init), node)
    case (.mapping(let table), .sequence(let items)) where table.name == PolicyKeys.mount.name:
      mountFlags(items.compactMap(\.scalar?.text), node)
    case (.mapping(let table), _):
      (["its keys are \(table.keys.map { "`\($0.name)`" }.joined(separator: ", "))"], [])
    default: ([], [])
    }
  }

  /// One text where a list is asked for.
  private func textForList(_ scalar: SyntaxScalar, _ node: SyntaxNode) -> (help: [String], fixIts: [FixIt]) {
    guard scalar.style != .literal, scalar.style != .folded else {
      return (["each item stands behind a dash, on a line of its own"], [])
    }
    guard isFirstOfItsLine(node) else {
      return (["write each item on a line of its own below the key: `- \(scalar.text)`"], [])
    }
    let place = SourceSpan(node.span.source, node.span.start, node.span.start)
    return ([], [FixIt("add a dash", replace: place, with: "- ")])
  }

  private func isFirstOfItsLine(_ node: SyntaxNode) -> Bool {
    let file = sources[node.span.source]
    let line = file.lineIndex(of: node.span.start)
    return file.bytes[file.lineStarts[line]..<node.span.start].allSatisfy { $0 == 0x20 }
  }

  private func replaced(_ node: SyntaxNode, by text: String) -> (help: [String], fixIts: [FixIt]) {
    ([], [FixIt("write `\(text)`", replace: node.span, with: text)])
  }

  /// `KEY=VALUE` or `KEY = VALUE`, as in sysctl.conf.
  private func assignments(
    _ scalars: [SyntaxScalar], _ node: SyntaxNode
  ) -> (help: [String], fixIts: [FixIt]) {
    let file = sources[node.span.source]
    let written = scalars.map { scalar -> (key: String, value: String)? in
      let sides = scalar.text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        .map { $0.trimmed }
      guard sides.count == 2, !sides[0].isEmpty, !sides[0].contains(" "), !sides[1].isEmpty else {
        return nil
      }
      return (sides[0], sides[1])
    }
    let pairs = written.compactMap { $0 }
    guard let first = pairs.first else { return (["write `KEY: VALUE`, each on a line of its own"], []) }
    let help = [
      "write `\(first.key): \(first.value)`: each key stands on a line of its own, without a dash"
    ]
    // A comment between them would be lost.
    let text = file.bytes[node.span.start..<node.span.end]
    guard pairs.count == written.count, !node.isFlow, isFirstOfItsLine(node),
      !text.contains(UInt8(ascii: "#"))
    else { return (help, []) }
    let column = node.span.start - file.lineStarts[file.lineIndex(of: node.span.start)]
    let lines = pairs.map { pair in
      let isPlain = pair.value.utf8.allSatisfy {
        (0x30...0x39).contains($0) || (0x61...0x7a).contains($0) || $0 == UInt8(ascii: "-")
      }
      let value = isPlain ? pair.value : "\"\(pair.value.escaped)\""
      return "\(pair.key): \(value)"
    }
    let separator = "\n" + String(repeating: " ", count: column)
    return (
      help, [FixIt("write a mapping", replace: node.span, with: lines.joined(separator: separator))]
    )
  }

  /// `/tmp: noexec,nosuid`, as in fstab.
  private func mountFlags(_ words: [String], _ node: SyntaxNode) -> (help: [String], fixIts: [FixIt]) {
    let text = "{ flags: [\(words.joined(separator: ", "))] }"
    let areFlags = !words.isEmpty && words.allSatisfy { MountFlag(rawValue: $0) != nil }
    guard areFlags else {
      return (["its keys are `flags`, `bind` and `options`: `{ flags: [noexec] }`"], [])
    }
    let isOneLine = !sources[node.span.source].bytes[node.span.start..<node.span.end].contains(0x0a)
    return (
      ["write `\(text)`"], isOneLine ? [FixIt("write `\(text)`", replace: node.span, with: text)] : []
    )
  }
}

extension ValueType {
  fileprivate var isList: Bool { if case .list = self { true } else { false } }

  /// A mapping of the keys of a chain.
  fileprivate var isChain: Bool {
    if case .mapping(let table) = self { table.name == PolicyKeys.chainKeys.name } else { false }
  }
}

extension Substring {
  /// Without blanks at its ends.
  fileprivate var trimmed: String {
    var text = self
    while text.first == " " { text.removeFirst() }
    while text.last == " " { text.removeLast() }
    return String(text)
  }
}

extension String {
  /// Inside double quotes.
  fileprivate var escaped: String {
    replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
  }
}
