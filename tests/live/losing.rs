//! What is lost is counted, and shown on the connections it touched; and a flood does not hide the
//! connections that complete.
//!
//! The daemon is held by a signal, so that nobody reads the ring while more is sent than it holds.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use synfin_ebpf::segment::Flags;
use synfin_tests::cases;
use synfin_tests::conversation::{Conversation, Sender};
use synfin_tests::daemon::{self, Tracer, modes};
use synfin_tests::frames::{Frame, SYN_OPTIONS};
use synfin_tests::inject::Wire;
use synfin_tests::netns::Link;
use synfin_tests::record;
use synfin_tests::requirement::Requirement::{Daemon, Root};
use synfin_tests::suite::Case;

/// The smallest ring that may be asked for holds less than a third of as many events.
const FLOOD: u16 = 1_000;
/// Connections whose events are more than that ring holds.
const TALKS: u16 = 120;
const SMALLEST_RING: [&str; 2] = ["--ring-size", "64K"];

pub(crate) fn cases() -> Vec<Case> {
    cases![&[Root, Daemon];
        a_flood_is_held_back_and_counted_exactly,
        what_a_full_ring_loses_is_counted_and_shown,
        a_flood_does_not_hide_a_connection_that_completes,
    ]
}

fn a_flood_is_held_back_and_counted_exactly() -> Result<()> {
    for mode in modes() {
        let link = Link::silent()?;
        let arguments = [&SMALLEST_RING[..], &["--xdp-mode", mode]].concat();
        let mut tracer = Tracer::json(&link.near, &arguments)?;
        tracer.signal(Signal::SIGSTOP)?;
        flood(&Wire::of(&link)?)?;
        tracer.signal(Signal::SIGCONT)?;
        let output = tracer.stop()?;
        let told = record::connections(&output.stdout)?;
        let held = daemon::count(&output, "held_syn").context("how much was held back")?;
        let all = u64::from(FLOOD);
        assert_eq!(
            daemon::count(&output, daemon::SEGMENTS),
            Some(all),
            "{mode}"
        );
        assert!(held > 0, "{mode}: the ring is larger than it was asked for");
        assert_eq!(u64::try_from(told.len())? + held, all, "{mode}");
        assert_eq!(
            daemon::count(&output, "ring_full").unwrap_or(0),
            0,
            "{mode}"
        );
        let ports: BTreeSet<u16> = told
            .iter()
            .map(|connection| connection.client.port)
            .collect();
        assert_eq!(ports.len(), told.len(), "{mode}");
    }
    Ok(())
}

fn what_a_full_ring_loses_is_counted_and_shown() -> Result<()> {
    for mode in modes() {
        let link = Link::silent()?;
        let arguments = [&SMALLEST_RING[..], &["--xdp-mode", mode]].concat();
        let mut tracer = Tracer::json(&link.near, &arguments)?;
        let wire = Wire::of(&link)?;
        tracer.signal(Signal::SIGSTOP)?;
        for port in 0..TALKS {
            let client = ([10, 1, 1, 2], 40_000 + port).into();
            let server = ([10, 1, 1, 1], 80).into();
            let talk = Conversation::between((client, 1_000), (server, 2_000));
            wire.play(&talk.open().close(Sender::Client))?;
        }
        tracer.signal(Signal::SIGCONT)?;
        let output = tracer.stop()?;
        let lost = daemon::count(&output, "ring_full").context("how much was lost")?;
        assert!(lost > 0, "{mode}: the ring is larger than it was asked for");
        assert_eq!(
            daemon::count(&output, "unaccounted").unwrap_or(0),
            0,
            "{mode}"
        );
        assert!(
            output.stderr.contains(&format!(
                "s behind; {lost} events lost so far ({lost} ring_full"
            )),
            "{mode}: the loss was not said"
        );
        let told = record::connections(&output.stdout)?;
        let whole = |connection: &record::Connection| {
            connection.open.outcome == "established" && connection.close.kind == "four_way"
        };
        assert!(told.iter().any(whole), "{mode}");
        assert!(told.iter().any(|c| c.observation_gap), "{mode}");
        for connection in &told {
            assert!(
                whole(connection) || connection.observation_gap,
                "{mode}: {connection:?}"
            );
        }
    }
    Ok(())
}

fn a_flood_does_not_hide_a_connection_that_completes() -> Result<()> {
    for mode in modes() {
        let link = Link::silent()?;
        let arguments = [&SMALLEST_RING[..], &["--xdp-mode", mode]].concat();
        let mut tracer = Tracer::json(&link.near, &arguments)?;
        let wire = Wire::of(&link)?;
        tracer.signal(Signal::SIGSTOP)?;
        flood(&wire)?;
        let client = ([10, 1, 1, 2], 40_000).into();
        let server = ([10, 1, 1, 1], 80).into();
        let talk = Conversation::between((client, 1_000), (server, 2_000));
        wire.play(&talk.open().data(Sender::Client, 5).close(Sender::Client))?;
        tracer.signal(Signal::SIGCONT)?;
        let output = tracer.stop()?;
        let told = record::connections(&output.stdout)?;
        let real = told
            .iter()
            .find(|connection| connection.client.endpoint() == client);
        let real = real.with_context(|| format!("{mode}: the flood hid the connection"))?;
        assert_eq!(real.open.outcome, "established", "{mode}");
        assert_eq!(
            (real.client.isn, real.server.isn),
            (Some(1_000), Some(2_000)),
            "{mode}"
        );
        assert_eq!(real.close.kind, "four_way", "{mode}");
        assert_eq!(real.client.bytes, Some(5), "{mode}");
    }
    Ok(())
}

/// SYNs that nobody answers, each for a connection of its own.
fn flood(wire: &Wire) -> Result<()> {
    let syn = |port| {
        let frame = Frame::new(([10, 9, 9, 9], port).into(), ([10, 1, 1, 1], 80).into());
        frame
            .seq(port.into())
            .flags(Flags::SYN)
            .options(&SYN_OPTIONS)
            .octets()
    };
    for port in 1..FLOOD {
        wire.ingress_unseen(&syn(port))?;
    }
    // The last one has arrived when all have.
    wire.ingress(&syn(FLOOD))
}
