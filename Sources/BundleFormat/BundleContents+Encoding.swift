extension BundleContents {
  /// The bundle's file. The same contents give the same bytes.
  ///
  /// - Precondition: `policyDigest` has 32 bytes.
  package func encoded() -> [UInt8] {
    let pieces = encodedPieces()
    var bytes: [UInt8] = []
    bytes.reserveCapacity(pieces.reduce(0) { $0 + $1.count })
    for piece in pieces { bytes += piece }
    let checksum = Self.checksum(of: pieces)
    let place = Self.checksumOffset
    bytes.replaceSubrange(place..<place + checksum.count, with: checksum)
    return bytes
  }

  /// The same in pieces, one behind the other, but for the checksum, whose bytes are zeros.
  package func encodedPieces() -> [[UInt8]] {
    precondition(policyDigest.count == BundleLayout.digestLength, "a SHA-256 digest")
    var writer = BundleWriter()
    writer.begin(.policyName, count: 1)
    writer.append(policyName)
    writer.begin(.sources, count: sources.count)
    for source in sources {
      writer.append(UInt32(source.id.count))
      writer.append(UInt32(source.place.count))
      writer.append(source.id)
      writer.append(source.place)
      writer.pad(to: 4)
    }
    writer.begin(.messageKinds, count: messages.count)
    for message in messages { writer.append(message.kind.rawValue) }
    writer.begin(.messages, count: messages.count)
    for message in messages { writer.append(message.bytes) }
    writer.begin(.sysctls, count: sysctls.count)
    for sysctl in sysctls {
      writer.append(sysctl.strengthClass.rawValue)
      writer.append(UInt8(sysctl.isNamespaced ? 1 : 0))
      writer.append(UInt16(0))
      writer.append(sysctl.source)
      writer.append(UInt32(sysctl.path.count))
      writer.append(UInt32(sysctl.value.count))
      writer.append(sysctl.path)
      writer.append(sysctl.value)
      writer.pad(to: 4)
    }
    writer.begin(.mounts, count: mounts.count)
    for mount in mounts {
      writer.append(mount.attributesSet)
      writer.append(mount.attributesCleared)
      writer.append(mount.source)
      writer.append(UInt32(mount.isSelfBind ? 1 : 0))
      writer.append(UInt32(mount.path.count))
      writer.append(UInt32(mount.options.count))
      writer.append(mount.path)
      writer.append(mount.options)
      writer.pad(to: 8)
    }
    writer.begin(.notEnforced, count: notEnforced.count)
    for line in notEnforced {
      writer.append(UInt32(line.count))
      writer.append(line)
      writer.pad(to: 4)
    }
    writer.begin(.sourceMap, count: 1)
    writer.append(sourceMap)
    writer.begin(.systemCalls, count: systemCalls == nil ? 0 : 1)
    if let systemCalls {
      writer.append(systemCalls.flags)
      writer.append(UInt32(systemCalls.scope.rawValue))
      writer.append(UInt32(systemCalls.program.count))
      writer.append(systemCalls.program)
    }
    writer.begin(.late, count: late.count)
    for item in late {
      writer.append(UInt32(item.kind.rawValue))
      writer.append(item.source)
      writer.append(UInt32(item.name.count))
      writer.append(UInt32(item.messages.reduce(0) { $0 + $1.bytes.count }))
      writer.append(item.name)
      writer.pad(to: 4)
      for message in item.messages { writer.append(message.bytes) }
    }
    writer.begin(.closedKinds, count: closed.count)
    for message in closed { writer.append(message.kind.rawValue) }
    writer.begin(.closedMessages, count: closed.count)
    for message in closed { writer.append(message.bytes) }
    writer.begin(.kernel, count: kernel.count)
    for item in kernel {
      writer.append(UInt32(item.kind.rawValue))
      writer.append(item.source)
      writer.append(UInt32(item.text.count))
      writer.append(item.text)
      writer.pad(to: 4)
    }
    writer.begin(.programs, count: programs.count)
    for program in programs {
      writer.append(UInt32(program.stage.rawValue))
      writer.append(UInt32(program.hook.count))
      writer.append(UInt32(program.instructions.count))
      writer.append(program.hook)
      writer.pad(to: 8)
      writer.append(program.instructions)
    }
    writer.begin(.relocations, count: relocations.count)
    for relocation in relocations {
      writer.append(relocation.program)
      writer.append(relocation.instruction)
      writer.append(UInt32(relocation.kind.rawValue))
      writer.append(UInt32(relocation.text.count))
      writer.append(relocation.text)
      writer.pad(to: 4)
    }
    var flags: UInt8 = 0
    if isManagementProved { flags |= BundleLayout.managementProvedFlag }
    if hasNetworkRoot { flags |= BundleLayout.networkRootFlag }
    if staysUnprotected { flags |= BundleLayout.staysUnprotectedFlag }
    if haltsOnFailure { flags |= BundleLayout.haltsOnFailureFlag }
    return writer.finish(policyDigest: policyDigest, minimumKernel: minimumKernel, flags: flags)
  }

  /// Where in the file the checksum stands.
  package static var checksumOffset: Int { BundleLayout.checksumOffset }

  /// The checksum of a file that is in pieces: SHA-256 of it, the checksum's own bytes being zeros.
  package static func checksum(of pieces: [[UInt8]]) -> [UInt8] { BundleWriter.checksum(of: pieces) }

  /// The contents of a bundle's file.
  package static func read(_ bytes: [UInt8]) throws(BundleError) -> BundleContents {
    BundleContents(try BundleReader(bytes))
  }

  package init(_ reader: BundleReader) {
    func copy(_ range: Range<Int>) -> [UInt8] { Array(reader.bytes[range]) }
    self.init(
      policyName: copy(reader.policyName), policyDigest: copy(reader.policyDigest),
      minimumKernel: reader.minimumKernel)
    isManagementProved = reader.isManagementProved
    hasNetworkRoot = reader.hasNetworkRoot
    staysUnprotected = reader.staysUnprotected
    haltsOnFailure = reader.haltsOnFailure
    messages = reader.messages.map { BundleMessage(kind: $0.kind, bytes: copy($0.range)) }
    closed = reader.closed.map { BundleMessage(kind: $0.kind, bytes: copy($0.range)) }
    sources = reader.sources.map { BundleSource(id: copy($0.id), place: copy($0.place)) }
    sysctls = reader.sysctls.map {
      BundleSysctl(
        path: copy($0.path), value: copy($0.value), strengthClass: $0.strengthClass,
        isNamespaced: $0.isNamespaced, source: $0.source)
    }
    mounts = reader.mounts.map {
      BundleMount(
        path: copy($0.path), attributesSet: $0.attributesSet, attributesCleared: $0.attributesCleared,
        isSelfBind: $0.isSelfBind, options: copy($0.options), source: $0.source)
    }
    notEnforced = reader.notEnforced.map(copy)
    sourceMap = copy(reader.sourceMap)
    systemCalls = reader.systemCalls.map {
      BundleFilter(scope: $0.scope, flags: $0.flags, program: copy($0.program))
    }
    kernel = reader.kernel.map { BundleKernelItem(kind: $0.kind, source: $0.source, text: copy($0.text)) }
    programs = reader.programs.map {
      BundleProgram(stage: $0.stage, hook: copy($0.hook), instructions: copy($0.instructions))
    }
    relocations = reader.relocations.map {
      BundleRelocation(
        program: UInt32($0.program + 1), instruction: UInt32($0.instruction), kind: $0.kind,
        text: copy($0.text))
    }
    late = reader.late.map { item in
      BundleLateItem(
        kind: item.kind, name: copy(item.name),
        messages: item.messages.map { BundleMessage(kind: $0.kind, bytes: copy($0.range)) },
        source: item.source)
    }
  }
}
