//! Records as Zeek's conn.log has them: fields between tabs, under a header that names them.
//!
//! What is not known here is `-`: the service, which ends are local, and octets with their IP
//! headers; packets where they were not counted.

use std::net::IpAddr;

use sha1::{Digest as _, Sha1};

use super::escape::escaped;
use super::paint::put;
use super::{LiveStep, Sink};
use crate::timeline::{CommunityId, Connection, Role};
use crate::units::Wall;

/// Names and types, in order.
const FIELDS: [(&str, &str); 24] = [
    ("ts", "time"),
    ("uid", "string"),
    ("id.orig_h", "addr"),
    ("id.orig_p", "port"),
    ("id.resp_h", "addr"),
    ("id.resp_p", "port"),
    ("proto", "enum"),
    ("service", "string"),
    ("duration", "interval"),
    ("orig_bytes", "count"),
    ("resp_bytes", "count"),
    ("conn_state", "string"),
    ("local_orig", "bool"),
    ("local_resp", "bool"),
    ("missed_bytes", "count"),
    ("history", "string"),
    ("orig_pkts", "count"),
    ("orig_ip_bytes", "count"),
    ("resp_pkts", "count"),
    ("resp_ip_bytes", "count"),
    ("tunnel_parents", "set[string]"),
    // As the scripts policy/protocols/conn/{community-id-logging,vlan-logging} add them.
    ("community_id", "string"),
    ("vlan", "int"),
    ("inner_vlan", "int"),
];
/// Digits of a `uid`, in Zeek's order.
const DIGITS: [u8; 62] = *b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Digits that twice 48 bits take.
const UID: usize = 2 * 9;

/// Renders a conn.log.
#[derive(Clone, Copy, Debug, Default)]
pub struct Zeek;

impl Sink for Zeek {
    fn begin(&mut self, unix_ns: i128, out: &mut Vec<u8>) {
        put(
            out,
            "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n",
        );
        put(out, format_args!("#open\t{}\n", Wall(unix_ns).hyphened()));
        put(out, "#fields");
        for (name, _) in FIELDS {
            put(out, format_args!("\t{name}"));
        }
        put(out, "\n#types");
        for (_, kind) in FIELDS {
            put(out, format_args!("\t{kind}"));
        }
        out.push(b'\n');
    }

    fn step(&mut self, _: &LiveStep<'_>, _: &mut Vec<u8>) {}

    fn connection(&mut self, connection: &Connection, out: &mut Vec<u8>) {
        Line(out).connection(connection);
    }

    fn end(&mut self, unix_ns: i128, out: &mut Vec<u8>) {
        put(out, format_args!("#close\t{}\n", Wall(unix_ns).hyphened()));
    }
}

/// Appends the fields of a line.
struct Line<'a>(&'a mut Vec<u8>);

impl Line<'_> {
    fn connection(&mut self, connection: &Connection) {
        let originator = connection.zeek.originator;
        let roles = [originator, originator.peer()];
        self.seconds(connection.started_unix_ns);
        self.text(uid(connection));
        for end in roles.map(|role| connection.end(role)) {
            self.address(end.address);
            self.number(Some(end.port));
        }
        self.text("tcp");
        self.unknown();
        match connection.duration_ns {
            0 => self.unknown(),
            ns => self.seconds(ns.into()),
        }
        for role in roles {
            self.number(connection.end(role).bytes.map(|bytes| bytes.count));
        }
        self.text(connection.zeek.conn_state.name());
        self.unknown();
        self.unknown();
        self.number(connection.close.gap_bytes);
        match connection.zeek.history.as_str() {
            "" => self.unknown(),
            history => self.text(escaped(history).as_ref()),
        }
        for role in roles {
            let accounts = connection.accounts.as_ref();
            self.number(accounts.map(|both| match role {
                Role::Client => both.client.packets,
                Role::Server => both.server.packets,
            }));
            self.unknown();
        }
        self.unknown();
        self.text(CommunityId::from(connection).as_str());
        let mut vlans = connection.scope.vlans();
        self.number(vlans.next());
        self.number(vlans.next());
        // The last tab.
        self.0.pop();
        self.0.push(b'\n');
    }

    fn text(&mut self, text: impl AsRef<[u8]>) {
        self.0.extend_from_slice(text.as_ref());
        self.0.push(b'\t');
    }

    fn unknown(&mut self) {
        self.text("-");
    }

    fn number(&mut self, number: Option<impl itoa::Integer>) {
        match number {
            Some(number) => self.text(itoa::Buffer::new().format(number)),
            None => self.unknown(),
        }
    }

    /// An address as Zeek writes it: without brackets.
    fn address(&mut self, address: IpAddr) {
        put(self.0, address);
        self.0.push(b'\t');
    }

    /// Nanoseconds as seconds with six decimals.
    fn seconds(&mut self, ns: i128) {
        if ns < 0 {
            self.0.push(b'-');
        }
        // What does not fit is five hundred years away.
        let us = u64::try_from(ns.unsigned_abs()).unwrap_or(u64::MAX);
        let us = us.saturating_add(500) / 1_000;
        let (seconds, decimals) = (us / 1_000_000, us % 1_000_000);
        put(self.0, format_args!("{seconds}.{decimals:06}\t"));
    }
}

