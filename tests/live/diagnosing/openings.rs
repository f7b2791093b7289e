//! Openings that fail or take their time, between real stacks.

use std::io::ErrorKind;

use anyhow::{Context, Result};
use nix::sys::socket::{Backlog, listen};
use synfin_ebpf::segment::Flags;
use synfin_tests::cases;
use synfin_tests::frames::{CLIENT_MAC, Frame, SERVER_MAC};
use synfin_tests::inject::Wire;
use synfin_tests::netns::{FAR, FAR_V4, Link, NEAR, Namespace};
use synfin_tests::process::succeed;
use synfin_tests::requirement::Requirement::{Daemon, Root, Tool};
use synfin_tests::suite::Case;
use synfin_tests::wait;

use super::hosts::{
    await_dropped, client, drop_in, drop_out, hasty_client, hasty_client_from, let_pass, listener,
    server,
};
use super::{said, traced};

/// The rules that are made to happen here.
pub(super) const CODES: &[&str] = &[
    "refused",
    "no_answer",
    "syn_lost",
    "synack_lost",
    "synack_repeated",
    "no_ack",
    "wrong_synack",
    "reset_by_client",
];

/// Openings that nobody answers are over after so long.
const SOON: [&str; 2] = ["--handshake-timeout", "2s"];

pub(super) fn cases() -> Vec<Case> {
    let plain = cases![&[Root, Daemon];
        a_port_that_nobody_listens_on,
        a_scan_that_opens_by_halves,
    ];
    let dropping = cases![&[Root, Daemon, Tool("nft")];
        syns_that_are_dropped,
        a_syn_that_is_dropped_once,
        synacks_that_are_dropped_on_their_way,
        a_full_accept_queue,
        acks_that_never_come,
        a_synack_with_a_wrong_number,
    ];
    [plain, dropping].concat()
}

fn a_port_that_nobody_listens_on() -> Result<()> {
    let link = Link::new()?;
    let told = traced(&link, &[], |tracer| {
        let refused = client(&link).err().context("somebody listens")?;
        let refused = refused.downcast::<std::io::Error>()?;
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        tracer.await_connections(1)
    })?;
    said(
        &told,
        "refused",
        &["refused after ", ": nothing listens on port 8443"],
    )
}

fn syns_that_are_dropped() -> Result<()> {
    let link = Link::new()?;
    drop_in(&link.near, "tcp dport 8443")?;
    let told = traced(&link, &SOON, |tracer| {
        let client = hasty_client(&link)?;
        await_dropped(&link.near, 3)?;
        drop(client);
        tracer.await_connections(1)
    })?;
    said(
        &told,
        "no_answer",
        &[
            "no answer to ",
            " SYNs over ",
            ": dropped on the way or host down",
        ],
    )
}

fn a_syn_that_is_dropped_once() -> Result<()> {
    let link = Link::new()?;
    let listener = listener(&link)?;
    drop_in(&link.near, "tcp dport 8443")?;
    let told = traced(&link, &[], |_| {
        let client = hasty_client(&link)?;
        await_dropped(&link.near, 1)?;
        let_pass(&link.near)?;
        let (server, _) = listener.accept()?;
        drop((client, server));
        Ok(())
    })?;
    said(
        &told,
        "syn_lost",
        &["handshake took ", " lost, the retry answered in "],
    )
}

fn synacks_that_are_dropped_on_their_way() -> Result<()> {
    let link = Link::new()?;
    let listener = listener(&link)?;
    drop_in(&link.far, "tcp sport 8443")?;
    let told = traced(&link, &[], |_| {
        let client = hasty_client(&link)?;
        // Two may be the server's own: the third one answers a SYN that came again.
        await_dropped(&link.far, 3)?;
        let_pass(&link.far)?;
        let (server, _) = listener.accept()?;
        drop((client, server));
        Ok(())
    })?;
    said(
        &told,
        "synack_lost",
        &["client sent its SYN again ", " after the SYN-ACK was here"],
    )
}

fn a_full_accept_queue() -> Result<()> {
    const LATE: [u16; 2] = [41_000, 41_001];
    /// The queue takes one more than it is asked for.
    const ROOM: usize = 3;
    let link = Link::new()?;
    let listener = listener(&link)?;
    listen(&listener, Backlog::new(i32::try_from(ROOM)?)?)?;
    // Some begin before the queue is full, and come when it is.
    drop_out(
        &link.far,
        "tcp sport 41000-41001 tcp flags & (syn | ack) == ack",
    )?;
    let told = traced(&link, &[], |_| {
        let late = LATE.map(|port| hasty_client_from(&link, port));
        let late = late.into_iter().collect::<Result<Vec<_>>>()?;
        await_dropped(&link.far, 2)?;
        let others = (0..=ROOM)
            .map(|_| client(&link))
            .collect::<Result<Vec<_>>>()?;
        let_pass(&link.far)?;
        wait::until("an ACK that finds no room", || {
            let counters = succeed(link.near.command("cat").arg("/proc/net/netstat"))?;
            Ok((counter(&counters, "ListenOverflows")? > 0).then_some(()))
        })?;
        // The server asks again for what it has not taken.
        await_synacks(&link, 2)?;
        drop((late, others));
        Ok(())
    })?;
    said(
        &told,
        "synack_repeated",
        &[
            "server repeats its SYN-ACK after the client's ACK",
            "its accept queue is full",
        ],
    )
}

