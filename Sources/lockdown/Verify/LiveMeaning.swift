import CanonicalJSON
import Compiler
import NFTables
import PolicyModel

/// What the kernel's rules mean that are not those of the policy.
enum LiveMeaning {
  case compared(ComparisonReport)
  /// Its rules cannot be read as such; why.
  case unknown(String)

  init(_ policy: CheckedSource, _ scope: TableScope) throws {
    guard let wanted = policy.compared,
      let contents = try KernelSource.read(KernelSource.live, scope).contents
    else {
      self = .unknown("there is nothing to compare with")
      return
    }
    let live: LiftedPolicy
    do throws(LiftedPolicy.Failure) {
      live = try LiftedPolicy(
        name: KernelSource.live, tables: contents.tables, interfaces: contents.interfaces, like: wanted.policy
      )
    } catch {
      switch error {
      case .damaged(let reason): self = .unknown(reason)
      case .unreadable(let error): self = .unknown("\(error)")
      }
      return
    }
    let comparison = Terminal.whileAnnouncing("comparing") {
      PolicyComparison(from: wanted, to: .lifted(live), listsInFull: false)
    }
    self = .compared(
      ComparisonReport(
        comparison, old: ("the policy", policy.sources), new: ("the kernel", live.sources)))
  }

  /// 0 both mean the same, 1 they do not, 2 could not tell.
  var exitCode: Int32 {
    switch self {
    case .compared(let report): report.exitCode(failingOn: .any)
    case .unknown: 2
    }
  }

  var json: JSONValue {
    switch self {
    case .compared(let report): report.json
    case .unknown(let reason): ["could-not-tell": .string(reason)]
    }
  }
}
