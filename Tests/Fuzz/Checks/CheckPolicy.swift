import Compiler
import Diagnostics
import PolicyChecker

/// The whole compiler, and the formatter beside it: whatever a policy says, a compile ends with findings or with files.
package func checkPolicy(_ bytes: [UInt8]) throws(BrokenPromise) {
  let reader = SourceDictionary([
    "list.netset": Array("192.0.2.0/24\n2001:db8::/32\n".utf8), "base.cos": base,
    "part.cos": Array("fragment: part\nlanguage: 1\nsysctl:\n  kernel.kptr_restrict: 2\n".utf8),
  ])
  let compilation = PolicyCompiler.compile(path: "fuzz.cos", bytes: bytes, reader: reader)
  try promise(
    (compilation.policy == nil) == compilation.diagnostics.hasErrors,
    "refused without an error, or the reverse")
  try promise(
    !compilation.diagnostics.all.contains { $0.id == .notEncodable || $0.id == .mistranslated },
    "what the checker accepted cannot be encoded, or means something else then")
  _ = PlainRenderer(files: compilation.sources).render(compilation.diagnostics.all)
  var problems = DiagnosticList()
  let file = SourceFile(id: SourceID(0), path: "fuzz.cos", bytes: bytes)
  let output: [UInt8]?
  do throws(PolicyFormatter.UnfaithfulError) {
    output = try PolicyFormatter.format(file, diagnostics: &problems)
  } catch {
    throw BrokenPromise(description: "the layout says something else")
  }
  guard let output, let policy = compilation.policy else { return }
  let again = PolicyCompiler.compile(path: "fuzz.cos", bytes: output, reader: reader)
  try promise(again.policy?.digest == policy.digest, "the layout is part of the digest")
}

private let base = Array(
  """
  policy: base
  language: 1
  target: { kernel: "6.1" }
  management: none
  firewall:
    input:
      policy: drop
      rules:
        - replies: accept established, related
        - ssh: accept tcp 22
  delegate:
    - input accept tcp 80

  """.utf8)
