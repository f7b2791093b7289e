//! What the kernel counts by itself in a namespace: an account of the traffic that nobody traced.

use std::fs;

use anyhow::{Context, Result};

use crate::netns::Namespace;

/// Frames of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the kernel's")]
pub struct Frames {
    pub rx_packets: u64,
    pub rx_dropped: u64,
    pub tx_packets: u64,
    pub tx_dropped: u64,
}

/// The frames of an interface so far.
///
/// # Errors
/// Where there is no such interface.
pub fn frames(namespace: &Namespace, interface: &str) -> Result<Frames> {
    let table = read(namespace, &["dev"])?;
    frames_in(&table, interface).with_context(|| format!("find {interface} in {table}"))
}

/// A count of TCP so far, by its name in `/proc/net/snmp` or `/proc/net/netstat`.
///
/// # Errors
/// Where there is no such count.
pub fn tcp(namespace: &Namespace, name: &str) -> Result<u64> {
    let tables = read(namespace, &["snmp", "netstat"])?;
    tcp_in(&tables, name).with_context(|| format!("find {name} in {tables}"))
}

fn read(namespace: &Namespace, tables: &[&str]) -> Result<String> {
    // `/proc/net` is that of the process' first thread.
    namespace.enter(|| {
        let tables = tables.iter().map(|table| {
            let path = format!("/proc/thread-self/net/{table}");
            fs::read_to_string(&path).with_context(|| format!("read {path}"))
        });
        Ok(tables.collect::<Result<Vec<_>>>()?.concat())
    })
}

fn frames_in(table: &str, interface: &str) -> Option<Frames> {
    let mut lines = table.lines().filter_map(|line| line.split_once(':'));
    let (_, counts) = lines.find(|(name, _)| name.trim() == interface)?;
    let counts: Vec<u64> = counts
        .split_whitespace()
        .map_while(|count| count.parse().ok())
        .collect();
    // Eight columns for each way: bytes, packets, errs, drop, …
    Some(Frames {
        rx_packets: *counts.get(1)?,
        rx_dropped: *counts.get(3)?,
        tx_packets: *counts.get(9)?,
        tx_dropped: *counts.get(11)?,
    })
}

/// Each line of names is followed by one of counts.
fn tcp_in(tables: &str, name: &str) -> Option<u64> {
    let lines: Vec<_> = tables
        .lines()
        .filter(|line| line.starts_with("Tcp:") || line.starts_with("TcpExt:"))
        .collect();
    lines.chunks(2).find_map(|pair| {
        let [names, counts] = pair else { return None };
        let place = names.split_whitespace().position(|word| word == name)?;
        counts.split_whitespace().nth(place)?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_is_found_by_its_name() {
        let table = "Inter-|   Receive\n face |bytes\n  lo: 1 2 3 4 5 6 7 8 9 10 11 12\n\
                     near0: 10 20 30 40 50 60 70 80 90 100 110 120 130 140 150 160\n";
        let frames = frames_in(table, "near0").unwrap();
        assert_eq!((frames.rx_packets, frames.rx_dropped), (20, 40));
        assert_eq!((frames.tx_packets, frames.tx_dropped), (100, 120));
        assert_eq!(frames_in(table, "near"), None);
    }

    #[test]
    fn a_count_stands_below_its_name() {
        let tables = "Ip: Forwarding\nIp: 2\nTcp: InSegs OutSegs\nTcp: 5 7\n\
                      TcpExt: SyncookiesSent TCPSynRetrans\nTcpExt: 9 11\n";
        assert_eq!(tcp_in(tables, "OutSegs"), Some(7));
        assert_eq!(tcp_in(tables, "TCPSynRetrans"), Some(11));
        assert_eq!(tcp_in(tables, "Forwarding"), None);
    }
}
