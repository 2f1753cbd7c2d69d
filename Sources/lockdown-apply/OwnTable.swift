/// A table that this program writes. All are of family inet.
enum OwnTable {
  /// The policy's.
  case policy
  /// Stands until the policy's does (`ClosedStage`).
  case closed
  /// The policy that is tried (`Trial`).
  case trying

  var name: Literal {
    switch self {
    case .policy: Wire.tableName
    case .closed: "lockdown-closed"
    case .trying: "lockdowntry"
    }
  }
}

/// Which of our tables are there beside one that takes their place.
struct OtherTables {
  var policy = false
  var closed = false
  var trying = false

  var isEmpty: Bool { !policy && !closed && !trying }
}
