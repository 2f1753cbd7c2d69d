import CLinux

/// The detached signature of a bundle, beside it as `BUNDLE.sig`. The kernel verifies it, as it does signatures of modules:
/// a library would be a tenth of this program, and its Ed25519 is nothing that kernels have.
enum Signature {
  /// With a zero in front of the bundle's SHA-256, so that a signature of something else is none of a bundle.
  private static let context: Literal = "lockdown bundle 1"

  /// Whether the key that the options name has signed it. False after a message.
  static func isGood(_ reader: BundleReader, _ options: Options, _ surroundings: Surroundings) -> Bool {
    var path = Text()
    path.add(options.bundlePath, 0..<(options.bundlePath.count - 1))
    path.add(".sig")
    path.add(byte: 0)
    guard let certificate = TrustedFile.readOrSay(options.keyPath, surroundings),
      let signature = TrustedFile.readOrSay(path.bytes, surroundings)
    else { return false }
    var line = Line("refused: --key holds no key for this kernel: ")
    var result = unsafe lockdown_add_certificate(certificate, certificate.count)
    if result >= 0 {
      line = Line("refused: not signed by --key: ")
      var signed = Text(context)
      signed.add(byte: 0)
      signed.add(reader.bytes, reader.checksum)
      var hasher = SHA256()
      hasher.update(signed.bytes)
      result = unsafe lockdown_verify_signature(
        Int32(truncatingIfNeeded: result), hasher.finish(), signature, signature.count)
    }
    if result < 0 { line.text.add(errorNumber: result) } else { line = Line("signed by --key") }
    line.print()
    return result >= 0
  }
}
