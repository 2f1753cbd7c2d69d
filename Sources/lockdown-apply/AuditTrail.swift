import CLinux

/// One record for what changed the host, or was refused: in the kernel's audit log where it is on, else in the kernel
/// log. Nothing depends on it.
enum AuditTrail {
  enum Event {
    case close
    case apply
    case refuse
    case `try`
    case confirm
    case revert
    case seal
    case fallback
    case late
    case open

    var name: Literal {
      switch self {
      case .close: "close"
      case .apply: "apply"
      case .refuse: "refuse"
      case .try: "try"
      case .confirm: "confirm"
      case .revert: "revert"
      case .seal: "seal"
      case .fallback: "fallback"
      case .late: "late"
      case .open: "open"
      }
    }
  }

  // AUDIT_GET and AUDIT_TRUSTED_APP, linux/audit.h; NLM_F_REQUEST and NLM_F_ACK, linux/netlink.h.
  private static let status: UInt16 = 1000
  private static let trustedProgram: UInt16 = 1121
  private static let request: UInt16 = 1
  private static let acknowledge: UInt16 = 4
  private static let headerLength = 16

  /// - Parameter bundle: the SHA-256 of the bundle's file in hexadecimal; empty where it could not be read.
  /// - Parameter seconds: for how long it is; 0: it is not for a time.
  static func record(
    _ event: Event, policy: [UInt8], digest: [UInt8], bundle: [UInt8], code: ExitCode, seconds: Int = 0
  ) {
    var text = Text("op=")
    text.add(event.name)
    add(" policy=", policy, &text)
    add(" digest=", digest, &text)
    add(" bundle=", bundle, &text)
    if seconds > 0 {
      text.add(" seconds=")
      text.add(seconds)
    }
    text.add(" exit=")
    text.add(Int(code.rawValue))
    let isDone =
      switch code {
      case .equal, .gaps, .fallback: true
      case .refused, .unknown, .closed, .usage, .busy: false
      }
    text.add(isDone ? " res=success" : " res=failed")
    if !send(text) { writeToKernelLog(text) }
  }

  private static func add(_ key: Literal, _ value: [UInt8], _ text: inout Text) {
    guard !value.isEmpty else { return }
    text.add(key)
    text.addForeign(value)
  }

  /// Whether the audit log takes it. Switched off, it acknowledges a message and drops it: that is asked first.
  private static func send(_ text: Text) -> Bool {
    let descriptor = lockdown_audit_socket()
    guard descriptor >= 0 else { return false }
    defer { close(Int32(descriptor)) }
    let none: [UInt8] = []
    // struct audit_status: the mask of what is set, then whether it is enabled.
    guard let answer = ask(Int32(descriptor), status, request, none, wanted: status),
      answer.count >= headerLength + 8, answer[headerLength + 4] != 0
    else { return false }
    var payload = text.bytes
    payload.append(0)
    // NLMSG_ERROR, linux/netlink.h, is the acknowledgement; its number behind the header is 0.
    guard let result = ask(Int32(descriptor), trustedProgram, request | acknowledge, payload, wanted: 2),
      result.count >= headerLength + 4
    else { return false }
    for index in headerLength..<(headerLength + 4) where result[index] != 0 { return false }
    return true
  }

  /// The answer of that type; an error is none.
  private static func ask(
    _ descriptor: Int32, _ type: UInt16, _ flags: UInt16, _ payload: [UInt8], wanted: UInt16
  ) -> [UInt8]? {
    var header = Text()
    let length = UInt32(headerLength + payload.count)
    for index in 0..<4 { header.add(byte: UInt8(truncatingIfNeeded: length >> UInt32(8 * index))) }
    for number in [type, flags] {
      header.add(byte: UInt8(truncatingIfNeeded: number))
      header.add(byte: UInt8(number >> 8))
    }
    // Sequence number 1, and port 0: ours.
    for byte: UInt8 in [1, 0, 0, 0, 0, 0, 0, 0] { header.add(byte: byte) }
    // Padding up to a multiple of 4.
    let padding = [UInt8](repeating: 0, count: -payload.count & 3)
    let sent = unsafe lockdown_netlink_send(
      descriptor, header.bytes, headerLength, payload, payload.count, padding, padding.count)
    guard sent > 0 else { return nil }
    // Other messages of the log may come between; the kernel's answer is not far.
    for _ in 0..<16 {
      guard lockdown_wait_for(descriptor, 1_000) > 0 else { return nil }
      var answer = [UInt8](repeating: 0, count: 1024)
      let got = unsafe lockdown_netlink_receive(descriptor, &answer, answer.count, 0)
      guard got >= headerLength else { return nil }
      let found = UInt16(answer[4]) | UInt16(answer[5]) << 8
      if found == wanted { return answer.copy(0..<got) }
      if found == 2 { return nil }
    }
    return nil
  }

  private static func writeToKernelLog(_ text: Text) {
    let descriptor = unsafe lockdown_open_at(
      lockdown_here, literal("/dev/kmsg"), lockdown_open_key_write, 0)
    guard descriptor >= 0 else { return }
    defer { close(Int32(descriptor)) }
    // LOG_USER | LOG_NOTICE, syslog(3): one call is one line.
    var line = Text("<13>lockdown-apply: ")
    line.add(text.bytes)
    line.add(byte: 0x0a)
    line.write(to: Int32(descriptor))
  }
}
