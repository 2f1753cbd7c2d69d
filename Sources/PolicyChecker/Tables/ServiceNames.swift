/// Names of ports that language 1 knows: IANA's, where TCP and UDP agree on the number.
///
/// None is a keyword, so that a rule's words mean one thing (a test holds this). Names whose TCP and UDP
/// ports belong to different services (`exec`, `shell`, `syslog` …) are left out: the number says it.
enum ServiceNames {
  static func port(of name: String) -> UInt16? { ports[name] }

  /// Those people mean most often first: of two near misses the first is suggested.
  static let names: [String] = table.map(\.0)

  private static let ports: [String: UInt16] = Dictionary(uniqueKeysWithValues: table)

  /// What people and other tables call them.
  static let otherNames: [String: String] = [
    "dns": "domain", "dot": "dns-over-tls", "web": "http", "www": "http", "www-http": "http", "sftp": "ssh",
    "scp": "ssh", "mail": "smtp", "smtps": "submissions", "ssmtp": "submissions", "imap2": "imap",
    "imap4": "imap", "imap4s": "imaps", "pop-3": "pop3", "auth": "ident", "portmap": "sunrpc",
    "portmapper": "sunrpc", "rpcbind": "sunrpc", "krb5": "kerberos", "smb": "microsoft-ds",
    "cifs": "microsoft-ds", "samba": "microsoft-ds", "snmptrap": "snmp-trap", "ike": "isakmp",
    "nat-t": "ipsec-nat-t", "cups": "ipp", "mssql": "ms-sql-s", "mariadb": "mysql", "postgres": "postgresql",
    "pgsql": "postgresql", "psql": "postgresql", "rdp": "ms-wbt-server", "iscsi": "iscsi-target",
    "wg": "wireguard", "memcached": "memcache", "subversion": "svn", "secure-mqtt": "mqtts",
    "sip-tls": "sips",
  ]

  private static let table: [(String, UInt16)] = [
    ("ssh", 22), ("http", 80), ("https", 443), ("domain", 53), ("ntp", 123), ("smtp", 25), ("imap", 143),
    ("imaps", 993), ("submission", 587), ("echo", 7), ("discard", 9), ("daytime", 13), ("chargen", 19),
    ("ftp-data", 20), ("ftp", 21), ("telnet", 23), ("whois", 43), ("tacacs", 49), ("bootps", 67),
    ("bootpc", 68), ("tftp", 69), ("gopher", 70), ("finger", 79), ("kerberos", 88), ("pop3", 110),
    ("sunrpc", 111), ("ident", 113), ("nntp", 119), ("epmap", 135), ("netbios-ns", 137), ("netbios-dgm", 138),
    ("netbios-ssn", 139), ("snmp", 161), ("snmp-trap", 162), ("xdmcp", 177), ("bgp", 179), ("irc", 194),
    ("ldap", 389), ("slp", 427), ("microsoft-ds", 445), ("kpasswd", 464), ("submissions", 465),
    ("isakmp", 500), ("dhcpv6-client", 546), ("dhcpv6-server", 547), ("rtsp", 554), ("nntps", 563),
    ("ipp", 631), ("ldaps", 636), ("ldp", 646), ("dns-over-tls", 853), ("rsync", 873), ("ftps-data", 989),
    ("ftps", 990), ("telnets", 992), ("pop3s", 995), ("socks", 1080), ("openvpn", 1194), ("ms-sql-s", 1433),
    ("ms-sql-m", 1434), ("l2f", 1701), ("pptp", 1723), ("radius", 1812), ("radius-acct", 1813),
    ("mqtt", 1883), ("nfs", 2049), ("etcd-client", 2379), ("etcd-server", 2380), ("iscsi-target", 3260),
    ("mysql", 3306), ("ms-wbt-server", 3389), ("nut", 3493), ("stun", 3478), ("svn", 3690),
    ("ipsec-nat-t", 4500), ("vxlan", 4789), ("sip", 5060), ("sips", 5061), ("geneve", 6081),
    ("xmpp-client", 5222), ("xmpp-server", 5269), ("stuns", 5349), ("llmnr", 5355), ("postgresql", 5432),
    ("coap", 5683), ("vnc", 5900), ("x11", 6000), ("redis", 6379), ("syslog-tls", 6514), ("http-alt", 8080),
    ("mqtts", 8883), ("https-alt", 8443), ("kubelet", 10250), ("zabbix-agent", 10050),
    ("zabbix-trapper", 10051), ("memcache", 11211), ("git", 9418), ("wireguard", 51820),
  ]
}
