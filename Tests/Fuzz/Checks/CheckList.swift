import Diagnostics
import PolicyChecker
import PolicyModel

/// List files, read as by a policy that names one.
package func checkList(_ bytes: [UInt8]) throws(BrokenPromise) {
  var files = SourceFiles()
  let file = files.add(path: "fuzz.cos", bytes: policy)
  var problems = DiagnosticList()
  let checked = PolicyChecker.check(
    file, in: &files, reader: SourceDictionary(["fuzz.netset": bytes]), diagnostics: &problems)
  try promise((checked == nil) == problems.hasErrors, "refused without an error, or accepted with one")
  if let set = checked?.addressSets.first {
    try promise(isMerged(set.addresses.ipv4) && isMerged(set.addresses.ipv6), "ranges out of order")
  }
  _ = PlainRenderer(files: files).render(problems.all)
}

/// Ascending, and none touches another.
private func isMerged<Value>(_ ranges: [AddressRange<Value>]) -> Bool {
  ranges.allSatisfy { $0.lower <= $0.upper }
    && zip(ranges, ranges.dropFirst()).allSatisfy { $0.upper < $1.lower && $0.upper + 1 < $1.lower }
}

private let policy = Array(
  """
  policy: fuzz
  language: 1
  target: { kernel: "6.1" }
  management: none
  define:
    list: { file: fuzz.netset }
  firewall:
    input:
      policy: accept
      rules:
        - drop from $list

  """.utf8)
