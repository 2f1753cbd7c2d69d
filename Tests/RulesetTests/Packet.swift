import PolicyModel
import PolicySamples

/// What a rule may ask about a packet. A nil field is one that the kernel cannot read.
struct Packet {
  var isV6: Bool
  /// Nil: an IPv6 packet whose extension headers are broken.
  var transportProtocol: UInt8?
  /// The first bytes of the layer-4 header: 20 of TCP, 4 of others; none in a later fragment.
  var transport: [UInt8]
  var source: [UInt8]
  var destination: [UInt8]
  /// RTN_* of the routing table.
  var sourceType: UInt32
  var destinationType: UInt32
  var inputInterface: String
  var outputInterface: String
  var state: ConntrackStates
  /// Nil: no entry.
  var status: UInt32?
  /// Nil: no socket.
  var user: UInt32?
  var group: UInt32?
  var mark: UInt32
  /// Nil: no entry.
  var connectionMark: UInt32?
  var dscp: UInt8
  var timeToLive: UInt8
  /// With the bits beside it. Nil: an IPv6 packet without fragment header.
  var fragmentOffset: UInt16?
  var length: UInt32
  var packetType: UInt8
  /// linux/if_arp.h ARPHRD_*.
  var inputInterfaceType: UInt16
  var linkSource: [UInt8]
  var linkDestination: [UInt8]
  var hour: UInt32
  var day: UInt8
  var hasRouteBack: Bool
  var cameByIPsec: Bool
  /// What a SYN offers; nil: no such option.
  var segmentSize: UInt16?
  /// What dynamic and external sets hold when it comes, by name.
  var sets: [String: Set<[UInt8]>]
  /// Path of the sender's control group; nil: no socket.
  var controlGroup: String?
  /// Control groups whose numbers are in the kernel.
  var knownGroups: Set<String>
  /// What the route leaves.
  static let pathSegmentSize: UInt16 = 1360

  mutating func untrack() {
    state = .untracked
    status = nil
    connectionMark = nil
  }

  var canReadTCPHeader: Bool { transportProtocol == 6 && transport.count == 20 }

  var family: Families { isV6 ? .ipv6 : .ipv4 }

