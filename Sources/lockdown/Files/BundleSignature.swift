import ArgumentParser
import BundleFormat
import CLinux
import Glibc
import SHA2

/// The detached signature of a bundle, `BUNDLE.sig`: RSA of PKCS #1, version 1.5, with SHA-256, which kernels verify.
enum BundleSignature {
  static func path(of bundle: String) -> String { bundle + ".sig" }

  /// What is signed: a word, a zero, and the bundle's SHA-256, which `--pin` names too.
  static func message(of bundle: [UInt8]) -> [UInt8] {
    Array("lockdown bundle 1\0".utf8) + BundleContents.checksum(in: bundle)
  }

  /// Bytes of a signature by a key that the kernel takes and that nobody breaks: 2,048 to 4,096 bits.
  static let lengths = 256...512

  /// What `install` and `stage` take with a bundle: the signature beside it, by the key of the certificate.
  static func read(beside bundle: String, of bytes: [UInt8], by certificate: [UInt8], named key: String)
    throws
    -> [UInt8]
  {
    let signature = try FileBytes.read(path(of: bundle))
    try check(signature, of: message(of: bytes), by: certificate, named: key)
    return signature
  }

  /// Refused, exit code 1, where the running kernel says that it is not by the key of the certificate. Where it cannot
  /// tell, a warning says so: the applier asks again.
  static func check(
    _ signature: [UInt8], of message: [UInt8], by certificate: [UInt8], named path: String
  ) throws {
    let key = lockdown_add_certificate(certificate, certificate.count)
    guard key >= 0 else {
      return try judge(
        Int32(-key), "the kernel takes no key from `\(path)`, a certificate in DER with an RSA key")
    }
    let result = lockdown_verify_signature(Int32(key), SHA256.hash(message), signature, signature.count)
    if result < 0 { try judge(Int32(-result), "the signature is not by the key of `\(path)`") }
  }

  private static func judge(_ code: Int32, _ reason: String) throws {
    let text = String(cString: strerror(code))
    switch code {
    case ENOSYS, EPERM, EACCES, ENOPKG, EOPNOTSUPP, EDQUOT:
      printError("lockdown: warning: this kernel cannot tell whether the signature is good: \(text)")
    default:
      printError("lockdown: refused: \(reason): \(text)")
      throw ExitCode(1)
    }
  }
}
