import ArgumentParser
import BundleFormat
import CLinux
import CanonicalJSON
import Compiler
import Glibc
import HostState
import PolicyModel
import SHA2

/// What a file, or the kernel, says it is, as far as that can be checked.
struct PolicyIdentity {
  enum Kind: String {
    case policy
    case document
    case bundle
    case directory
    case kernel
  }

  /// As it was named.
  var source: String
  var kind: Kind
  var name: String?
  /// `sha256:` and 64 digits; nil where no policy is loaded, or where that cannot be told.
  var digest: String?
  /// The kernel holds a policy whose label it cannot show.
  var isUnknown = false

  var json: JSONValue {
    [
      "source": .string(source), "kind": .string(kind.rawValue),
      "name": name.map(JSONValue.string) ?? .null, "digest": digest.map(JSONValue.string) ?? .null,
    ]
  }

  // MARK: The kernel

  static func live() throws -> PolicyIdentity {
    let loaded: LoadedPolicy?
    do throws(HostStateError) {
      loaded = try HostState.readDigest()
    } catch {
      throw FileError("\(error)")
    }
    var identity = PolicyIdentity(source: "kernel", kind: .kernel)
    identity.name = loaded?.name
    identity.digest = loaded?.policyDigest.map { "sha256:\($0)" }
    if loaded != nil, identity.digest == nil {
      // Objects have userdata since 5.10.
      printError("lockdown: the kernel holds a policy without its digest: kernels before 5.10 keep none")
      identity.isUnknown = true
    }
    return identity
  }

  // MARK: Files

  /// Reads a file and computes what can be computed; what is not what it says ends with exit code 1.
  init(_ path: String) throws {
    if path != "-", FileBytes.isDirectory(path) {
      self = try Self.directory(path)
      return
    }
    let bytes = try FileBytes.read(path)
    if BundleContents.isBundle(bytes) {
      self = try Self.bundle(bytes, path)
    } else if let value = Self.document(bytes) {
      self = try Self.document(value, path)
    } else {
      self = try Self.policy(bytes, path)
    }
  }

  private init(source: String, kind: Kind, name: String? = nil, digest: String? = nil) {
    self.source = source
    self.kind = kind
    self.name = name
    self.digest = digest
  }

  private static func bundle(_ bytes: [UInt8], _ path: String) throws -> PolicyIdentity {
    let contents = try BundleFile.decode(bytes, path: path)
    return PolicyIdentity(
      source: path, kind: .bundle, name: String(decoding: contents.policyName, as: UTF8.self),
      digest: PolicyDigest.text(contents.policyDigest))
  }

  /// The value of a policy.json; a policy may be JSON too, and has no digest.
  private static func document(_ bytes: [UInt8]) -> JSONValue? {
    guard bytes.first(where: { ![0x20, 0x0a, 0x0d, 0x09].contains($0) }) == UInt8(ascii: "{"),
      let value = try? JSONValue(parsing: bytes), value["digest"] != nil
    else { return nil }
    return value
  }

  private static func document(_ value: JSONValue, _ path: String) throws -> PolicyIdentity {
    let document: PolicyDocument
    do throws(PolicyDocument.Fault) {
      document = try PolicyDocument(value)
    } catch {
      switch error {
      case .notAPolicy: throw refused(path, "it is no policy.json")
      case .otherDigest(let stated): throw refused(path, "its digest is not the \(stated) that it states")
      case .otherElements(let set):
        throw refused(path, "the elements of `\(set)` are not those of its SHA-256")
      }
    }
    let directory = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
    for set in document.setFiles {
      let text = try FileBytes.read(directory + set.name)
      guard SHA256.hex(SHA256.hash(text)) == Array(set.sha256.utf8) else {
        throw refused(directory + set.name, "it is not the set that policy.json names")
      }
    }
    return PolicyIdentity(
      source: path, kind: .document, name: document.name, digest: PolicyDigest.text(document.digest))
  }

  private static func policy(_ bytes: [UInt8], _ path: String) throws -> PolicyIdentity {
    let compilation = CompileRun.run(path, bytes)
    CompileRun.report(compilation)
    guard let policy = compilation.policy else { throw ExitCode(CompileRun.exitCode(compilation)) }
    return PolicyIdentity(
      source: path, kind: .policy, name: policy.policy.name, digest: PolicyDigest.text(policy.digest))
  }

  /// The directory of a compile: its document and its bundle are of one policy.
  private static func directory(_ path: String) throws -> PolicyIdentity {
    let (json, bundle) = ("\(path)/policy.json", "\(path)/policy.bundle")
    guard let value = document(try FileBytes.read(json)) else { throw refused(json, "it is no policy.json") }
    let document = try document(value, json)
    let compiled = try self.bundle(try FileBytes.read(bundle), bundle)
    guard document.digest == compiled.digest else {
      throw refused(
        path, "policy.json is \(document.digest ?? "none"), policy.bundle \(compiled.digest ?? "none")")
    }
    return PolicyIdentity(source: path, kind: .directory, name: document.name, digest: document.digest)
  }

  private static func refused(_ path: String, _ reason: String) -> ExitCode {
    printError("lockdown: \(path): \(reason)")
    return ExitCode(1)
  }
}
