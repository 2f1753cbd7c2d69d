import CLinux

/// /run/lockdown: what lasts until the next boot.
enum Runtime {
  static func makeFolder() { _ = unsafe lockdown_make_folder(Array("/run/lockdown").terminated(), 0o755) }
}
