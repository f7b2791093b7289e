//! One packet on several traced interfaces is one segment of one connection, and its path is kept.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context as _, Result, ensure};
use synfin_tests::cases;
use synfin_tests::conversation::{Conversation, Sender};
use synfin_tests::daemon::{self, Tracer};
use synfin_tests::inject::Wire;
use synfin_tests::netns::{Namespace, connect};
use synfin_tests::process;
use synfin_tests::record::{self, Connection};
use synfin_tests::requirement::Requirement::{Daemon, Root};
use synfin_tests::services::{self, noise};
use synfin_tests::suite::Case;
use synfin_tests::wait;

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 2, 0, 2));
const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 3, 0, 2));
/// What a server says at most: enough for segments that devices put together and take apart.
const MUCH: usize = 1 << 20;

pub(crate) fn cases() -> Vec<Case> {
    cases![&[Root, Daemon];
        a_connection_through_a_bridge_is_one_with_its_path,
        a_connection_through_a_router_is_one_with_its_path,
        what_is_sent_again_through_a_bridge_counts_once,
    ]
}

/// Interfaces to trace, and the hook for what arrives there.
type Traced = (&'static [&'static str], &'static str);

/// Whether segments are counted, or not. By native XDP they are not, on several interfaces: behind it
/// they are put together, and look as if they were sent again.
fn accounts(mode: &str) -> &'static [bool] {
    if mode == "native" {
        &[false]
    } else {
        &[false, true]
    }
}

const ALL_OF_A_BRIDGE: &[&str] = &["-i", "p0", "-i", "p1", "-i", "br0"];
const PORTS: &[&str] = &["-i", "p0", "-i", "p1"];

/// A bridge has no native XDP.
fn on_a_bridge() -> [Traced; 2] {
    let [native, tc] = daemon::modes();
    [(ALL_OF_A_BRIDGE, tc), (PORTS, native)]
}

fn a_connection_through_a_bridge_is_one_with_its_path() -> Result<()> {
    for (interfaces, mode) in on_a_bridge() {
        for account in accounts(mode).iter().copied() {
            let place = Place::bridged()?;
            place.with_addresses(8)?;
            let tracer = place.trace(interfaces, mode, account)?;
            place.talk(tracer, account)?;
        }
    }
    Ok(())
}

fn a_connection_through_a_router_is_one_with_its_path() -> Result<()> {
    for mode in daemon::modes() {
        for account in accounts(mode).iter().copied() {
            let place = Place::new()?;
            place.routed()?;
            // Loopback has no native XDP.
            let interfaces: &[&str] = if mode == "native" {
                PORTS
            } else {
                &["-i", "any"]
            };
            let tracer = place.trace(interfaces, mode, account)?;
            place.talk(tracer, account)?;
        }
    }
    Ok(())
}

fn what_is_sent_again_through_a_bridge_counts_once() -> Result<()> {
    for (interfaces, mode) in on_a_bridge() {
        for account in [false, true] {
            let place = Place::bridged()?;
            let tracer = place.trace(interfaces, mode, account)?;
            let warned = tracer.stderr().contains("retransmissions");
            assert_eq!(warned, account && mode == "native", "{}", tracer.stderr());
            let ends = Wire::between((&place.server, "eth0"), (&place.client, "eth0"))?;
            let talk =
                Conversation::between(((CLIENT, 40_000).into(), 1), ((SERVER, 80).into(), 9));
            let talk = talk.syn().again().syn_ack().ack(Sender::Client);
            let talk = talk.say(Sender::Client, |frame| frame.payload(40)).again();
            let talk = talk.ack(Sender::Server).fin(Sender::Client).again();
            ends.play(
                &talk
                    .ack(Sender::Server)
                    .fin(Sender::Server)
                    .ack(Sender::Client),
            )?;
            let told = tracer.connection()?;
            assert_eq!(told.seen_on, ["p0", "p1"], "{mode}");
            assert_eq!(told.open.outcome, "established");
            assert_eq!(
                (told.open.syn_retries, told.open.synack_retries),
                (1, 0),
                "{mode}"
            );
            assert_eq!(told.close.kind, "four_way", "{mode}");
            assert_eq!(told.client.bytes, Some(40));
            let fins = told.segments.iter().filter(|one| one.flags.contains("FIN"));
            assert_eq!(fins.count(), 3, "{mode}: {:?}", told.segments);
            assert!(
                !told.anomalies.contains_key("duplicate"),
                "{:?}",
                told.anomalies
            );
            if let Some(counted) = told.client.account {
                assert_eq!(counted.retransmissions, 1, "{mode}");
                assert_eq!(counted.duplicates, counted.packets, "{mode}");
            }
        }
    }
    Ok(())
}

/// Two hosts, and one between them with an interface to each.
struct Place {
    client: Namespace,
    between: Namespace,
    server: Namespace,
}

impl Place {
    fn new() -> Result<Self> {
        let place = Self {
            client: Namespace::new()?,
            between: Namespace::new()?,
            server: Namespace::new()?,
        };
        for namespace in [&place.client, &place.between, &place.server] {
            // Nothing crosses the wires but what the test sends.
            namespace.sysctl("ipv6/conf/default/disable_ipv6", "1")?;
        }
        for (port, host) in [("p0", &place.client), ("p1", &place.server)] {
            connect((&place.between, port), (host, "eth0"))?;
            place.between.ip(&["link", "set", port, "up"])?;
            host.ip(&["link", "set", "eth0", "up"])?;
        }
        Ok(place)
    }

