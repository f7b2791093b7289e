//! synfin only looks: what crosses the wire is the same with and without it, and whatever way it
//! ends, nothing of it stays.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown};
use std::thread;

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use synfin_ebpf::segment::Flags;
use synfin_tests::bpf;
use synfin_tests::cases;
use synfin_tests::daemon::{self, Tracer, modes};
use synfin_tests::frames::{Extension, Frame, VLAN, patch};
use synfin_tests::inject::Wire;
use synfin_tests::netns::{self, Link, NEAR, NEAR_V4, NEAR_V6};
use synfin_tests::process::{Output, is_gone};
use synfin_tests::requirement::Requirement::{Daemon, Root, Tool};
use synfin_tests::services::{self, limited, noise};
use synfin_tests::suite::Case;
use synfin_tests::wait;

pub(crate) fn cases() -> Vec<Case> {
    let transparent = cases![&[Root, Daemon];
        a_transfer_arrives_octet_for_octet_as_without_synfin,
        every_frame_arrives_as_it_was_sent,
        a_segment_with_a_payload_too_large_for_one_page_arrives_by_native_xdp,
        a_link_that_is_dropped_is_gone,
    ];
    let clean = cases![&[Root, Daemon, Tool("bpftool"), Tool("tc")];
        nothing_is_left_after_an_interrupt,
        nothing_is_left_after_a_termination,
        nothing_is_left_after_a_kill,
        nothing_is_left_after_an_error,
        an_interface_that_vanishes_ends_it_with_its_name_and_leaves_nothing,
    ];
    [transparent, clean].concat()
}

fn a_transfer_arrives_octet_for_octet_as_without_synfin() -> Result<()> {
    const LEN: usize = 16 << 20;
    let link = Link::new()?;
    let sent = noise(LEN);
    for address in [NEAR_V4, NEAR_V6] {
        let without = echoed(&link, address, &sent)?;
        ensure!(without == sent, "the wire itself changes octets");
        for mode in daemon::all_modes() {
            let tracer = Tracer::json(&link.near, &["--xdp-mode", mode])?;
            let with = echoed(&link, address, &sent)?;
            ensure!(with == without, "{mode} over {address} changes octets");
            let connection = tracer.connection()?;
            let len = u64::try_from(LEN)?;
            assert_eq!(
                (connection.client.bytes, connection.server.bytes),
                (Some(len), Some(len))
            );
        }
    }
    Ok(())
}

fn every_frame_arrives_as_it_was_sent() -> Result<()> {
    let link = Link::silent()?;
    let wire = Wire::of(&link)?;
    for mode in daemon::all_modes() {
        let tracer = Tracer::json(&link.near, &["--xdp-mode", mode])?;
        for frame in odd_and_ordinary_frames() {
            // Both fail where the frame does not arrive, octet for octet.
            wire.ingress(&frame)?;
            wire.egress(&frame)?;
        }
        tracer.stop()?;
    }
    Ok(())
}

fn a_segment_with_a_payload_too_large_for_one_page_arrives_by_native_xdp() -> Result<()> {
    let link = Link::silent()?;
    let mtu = ["link", "set", "mtu", "9000", "dev"];
    link.near.ip(&[&mtu[..], &[NEAR]].concat())?;
    link.far.ip(&[&mtu[..], &[netns::FAR]].concat())?;
    let tracer = Tracer::json(&link.near, &["--xdp-mode", "native"])?;
    let wire = Wire::of(&link)?;
    wire.ingress(&plain().flags(Flags::ACK).payload(8_000).octets())?;
    wire.ingress(
        &plain()
            .flags(Flags::FIN.with(Flags::ACK))
            .payload(8_000)
            .octets(),
    )?;
    let output = tracer.stop()?;
    assert_eq!(daemon::count(&output, daemon::SEGMENTS), Some(2));
    Ok(())
}

fn a_link_that_is_dropped_is_gone() -> Result<()> {
    let link = Link::new()?;
    let names = [link.near.name().to_owned(), link.far.name().to_owned()];
    let tracer = Tracer::json(&link.near, &[])?;
    tracer.stop()?;
    drop(link);
    let left = netns::left()?;
    ensure!(
        !left.iter().any(|name| names.contains(name)),
        "{left:?} are left"
    );
    Ok(())
}

fn nothing_is_left_after_an_interrupt() -> Result<()> {
    nothing_is_left_after(|tracer| tracer.stop_by(Signal::SIGINT))
}

fn nothing_is_left_after_a_termination() -> Result<()> {
    nothing_is_left_after(|tracer| tracer.stop_by(Signal::SIGTERM))
}

fn nothing_is_left_after_a_kill() -> Result<()> {
    nothing_is_left_after(Tracer::kill)
}

fn nothing_is_left_after_an_error() -> Result<()> {
    let link = Link::new()?;
    let before = bpf::programs();
    // The first interface is attached to, the second is not there.
    let output = daemon::run(&link.near, &["trace", "-i", NEAR, "-i", "nosuch0"])?;
    assert_eq!(output.status.code(), Some(1));
    bpf::ensure_bare(&link.near, NEAR)?;
    bpf::await_nothing_left(&before, &BTreeSet::new())
}

