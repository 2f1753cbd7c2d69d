/// A table that this program writes. All are of family inet.
enum OwnTable {
  /// The policy's.
  case policy
  /// Stands until the policy's does (`ClosedStage`).
  case closed

  var name: StaticString {
    switch self {
    case .policy: Wire.tableName
    case .closed: "lockdown-closed"
    }
  }
}
