import Diagnostics
import Foundation
import PolicySyntax
import Testing

@Suite("documents: damaged input")
struct DocumentRobustnessTests {
  @Test("every prefix and every deletion of one byte: no crash, nothing lost, refusals are reported")
  func prefixesAndDeletions() throws {
    for (path, bytes) in try DocumentCorpus.policies() + DocumentSeeds.documents {
      for end in 0...bytes.count {
        check(Array(bytes[..<end]), "\(path), first \(end) bytes")
        guard end < bytes.count else { break }
        var shorter = bytes
        shorter.remove(at: end)
        check(shorter, "\(path) without byte \(end)")
      }
    }
  }

  @Test("random bytes")
  func randomBytes() {
    var random = SplitMix(seed: 1)
    for round in 0..<20_000 {
      let alphabet = round % 2 == 0 ? nil : DocumentSeeds.significantBytes
      let bytes = (0..<Int.random(in: 0...60, using: &random)).map { _ in
        alphabet?.randomElement(using: &random) ?? UInt8.random(in: 0...255, using: &random)
      }
      check(bytes, "round \(round)")
    }
  }

  private func check(_ bytes: [UInt8], _ name: @autoclosure () -> String) {
    let (tree, problems) = parseDocument(bytes)
    expectLossless(tree, bytes, name())
    if tree.root == nil, problems.isEmpty { Issue.record("refused without a word: \(name())") }
    for problem in problems {
      guard let span = problem.span, span.start <= span.end, span.end <= bytes.count else {
        Issue.record("\(problem.id) has a span outside the file: \(name())")
        continue
      }
      for fix in problem.fixIts where fix.span.start > fix.span.end || fix.span.end > bytes.count {
        Issue.record("\(problem.id) has a fix-it outside the file: \(name())")
      }
    }
    if let root = tree.root { checkSpans(root, bytes.count, name) }
  }

  /// Children stand inside their parents, one behind the other.
  private func checkSpans(_ node: SyntaxNode, _ count: Int, _ name: () -> String) {
    let children: [SourceSpan] =
      switch node.content {
      case .scalar: []
      case .sequence(let items): items.map(\.span)
      case .mapping(let entries): entries.flatMap { [$0.key.span, $0.value.span] }
      }
    var position = node.span.start
    for child in children {
      if child.start < position || child.end < child.start || child.end > node.span.end {
        Issue.record("span \(child.start)..<\(child.end) outside \(position)..<\(node.span.end): \(name())")
      }
      position = child.end
    }
    node.sequence?.forEach { checkSpans($0, count, name) }
    node.mapping?.forEach { checkSpans($0.value, count, name) }
  }
}

/// Fixed-seed random numbers: the same documents on every machine.
struct SplitMix: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var value = state
    value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
    value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
    return value ^ (value >> 31)
  }
}
