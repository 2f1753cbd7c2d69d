/// One thing a stage looked at or changed, for the report. Each is held by one list; a class, for copies of so many
/// fields are a tenth of the program.
final class Item {
  enum Result {
    case equal
    case applied
    /// Only looked, or not reached: it differs.
    case different
    /// Lossy or one-way: written by a later stage only.
    case waiting
    case absent
    /// Of the whole host, from inside a namespace that is not the host's.
    case outOfReach
    case refused
    /// A module that only root can bring in, by another name inside.
    case againstAccident
    case notEnforced
    /// Changed by this run, and as before again.
    case putBack
    case notPutBack

    var name: Literal {
      switch self {
      case .equal: "equal"
      case .applied: "applied"
      case .different: "different"
      case .waiting: "waiting"
      case .absent: "absent"
      case .outOfReach: "out of reach"
      case .refused: "refused"
      case .againstAccident: "denied against accident, not against root"
      case .notEnforced: "not enforced"
      case .putBack: "put back"
      case .notPutBack: "not put back"
      }
    }

    static let all: [Result] = [
      .applied, .equal, .different, .waiting, .absent, .outOfReach, .refused, .againstAccident, .notEnforced,
      .putBack, .notPutBack,
    ]

    /// The host does not have what the policy says, and nothing was to be done about it.
    var isGap: Bool {
      switch self {
      case .waiting, .absent, .outOfReach, .refused, .againstAccident, .notEnforced: true
      default: false
      }
    }
  }

  /// Index into the bundle's list.
  let setting: Int
  /// Index into the bundle's sources, 1-based; 0: none.
  let source: Int
  /// A key below /proc/sys without a `*`, or a mount's path.
  let name: [UInt8]
  /// What the policy says, in the words of the thing itself.
  let wanted: [UInt8]
  /// What was read first; a key can be empty.
  var found: [UInt8] = []
  var wasRead = false
  /// A key that the kernel zeroes when this one is written, and what was read of it; empty: none.
  var coupledName: [UInt8] = []
  var coupledFound: [UInt8] = []
  var result = Result.equal
  var reason: Literal = ""
  /// 0: none.
  var errorNumber = 0
  /// Of a mount: its flags before (MOUNT_ATTR_*), and what this run did to it.
  var flagsBefore: UInt64 = 0
  var isBoundByUs = false
  var hasChangedFlags = false
  var hasChangedOptions = false

  init(setting: Int, source: UInt32, name: [UInt8], wanted: [UInt8]) {
    self.setting = setting
    self.source = Int(source)
    self.name = name
    self.wanted = wanted
  }

  func refuse(_ reason: Literal, _ errorNumber: Int = 0) {
    result = .refused
    self.reason = reason
    self.errorNumber = errorNumber < 0 ? -errorNumber : errorNumber
  }
}

extension [Item] {
  @inline(never)
  func holdBack() {
    for index in indices {
      switch self[index].result {
      case .different, .absent:
        self[index].result = .waiting
        self[index].reason = "for the confirmation"
      default: continue
      }
    }
  }

  @inline(never)
  func count(_ result: Item.Result) -> Int {
    var number = 0
    for item in self where item.result == result { number += 1 }
    return number
  }

  var hasGaps: Bool {
    for item in self where item.result.isGap { return true }
    return false
  }
}
