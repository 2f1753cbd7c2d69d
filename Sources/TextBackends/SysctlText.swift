package import PolicyModel

/// `sysctl.conf`: the policy's sysctls as `sysctl -p` and systemd-sysctl read them (sysctl.conf(5),
/// sysctl.d(5)).
package enum SysctlText {
  package static func print(_ policy: HostPolicy) -> String {
    var file = TextFile(policy, readBy: "sysctl(8) and systemd-sysctl(8)")
    let sections: [(SysctlClass, [String])] = [
      (.restorable, []),
      (.neutral, ["Tuning: these have no order of strength."]),
      (.lossy, ["A round trip of these loses state, as routes and addresses: set them once."]),
      (.oneWay, ["These cannot be taken back until reboot, and so stand last."]),
    ]
    for (strengthClass, comment) in sections {
      let settings = policy.sysctls.filter { $0.strengthClass == strengthClass }
      guard !settings.isEmpty else { continue }
      file.section(comment)
      for setting in settings { file.lines(lines(of: setting)) }
    }
    return file.text
  }

  private static func lines(of setting: SysctlSetting) -> [String] {
    guard setting.scope == .everyInterface, let star = setting.key.range(of: ".*.") else {
      return ["\(setting.key) = \(setting.value)"]
    }
    let before = setting.key[..<star.lowerBound]
    let after = setting.key[star.upperBound...]
    // `neigh` has a `default` and no `all`.
    let trees = before.hasSuffix(".conf") ? ["all", "default"] : ["default"]
    return trees.map { "\(before).\($0).\(after) = \(setting.value)" } + [
      // Existing interfaces do not follow `all` and `default`. Both tools leave out here what has a line of its
      // own; the minus lets a host without interfaces pass.
      "-\(setting.key) = \(setting.value)"
    ]
  }
}

extension String {
  /// The first occurrence, by bytes.
  fileprivate func range(of text: String) -> Range<String.Index>? {
    let wanted = Array(text.utf8)
    var start = utf8.startIndex
    while start != utf8.endIndex {
      if utf8[start...].starts(with: wanted) {
        return start..<utf8.index(start, offsetBy: wanted.count)
      }
      start = utf8.index(after: start)
    }
    return nil
  }
}