  /// A packet from the small world of `RandomPolicy`, on and beside the bounds of its lists.
  init(_ random: inout SeededGenerator) {
    isV6 = random.chance(50)
    transportProtocol =
      isV6 && random.chance(12) ? nil : random.pick([1, 6, 6, 6, 17, 17, 33, 47, 50, 58, 58, 132, 136, 59])
    transport = []
    if transportProtocol == nil || random.chance(15) {
      // Unreadable, or a later fragment.
    } else if transportProtocol == 1 || transportProtocol == 58 {
      transport = [
        random.pick([0, 1, 3, 8, 11, 12, 128, 132, 133, 136, 137, 200]), random.pick([0, 1, 3, 4, 7, 9]),
      ]
      if random.chance(90) { transport += [0, 0] } else if random.chance(30) { transport.removeLast() }
    } else {
      let ports: [UInt16] = [0, 1, 21, 22, 23, 53, 80, 443, 999, 1000, 2000, 2001, 59999, 60000, 65535]
      let source = random.pick(ports)
      let destination = random.pick(ports)
      transport = [
        UInt8(source >> 8), UInt8(source & 255), UInt8(destination >> 8), UInt8(destination & 255),
      ]
      if transportProtocol == 6 {
        transport += [UInt8](repeating: 0, count: 9)
        transport.append(random.pick([0x00, 0x02, 0x12, 0x10, 0x29, 0x3f, 0x42, 0xff]))
        transport += [UInt8](repeating: 0, count: 6)
      }
      if random.chance(8) { transport.removeLast(Int.random(in: 1..<transport.count, using: &random)) }
    }
    source = Self.address(isV6: isV6, &random)
    destination = Self.address(isV6: isV6, &random)
    let types: [UInt32] = isV6 ? [1, 2, 5] : [1, 2, 3, 5]
    sourceType = random.pick(types)
    destinationType = random.pick(types)
    let names = [
      "lo", "lo0", "eth0", "eth", "eth1", "et", "veth1234567890a", "w", "wg0", "en-0", "en", "br-0.5:x",
      "abcdefghijklmno", "abcdefghijklmn",
    ]
    inputInterface = random.pick(names)
    outputInterface = random.pick(names)
    state = random.pick([.invalid, .established, .related, .new, .untracked])
    status = nil
    if state != .invalid && state != .untracked {
      status = [1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 4, 1 << 5, 1 << 9].reduce(UInt32(0)) {
        $0 | (random.chance(30) ? $1 : 0)
      }
    }
    if random.chance(75) {
      let ids: [UInt32] = [
        0, 1, 7, 8, 9, 999, 1000, 1999, 2000, 65534, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff,
      ]
      user = random.pick(ids)
      group = random.pick(ids)
    }
    let marks: [UInt32] = [
      0, 1, 7, 8, 0x10, 0x11, 0xf0, 1000, 2000, 0x4000, 0x4001, 0x8000_0000, 0xffff_ffff,
    ]
    mark = random.pick(marks)
    connectionMark = status == nil ? nil : random.pick(marks)
    dscp = random.pick([0, 1, 7, 8, 9, 10, 14, 15, 46, 47, 48, 63])
    timeToLive = random.pick([0, 1, 2, 63, 64, 65, 254, 255])
    let isLater = transportProtocol != nil && transport.isEmpty
    // The low bits of IPv6's are flags, the high ones of IPv4's.
    let other = random.pick(isV6 ? [0, 1] : [0, 0x2000, 0x4000] as [UInt16])
    if isLater {
      fragmentOffset = random.pick(isV6 ? [8, 0xfff8] : [1, 0x1fff]) | other
    } else {
      fragmentOffset = isV6 && random.chance(70) ? nil : other
    }
    length = random.pick([19, 20, 21, 40, 99, 100, 1500, 1501, 65535, 65536])
    packetType = UInt8.random(in: 0...3, using: &random)
    inputInterfaceType = inputInterface == "lo" ? 772 : random.pick([1, 1, 1, 65534])
    let links: [[UInt8]] = [
      [2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2], [2, 0, 0, 0, 0, 3], [UInt8](repeating: 0xff, count: 6),
    ]
    linkSource = random.pick(links)
    linkDestination = random.pick(links)
    hour = random.pick([
      0, 1, 21_599, 21_600, 21_601, 43_259, 43_260, 79_199, 79_200, 86_339, 86_340, 86_399,
    ])
    day = UInt8.random(in: 0...6, using: &random)
    hasRouteBack = random.chance(70)
    cameByIPsec = random.chance(30)
    controlGroup =
      random.chance(15)
      ? nil
      : random.pick(["", "a.slice", "a.slice/x.service", "a.slice/x.service/deep", "b/c/d", "b/c", "e/f"])
    knownGroups = Set(RandomPolicy.controlGroups.map(\.path).filter { _ in random.chance(75) })
    sets = [:]
    segmentSize = nil
    for set in RandomPolicy.dynamicSets {
      sets[set.name] = Set(
        [source, destination].filter { _ in random.chance(40) }.map {
          RandomPolicy.key(of: $0, in: set.name)
        })
    }
    segmentSize = canReadTCPHeader && random.chance(70) ? random.pick([100, 536, 1380, 1460]) : nil
  }

  private static func address(isV6: Bool, _ random: inout SeededGenerator) -> [UInt8] {
    if isV6 {
      let top: UInt64 = random.pick([
        0, 0x2001_0db8_0000_0000, 0x2001_0db8_0020_0000, 0x2001_0db9_0000_0000, 0x2001_0db7_ffff_ffff,
        0xfe80_0000_0000_0000, 0xfebf_ffff_ffff_ffff, 0xfec0_0000_0000_0000, 0xff02_0000_0000_0000, .max,
      ])
      let low: UInt64 = random.pick([0, 1, 3, 4, 5, 6, 7, 8, 90, 91, .max - 10, .max - 9, .max])
      return bytes(top) + bytes(low)
    }
    let value: UInt32 = random.pick([
      0, 5, 6, 0x0102_0303, 0x0102_0304, 0x0102_0309, 0x0102_030a, 0x09ff_ffff, 0x0a00_0000, 0x0a00_0001,
      0x0a13_ffff, 0x0a14_0000, 0x0a15_ffff, 0x0a16_0000, 0x0aff_ffff, 0x0b00_0000, 0xc000_0207, 0xc000_0208,
      0xdfff_ffff, 0xe000_0000, 0xefff_ffff, 0xf000_0000, .max,
    ])
    return bytes(value)
  }

  static func bytes<V: FixedWidthInteger>(_ value: V) -> [UInt8] {
    withUnsafeBytes(of: value.bigEndian) { Array($0) }
  }
}
