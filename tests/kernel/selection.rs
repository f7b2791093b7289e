//! `--port` and `--host`, applied in the kernel.

use anyhow::{Result, ensure};
use synfin_ebpf::counters::Counter;
use synfin_ebpf::flow::filter::{Filter, Network};
use synfin_ebpf::segment::Address;
use synfin_tests::cases;
use synfin_tests::conversation::{Conversation, Sender};
use synfin_tests::requirement::Requirement::{BpfObject, Root};
use synfin_tests::suite::Case;

use crate::both::Both;

pub(crate) fn cases() -> Vec<Case> {
    cases![[Root, BpfObject];
        ports_and_hosts_select_connections_in_the_kernel,
        sixteen_of_each_fit,
    ]
}

fn events(filter: Filter, client: &str, server: &str) -> Result<(usize, u64)> {
    let mut both = Both::load_with(1 << 20, filter)?;
    let talk = Conversation::between((client.parse()?, 1), (server.parse()?, 2));
    for (_, frame) in talk.open().close(Sender::Client).frames() {
        let [kernel, user] = both.feed("synfin_xdp", &frame.octets())?;
        ensure!(kernel == user, "{kernel:?} is not {user:?}");
    }
    let filtered = both.kernel_counters()?[Counter::Filtered.index()];
    let made = both.kernel_counters()?[Counter::Events.index()];
    Ok((usize::try_from(made)?, filtered))
}

fn ports_and_hosts_select_connections_in_the_kernel() -> Result<()> {
    let mut ports = Filter {
        port_count: 1,
        ..Filter::default()
    };
    ports.ports[0] = 443;
    let (made, filtered) = events(ports, "10.0.0.1:5000", "10.0.0.2:443")?;
    ensure!((made, filtered) == (7, 0), "{made} {filtered}");
    let (made, filtered) = events(ports, "10.0.0.1:5000", "10.0.0.2:80")?;
    ensure!(made == 0 && filtered > 0, "{made} {filtered}");

    let mut hosts = Filter {
        host_count: 2,
        ..Filter::default()
    };
    hosts.hosts[0] = Network::new(Address::v4([10, 7, 0, 0]), 96 + 16);
    let prefix = [0xfd, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0];
    hosts.hosts[1] = Network::new(Address::v6(prefix), 64);
    for (client, server, expected) in [
        ("10.7.3.4:5000", "10.0.0.2:80", 7),
        ("10.0.0.2:5000", "10.7.255.255:80", 7),
        ("10.8.3.4:5000", "10.0.0.2:80", 0),
        ("[fd00:0:0:7::1]:5000", "[fd00::2]:80", 7),
        ("[fd00:0:0:8::1]:5000", "[fd00::2]:80", 0),
    ] {
        let (made, _) = events(hosts, client, server)?;
        ensure!(made == expected, "{client} {server}: {made}");
    }
    Ok(())
}

fn sixteen_of_each_fit() -> Result<()> {
    let mut filter = Filter {
        port_count: 16,
        host_count: 16,
        ..Filter::default()
    };
    for index in 0..16_u8 {
        filter.ports[usize::from(index)] = 1000 + u16::from(index);
        filter.hosts[usize::from(index)] = Network::new(Address::v4([10, 0, 0, index]), 128);
    }
    let (made, _) = events(filter, "10.0.0.15:5000", "10.9.9.9:1015")?;
    ensure!(made == 7, "{made}");
    let (made, _) = events(filter, "10.0.0.16:5000", "10.9.9.9:1015")?;
    ensure!(made == 0, "{made}");
    Ok(())
}
