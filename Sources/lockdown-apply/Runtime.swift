import CLinux

/// /run/lockdown: what lasts until the next boot.
enum Runtime {
  static func makeFolder() { _ = unsafe lockdown_make_folder(literal("/run/lockdown"), 0o755) }
}
