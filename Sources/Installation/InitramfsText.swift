/// initramfs-tools(7): the firewall of the current slot stands from the initramfs on, before an interface has an
/// address. What the host's own file system holds comes later, from lockdown.service.
enum InitramfsText {
  static let hook = """
    #!/bin/sh
    # Puts the applier, the current bundle and nf_tables with its expressions into the initramfs.
    set -e
    if [ "$1" = prereqs ]; then exit 0; fi
    . /usr/share/initramfs-tools/hook-functions

    name=$(sed -n 's/^current //p' /\(InstalledPath.slots))
    [ -n "$name" ] || exit 0
    copy_exec /\(InstalledPath.applier) /sbin/lockdown-apply
    mkdir -p "$DESTDIR/etc/lockdown"
    cp "/\(InstalledPath.bundles)/$name.bundle" "$DESTDIR/etc/lockdown/policy.bundle"
    for folder in net/netfilter net/ipv4/netfilter net/ipv6/netfilter; do
      copy_modules_dir "kernel/$folder"
    done

    """

  /// init-top comes before the network of the initramfs, and before udev loads drivers of its own.
  static let script = """
    #!/bin/sh
    if [ "$1" = prereqs ]; then exit 0; fi
    # A firewall that is refused here is refused again, and reported, by lockdown.service.
    [ ! -f /etc/lockdown/policy.bundle ] || /sbin/lockdown-apply /etc/lockdown/policy.bundle --only firewall || true

    """
}

/// The same as a module of dracut(8).
enum DracutText {
  static let setup = """
    #!/bin/bash
    # Puts the applier, the current bundle and nf_tables with its expressions into the initramfs.

    check() {
      [[ -f /\(InstalledPath.slots) ]] || return 1
    }

    installkernel() {
      hostonly='' instmods =net/netfilter =net/ipv4/netfilter =net/ipv6/netfilter
    }

    install() {
      local name
      name=$(sed -n 's/^current //p' /\(InstalledPath.slots))
      [[ $name ]] || return 0
      inst /\(InstalledPath.applier) /sbin/lockdown-apply
      inst_simple "/\(InstalledPath.bundles)/$name.bundle" /etc/lockdown/policy.bundle
      # Before udev finds interfaces.
      inst_hook pre-udev 10 "$moddir/lockdown.sh"
    }

    """

  static let script = """
    #!/bin/sh
    # A firewall that is refused here is refused again, and reported, by lockdown.service.
    [ ! -f /etc/lockdown/policy.bundle ] || /sbin/lockdown-apply /etc/lockdown/policy.bundle --only firewall || :

    """
}
