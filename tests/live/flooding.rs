//! A flood of SYNs is told and counted exactly; what completes meanwhile is whole, and what fails
//! elsewhere is listed.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result, ensure};
use synfin_ebpf::segment::Flags;
use synfin_tests::cases;
use synfin_tests::conversation::{Conversation, Sender};
use synfin_tests::daemon::{self, Tracer, modes};
use synfin_tests::frames::{Frame, SYN_OPTIONS};
use synfin_tests::inject::Wire;
use synfin_tests::netns::Link;
use synfin_tests::process::Output;
use synfin_tests::record::{self, Connection};
use synfin_tests::requirement::Requirement::{Daemon, Root};
use synfin_tests::suite::Case;

/// SYNs of the flood, of which so many are sent at once: no more than a wire holds.
const FLOOD: u32 = 100_000;
const BURST: u32 = 200;
/// A threshold far below what any machine sends, emulated or not, so that the flood is one wherever the test runs; and a
/// budget far above it, so that nothing is held back however fast it is: that would mark what is listed.
const RATES: [&str; 4] = ["--flood-threshold", "200", "--unproved-rate", "10000000"];
/// A server for the flood, and others for the rest.
const FLOODED: u16 = 443;
const REFUSING: u16 = 5432;
/// A client that is not among the flood's.
const CLIENT: [u8; 4] = [10, 1, 1, 2];
const SERVER: [u8; 4] = [10, 1, 1, 1];

pub(crate) fn cases() -> Vec<Case> {
    cases![&[Root, Daemon];
        a_flood_is_told_and_counted_and_hides_neither_what_completes_nor_what_fails_elsewhere,
    ]
}

fn a_flood_is_told_and_counted_and_hides_neither_what_completes_nor_what_fails_elsewhere()
-> Result<()> {
    for mode in modes() {
        let link = Link::silent()?;
        let arguments = [&RATES[..], &["--xdp-mode", mode]].concat();
        let tracer = Tracer::json(&link.near, &arguments)?;
        let wire = Wire::of(&link)?;
        for burst in 0..FLOOD / BURST {
            flood(&wire, burst)?;
            // When the flood is long known.
            if burst == FLOOD / BURST * 9 / 10 {
                wire.play(&real())?;
                refused(&wire)?;
            }
        }
        let output = tracer.stop()?;
        counts_close(&output).context(mode)?;
        let said = |words: &str| output.stderr.contains(words);
        let to = format!(" SYN/s to {}, none completed;", address(SERVER, FLOODED));
        ensure!(
            said("SYN flood: ") && said(&to),
            "{mode}: no flood was told"
        );
        ensure!(said("SYN flood over after"), "{mode}: no end was told");
        let told = record::connections(&output.stdout)?;
        let find = |port| {
            let found = told
                .iter()
                .find(|it| it.client.endpoint() == address(CLIENT, port));
            found.with_context(|| format!("{mode}: the flood hid the client's port {port}"))
        };
        is_real(find(40_000)?);
        let refused = find(40_001)?;
        assert_eq!(refused.open.outcome, "refused", "{mode}");
        assert!(!refused.observation_gap, "{mode}");
    }
    Ok(())
}

/// Every SYN that was sent is seen; every one seen is given or held back; every one given is listed or
/// not.
fn counts_close(output: &Output) -> Result<()> {
    let count = |name| daemon::count(output, name).unwrap_or(0);
    let own = 2;
    assert_eq!(count("SYNs"), u64::from(FLOOD) + own);
    assert_eq!(count("ring_full"), 0);
    assert_eq!(count("SYNs"), count("SYN events") + count("held_syn"));
    assert!(count("unlisted_syn") > 0);
    let listed = record::connections(&output.stdout)?;
    let to_flooded = listed.iter().filter(|it| it.server.port == FLOODED);
    let real = 1;
    let listed = u64::try_from(to_flooded.count())? - real;
    // The real one's SYN is not listed by itself, but with what completed it.
    assert_eq!(count("SYN events"), listed + count("unlisted_syn") + 1);
    Ok(())
}

/// Some of the flood's SYNs, each from a source of its own, until all have arrived.
fn flood(wire: &Wire, burst: u32) -> Result<()> {
    let syn = |number: u32| {
        let source = Ipv4Addr::from(u32::from(Ipv4Addr::new(172, 16, 0, 0)) + number);
        let frame = Frame::new((source.octets(), 1024).into(), (SERVER, FLOODED).into());
        frame
            .seq(number)
            .flags(Flags::SYN)
            .options(&SYN_OPTIONS)
            .octets()
    };
    let (first, last) = (burst * BURST, (burst + 1) * BURST - 1);
    for number in first..last {
        wire.ingress_unseen(&syn(number))?;
    }
    wire.ingress(&syn(last))
}

/// A connection to the flooded server.
fn real() -> Conversation {
    let ends = (address(CLIENT, 40_000), address(SERVER, FLOODED));
    let talk = Conversation::between((ends.0, 1_000), (ends.1, 2_000));
    talk.open().data(Sender::Client, 5).close(Sender::Client)
}

fn is_real(record: &Connection) {
    assert_eq!(record.open.outcome, "established");
    assert_eq!(
        (record.client.isn, record.server.isn),
        (Some(1_000), Some(2_000))
    );
    assert_eq!(record.close.kind, "four_way");
    assert_eq!(record.client.bytes, Some(5));
}

/// A connection that another server refuses.
fn refused(wire: &Wire) -> Result<()> {
    let (client, server) = (address(CLIENT, 40_001), address(SERVER, REFUSING));
    let syn = Frame::new(client, server).seq(7).flags(Flags::SYN);
    wire.ingress(&syn.octets())?;
    let reset = Frame::new(server, client)
        .ack(8)
        .flags(Flags::RST.with(Flags::ACK));
    wire.egress(&reset.octets())
}

fn address(host: [u8; 4], port: u16) -> SocketAddr {
    (host, port).into()
}
