/// A module's file, as small as one can be: an ELF header, section names, `struct module`, section headers.
struct ModuleImage {
  var name: String
  /// Behind the name's zero.
  var behindName: [UInt8] = []
  var sectionName = ".gnu.linkonce.this_module"
  /// A section of the same name before the real one, that is not allocated, with this module's name.
  var decoy: String?
  var sectionCount = 5
  var elfClass: UInt8 = 2

  init(_ name: String) { self.name = name }

  var bytes: [UInt8] {
    let names = Array("\0.text\0.shstrtab\0".utf8) + Array(sectionName.utf8) + [0]
    let nameOffset = 17
    var data = [UInt8](repeating: 0, count: 64)
    let stringsAt = data.count
    data += names
    let moduleAt = data.count
    data += module(name)
    let decoyAt = data.count
    if let decoy { data += module(decoy) }
    while data.count % 8 != 0 { data.append(0) }
    let table = data.count
    // Nothing, text, the decoy or nothing, the strings, then empty ones, and the module's own last.
    var headers: [[UInt8]] = [
      header(0, flags: 0, offset: 0, size: 0), header(1, flags: 6, offset: 64, size: 0),
      header(decoy == nil ? 1 : nameOffset, flags: 0, offset: decoyAt, size: 128),
      header(7, flags: 0, offset: stringsAt, size: names.count),
    ]
    while headers.count < sectionCount - 1 { headers.append(header(1, flags: 2, offset: 64, size: 0)) }
    headers.append(header(nameOffset, flags: 3, offset: moduleAt, size: 128))
    data += headers.joined()
    // Elf64_Ehdr of elf.h.
    data.replaceSubrange(0..<5, with: [0x7f, 0x45, 0x4c, 0x46, elfClass])
    put(UInt64(table), 8, at: 0x28, &data)
    put(64, 2, at: 0x3a, &data)
    put(UInt64(headers.count), 2, at: 0x3c, &data)
    put(3, 2, at: 0x3e, &data)
    return data
  }

  /// Its name at byte 24, as on x86-64.
  private func module(_ name: String) -> [UInt8] {
    var bytes = [UInt8](repeating: 0x55, count: 24) + Array(name.utf8) + [0] + behindName
    while bytes.count < 128 { bytes.append(0) }
    return bytes
  }

  /// Elf64_Shdr.
  private func header(_ name: Int, flags: UInt64, offset: Int, size: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 64)
    put(UInt64(name), 4, at: 0, &bytes)
    put(1, 4, at: 4, &bytes)
    put(flags, 8, at: 8, &bytes)
    put(UInt64(offset), 8, at: 24, &bytes)
    put(UInt64(size), 8, at: 32, &bytes)
    return bytes
  }

  private func put(_ value: UInt64, _ count: Int, at offset: Int, _ bytes: inout [UInt8]) {
    for index in 0..<count { bytes[offset + index] = UInt8(truncatingIfNeeded: value >> UInt64(8 * index)) }
  }
}
