import ArgumentParser
import CLinux
import CanonicalJSON
import Glibc

/// What the applier says of a host when it looks and changes nothing: `lockdown-apply --check`, by its status file.
struct HostCheck {
  /// One thing that a policy wants of the host.
  struct Item {
    /// As the applier names it, and it alone knows whether it is as wanted.
    var name: String
    var result: String
    var wanted: String
    var found: String
    /// `FILE:LINE` of the policy; nil: of no line.
    var place: String?
    /// Why not, where there is more to say; empty: nothing.
    var reason: String

    var isEqual: Bool { result == "equal" || result == "applied" }
    var isDifferent: Bool { result == "different" }
  }

  enum Answer {
    case equal
    case different
    case unknown
    /// As the policy says, but for what the host has not, or what cannot be seen from here.
    case equalWithGaps
  }

  var answer: Answer
  /// The whole status, for programs.
  var status: JSONValue

  /// Of the firewall.
  enum Firewall: Equatable {
    case equal
    case different
    case unknown
    /// The policy has none, or nobody asked.
    case none
  }

  var firewall: Firewall {
    switch text(status["firewall"]?["result"]) {
    case "unchanged": .equal
    case "different": .different
    case "could not tell", "refused": .unknown
    default: .none
    }
  }

  /// The label in the kernel, `NAME sha256:HEX`; nil: no table, or one without a label.
  var label: String? { text(status["firewall"]?["loaded-before"]).flatMap { $0.isEmpty ? nil : $0 } }

  /// Why the firewall could not be read; empty: it could.
  var failure: String { text(status["firewall"]?["failure"]) ?? "" }

  /// For how long the host is opened on purpose.
  enum Opening: Equatable {
    /// Seconds.
    case ending(in: Int)
    /// By nobody of ours.
    case endless
  }

  /// Nil: it is not open.
  var opening: Opening? {
    guard case .integer(let seconds)? = status["firewall"]?["open-for"] else { return nil }
    return seconds < 0 ? .endless : .ending(in: Int(seconds))
  }

  func lines(ofFirewall key: String) -> [String] { texts(status["firewall"]?[key]) }
  func lines(_ key: String) -> [String] { texts(status[key]) }

  /// By the words of the language; those that the policy has nothing of are left out.
  var domains: [(title: String, items: [Item])] {
    let all = [
      ("sysctl", "sysctl"), ("mounts", "mounts"), ("kernel", "kernel"),
      ("required-modules", "required modules"),
      ("programs", "kernel programs"), ("denied-modules", "denied modules"),
    ]
    return all.compactMap { key, title in
      guard case .array(let items)? = status[key], !items.isEmpty else { return nil }
      return (title, items.map(item))
    }
  }

  private func item(_ value: JSONValue) -> Item {
    let reasons = [text(value["reason"]), text(value["error"])].compactMap { $0 }.filter { !$0.isEmpty }
    return Item(
      name: text(value["name"]) ?? "", result: text(value["result"]) ?? "",
      wanted: text(value["wanted"]) ?? "",
      found: text(value["found"]) ?? "", place: text(value["place"]), reason: reasons.joined(separator: ", "))
  }

  private func text(_ value: JSONValue?) -> String? {
    if case .string(let text)? = value { text } else { nil }
  }

  private func texts(_ value: JSONValue?) -> [String] {
    if case .array(let values)? = value { values.compactMap(text) } else { [] }
  }
}

extension HostCheck {
  /// What the applier's exit codes say behind `--check` (docs/apply.md).
  private static let answers: [Int32: Answer] = [0: .equal, 1: .different, 2: .unknown, 3: .equalWithGaps]

  /// Lets the applier look. It is given a copy of the bundle that belongs to this user, for nothing is applied: whoever
  /// may write the original only misleads himself.
  ///
  /// What it cannot look at is told in its own words and ends the command, with exit code 2 where another applier is at
  /// work, else 3.
  ///
  /// - Parameter domains: as `--only` takes them; empty: all.
  init(of bundle: [UInt8], domains: [String]) throws {
    let program = try Applier.locate(nil)
    let folder = "\(Sandbox.directory)/verify.\(getpid())"
    // The applier makes it too, and leaves it.
    mkdir(Sandbox.directory, 0o755)
    guard mkdir(folder, 0o700) == 0 else {
      throw FileError(doing: "cannot make directory", path: folder, code: errno)
    }
    let (copy, status, log) = ("\(folder)/policy.bundle", "\(folder)/status.json", "\(folder)/log")
    defer {
      for path in [copy, status, log] { unlink(path) }
      rmdir(folder)
    }
    let code: Int32
    do throws(SandboxError) {
      try Sandbox.writeFile(copy, bundle, flags: O_WRONLY | O_CREAT | O_EXCL)
      let words = [program, copy, "--check", "--status", status]
      code = try Sandbox.spawn(
        words + (domains.isEmpty ? [] : ["--only", domains.joined(separator: ",")]), output: .file(log))
    } catch {
      throw FileError("\(error)")
    }
    guard let answer = Self.answers[code], access(status, R_OK) == 0 else {
      printError(String(decoding: try FileBytes.read(log), as: UTF8.self).trimmingLastLine)
      throw ExitCode(code == 75 ? 2 : code == 64 ? 64 : 3)
    }
    let text = try FileBytes.read(status)
    do throws(JSONError) {
      self.init(answer: answer, status: try JSONValue(parsing: text))
    } catch {
      throw FileError("the applier's status cannot be read: \(error.reason) at byte \(error.offset)")
    }
  }
}

extension String {
  /// Without the line feed at its end.
  fileprivate var trimmingLastLine: String { hasSuffix("\n") ? String(dropLast()) : self }
}
