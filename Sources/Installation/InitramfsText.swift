/// initramfs-tools(7): the closed stage of the current slot stands from the initramfs on, before an interface has an
/// address. lockdown.service exchanges it for the policy.
enum InitramfsText {
  static let hook = """
    #!/bin/sh
    # Puts the applier, the closed stage and nf_tables with its expressions into the initramfs.
    set -e
    if [ "$1" = prereqs ]; then exit 0; fi
    . /usr/share/initramfs-tools/hook-functions

    [ -f /\(InstalledPath.slots) ] || exit 0
    name=$(sed -n 's/^current //p' /\(InstalledPath.slots))
    [ -n "$name" ] || exit 0
    copy_exec /\(InstalledPath.applier) /sbin/lockdown-apply
    mkdir -p "$DESTDIR/etc/lockdown"
    cp "/\(InstalledPath.bundles)/$name.closed" "$DESTDIR/etc/lockdown/closed.bundle"
    for folder in net/netfilter net/ipv4/netfilter net/ipv6/netfilter; do
      copy_modules_dir "kernel/$folder"
    done

    """

  /// init-top comes before the network of the initramfs, and before udev loads drivers of its own.
  static let script = """
    #!/bin/sh
    if [ "$1" = prereqs ]; then exit 0; fi
    # What fails here is tried again, and reported, by lockdown-closed.service.
    [ ! -f /etc/lockdown/closed.bundle ] || /sbin/lockdown-apply /etc/lockdown/closed.bundle --stage closed || true

    """
}

/// The same as a module of dracut(8).
enum DracutText {
  static let setup = """
    #!/bin/bash
    # Puts the applier, the closed stage and nf_tables with its expressions into the initramfs.

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
      inst_simple "/\(InstalledPath.bundles)/$name.closed" /etc/lockdown/closed.bundle
      # Before udev finds interfaces.
      inst_hook pre-udev 10 "$moddir/lockdown.sh"
    }

    """

  static let script = """
    #!/bin/sh
    # What fails here is tried again, and reported, by lockdown-closed.service.
    [ ! -f /etc/lockdown/closed.bundle ] || /sbin/lockdown-apply /etc/lockdown/closed.bundle --stage closed || :

    """
}
