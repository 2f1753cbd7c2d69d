import BundleFormat
import Compiler
import PolicyModel

enum BundleFile {
  /// The same of one that a host can be made to hold: the closed stage alone is none.
  static func decodePolicy(_ bytes: [UInt8], path: String) throws -> BundleContents {
    let contents = try decode(bytes, path: path)
    guard !contents.isClosedStageAlone else {
      throw NoAnswer(1, path, "refused: it holds the closed firewall alone, and no policy")
    }
    return contents
  }

  /// The contents of a bundle; a refusal says which part and why, and ends with exit code 1.
  static func decode(_ bytes: [UInt8], path: String) throws -> BundleContents {
    do throws(BundleError) {
      return try BundleContents.read(bytes)
    } catch {
      throw NoAnswer(
        1, path, "refused as a bundle: \(error.reason.text) (\(error.section.name), byte \(error.offset))")
    }
  }

  static func isBundle(_ bytes: [UInt8]) -> Bool { BundleContents.isBundle(bytes) }

  /// What a bundle means; nil: it is none.
  static func policy(_ bytes: [UInt8], path: String) throws -> LiftedPolicy? {
    isBundle(bytes) ? try policy(bytes, path: path, like: nil) : nil
  }

  /// What a bundle means. One that is damaged cannot be asked; one that has a table of another kind cannot be told.
  static func policy(_ bytes: [UInt8], path: String, like other: HostPolicy?) throws -> LiftedPolicy {
    do throws(LiftedPolicy.Failure) {
      return try LiftedPolicy(path: CheckedSource.name(path), bytes: bytes, like: other)
    } catch .damaged(let reason) {
      throw FileError("`\(path)`: \(reason)")
    } catch .unreadable(let error) {
      throw NoAnswer.unknown(path, "\(error)")
    }
  }
}
