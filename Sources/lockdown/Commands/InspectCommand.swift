import ArgumentParser
import BundleFormat
import NFTables

struct InspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "Print what a bundle holds: its labels, and every kernel message decoded.",
    discussion: """
      The bundle is checked as the applier checks it. Rules are read back from the finished netlink messages, not \
      from the policy; `source` is the number of the item they come from, which JSON output lists with its line.
      """)

  @Argument(help: ArgumentHelp("The bundle; - is standard input.", valueName: "bundle"))
  var bundle: String

  @Option(help: ArgumentHelp("How to print: text or json.", valueName: "format"))
  var format = OutputFormat.text

  func run() throws {
    let contents = try BundleFile.decode(try FileBytes.read(bundle), path: bundle)
    let tables: [DumpedTable]
    let closed: [DumpedTable]
    do throws(NFTablesError) {
      tables = try StoredBatch.decode(contents.messages.map(\.bytes))
      closed = try StoredBatch.decode(contents.closed.map(\.bytes))
    } catch {
      printError("lockdown: \(bundle): a message cannot be decoded: \(error)")
      throw ExitCode(1)
    }
    let report = InspectReport(contents: contents, tables: tables, closed: closed)
    switch format {
    case .text: StandardOutput.write(report.text)
    case .json: StandardOutput.write(report.json)
    }
  }
}
