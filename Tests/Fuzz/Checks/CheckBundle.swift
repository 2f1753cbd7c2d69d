import BundleFormat
import SHA2

/// The reader of bundles, under a right checksum, so that the structure is reached: what is read is written again byte
/// for byte.
package func checkBundle(_ bytes: [UInt8]) throws(BrokenPromise) {
  var bytes = bytes
  if bytes.count >= 96 {
    // docs/bundle-format.md: SHA-256 of the file with this field as zeros.
    bytes.replaceSubrange(64..<96, with: [UInt8](repeating: 0, count: 32))
    bytes.replaceSubrange(64..<96, with: SHA256.hash(bytes))
  }
  if let contents = try? BundleContents.read(bytes) {
    try promise(contents.encoded() == bytes, "two encodings of one value")
  }
}
