/// One way into the kernel: numbers and argument registers of its own.
///
/// A machine has up to three of them, and a filter that forgets one lets every call through by it.
package enum SystemCallABI: Int, Sendable, CaseIterable {
  // The kernel's own names.
  // swift-format-ignore: AlwaysUseLowerCamelCase
  case x86_64
  /// 64-bit registers and 32-bit pointers: the numbers of x86_64, most of them, with bit 30 set.
  case x32
  /// 32-bit programs on x86, and `int $0x80` from 64-bit ones.
  case i386
  case aarch64
  /// 32-bit programs (EABI) on aarch64.
  case arm
}

extension Target.Architecture {
  /// The machine's own ABI first.
  package var systemCallABIs: [SystemCallABI] {
    switch self {
    case .x86_64: [.x86_64, .x32, .i386]
    case .aarch64: [.aarch64, .arm]
    }
  }
}

extension Target {
  package var systemCallABIs: [SystemCallABI] { architectures.flatMap(\.systemCallABIs) }
}
