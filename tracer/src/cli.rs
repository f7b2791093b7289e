//! The command line.

use std::net::IpAddr;
use std::num::NonZeroU16;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{ArgAction, Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use ipnet::IpNet;
use synfin_ebpf::flow::filter::{Filter, MAX_TERMS, Network};
use synfin_ebpf::segment::Address;

use crate::attach::XdpChoice;

/// Traces TCP connections from the first SYN to the last ACK.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Reads the command line; a wrong one ends the process with status 2 and says what is wrong.
    #[must_use]
    pub fn parse_checked() -> Self {
        let cli = Self::parse();
        let Command::Trace(trace) = &cli.command;
        if let Err(error) = trace.filter() {
            Self::command()
                .error(ErrorKind::TooManyValues, error)
                .exit();
        }
        cli
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Trace connections on network interfaces, live. Needs root.
    Trace(Trace),
}

/// Options of `synfin trace`.
#[derive(Args, Debug)]
pub struct Trace {
    /// Interface to trace; give it again for several
    #[arg(
        short = 'i',
        long = "iface",
        visible_alias = "interface",
        value_name = "IFACE",
        required = true,
        help_heading = "What to trace"
    )]
    pub interfaces: Vec<String>,

    /// Only connections with one of these ports
    #[arg(
        long = "port",
        value_name = "PORT",
        value_delimiter = ',',
        help_heading = "What to trace"
    )]
    pub ports: Vec<NonZeroU16>,

    /// Only connections with one of these addresses or networks, e.g. 10.0.0.7 or fd00::/8
    #[arg(
        long = "host",
        value_name = "ADDR|CIDR",
        value_delimiter = ',',
        value_parser = parse_host,
        help_heading = "What to trace"
    )]
    pub hosts: Vec<IpNet>,

    /// Which way to look
    #[arg(
        long,
        value_enum,
        default_value_t = Directions::Both,
        help_heading = "What to trace"
    )]
    pub direction: Directions,

    /// How records are written
    #[arg(long, value_enum, default_value_t = Format::Ladder, help_heading = "Output")]
    pub format: Format,

    /// Print each step as it happens, too
    #[arg(long, help_heading = "Output")]
    pub follow: bool,

    /// Say more about what is attached and how; give it twice for sizes
    #[arg(short, long, action = ArgAction::Count, help_heading = "Output")]
    pub verbose: u8,

    /// End after this time, e.g. 30s or 5m
    #[arg(
        long,
        value_name = "TIME",
        value_parser = humantime::parse_duration,
        help_heading = "When to end"
    )]
    pub duration: Option<Duration>,

    /// End after this many connections
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u64).range(1..),
        help_heading = "When to end"
    )]
    pub count: Option<u64>,

    /// How long an opening waits for its next segment before it counts as failed; the longest usual
    /// gap between two SYNs is 32 s
    #[arg(
        long,
        value_name = "TIME",
        default_value = "35s",
        value_parser = parse_timeout,
        help_heading = "Limits"
    )]
    pub handshake_timeout: Duration,

    /// Size of the ring buffer, a power of two of at least 64K
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "16M",
        value_parser = parse_ring_size,
        help_heading = "Limits"
    )]
    pub ring_size: u32,

    /// Connections in opening or closing that the kernel side remembers
    #[arg(
        long,
        value_name = "N",
        default_value = "65536",
        value_parser = clap::value_parser!(u32).range(64..=1 << 24),
        help_heading = "Limits"
    )]
    pub table_size: u32,

    /// Connections that are followed at once; past that the longest idle is given out as open
    #[arg(
        long,
        value_name = "N",
        default_value = "1000000",
        value_parser = parse_max_connections,
        help_heading = "Limits"
    )]
    pub max_connections: usize,

    /// Hook for what arrives. auto takes native XDP on a NIC, and TCX on veth and other software
    /// devices, which native XDP would slow down
    #[arg(
        long,
        value_enum,
        default_value_t = XdpMode::Auto,
        help_heading = "Limits"
    )]
    pub xdp_mode: XdpMode,
}

/// Which way to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Directions {
    /// What arrives and what leaves
    Both,
    /// What arrives
    Ingress,
}

/// How records are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A drawing of each connection, for people
    Ladder,
    /// An object a line
    Json,
}

/// Hook for what arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum XdpMode {
    /// The better one for the interface
    Auto,
    /// XDP in the driver
    Native,
    /// TC, after the driver
    Tcx,
}

