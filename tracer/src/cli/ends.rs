//! Which connections are looked at, by their ports and addresses.

use std::net::IpAddr;
use std::num::NonZeroU16;

use clap::Args;
use ipnet::IpNet;
use synfin_ebpf::flow::filter::{Filter, MAX_TERMS, Network};
use synfin_ebpf::segment::Address;

use super::too_many;

/// Options of everything that looks at segments.
#[derive(Args, Clone, Debug)]
pub struct Ends {
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
}

impl Ends {
    /// The filter that the flow tracker applies, in the kernel or here.
    ///
    /// # Errors
    /// Where there are more ports or hosts than a filter holds.
    pub fn filter(&self) -> Result<Filter, String> {
        let mut filter = Filter::default();
        if self.ports.len() > MAX_TERMS {
            return Err(too_many("--port", MAX_TERMS, self.ports.len()));
        }
        if self.hosts.len() > MAX_TERMS {
            return Err(too_many("--host", MAX_TERMS, self.hosts.len()));
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        ends: Ends,
    }

    fn ends(arguments: &[&str]) -> Result<Ends, clap::Error> {
        let all = [&["synfin"], arguments].concat();
        Line::try_parse_from(all).map(|line| line.ends)
    }

    #[test]
    fn hosts_are_addresses_or_networks() {
        let filter = ends(&["--host", "10.1.0.0/16", "--host", "fd00::7"])
            .unwrap()
            .filter()
            .unwrap();
        assert_eq!(filter.host_count, 2);
        assert_eq!(
            filter.hosts[0],
            Network::new(Address::v4([10, 1, 0, 0]), 112)
        );
        assert!(ends(&["--host", "nonsense"]).is_err());
        assert!(ends(&["--host", "10.0.0.0/33"]).is_err());
    }

    #[test]
    fn ports_are_not_zero_and_not_too_many() {
        assert!(ends(&["--port", "0"]).is_err());
        assert!(ends(&["--port", "70000"]).is_err());
        let many = (1..=17)
            .map(|port| port.to_string())
            .collect::<Vec<_>>()
            .join(",");
        assert!(ends(&["--port", &many]).unwrap().filter().is_err());
    }
}
