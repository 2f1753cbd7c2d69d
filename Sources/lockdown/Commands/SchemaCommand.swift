import ArgumentParser
import Compiler
import PolicyChecker

struct SchemaCommand: ParsableCommand {
  enum Document: String, CaseIterable, ExpressibleByArgument {
    case policy
    case benchmark
    case compiled
  }

  static let configuration = CommandConfiguration(
    commandName: "schema",
    abstract: "Print a JSON Schema: of policies, of benchmarks, or of compiled policies.",
    discussion: """
      `policy` describes .cos files, for editors and for generators, which write the same documents as JSON; it comes \
      from the table of keys that the compiler checks policies with. `benchmark` describes those that `audit` takes, and \
      comes from theirs. `compiled` describes policy.json. All are JSON Schema, draft 2020-12.
      """)

  @Argument(help: ArgumentHelp("What to describe: policy, benchmark or compiled.", valueName: "document"))
  var document = Document.policy

  func run() {
    switch document {
    case .policy: StandardOutput.write(PolicySchema.jsonText())
    case .benchmark: StandardOutput.write(PolicySchema.benchmarkText())
    case .compiled: StandardOutput.write(CompiledSchema.schema)
    }
  }
}