/// Names a connection, the same each time that it is read: `C` and 96 bits.
fn uid(connection: &Connection) -> [u8; 1 + UID] {
    let mut hash = Sha1::new();
    hash.update(connection.started_unix_ns.to_be_bytes());
    hash.update(connection.scope.0.to_be_bytes());
    for end in [&connection.client, &connection.server] {
        match end.address {
            IpAddr::V4(address) => hash.update(address.octets()),
            IpAddr::V6(address) => hash.update(address.octets()),
        }
        hash.update(end.port.to_be_bytes());
        hash.update(end.isn.map_or([0; 4], |isn| isn.0.to_be_bytes()));
    }
    let digest = hash.finalize();
    let mut uid = [b'C'; 1 + UID];
    let digits = uid.get_mut(1..).unwrap_or_default();
    for (digits, octets) in digits.chunks_mut(UID / 2).zip(digest.chunks(6)) {
        let number = octets
            .iter()
            .fold(0, |number, &octet| number << 8 | u64::from(octet));
        write_base_62(number, digits);
    }
    uid
}

fn write_base_62(mut number: u64, digits: &mut [u8]) {
    for digit in digits.iter_mut().rev() {
        let index = usize::try_from(number % 62).unwrap_or_default();
        *digit = DIGITS.get(index).copied().unwrap_or(b'0');
        number /= 62;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::sink::fixtures::{START, all, counted, ftp, lone_fin, vlan};

    /// A log read back as its own header says.
    fn read(connections: &[Connection]) -> Vec<HashMap<String, String>> {
        let mut out = Vec::new();
        Zeek.begin(START, &mut out);
        for connection in connections {
            Zeek.connection(connection, &mut out);
        }
        Zeek.end(START, &mut out);
        let text = String::from_utf8(out).unwrap();
        let fields = text
            .lines()
            .find_map(|line| line.strip_prefix("#fields\t"))
            .unwrap();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let record = |line: &str| {
            assert_eq!(line.split('\t').count(), FIELDS.len(), "{line}");
            let both = fields.split('\t').zip(line.split('\t'));
            both.map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect()
        };
        lines.map(record).collect()
    }

    #[test]
    fn a_record_reads_back_by_the_names_of_its_fields() {
        let [record] = read(&[ftp()]).try_into().unwrap();
        for (name, value) in [
            ("ts", "1795370400.123457"),
            ("id.orig_h", "10.1.1.2"),
            ("id.orig_p", "52144"),
            ("id.resp_h", "10.1.1.1"),
            ("id.resp_p", "21"),
            ("proto", "tcp"),
            ("duration", "1.931210"),
            ("orig_bytes", "26"),
            ("resp_bytes", "94"),
            ("conn_state", "SF"),
            ("history", "ShADdfFa"),
            ("community_id", "1:JoWeZPH21nu+YJdsd/8ned6hGxI="),
            ("orig_pkts", "-"),
            ("vlan", "-"),
        ] {
            assert_eq!(record[name], value, "{name}");
        }
    }

    #[test]
    fn what_was_counted_and_tagged_is_told() {
        let [counted, tagged, sparse] = read(&[counted(), vlan(), lone_fin()]).try_into().unwrap();
        let packets = [&counted["orig_pkts"], &counted["resp_pkts"]];
        assert_eq!(packets, ["9", "131"]);
        assert_eq!([&tagged["vlan"], &tagged["inner_vlan"]], ["100", "7"]);
        assert_eq!([&sparse["duration"], &sparse["history"]], ["-", "-"]);
    }

    #[test]
    fn the_end_that_zeek_takes_for_the_originator_comes_first() {
        let mut connection = counted();
        connection.zeek.originator = Role::Server;
        let [record] = read(&[connection]).try_into().unwrap();
        assert_eq!(record["id.orig_h"], "10.1.1.1");
        assert_eq!([&record["orig_pkts"], &record["resp_pkts"]], ["131", "9"]);
    }

    #[test]
    fn a_uid_is_the_same_each_time_and_another_for_another_connection() {
        let uids = || {
            let all: Vec<_> = all()
                .into_iter()
                .map(|(_, connection)| connection)
                .collect();
            read(&all)
                .into_iter()
                .map(|mut record| record.remove("uid").unwrap())
        };
        assert!(uids().eq(uids()));
        assert!(uids().all(|uid| uid.len() == 1 + UID && uid.starts_with('C')));
        let mut later = ftp();
        later.started_unix_ns += 1;
        assert_ne!(uid(&ftp()), uid(&later));
    }
}
