import CLinux
import Glibc

/// The connections that the kernel tracks in the network namespace of this process.
enum ConnectionTable {
  /// Forgets all of them. Without connection tracking there is nothing to forget, and no error.
  static func flush() {
    let socket = Glibc.socket(AF_NETLINK, lockdown_sock_raw_cloexec, NETLINK_NETFILTER)
    guard socket >= 0 else { return }
    defer { close(socket) }
    // nlmsghdr: 20 bytes, NFNL_SUBSYS_CTNETLINK and IPCTNL_MSG_CT_DELETE, REQUEST and ACK; then an nfgenmsg of no
    // family, which means all (linux/netfilter/nfnetlink_conntrack.h).
    var message: [UInt8] = []
    func append(_ value: some FixedWidthInteger) { withUnsafeBytes(of: value) { message += Array($0) } }
    append(UInt32(20))
    append(UInt16(1 << 8 | 2))
    append(UInt16(NLM_F_REQUEST | NLM_F_ACK))
    append(UInt32(1))
    append(UInt32(0))
    append(UInt32(0))
    guard send(socket, message, message.count, 0) == message.count else { return }
    var answer = [UInt8](repeating: 0, count: 256)
    // The answer comes when it is done.
    _ = recv(socket, &answer, answer.count, 0)
  }
}
