import CLinux
import Glibc

extension Scan {
  /// The raw sockets of one scan: one of the neighbour that sends and gets answers, one for its errors, one of
  /// the host for what arrives.
  struct Sockets {
    let sender: Int32
    private let errors: Int32
    private let receiver: Int32

    init(_ neighbour: Neighbour, isIPv6: Bool, transport: UInt8, icmp: UInt8) throws(ProbeError) {
      receiver = try Self.open(isIPv6: isIPv6, transport)
      let pair = try neighbour.inside { () throws(ProbeError) -> (Int32, Int32) in
        (try Self.open(isIPv6: isIPv6, transport), try Self.open(isIPv6: isIPv6, icmp))
      }
      (sender, errors) = pair
    }

    func close() {
      for socket in [sender, errors, receiver] { Glibc.close(socket) }
    }

    /// Packets the host's socket had no room for.
    var lost: Int { max(0, Int(lockdown_socket_drops(receiver))) }

    /// Takes what has come, until nothing came for that many milliseconds.
    func settle(
      patience: Int32, arrival: ([UInt8]) -> Void, answer: ([UInt8]) -> Void, error: ([UInt8]) -> Void
    ) throws(ProbeError) {
      repeat {
        try Self.drain(receiver, arrival)
        try Self.drain(sender, answer)
        try Self.drain(errors, error)
      } while patience > 0 && lockdown_wait_any(receiver, sender, errors, patience) > 0
    }

    private static func open(isIPv6: Bool, _ transport: UInt8) throws(ProbeError) -> Int32 {
      let descriptor = socket(isIPv6 ? AF_INET6 : AF_INET, lockdown_sock_raw_cloexec, Int32(transport))
      guard descriptor >= 0 else { throw ProbeError(doing: "opening a raw socket", code: errno) }
      // A group of packets, their answers, and what other protocols say meanwhile.
      lockdown_set_receive_buffer(descriptor, 4 << 20)
      return descriptor
    }

    private static func drain(_ socket: Int32, _ note: ([UInt8]) -> Void) throws(ProbeError) {
      var buffer = [UInt8](repeating: 0, count: 2048)
      while true {
        let count = recv(socket, &buffer, buffer.count, lockdown_msg_dontwait)
        if count >= 0 {
          note(Array(buffer.prefix(count)))
        } else if errno == EAGAIN {
          return
        } else if errno != EINTR {
          throw ProbeError(doing: "receiving", code: errno)
        }
      }
    }
  }
}
