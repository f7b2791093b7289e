//! How much the kernel's side holds and hands over. What has no fixed default follows the number of
//! CPUs that the kernel may bring up: each of them may be where a flood comes in.

use std::fmt::Write as _;

use clap::Args;
use synfin_ebpf::flow::{Flow, Held, Key, Ledgers};

/// Octets of the ring for each CPU, and the least and the most of them together.
const RING_OF_A_CPU: u64 = 16 << 20;
const RING: [u64; 2] = [32 << 20, 256 << 20];
/// Places in the table for each CPU, and the least and the most of them together.
const TABLE_OF_A_CPU: u64 = 1 << 15;
const TABLE: [u64; 2] = [1 << 16, 1 << 21];
/// No table is smaller.
const LEAST_TABLE: u32 = 1 << 10;
/// What a place in the table takes, with its share of the slots by which places are found, and of the
/// places where openings are held back, in octets.
const TABLE_ENTRY: u64 = (size_of::<Flow>() + 2 * size_of::<Held>()) as u64 + 36;
/// What the kernel's hash tables keep beside a key and its value, in octets.
const ENTRY_OVERHEAD: u64 = 64;

/// Sizes of the kernel's side.
#[derive(Args, Clone, Copy, Debug)]
pub struct Sizes {
    /// Size of the ring buffer, a power of two of at least 64K [default: 16M for each possible CPU,
    /// 32M to 256M in all]
    #[arg(
        long,
        value_name = "SIZE",
        value_parser = parse_ring_size,
        help_heading = "Limits"
    )]
    pub ring_size: Option<u32>,

    /// Connections in opening or closing that the kernel side remembers, rounded up to a power of two
    /// of at least 1024 [default: 32768 for each possible CPU, 65536 to 2097152 in all]
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(64..=1 << 24),
        help_heading = "Limits"
    )]
    pub table_size: Option<u32>,

    /// Slots of the filter that tells which connections are watched, a power of two from 1024 to
    /// 16777216
    #[arg(
        long,
        value_name = "N",
        default_value = "65536",
        value_parser = parse_watch_slots,
        help_heading = "Limits"
    )]
    pub watch_slots: u32,

    /// Events a second and CPU of connections that are not proved yet; what is beyond is counted
    #[arg(
        long,
        value_name = "N",
        default_value = "20000",
        value_parser = clap::value_parser!(u32).range(1..),
        help_heading = "Limits"
    )]
    pub unproved_rate: u32,

    /// SYNs a second from which on it is a flood where fewer than a tenth of them complete
    #[arg(
        long,
        value_name = "N",
        default_value = "20000",
        value_parser = clap::value_parser!(u32).range(1..),
        help_heading = "Limits"
    )]
    pub flood_threshold: u32,

    /// Connections that --account counts at once; past that the longest idle is forgotten
    #[arg(
        long,
        value_name = "N",
        default_value = "65536",
        value_parser = clap::value_parser!(u32).range(64..=1 << 24),
        help_heading = "Limits"
    )]
    pub account_size: u32,
}

impl Sizes {
    /// Size of the ring in octets, on a machine with so many possible CPUs.
    #[must_use]
    pub fn ring(&self, cpus: usize) -> u32 {
        self.ring_size
            .unwrap_or_else(|| for_cpus(cpus, RING_OF_A_CPU, RING))
    }

    /// Places in the kernel's table, on a machine with so many possible CPUs.
    #[must_use]
    pub fn table(&self, cpus: usize) -> u32 {
        match self.table_size {
            Some(asked) => asked.max(LEAST_TABLE).next_power_of_two(),
            None => for_cpus(cpus, TABLE_OF_A_CPU, TABLE),
        }
    }

    /// All of them and what they cost in memory, for a person.
    #[must_use]
    pub fn told(&self, cpus: usize, account: bool) -> [String; 2] {
        let (ring, table) = (self.ring(cpus), self.table(cpus));
        let entries = |count: u32, value: usize| {
            u64::from(count) * (size_of::<Key>() as u64 + value as u64 + ENTRY_OVERHEAD)
        };
        let mut words = format!(
            "for {cpus} possible {}: a ring of {}; a table of {table} connections, {}; {} slots \
             of the watch filter, {}",
            if cpus == 1 { "CPU" } else { "CPUs" },
            Binary(ring.into()),
            Binary(u64::from(table) * TABLE_ENTRY),
            self.watch_slots,
            Binary(u64::from(self.watch_slots) * 4),
        );
        if account {
            let size = entries(self.account_size, size_of::<Ledgers>());
            // Writing into a string does not fail.
            let _ = write!(
                words,
                "; counts of {} connections, {}",
                self.account_size,
                Binary(size)
            );
        }
        let rates = format!(
            "up to {} events a second and CPU of what is not proved, a SYN flood from {} SYN/s on",
            self.unproved_rate, self.flood_threshold
        );
        [words, rates]
    }
}

