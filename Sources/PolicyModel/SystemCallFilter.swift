package import Diagnostics

/// `syscalls:` with all names resolved.
package struct SystemCallFilter: Sendable {
  /// What a refused call gets.
  package enum Refusal: String, Sendable, CaseIterable {
    case eperm
    case enosys
    /// The whole process ends.
    case kill
    /// Let through, and written to the audit log.
    case log
  }

  package enum Scope: String, Sendable, CaseIterable {
    /// Installed before PID 1 runs: all processes inherit it.
    case `init`
    /// For service managers and container runtimes; PID 1 stays free.
    case services
  }

  /// An item of `deny` or `allow`.
  package struct Entry: Sendable {
    /// Canonical: `kexec_load`, `@module`, `socket arg0 38`.
    package var text: String
    /// All calls it stands for, other forms of them too; sorted by name.
    package var calls: [String]
    /// All must hold.
    package var conditions: [Condition]
    package var span: SourceSpan

    package init(text: String, calls: [String], conditions: [Condition], span: SourceSpan) {
      self.text = text
      self.calls = calls
      self.conditions = conditions
      self.span = span
    }

    /// Stands for a group of calls, not for one by its name.
    package var isGroup: Bool { text.utf8.first == UInt8(ascii: "@") }
  }

  /// `arg0 38`: what an argument must be.
  package struct Condition: Sendable, Equatable {
    package enum Value: Sendable, Equatable {
      case range(ClosedRange<UInt64>)
      /// The argument's bits under a mask; the value has none outside it.
      case bits(UInt64, mask: UInt64)
    }

    /// 0–5.
    package var argument: Int
    /// All 64 bits; otherwise the lower 32, which is what the kernel takes of an int.
    package var isLong: Bool
    package var isNegated: Bool
    /// One must fit.
    package var values: [Value]

    package init(argument: Int, isLong: Bool, isNegated: Bool, values: [Value]) {
      self.argument = argument
      self.isLong = isLong
      self.isNegated = isNegated
      self.values = values
    }
  }

  package var deniesByDefault: Bool
  /// Both sorted by text.
  package var denied: [Entry]
  package var allowed: [Entry]
  package var onDeny: Refusal
  /// For calls that no kernel as old as the target's has.
  package var onUnknown: Refusal
  package var scope: Scope
  package var span: SourceSpan

  package init(span: SourceSpan) {
    deniesByDefault = false
    denied = []
    allowed = []
    onDeny = .eperm
    onUnknown = .enosys
    scope = .`init`
    self.span = span
  }
}
