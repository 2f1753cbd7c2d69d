/// Words of the kernel's command line that say that the root file system comes over the network: of the kernel itself
/// (admin-guide/nfs/nfsroot.rst), of initramfs-tools(7) and of dracut.cmdline(7).
package enum NetworkRoot {
  /// Beginnings of words, each ended by a blank.
  private static let beginnings: StaticString = """
    root=/dev/nfs root=nfs root=/dev/nbd root=nbd root=/dev/rbd root=/dev/cifs root=iscsi root=fcoe root=cifs \
    root=nvmf root=http root=live:http root=dhcp netroot= nfsroot= nbdroot= cifsroot= iscsi_target_ip= iscsi_auto \
    rd.iscsi.firmware rd.iscsi.ibft ip=ibft rd.nvmf. boot=nfs \

    """

  /// Whether the line has such a word.
  package static func isNamed(by line: [UInt8]) -> Bool {
    var start = 0
    for index in 0...line.count where index == line.count || line[index] <= 0x20 {
      if isBeginning(of: line, start..<index) { return true }
      start = index + 1
    }
    return false
  }

  private static func isBeginning(of line: [UInt8], _ word: Range<Int>) -> Bool {
    // Of the beginning in turn: its length so far, and whether the word has the same bytes.
    var length = 0
    var isSame = true
    for index in 0..<beginnings.utf8CodeUnitCount {
      let byte = unsafe beginnings.utf8Start[index]
      if byte == 0x20 {
        if isSame && length > 0 { return true }
        length = 0
        isSame = true
        continue
      }
      if length >= word.count || line[word.lowerBound + length] != byte { isSame = false }
      length += 1
    }
    return false
  }
}