/// So much for each CPU as a power of two within the limits.
fn for_cpus(cpus: usize, each: u64, [least, most]: [u64; 2]) -> u32 {
    let wanted = each.saturating_mul(cpus as u64).min(most);
    let size = wanted.next_power_of_two().clamp(least, most);
    u32::try_from(size).unwrap_or(u32::MAX)
}

/// An amount of memory in binary units, rounded up.
struct Binary(u64);

impl std::fmt::Display for Binary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            octets if octets < 1 << 20 => write!(f, "{} KiB", octets.div_ceil(1 << 10)),
            octets => write!(f, "{} MiB", octets.div_ceil(1 << 20)),
        }
    }
}

/// A size in octets from 64K to 1G, with K, M or G behind it.
fn parse_size(text: &str) -> Option<u32> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" => 1,
        "k" | "K" | "KiB" => 1 << 10,
        "m" | "M" | "MiB" => 1 << 20,
        "g" | "G" | "GiB" => 1 << 30,
        _ => return None,
    };
    let size = digits.parse().ok().and_then(|n: u32| n.checked_mul(unit));
    size.filter(|size| (64 << 10..=1 << 30).contains(size))
}

/// One that a ring buffer can have.
fn parse_ring_size(text: &str) -> Result<u32, String> {
    let size = parse_size(text).filter(|size| size.is_power_of_two());
    size.ok_or_else(|| "a ring size is a power of two from 64K to 1G, for example 16M".into())
}

/// Octets that may wait for a slow reader of the output.
pub(super) fn parse_output_queue(text: &str) -> Result<usize, String> {
    let size = parse_size(text).and_then(|size| usize::try_from(size).ok());
    size.ok_or_else(|| "a queue's size is from 64K to 1G, for example 64M".into())
}

fn parse_watch_slots(text: &str) -> Result<u32, String> {
    let slots = text.parse().ok();
    slots
        .filter(|slots: &u32| slots.is_power_of_two() && (1 << 10..=1 << 24).contains(slots))
        .ok_or_else(|| "a number of slots is a power of two from 1024 to 16777216".into())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        sizes: Sizes,
    }

    fn sizes(arguments: &[&str]) -> Result<Sizes, clap::Error> {
        let all = [&["synfin"], arguments].concat();
        Line::try_parse_from(all).map(|line| line.sizes)
    }

    #[test]
    fn defaults_follow_the_number_of_cpus() {
        let sizes = sizes(&[]).unwrap();
        for (cpus, ring, table) in [
            (1, 32 << 20, 65_536),
            (2, 32 << 20, 65_536),
            (3, 64 << 20, 1 << 17),
            (16, 256 << 20, 1 << 19),
            (64, 256 << 20, 1 << 21),
            (512, 256 << 20, 1 << 21),
            (usize::MAX, 256 << 20, 1 << 21),
        ] {
            assert_eq!(
                (sizes.ring(cpus), sizes.table(cpus)),
                (ring, table),
                "{cpus}"
            );
        }
    }

    #[test]
    fn what_is_asked_for_is_taken_on_any_number_of_cpus() {
        let sizes = sizes(&["--ring-size", "64K", "--table-size", "100"]).unwrap();
        for cpus in [1, 64] {
            assert_eq!((sizes.ring(cpus), sizes.table(cpus)), (64 << 10, 1024));
        }
    }

    #[test]
    fn all_are_told_with_their_memory() {
        let told =
            |arguments: &[&str], cpus, account| sizes(arguments).unwrap().told(cpus, account);
        let [sizes, rates] = told(&[], 2, false);
        assert_eq!(
            sizes,
            "for 2 possible CPUs: a ring of 32 MiB; a table of 65536 connections, 19 MiB; 65536 \
             slots of the watch filter, 256 KiB"
        );
        assert_eq!(
            rates,
            "up to 20000 events a second and CPU of what is not proved, a SYN flood from 20000 \
             SYN/s on"
        );
        let small = ["--ring-size", "64K", "--watch-slots", "1024"];
        let [sizes, _] = told(&small, 1, true);
        assert_eq!(
            sizes,
            "for 1 possible CPU: a ring of 64 KiB; a table of 65536 connections, 19 MiB; 1024 \
             slots of the watch filter, 4 KiB; counts of 65536 connections, 31 MiB"
        );
    }

    #[test]
    fn sizes_are_powers_of_two_with_a_unit() {
        assert_eq!(parse_ring_size("16M"), Ok(16 << 20));
        assert_eq!(parse_ring_size("65536"), Ok(64 << 10));
        for text in ["", "M", "3", "48K", "2G", "99999999999M", "16T", "é"] {
            assert!(parse_ring_size(text).is_err(), "{text:?}");
        }
        assert_eq!(parse_output_queue("48M"), Ok(48 << 20));
        for text in ["", "1K", "2G", "M"] {
            assert!(parse_output_queue(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        for wrong in [
            "--watch-slots=1000",
            "--watch-slots=512",
            "--watch-slots=33554432",
            "--watch-slots=",
            "--unproved-rate=0",
            "--flood-threshold=0",
            "--flood-threshold=-1",
            "--table-size=63",
        ] {
            assert!(sizes(&[wrong]).is_err(), "{wrong}");
        }
    }
}
