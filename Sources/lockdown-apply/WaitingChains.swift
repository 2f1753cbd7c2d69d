import CLinux

/// A policy's messages, and among them the chains of devices that are there: the kernel takes a chain only behind its device,
/// so a bundle has these apart.
struct WaitingChains {
  private let reader: BundleReader
  /// In the order of a batch, one behind the other in `bytes`.
  private(set) var messages: [BundleReader.Message] = []
  private(set) var bytes: [UInt8]

  init(_ reader: BundleReader) {
    self.reader = reader
    bytes = reader.bytes
    var present: [Int] = []
    for index in 0..<reader.late.count where Self.isThere(reader, index) { present.append(index) }
    guard !present.isEmpty else {
      messages = reader.messages
      return
    }
    var hasChains = false
    for message in reader.messages {
      if !hasChains, message.kind.rawValue > BundleMessageKind.chain.rawValue {
        addChains(present)
        hasChains = true
      }
      add(message)
    }
    if !hasChains { addChains(present) }
    for index in present {
      for message in reader.late[index].messages.dropFirst() { add(message) }
    }
  }

  /// Whether a late item is the chain of a device, and that is there.
  @inline(never)
  static func isThere(_ reader: BundleReader, _ index: Int) -> Bool {
    guard reader.late[index].kind == .device else { return false }
    return unsafe lockdown_device(reader.bytes.terminated(reader.late[index].name)) != 0
  }

  private mutating func addChains(_ present: [Int]) {
    for index in present { add(reader.late[index].messages[0]) }
  }

  @inline(never)
  private mutating func add(_ message: BundleReader.Message) {
    var message = message
    let distance = bytes.count - message.range.lowerBound
    bytes.append(contentsOf: reader.bytes[message.range])
    message.range = message.range.lowerBound + distance..<message.range.upperBound + distance
    message.name = message.name.lowerBound + distance..<message.name.upperBound + distance
    messages.append(message)
  }
}
