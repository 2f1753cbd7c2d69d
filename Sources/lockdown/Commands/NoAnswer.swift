import ArgumentParser
import CanonicalJSON
import Compiler
import Diagnostics

/// Why a command cannot answer: for people a line or findings, for programs a document.
struct NoAnswer: Error {
  /// DESIGN §8: 1 a policy has errors, 2 could not tell, 3 could not run.
  var code: Int32
  /// What it is about, and why.
  var reason: (place: String, text: String)?
  var findings: [(path: String, sources: SourceFiles, diagnostics: DiagnosticList)] = []

  init(_ code: Int32, _ place: String, _ text: String) {
    (self.code, reason) = (code, (place, text))
  }

  /// Policies have errors.
  ///
  /// - Parameter code: 3 where 1 is an answer.
  init(_ findings: [(path: String, sources: SourceFiles, diagnostics: DiagnosticList)], code: Int32 = 1) {
    self.code = code
    self.findings = findings
  }

  static func unknown(_ place: String, _ text: String) -> NoAnswer { NoAnswer(2, place, text) }

  func tell() {
    for (_, sources, diagnostics) in findings where !diagnostics.all.isEmpty {
      CheckedSource.report(diagnostics, sources)
    }
    guard let reason else { return }
    let place = reason.place.isEmpty ? "" : "`\(reason.place)`: "
    printError("lockdown: \(place)\(code == 2 ? "could not tell: " : "")\(reason.text)")
  }

  private var json: JSONValue {
    let all = findings.flatMap { _, sources, diagnostics in
      diagnostics.all.map { JSONRenderer(files: sources).render($0) }
    }
    let unknown = reason.map {
      [JSONValue.object([.init("place", .string($0.place)), .init("reason", .string($0.text))])]
    }
    return .object([
      .init("exit-code", .integer(Int64(code))), .init("findings", .array(all)),
      .init("unknown", .array(unknown ?? [])),
    ])
  }

  private var sarif: JSONValue {
    var renderer = SARIFRenderer(version: Version.text, exitCode: code)
    for (path, sources, diagnostics) in findings {
      renderer.add(SARIFRenderer.Input(path: path, files: sources, diagnostics: diagnostics.all))
    }
    if let reason {
      let finding = SARIFRenderer.Finding(
        "source/no-answer", code == 2 ? .warning : .error, at: nil, reason.text)
      renderer.add([finding], of: reason.place, SourceFiles())
    }
    return renderer.log()
  }

  /// Formats for programs.
  enum Document {
    case json
    case sarif
  }

  /// Runs a command. Where it cannot answer, that is told, and a program that asked for a document gets one.
  ///
  /// - Parameter document: nil: it asked for text.
  static func answering(in document: Document?, _ body: () throws -> Void) throws {
    let failure: NoAnswer
    do {
      return try body()
    } catch let error as NoAnswer {
      failure = error
    } catch let error as FileError {
      failure = NoAnswer(3, "", error.description)
    }
    failure.tell()
    switch document {
    case .json: StandardOutput.write(failure.json)
    case .sarif: StandardOutput.write(failure.sarif)
    case nil: break
    }
    throw ExitCode(failure.code)
  }
}

extension OutputFormat {
  var document: NoAnswer.Document? { self == .json ? .json : nil }
}
