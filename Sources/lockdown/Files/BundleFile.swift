import ArgumentParser
import BundleFormat

enum BundleFile {
  /// The contents of a bundle; a refusal says which part and why, and ends with exit code 1.
  static func decode(_ bytes: [UInt8], path: String) throws -> BundleContents {
    do throws(BundleError) {
      return try BundleContents.read(bytes)
    } catch {
      printError(
        "lockdown: \(path): refused as a bundle: \(error.reason.text) (\(error.section.name), byte \(error.offset))"
      )
      throw ExitCode(1)
    }
  }
}