fn an_interface_that_vanishes_ends_it_with_its_name_and_leaves_nothing() -> Result<()> {
    for mode in modes() {
        let link = Link::new()?;
        let before = bpf::programs();
        let tracer = Tracer::json(&link.near, &["--xdp-mode", mode])?;
        let held = held_by_running(&tracer)?;
        link.near.ip(&["link", "delete", NEAR])?;
        let output = tracer.finish()?;
        assert_eq!(output.status.code(), Some(1), "{mode}");
        ensure!(
            output.stderr.contains("synfin: error:"),
            "no error was told: {}",
            output.stderr
        );
        let words = output
            .stderr
            .lines()
            .filter(|line| !line.starts_with("synfin: tracing"));
        let named = words.into_iter().any(|line| line.contains(NEAR));
        ensure!(named, "nothing says that {NEAR} is gone: {}", output.stderr);
        bpf::await_nothing_left(&before, &held)?;
    }
    Ok(())
}

fn nothing_is_left_after(end: impl Fn(Tracer) -> Result<Output>) -> Result<()> {
    for mode in modes() {
        let link = Link::new()?;
        let before = bpf::programs();
        let tracer = Tracer::json(&link.near, &["--xdp-mode", mode])?;
        let held = held_by_running(&tracer)?;
        let running = bpf::ensure_bare(&link.near, NEAR);
        ensure!(
            mode != "native" || running.is_err(),
            "nobody sees a program that runs"
        );
        let attacher = tracer.attacher()?;
        end(tracer)?;
        if let Some(attacher) = attacher {
            wait::until("the end of the process that attaches", || {
                Ok(is_gone(&attacher.to_string()).then_some(()))
            })?;
        }
        bpf::ensure_bare(&link.near, NEAR)?;
        bpf::await_nothing_left(&before, &held)?;
    }
    Ok(())
}

/// What a running tracer holds, and the process that attaches for it where there is one: programs for both
/// ways, the maps they share, and links or filters.
fn held_by_running(tracer: &Tracer) -> Result<BTreeSet<bpf::Loaded>> {
    ensure!(
        daemon::is_daemon(tracer.id())?,
        "another program runs as the daemon"
    );
    let mut held = bpf::held_by(tracer.id())?;
    let mut kinds = vec!["prog", "map"];
    match tracer.attacher()? {
        Some(attacher) => held.extend(bpf::held_by(attacher)?),
        // Filters are taken off by a process of its own.
        None => kinds.push("link"),
    }
    for kind in kinds {
        let holds = held.iter().any(|(held, _)| *held == kind);
        ensure!(holds, "it holds no {kind}: {held:?}");
    }
    Ok(held)
}

/// Sends octets to an echo on the near side while reading what comes back.
fn echoed(link: &Link, address: IpAddr, octets: &[u8]) -> Result<Vec<u8>> {
    let listener = services::listen(&link.near, address, 7)?;
    let server = link.near.spawn(move || {
        let mut stream = limited(listener.accept()?.0)?;
        let mut all = Vec::new();
        stream.read_to_end(&mut all)?;
        stream.write_all(&all)?;
        Ok(())
    });
    let mut client = services::connect(&link.far, address, 7)?;
    let mut back = Vec::with_capacity(octets.len());
    thread::scope(|scope| {
        let mut writer = client.try_clone()?;
        let writer = scope.spawn(move || -> Result<()> {
            writer.write_all(octets)?;
            Ok(writer.shutdown(Shutdown::Write)?)
        });
        client.read_to_end(&mut back)?;
        writer
            .join()
            .unwrap_or_else(|_| anyhow::bail!("the writer panicked"))
    })?;
    server.finish()?;
    Ok(back)
}

fn plain() -> Frame {
    Frame::new(([10, 1, 1, 2], 40_000).into(), ([10, 1, 1, 1], 80).into())
}

fn odd_and_ordinary_frames() -> Vec<Vec<u8>> {
    let v6 = Frame::new((NEAR_V6, 40_001).into(), (netns::FAR_V6, 80).into());
    let mut frames: Vec<Vec<u8>> = (0..=u8::MAX)
        .map(|flags| plain().flags(Flags(flags)).payload(10).octets())
        .collect();
    let syn = |frame: Frame| frame.flags(Flags::SYN);
    frames.extend([
        syn(plain()).tagged(VLAN, 5).octets(),
        syn(plain()).ip_options(&[1; 40]).options(&[1; 40]).octets(),
        syn(plain()).fragment(0, true).octets(),
        syn(plain()).fragment(64, false).octets(),
        syn(plain()).padded(20).octets(),
        syn(v6.clone())
            .extensions(&[Extension::HopByHop(3), Extension::Fragment(0, false)])
            .octets(),
        syn(v6).extensions(&[Extension::Destination(0); 9]).octets(),
    ]);
    // A length, a version and a data offset that lie.
    for (offset, lie) in [
        (14, 0x4f),
        (14, 0x65),
        (16, 0xff),
        (16, 0),
        (46, 0x10),
        (46, 0xf0),
    ] {
        let mut frame = syn(plain()).octets();
        patch(&mut frame, offset, &[lie]);
        frames.push(frame);
    }
    // Every truncation that still has an Ethernet header and an IP octet.
    let whole = syn(plain()).octets();
    frames.extend((15..whole.len()).filter_map(|len| Some(whole.get(..len)?.to_vec())));
    frames
}
