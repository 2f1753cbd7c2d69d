import ArgumentParser
import BundleFormat
import CLinux
import Glibc
import Installation
import SHA2

/// What `compile` wrote, as an installation takes it: the bundle, and the texts beside it.
struct CompiledDirectory {
  var bundle: [UInt8]
  var contents: BundleContents
  var modprobe: [UInt8]
  var sysctl: [UInt8]
  var commandLine: String

  /// The SHA-256 of the bundle's file.
  var name: SlotState.Name { SHA256.hex(SHA256.hash(bundle)) }

  var policyName: String { String(decoding: contents.policyName, as: UTF8.self) }

  /// - Parameter path: the directory, or the bundle in it.
  init(_ path: String) throws {
    var status = stat()
    let isDirectory = stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    let directory =
      isDirectory ? path : path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
    let bundlePath = isDirectory ? "\(path)/policy.bundle" : path
    bundle = try FileBytes.read(bundlePath)
    contents = try BundleFile.decodePolicy(bundle, path: bundlePath)
    // The texts carry no digest; the document beside them does, and the compiler writes all of them or none.
    let document = try PolicyIdentity("\(directory)/policy.json")
    let own = "sha256:" + String(decoding: SHA256.hex(contents.policyDigest), as: UTF8.self)
    guard document.kind == .document, document.digest == own else {
      printError("lockdown: \(directory): policy.json is \(document.digest ?? "none"), the bundle \(own)")
      throw ExitCode(1)
    }
    modprobe = try FileBytes.read("\(directory)/modprobe.conf")
    sysctl = try FileBytes.read("\(directory)/sysctl.conf")
    let line = try FileBytes.read("\(directory)/cmdline.txt")
    commandLine = String(
      decoding: line.last == UInt8(ascii: "\n") ? line.dropLast() : line[...], as: UTF8.self)
  }
}