/// Waits until the near host has sent so many SYN-ACKs again from now on.
fn await_synacks(link: &Link, count: u64) -> Result<()> {
    let sent = || {
        let counters = succeed(link.near.command("cat").arg("/proc/net/netstat"))?;
        counter(&counters, "TCPSynRetrans")
    };
    let before = sent()?;
    wait::until("SYN-ACKs that are sent again", || {
        Ok((sent()? >= before + count).then_some(()))
    })
}

/// A counter of /proc/net/netstat: a line of names, and one of values.
fn counter(text: &str, name: &str) -> Result<u64> {
    let lines: Vec<_> = text.lines().collect();
    for pair in lines.chunks(2) {
        let [names, values] = pair else { continue };
        let place = names.split_whitespace().position(|other| other == name);
        if let Some(value) = place.and_then(|place| values.split_whitespace().nth(place)) {
            return Ok(value.parse()?);
        }
    }
    anyhow::bail!("no counter {name}")
}

fn acks_that_never_come() -> Result<()> {
    let link = Link::new()?;
    let _listener = listener(&link)?;
    drop_out(&link.far, "tcp dport 8443 tcp flags & (syn | ack) == ack")?;
    let told = traced(&link, &SOON, |tracer| {
        let client = client(&link)?;
        await_dropped(&link.far, 2)?;
        // Nor does its FIN: the client is gone.
        drop_out_all(&link.far)?;
        drop(client);
        tracer.await_connections(1)
    })?;
    said(
        &told,
        "no_ack",
        &["no ACK for ", " SYN-ACKs over ", "client gone or forged"],
    )
}

fn drop_out_all(host: &Namespace) -> Result<()> {
    succeed(host.command("nft").arg("add rule inet test drops drop")).map(drop)
}

fn a_synack_with_a_wrong_number() -> Result<()> {
    const CLIENT_PORT: u16 = 40_000;
    let link = Link::new()?;
    // What is made has to be taken by the far host's own stack.
    for (host, device, mac) in [(&link.near, NEAR, SERVER_MAC), (&link.far, FAR, CLIENT_MAC)] {
        let mac = mac.map(|octet| format!("{octet:02x}")).join(":");
        host.ip(&["link", "set", device, "address", &mac])?;
    }
    drop_in(&link.near, "tcp dport 8443")?;
    let told = traced(&link, &[], |tracer| {
        let wire = Wire::of(&link)?;
        let client = hasty_client_from(&link, CLIENT_PORT)?;
        await_dropped(&link.near, 1)?;
        let mut stale = Frame::new(server(), (FAR_V4, CLIENT_PORT).into());
        stale.macs = [SERVER_MAC, CLIENT_MAC];
        let stale = stale.seq(300).ack(1_001).flags(Flags::SYN.with(Flags::ACK));
        wire.egress(&stale.octets())?;
        tracer.await_connections(1)?;
        drop(client);
        Ok(())
    })?;
    said(
        &told,
        "wrong_synack",
        &[
            "client rejected the SYN-ACK: ACK 1001, expected ",
            "stale or spoofed peer",
        ],
    )
}

fn a_scan_that_opens_by_halves() -> Result<()> {
    let link = Link::new()?;
    let _listener = listener(&link)?;
    let near_mac = mac(&link.near, NEAR)?;
    let told = traced(&link, &[], |tracer| {
        // The far host's stack knows nothing of it, and answers the SYN-ACK with a RST.
        let mut syn = Frame::new((FAR_V4, 40_001).into(), server());
        syn.macs = [mac(&link.far, FAR)?, near_mac];
        Wire::of(&link)?.ingress(&syn.seq(7).flags(Flags::SYN).octets())?;
        tracer.await_connections(1)
    })?;
    said(
        &told,
        "reset_by_client",
        &[
            "client answered a valid SYN-ACK with RST after ",
            "a port scan",
        ],
    )
}

fn mac(host: &Namespace, device: &str) -> Result<[u8; 6]> {
    let place = format!("/sys/class/net/{device}/address");
    let text = succeed(host.command("cat").arg(place))?;
    let octets = text
        .trim()
        .split(':')
        .map(|octet| u8::from_str_radix(octet, 16));
    let octets: Vec<u8> = octets.collect::<Result<_, _>>()?;
    octets.try_into().ok().context("six octets")
}