    fn bridged() -> Result<Self> {
        let place = Self::new()?;
        // Ports forward at once.
        let bridge = ["link", "add", "br0", "type", "bridge"];
        place
            .between
            .ip(&[&bridge[..], &["forward_delay", "0"]].concat())?;
        place.between.ip(&["link", "set", "br0", "up"])?;
        for port in ["p0", "p1"] {
            place.between.ip(&["link", "set", port, "master", "br0"])?;
        }
        wait::until("both ports to forward", || {
            let mut command = place.between.command("ip");
            let ports = command.args(["-details", "link", "show", "master", "br0"]);
            let ports = process::succeed(ports)?;
            Ok((ports.matches("state forwarding").count() == 2).then_some(()))
        })?;
        Ok(place)
    }

    /// Gives both hosts their addresses, in networks of so many bits.
    fn with_addresses(&self, bits: u8) -> Result<()> {
        for (host, address) in [(&self.client, CLIENT), (&self.server, SERVER)] {
            host.ip(&[
                "address",
                "add",
                &format!("{address}/{bits}"),
                "dev",
                "eth0",
            ])?;
        }
        Ok(())
    }

    fn routed(&self) -> Result<()> {
        self.with_addresses(24)?;
        self.between.sysctl("ipv4/ip_forward", "1")?;
        for (host, port, gateway) in [
            (&self.client, "p0", "10.2.0.1"),
            (&self.server, "p1", "10.3.0.1"),
        ] {
            self.between
                .ip(&["address", "add", &format!("{gateway}/24"), "dev", port])?;
            host.ip(&["route", "add", "default", "via", gateway])?;
        }
        Ok(())
    }

    fn trace(&self, interfaces: &[&str], mode: &str, account: bool) -> Result<Tracer> {
        let mut words = vec!["trace", "--format", "json", "--xdp-mode", mode];
        words.extend(interfaces);
        words.extend(account.then_some("--account"));
        let count = interfaces.len() / 2;
        // Loopback and both ports.
        let count = if interfaces.contains(&"any") {
            3
        } else {
            count
        };
        Tracer::start(&mut daemon::command(&self.between, &words), count)
    }

    /// Real connections from host to host; each is told as one that both ports have seen.
    fn talk(&self, tracer: Tracer, account: bool) -> Result<()> {
        const SIZES: [usize; 4] = [0, 1, 100_000, MUCH];
        let listener = services::listen(&self.server, SERVER, 80)?;
        let server = self.server.spawn(move || {
            for size in SIZES {
                let mut stream = services::limited(listener.accept()?.0)?;
                stream.write_all(&noise(size))?;
            }
            Ok(())
        });
        for size in SIZES {
            let mut client = services::connect(&self.client, SERVER, 80)?;
            let mut all = Vec::new();
            client.read_to_end(&mut all)?;
            ensure!(all.len() == size, "{} of {size} octets", all.len());
        }
        server.finish()?;
        let mut tracer = tracer;
        tracer.await_connections(SIZES.len())?;
        let output = tracer.stop()?;
        let mut connections = record::connections(&output.stdout)?;
        assert_eq!(connections.len(), SIZES.len(), "{}", output.stdout);
        connections.sort_by_key(|connection| connection.start);
        let again = self.client.sent_again()? + self.server.sent_again()?;
        for (connection, size) in connections.iter().zip(SIZES) {
            is_one(connection, u64::try_from(size)?, account, again)?;
        }
        Ok(())
    }
}

/// That what is told of a connection is what its ends know of it. `again` segments were sent again: on
/// a busy machine some are.
fn is_one(connection: &Connection, size: u64, account: bool, again: u64) -> Result<()> {
    let (open, close) = (&connection.open, &connection.close);
    assert_eq!(connection.seen_on, ["p0", "p1"]);
    assert_eq!(connection.interface, "p0");
    assert_eq!(open.outcome, "established");
    ensure!(
        u64::from(open.syn_retries + open.synack_retries) <= again,
        "{open:?}"
    );
    if again == 0 {
        // The first sight of each segment, and so in the order in which they were sent.
        let legs = (open.rtt_ns.syn_to_synack).zip(open.rtt_ns.synack_to_ack);
        assert_eq!(legs.map(|(there, back)| there + back), open.rtt_ns.total);
        ensure!(open.rtt_ns.total.is_some(), "no handshake times: {open:?}");
    }
    ensure!(
        ["three_way", "four_way"].contains(&&*close.kind),
        "{close:?}"
    );
    assert_eq!(close.by.as_deref(), Some("server"));
    assert_eq!(
        (connection.client.bytes, connection.server.bytes),
        (Some(0), Some(size))
    );
    for (anomaly, count) in &connection.anomalies {
        let sent_again = record::OF_SENDING_AGAIN.contains(&&**anomaly);
        ensure!(
            sent_again && *count <= again,
            "{count} {anomaly}, {again} sent again"
        );
    }
    assert!(!connection.observation_gap);
    if account {
        for (_, end) in connection.ends() {
            let counted = end.account.expect("every segment is counted");
            ensure!(
                counted.retransmissions.max(counted.out_of_order) <= again,
                "{counted:?}, {again} sent again"
            );
            ensure!(counted.duplicates > 0, "no copies: {counted:?}");
        }
        let counted = connection.server.account.context("what the server sent")?;
        assert_eq!(counted.payload_bytes - counted.retransmitted_bytes, size);
        assert_eq!(close.gap_bytes, None);
    }
    Ok(())
}
