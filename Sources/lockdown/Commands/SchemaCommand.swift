import ArgumentParser
import Compiler
import PolicyChecker

struct SchemaCommand: ParsableCommand {
  enum Document: String, CaseIterable, ExpressibleByArgument {
    case policy
    case compiled
  }

  static let configuration = CommandConfiguration(
    commandName: "schema",
    abstract: "Print a JSON Schema: of policies, or of compiled ones.",
    discussion: """
      `policy` describes .cos files, for editors and for generators, which write the same documents as JSON; it comes \
      from the table of keys that the compiler checks policies with. `compiled` describes policy.json. Both are JSON \
      Schema, draft 2020-12.
      """)

  @Argument(help: ArgumentHelp("What to describe: policy or compiled.", valueName: "document"))
  var document = Document.policy

  func run() {
    switch document {
    case .policy: StandardOutput.write(PolicySchema.jsonText())
    case .compiled: StandardOutput.write(CompiledSchema.schema)
    }
  }
}
