import CLinux

@main
struct Apply {
  static func main() {
    exit(64)
  }
}
