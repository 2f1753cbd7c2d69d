import Compiler
import Diagnostics
import Foundation
import PolicyChecker
import PolicyModel
import PolicySamples

@testable import Analysis

/// Packets for a policy, chosen by what its rules tell apart, with what the analyser says of each.
///
/// Writes the names of all fields, an array on a line. Then reads requests (``SampleRequest``) from standard input, one JSON object on a line, and answers each with lines: a packet
/// is an array, see ``SampledPacket/line``; the last line of an answer is an object with counts.
@main
enum PacketSampler {
  static func main() throws {
    let names = PacketBox.Field.allCases.map { "\"\($0)\"" }.joined(separator: ",")
    FileHandle.standardOutput.write(Data("[\(names)]\n".utf8))
    while let line = readLine() {
      let request = try JSONDecoder().decode(SampleRequest.self, from: Data(line.utf8))
      let file = URL(fileURLWithPath: request.policy)
      let folder = FolderReader(file.deletingLastPathComponent(), as: request.policy)
      let compilation = PolicyCompiler.compile(
        path: request.policy, bytes: try [UInt8](Data(contentsOf: file)), reader: folder)
      guard let policy = compilation.policy?.policy else {
        throw SampleError(description: "\(request.policy): \(compilation.diagnostics.all.map(\.message))")
      }
      var output = ""
      var coverage = EdgeCoverage()
      for family in [Families.ipv4, .ipv6] {
        let cases = request.cases.filter { ($0.family == 4) == (family == .ipv4) }
        guard !cases.isEmpty else { continue }
        var sampler = try PathSampler(policy, family, cases, seed: request.seed)
        for index in cases.indices {
          try sampler.sample(index) { output += $0.line + "\n" }
        }
        coverage.add(sampler.coverage)
      }
      output += coverage.line + "\n"
      FileHandle.standardOutput.write(Data(output.utf8))
    }
  }
}

struct SampleError: Error, CustomStringConvertible {
  var description: String
}