impl From<XdpMode> for XdpChoice {
    fn from(mode: XdpMode) -> Self {
        match mode {
            XdpMode::Auto => Self::Auto,
            XdpMode::Native => Self::Native,
            XdpMode::Tcx => Self::Tcx,
        }
    }
}

impl Trace {
    /// The filter that the kernel applies.
    ///
    /// # Errors
    /// Where there are more ports or hosts than a filter holds.
    pub fn filter(&self) -> Result<Filter, String> {
        let too_many = |flag: &str, given: usize| {
            format!("{flag} takes at most {MAX_TERMS} values, and {given} were given")
        };
        let mut filter = Filter::default();
        if self.ports.len() > MAX_TERMS {
            return Err(too_many("--port", self.ports.len()));
        }
        if self.hosts.len() > MAX_TERMS {
            return Err(too_many("--host", self.hosts.len()));
        }
        for (place, port) in filter.ports.iter_mut().zip(&self.ports) {
            *place = port.get();
            filter.port_count += 1;
        }
        for (place, host) in filter.hosts.iter_mut().zip(&self.hosts) {
            *place = network(host);
            filter.host_count += 1;
        }
        Ok(filter)
    }
}

fn network(host: &IpNet) -> Network {
    let prefix = u32::from(host.prefix_len());
    match host.addr() {
        IpAddr::V4(address) => Network::new(Address::v4(address.octets()), 96 + prefix),
        IpAddr::V6(address) => Network::new(Address::v6(address.octets()), prefix),
    }
}

fn parse_host(text: &str) -> Result<IpNet, String> {
    let address = text.parse::<IpAddr>().map(IpNet::from);
    address.or_else(|_| text.parse()).map_err(|_| {
        "not an address or network; for example 10.0.0.7, 10.0.0.0/8 or fd00::/8".into()
    })
}

fn parse_timeout(text: &str) -> Result<Duration, String> {
    let timeout = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if timeout < Duration::from_millis(1) || timeout > Duration::from_secs(86_400) {
        return Err("a handshake timeout lies between 1ms and 1day".into());
    }
    Ok(timeout)
}

fn parse_max_connections(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("at least one connection has to fit".into()),
        Ok(number) => Ok(number),
        Err(_) => Err("not a number of connections".into()),
    }
}

/// A size in octets with K, M or G behind it, that a ring buffer can have.
fn parse_ring_size(text: &str) -> Result<u32, String> {
    const RULE: &str = "a ring size is a power of two from 64K to 1G, for example 16M";
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" => 1,
        "k" | "K" | "KiB" => 1 << 10,
        "m" | "M" | "MiB" => 1 << 20,
        "g" | "G" | "GiB" => 1 << 30,
        _ => return Err(RULE.into()),
    };
    let size = digits.parse().ok().and_then(|n: u32| n.checked_mul(unit));
    size.filter(|size| size.is_power_of_two() && (64 << 10..=1 << 30).contains(size))
        .ok_or_else(|| RULE.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(arguments: &[&str]) -> Result<Trace, clap::Error> {
        let all = [&["synfin", "trace", "-i", "eth0"], arguments].concat();
        Cli::try_parse_from(all).map(|cli| match cli.command {
            Command::Trace(trace) => trace,
        })
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn sizes_are_powers_of_two_with_a_unit() {
        assert_eq!(parse_ring_size("16M"), Ok(16 << 20));
        assert_eq!(parse_ring_size("65536"), Ok(64 << 10));
        for text in ["", "M", "3", "48K", "2G", "99999999999M", "16T", "é"] {
            assert!(parse_ring_size(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn hosts_are_addresses_or_networks() {
        let filter = trace(&["--host", "10.1.0.0/16", "--host", "fd00::7"])
            .unwrap()
            .filter()
            .unwrap();
        assert_eq!(filter.host_count, 2);
        assert_eq!(
            filter.hosts[0],
            Network::new(Address::v4([10, 1, 0, 0]), 112)
        );
        assert!(trace(&["--host", "nonsense"]).is_err());
        assert!(trace(&["--host", "10.0.0.0/33"]).is_err());
    }

    #[test]
    fn ports_are_not_zero_and_not_too_many() {
        assert!(trace(&["--port", "0"]).is_err());
        assert!(trace(&["--port", "70000"]).is_err());
        let many = (1..=17)
            .map(|port| port.to_string())
            .collect::<Vec<_>>()
            .join(",");
        assert!(trace(&["--port", &many]).unwrap().filter().is_err());
    }
}
