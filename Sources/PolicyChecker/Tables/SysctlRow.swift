import PolicyModel

/// What a known sysctl key takes and what its values are worth.
struct SysctlRow: Sendable {
  enum Values: Sendable {
    case integer(ClosedRange<Int>)
    /// Only these.
    case choice([Int])
    /// As many integers in one line, separated by blanks.
    case integers(Int, ClosedRange<Int>)
    /// The first not above the second.
    case portRange
    case text
    /// `A-B,C`: port lists.
    case portList
    /// 0 or a power of two, up to this one: the kernel rounds up what is none.
    case powerOfTwo(Int)
    /// As many times this, at least once: the kernel rounds up what is none.
    case multiple(Int)
  }

  /// Which of two values is the stronger (LANGUAGE.md §8).
  enum Order: Sendable {
    case more
    case less
    /// Weakest first; the values of one group are incomparable with each other.
    case ranks([[Int]])
    /// Each bit allows something; 1 allows all.
    case inclusion
    /// IPv6 accept_source_route: anything negative refuses.
    case negative
    /// core_pattern: only a pipe to /bin/false keeps no memory of the process.
    case noCorePattern
    case neutral
  }

  /// How the value of `conf.all` and that of an interface make the effective one.
  enum Combination: Sendable {
    /// The interface's own value alone.
    case own
    case maximum
    case minimum
    case and
    case or
  }

  /// What must be there before the key exists.
  enum Provider: Sendable, Equatable {
    case kernel
    case module(String)
    case interface
  }

  /// Dotted; `*` for the name of an interface.
  var key: String
  var values: Values
  var order: Order
  var strengthClass: SysctlClass
  var combination = Combination.own
  var isNamespaced = false
  var provider = Provider.kernel
  /// First kernel that has it.
  var since: KernelVersion?
  /// The kernel's own value, if it is the same in every configuration.
  var kernelDefault: String?
  /// That of `conf.all`, where it differs.
  var allDefault: String?
  var unit = ""
  /// Bytes of a text, of which the kernel keeps no more.
  var maximumLength = 1024

  /// Some values of a restorable key cannot be taken back (yama_dointvec_minmax, bpf_unpriv_handler): there the value decides.
  func strengthClass(of value: String) -> SysctlClass {
    switch (key, value) {
    case ("kernel.yama.ptrace_scope", "3"), ("kernel.unprivileged_bpf_disabled", "1"): .oneWay
    case ("kernel.modules_disabled", "0"), ("kernel.kexec_load_disabled", "0"): .restorable
    default: strengthClass
    }
  }

  /// `a` compared with `b`: less than zero weaker, zero equal, more stronger; nil incomparable or unknown.
  func strength(of a: String, comparedWith b: String) -> Int? {
    if a == b { return 0 }
    switch order {
    case .neutral: return nil
    case .noCorePattern:
      let closed = "|/bin/false"
      return a == closed ? 1 : b == closed ? -1 : nil
    case .more, .less, .negative, .inclusion, .ranks: break
    }
    guard let first = Int(a), let second = Int(b) else { return nil }
    switch order {
    case .more: return (first - second).signum()
    case .less: return (second - first).signum()
    case .negative: return (first < 0 ? 1 : 0) - (second < 0 ? 1 : 0)
    case .inclusion:
      let (bitsA, bitsB) = (first == 1 ? ~0 : first, second == 1 ? ~0 : second)
      if bitsA == bitsB { return 0 }
      if bitsA & bitsB == bitsA { return 1 }
      return bitsA & bitsB == bitsB ? -1 : nil
    case .ranks(let groups):
      guard let rankA = groups.firstIndex(where: { $0.contains(first) }),
        let rankB = groups.firstIndex(where: { $0.contains(second) }), rankA != rankB
      else { return nil }
      return (rankA - rankB).signum()
    case .neutral, .noCorePattern: return nil
    }
  }

  /// Whether the key has an order at all.
  var isOrdered: Bool { if case .neutral = order { false } else { true } }
}
