//! Names of well-known TCP ports, for the eye only: a port proves nothing about what speaks on it.

/// The service that usually listens on a port.
pub(crate) fn name(port: u16) -> Option<&'static str> {
    PORTS
        .binary_search_by_key(&port, |&(port, _)| port)
        .ok()
        .and_then(|index| PORTS.get(index))
        .map(|&(_, name)| name)
}

/// In ascending order.
const PORTS: &[(u16, &str)] = &[
    (20, "ftp-data"),
    (21, "ftp"),
    (22, "ssh"),
    (23, "telnet"),
    (25, "smtp"),
    (53, "domain"),
    (80, "http"),
    (88, "kerberos"),
    (110, "pop3"),
    (111, "rpcbind"),
    (139, "netbios"),
    (143, "imap"),
    (179, "bgp"),
    (389, "ldap"),
    (443, "https"),
    (445, "smb"),
    (465, "submissions"),
    (554, "rtsp"),
    (587, "submission"),
    (636, "ldaps"),
    (853, "domain-s"),
    (873, "rsync"),
    (993, "imaps"),
    (995, "pop3s"),
    (1433, "mssql"),
    (1521, "oracle"),
    (1883, "mqtt"),
    (2049, "nfs"),
    (2181, "zookeeper"),
    (2379, "etcd"),
    (2380, "etcd-peer"),
    (3268, "gc-ldap"),
    (3306, "mysql"),
    (3389, "rdp"),
    (5060, "sip"),
    (5432, "postgresql"),
    (5672, "amqp"),
    (5900, "vnc"),
    (5985, "winrm"),
    (6379, "redis"),
    (6443, "kubernetes"),
    (8080, "http-alt"),
    (8443, "https-alt"),
    (8883, "mqtts"),
    (9042, "cassandra"),
    (9090, "prometheus"),
    (9092, "kafka"),
    (9200, "elasticsearch"),
    (10250, "kubelet"),
    (11211, "memcached"),
    (27017, "mongodb"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_names_each_port_once() {
        assert!(PORTS.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn a_known_port_has_a_name_and_another_has_none() {
        assert_eq!(name(21), Some("ftp"));
        assert_eq!(name(27017), Some("mongodb"));
        assert_eq!(name(52144), None);
    }
}
