import Foundation

/// Seeds of a random test. `LOCKDOWN_ANALYSIS_ROUNDS=25` makes each such test 25 times as long: 100,000 policies by
/// `diagramsAgreeWithBruteForce`.
func batches(_ count: Int) -> Range<Int> {
  let rounds = ProcessInfo.processInfo.environment["LOCKDOWN_ANALYSIS_ROUNDS"].flatMap { Int($0) } ?? 1
  return 0..<count * max(1, rounds)
}
