import BundleFormat
import CLinux
import Glibc
import HostState

/// Mount points for a policy's flags.
enum SandboxMounts {
  /// Binds onto itself, in this mount namespace alone, each directory that the policy sets flags of and that is no
  /// mount point here: on the policy's own hosts it is one. Returns their paths.
  ///
  /// What is mounted below stays visible. Paths that are absent are left to the applier, which names them.
  static func prepare(_ contents: BundleContents) throws(SandboxError) -> [String] {
    var mounted: Set<[UInt8]>
    do throws(HostStateError) {
      mounted = Set(try HostState.mounts().map(\.path))
    } catch {
      throw SandboxError(doing: "reading the mounts: \(error)", code: 0)
    }
    var bound: [String] = []
    // The bundle has parents before their children.
    for mount in contents.mounts where !mount.isSelfBind && !mounted.contains(mount.path) {
      let path = String(decoding: mount.path, as: UTF8.self)
      guard lockdown_bind_to_itself(path) == 0 else { continue }
      mounted.insert(mount.path)
      bound.append(path)
    }
    return bound
  }
}
