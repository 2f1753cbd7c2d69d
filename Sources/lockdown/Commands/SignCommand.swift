import ArgumentParser
import BundleFormat
import CLinux
import CanonicalJSON
import Glibc

struct SignCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sign",
    abstract: "Sign a bundle: writes BUNDLE.sig, which an applier with --key asks for.",
    discussion: """
      openssl(1) signs, so the key may be of any kind that it reads: a PEM file, with a passphrase or without. It must \
      be an RSA key of 2048 to 4096 bits: the kernel verifies the signature on the host, as it does those of modules, \
      and takes that kind everywhere. What is signed are the bytes `lockdown bundle 1`, a zero, and the bundle's SHA-256.

      The host has the certificate of the key, X.509 in DER, as for modules:

        openssl req -x509 -newkey rsa:3072 -nodes -subj /CN=me -keyout key.pem -outform DER -out key.x509

      Its dates are not looked at: at boot the clock may be wrong.

      Exit codes: 0 signed; 1 refused, or openssl could not sign: nothing is written; 3 a file cannot be read or written.
      """)

  @Option(help: ArgumentHelp("The private key.", valueName: "file"))
  var key: String

  @Option(
    help: ArgumentHelp(
      "The certificate that hosts have: nothing is written unless the signature is by its key.",
      valueName: "file"))
  var certificate: String?

  @Option(help: ArgumentHelp("How to print: text or json.", valueName: "format"))
  var format = OutputFormat.text

  @Argument(help: ArgumentHelp("The bundle.", valueName: "bundle"))
  var bundle: String

  func run() throws {
    let bytes = try FileBytes.read(bundle)
    let contents = try BundleFile.decode(bytes, path: bundle)
    let message = BundleSignature.message(of: bytes)
    let signature = try OpenSSL.sign(message, with: key)
    guard BundleSignature.lengths.contains(signature.count) else {
      printError(
        """
        lockdown: refused: `\(key)` is no RSA key of 2048 to 4096 bits
          help: the kernel verifies the signature, and that kind it takes everywhere; \
        openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 makes one
        """)
      throw ExitCode(1)
    }
    if let certificate {
      try BundleSignature.check(
        signature, of: message, by: try FileBytes.read(certificate), named: certificate)
    }
    let path = BundleSignature.path(of: bundle)
    try ReplacedFile.writeOrCreate(path, signature)
    switch format {
    case .text:
      StandardOutput.write(
        "\(path): policy \(String(decoding: contents.policyName, as: UTF8.self)) is signed\n")
    case .json:
      StandardOutput.write([
        "bundle": .string(bundle), "policy": .string(String(decoding: contents.policyName, as: UTF8.self)),
        "signature": .string(path),
      ])
    }
  }
}

/// openssl(1), found along PATH: private keys are its business, and their passphrases and tokens.
enum OpenSSL {
  /// Exit code 1 where it cannot sign: it has said why.
  static func sign(_ message: [UInt8], with key: String) throws -> [UInt8] {
    var input: [Int32] = [-1, -1]
    var output: [Int32] = [-1, -1]
    guard pipe(&input) == 0, pipe(&output) == 0 else {
      throw FileError(doing: "cannot make", path: "a pipe", code: errno)
    }
    defer { for end in [input[0], input[1], output[0], output[1]] where end >= 0 { close(end) } }
    for end in input + output { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, input[0], 0)
    posix_spawn_file_actions_adddup2(&actions, output[1], 1)
    let arguments = ["openssl", "dgst", "-sha256", "-sign", key]
    var words = arguments.map { strdup($0) }
    defer { for word in words { free(word) } }
    words.append(nil)
    var child = pid_t()
    let code = posix_spawnp(&child, "openssl", &actions, nil, words, environ)
    guard code == 0 else { throw FileError(doing: "cannot run", path: "openssl", code: code) }
    close(output[1])
    output[1] = -1
    // Shorter than what a pipe holds (pipe(7)): nobody waits here.
    let written = write(input[1], message, message.count)
    close(input[1])
    input[1] = -1
    let signature = try FileBytes.read(output[0], "openssl")
    guard lockdown_wait(child) == 0, written == message.count else {
      printError("lockdown: openssl could not sign with `\(key)`: nothing is written")
      throw ExitCode(1)
    }
    return signature
  }
}
