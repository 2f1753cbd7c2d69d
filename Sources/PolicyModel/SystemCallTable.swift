/// A system call, as its name in the kernel's tables.
package struct SystemCall: Sendable {
  package let name: String
  /// By `SystemCallABI.rawValue`; nil where the ABI has no such call. Those of x32 are without bit 30.
  private let numbers: [UInt32?]
  /// The first kernel that has it; nil: every kernel a policy can be for.
  package let since: KernelVersion?

  init(name: String, numbers: [UInt32?], since: KernelVersion?) {
    self.name = name
    self.numbers = numbers
    self.since = since
  }

  package func number(on abi: SystemCallABI) -> UInt32? { numbers[abi.rawValue] }

  package func exists(in kernel: KernelVersion) -> Bool { since.map { $0 <= kernel } ?? true }
}

/// All system calls of the ABIs a policy can be for.
package enum SystemCallTable {
  /// Sorted by name.
  package static let all: [SystemCall] = text.split(separator: "\n").map { line in
    let fields = line.split(separator: " ").map(String.init)
    // INVARIANT: a line is a name, five numbers or `-`, and perhaps a version. A test reads every line.
    let since = fields.count > 6 ? fields[6].split(separator: ".").compactMap { Int($0) } : []
    return SystemCall(
      name: fields[0], numbers: fields[1...5].map { UInt32($0) },
      since: since.count == 2 ? KernelVersion(since[0], since[1]) : nil)
  }

  package static subscript(name: String) -> SystemCall? { byName[name] }

  private static let byName = Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0) })

  /// What the calls of an ABI are called, by number.
  package static func names(on abi: SystemCallABI) -> [UInt32: String] {
    var names: [UInt32: String] = [:]
    for call in all {
      if let number = call.number(on: abi) { names[number] = call.name }
    }
    return names
  }
}
