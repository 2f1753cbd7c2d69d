import BundleFormat
import SHA2

/// The reader of bundles, under a right checksum, so that the structure is reached: what is read is written again byte
/// for byte.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzBundles(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  var bytes = Array(UnsafeBufferPointer(start: start, count: count))
  if count >= 96 {
    // docs/bundle-format.md: SHA-256 of the file with this field as zeros.
    bytes.replaceSubrange(64..<96, with: [UInt8](repeating: 0, count: 32))
    bytes.replaceSubrange(64..<96, with: SHA256.hash(bytes))
  }
  if let contents = try? BundleContents.read(bytes) {
    precondition(contents.encoded() == bytes, "two encodings of one value")
  }
  return 0
}
