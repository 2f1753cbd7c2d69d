import Diagnostics
import PolicyChecker

/// List files, read as by a policy that names one.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzLists(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  let list = Array(UnsafeBufferPointer(start: start, count: count))
  var files = SourceFiles()
  let file = files.add(path: "fuzz.cos", bytes: policy)
  var problems = DiagnosticList()
  let checked = PolicyChecker.check(
    file, in: &files, reader: SourceDictionary(["fuzz.netset": list]), diagnostics: &problems)
  precondition((checked == nil) == problems.hasErrors, "refused without an error, or accepted with one")
  if let set = checked?.addressSets.first {
    precondition(set.addresses.ipv4.allSatisfy { $0.lower <= $0.upper }, "a range that runs downwards")
    precondition(set.addresses.ipv6.allSatisfy { $0.lower <= $0.upper }, "a range that runs downwards")
    precondition(zip(set.addresses.ipv4, set.addresses.ipv4.dropFirst()).allSatisfy { $0.upper < $1.lower })
    precondition(zip(set.addresses.ipv6, set.addresses.ipv6.dropFirst()).allSatisfy { $0.upper < $1.lower })
  }
  _ = PlainRenderer(files: files).render(problems.all)
  return 0
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
