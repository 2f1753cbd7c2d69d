/// Something that an installation puts below its root. Paths are relative to it and have no blank and no `..`.
package struct InstalledItem: Equatable {
  package enum Content: Equatable {
    case file([UInt8], isProgram: Bool)
    /// A symbolic link and where it leads.
    case link(String)
  }

  package var path: String
  package var content: Content

  package init(_ path: String, _ text: String, isProgram: Bool = false) {
    self.path = path
    content = .file(Array(text.utf8), isProgram: isProgram)
  }

  package init(_ path: String, program: [UInt8]) {
    self.path = path
    content = .file(program, isProgram: true)
  }

  package init(_ path: String, linkTo target: String) {
    self.path = path
    content = .link(target)
  }
}
