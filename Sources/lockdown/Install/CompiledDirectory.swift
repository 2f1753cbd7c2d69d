import ArgumentParser
import BundleFormat
import CLinux
import Glibc
import Installation
import SHA2

/// What `compile` wrote, as an installation takes it: the bundle, and the texts beside it.
struct CompiledDirectory {
  var bundlePath: String
  var bundle: [UInt8]
  var contents: BundleContents
  var modprobe: [UInt8]
  /// Without what the applier writes when everything else was read back: systemd-sysctl would do it before, and again.
  var sysctl: [UInt8]
  var commandLine: String

  /// The SHA-256 of the bundle's file.
  var name: SlotState.Name { SHA256.hex(SHA256.hash(bundle)) }

  var policyName: String { String(decoding: contents.policyName, as: UTF8.self) }

  /// - Parameter path: the directory, or the bundle in it.
  init(_ path: String) throws {
    let isDirectory = FileBytes.isDirectory(path)
    let directory =
      isDirectory ? path : path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
    bundlePath = isDirectory ? "\(path)/policy.bundle" : path
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
    sysctl = Self.withoutSeal(try FileBytes.read("\(directory)/sysctl.conf"), contents.sysctls)
    let line = try FileBytes.read("\(directory)/cmdline.txt")
    commandLine = String(
      decoding: line.last == UInt8(ascii: "\n") ? line.dropLast() : line[...], as: UTF8.self)
  }

  /// Leaves out lossy and one-way keys and `kernel.modprobe`, and a section that then has no line left.
  private static func withoutSeal(_ text: [UInt8], _ sysctls: [BundleSysctl]) -> [UInt8] {
    var sealed: Set<String> = []
    for sysctl in sysctls {
      let path = String(decoding: sysctl.path, as: UTF8.self)
      switch sysctl.strengthClass {
      case .restorable, .neutral: if path != "kernel/modprobe" { continue }
      case .lossy, .oneWay: break
      }
      // The file has a line for each tree that `*` stands for.
      let parts = path.split(separator: "/")
      for word in ["*", "all", "default"] {
        sealed.insert(parts.map { $0 == "*" ? word : String($0) }.joined(separator: "/"))
      }
    }
    let lines = String(decoding: text, as: UTF8.self).split(
      separator: "\n", omittingEmptySubsequences: false)
    var kept: [String] = []
    for (index, section) in lines.split(separator: "", omittingEmptySubsequences: false).enumerated() {
      let rest = section.filter { !sealed.contains(path(ofLine: $0)) }
      // The first section is the file's head.
      guard index == 0 || rest.contains(where: { !$0.hasPrefix("#") }) else { continue }
      kept.append(rest.joined(separator: "\n"))
    }
    return Array((kept.joined(separator: "\n\n") + "\n").utf8)
  }

  /// Of a line as `-net.ipv4.conf.*.forwarding = 1`: `net/ipv4/conf/*/forwarding`.
  private static func path(ofLine line: Substring) -> String {
    let key = (line.hasPrefix("-") ? line.dropFirst() : line).prefix { $0 != " " }
    return String(key.map { $0 == "." ? "/" : $0 == "/" ? "." : $0 })
  }
}
