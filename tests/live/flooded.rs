//! While the traced host is flooded, real connections are told whole, and every segment is counted.

use std::net::{Ipv4Addr, SocketAddr};
use std::thread;

use anyhow::{Context, Result, anyhow, ensure};
use synfin_tests::cases;
use synfin_tests::cpus;
use synfin_tests::daemon::{self, Tracer, modes};
use synfin_tests::inject::Wire;
use synfin_tests::netns::{FAR, Link};
use synfin_tests::record::{self, Connection};
use synfin_tests::requirement::Requirement::{Daemon, Root};
use synfin_tests::suite::Case;
use synfin_tests::talks::Talks;
use synfin_tests::tallies;
use synfin_tests::victim::{self, Victim};

/// SYNs of a flood, of which there is one for each mode.
const SYNS: u32 = 150_000;
/// Addresses that nobody has, as many as the flood has SYNs.
const NOBODIES: u32 = 64 << 24;

const TALKS: Talks = Talks { pairs: 4, each: 50 };

pub(crate) fn cases() -> Vec<Case> {
    cases![&[Root, Daemon];
        real_connections_are_whole_in_a_flood_and_each_syn_is_counted,
    ]
}

fn real_connections_are_whole_in_a_flood_and_each_syn_is_counted() -> Result<()> {
    for mode in modes() {
        let victim = Victim::new(Link::new()?)?;
        let link = &victim.link;
        let arguments = ["--xdp-mode", mode, "--only", "established"];
        let tracer = Tracer::json(&link.near, &arguments)?;
        flood_beside_talks(link)?;
        let output = tracer.stop()?;
        let connections = record::connections(&output.stdout)?;
        assert_eq!(u64::try_from(connections.len())?, TALKS.count(), "{mode}");
        for connection in &connections {
            ensure!(is_whole(connection), "{mode}: {connection:#?}");
        }
        let dropped = tallies::frames(&link.far, FAR)?.tx_dropped;
        let mut segments = u64::from(SYNS) - dropped;
        for host in [&link.near, &link.far] {
            segments += tallies::tcp(host, "OutSegs")? + tallies::tcp(host, "RetransSegs")?;
        }
        let counted = daemon::count(&output, daemon::SEGMENTS);
        assert_eq!(counted, Some(segments), "{mode}: segments");
        if let Some(syns) = daemon::count(&output, daemon::SYNS) {
            let retries = tallies::tcp(&link.far, "TCPSynRetrans")?;
            let sent = u64::from(SYNS) + TALKS.count() + retries;
            ensure!(
                (sent - dropped..=sent).contains(&syns) && (dropped > 0 || syns == sent),
                "{mode}: {syns} SYNs were counted of {sent}, {dropped} frames dropped"
            );
        }
    }
    Ok(())
}

fn flood_beside_talks(link: &Link) -> Result<()> {
    let wire = Wire::of(link)?;
    let cpus = cpus::allowed()?;
    thread::scope(|scope| {
        let talks = scope.spawn(|| TALKS.hold(link, &cpus, &cpus));
        for number in 0..SYNS {
            let nobody = SocketAddr::from((Ipv4Addr::from(NOBODIES + number), 40_000));
            wire.ingress_or_drop(&victim::syn(nobody).octets())?;
        }
        let held = talks.join();
        held.unwrap_or_else(|_| Err(anyhow!("a thread panicked")))
    })
    .context("flood beside real connections")?;
    Ok(())
}

/// A leg is unknown where the host had to send its SYN or SYN-ACK again.
fn is_whole(one: &Connection) -> bool {
    let rtt = &one.open.rtt_ns;
    let sent_again = one.open.syn_retries + one.open.synack_retries > 0;
    one.open.outcome == "established"
        && ["four_way", "three_way"].contains(&one.close.kind.as_str())
        && one.close.by.as_deref() == Some("client")
        && (sent_again || rtt.syn_to_synack.is_some() && rtt.synack_to_ack.is_some())
}
