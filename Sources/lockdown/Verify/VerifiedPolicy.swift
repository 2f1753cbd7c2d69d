import BundleFormat
import Compiler
import Diagnostics

/// What a host should be: a bundle, and what it means.
struct VerifiedPolicy {
  /// As it is named in reports.
  var name: String
  var bundle: [UInt8]
  var contents: BundleContents
  var compared: CheckedSource

  /// Reads a bundle, that of a directory, or compiles a policy; findings are told.
  init(_ path: String) throws {
    name = CheckedSource.name(path)
    let file = path != "-" && FileBytes.isDirectory(path) ? "\(path)/policy.bundle" : path
    let bytes = try FileBytes.readSource(file)
    if BundleFile.isBundle(bytes) {
      bundle = bytes
      contents = try BundleFile.decodePolicy(bytes, path: name)
      let lifted = try BundleFile.policy(bytes, path: file, like: nil)
      compared = CheckedSource(sources: lifted.sources, compared: .lifted(lifted))
      return
    }
    let compilation = CompileRun.run(path, bytes)
    guard let policy = compilation.policy,
      let output = policy.files.first(where: { $0.name == "policy.bundle" })
    else {
      var none = NoAnswer([(name, compilation.sources, compilation.diagnostics)])
      none.code = CompileRun.exitCode(compilation)
      throw none
    }
    CompileRun.report(compilation)
    bundle = output.bytes
    contents = try BundleFile.decodePolicy(bundle, path: name)
    compared = CheckedSource(sources: compilation.sources, compared: .policy(policy.policy))
  }
}
