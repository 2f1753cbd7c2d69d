import Diagnostics
import PolicyModel
import PolicySamples
import Testing

@testable import Seccomp

/// Conditions in all their forms: evaluated one by one, compiled, and as comparisons under a mask.
@Suite struct ConditionTests {
  typealias Condition = SystemCallFilter.Condition

  /// The meaning, from the words of the reference.
  private static func holds(_ condition: Condition, _ arguments: [UInt64]) -> Bool {
    var argument = arguments[condition.argument]
    if !condition.isLong { argument %= 1 << 32 }
    let fits = condition.values.contains { value in
      switch value {
      case .range(let range): range.contains(argument)
      case .bits(let bits, let mask): argument & mask == bits
      }
    }
    return fits != condition.isNegated
  }

  private static func contains(_ cube: SystemCallCube, _ arguments: [UInt64]) -> Bool {
    arguments.indices.allSatisfy { arguments[$0] & cube.masks[$0] == cube.values[$0] }
  }

  private static func number(_ random: inout SeededGenerator, _ isLong: Bool) -> UInt64 {
    let near: [UInt64] = [0, 1, 2, 38, 0xff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff]
    let far: [UInt64] = [
      0x1_0000_0000, 0x1_0000_0001, 0x7fff_ffff_ffff_ffff, 0x8000_0000_0000_0000, .max - 1, .max,
    ]
    switch Int.random(in: 0..<4, using: &random) {
    case 0: return near.randomElement(using: &random) ?? 0
    case 1 where isLong: return far.randomElement(using: &random) ?? 0
    case 2: return UInt64.random(in: 0..<64, using: &random)
    default: return UInt64.random(in: 0...(isLong ? .max : 0xffff_ffff), using: &random)
    }
  }

  private static func condition(_ argument: Int, _ random: inout SeededGenerator) -> Condition {
    let isLong = Bool.random(using: &random)
    let values = (0..<Int.random(in: 1...2, using: &random)).map { _ -> Condition.Value in
      let (a, b) = (number(&random, isLong), number(&random, isLong))
      switch Int.random(in: 0..<3, using: &random) {
      case 0: return .range(a...a)
      case 1: return .range(min(a, b)...max(a, b))
      default: return b == 0 ? .range(a...a) : .bits(a & b, mask: b)
      }
    }
    return Condition(
      argument: argument, isLong: isLong, isNegated: Bool.random(using: &random), values: values)
  }

  @Test func threeReadingsAgree() throws {
    var random = SeededGenerator(seed: 20_261_125)
    let call = try #require(SystemCallTable["prctl"])
    let number = try #require(call.number(on: .aarch64))
    let target = Target(kernel: KernelVersion(6, 1), architectures: [.aarch64])
    var (refusals, compared) = (0, 0)
    for _ in 0..<400 {
      var filter = SystemCallFilter(span: .init(.init(0), 0, 0))
      let entries = (0..<Int.random(in: 1...2, using: &random)).map { _ in
        [0, 3].prefix(Int.random(in: 1...2, using: &random)).map { Self.condition($0, &random) }
      }
      filter.denied = entries.map {
        .init(text: "prctl", calls: ["prctl"], conditions: $0, span: .init(.init(0), 0, 0))
      }
      let program = try ClassicBPF(FilterCompiler.compile(filter, target))
      let cubes = SystemCallCube.cubes(of: entries)
      for _ in 0..<40 {
        var arguments = (0..<6).map { _ in Self.number(&random, true) }
        // Values at the edges of what is asked.
        if let condition = entries.randomElement(using: &random)?.randomElement(using: &random),
          let value = condition.values.randomElement(using: &random)
        {
          arguments[condition.argument] =
            switch value {
            case .range(let range):
              [
                range.lowerBound, range.upperBound, range.lowerBound &- 1, range.upperBound &+ 1,
                range.lowerBound | 1 << 40,
              ].randomElement(using: &random) ?? 0
            case .bits(let bits, let mask): bits | (UInt64.random(in: 0...(.max), using: &random) & ~mask)
            }
        }
        let expected = entries.contains { $0.allSatisfy { Self.holds($0, arguments) } }
        let action = try program.run(
          .init(number: number, architecture: 0xc000_00b7, arguments: arguments)
        ).action
        #expect((action == FilterTests.eperm) == expected, "\(entries) \(arguments)")
        if let cubes {
          let count = cubes.count { Self.contains($0, arguments) }
          #expect(count == (expected ? 1 : 0), "\(entries) \(arguments)")
          compared += 1
        }
        refusals += expected ? 1 : 0
      }
    }
    #expect(refusals > 2000 && refusals < 14_000)
    #expect(compared > 10_000)
  }
}
