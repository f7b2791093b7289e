//! What is made segment by segment: it would take another host, a device on the way, or half a second.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use synfin_ebpf::segment::Flags;
use synfin_tests::cases;
use synfin_tests::conversation::Conversation;
use synfin_tests::conversation::Sender::{Client, Server};
use synfin_tests::daemon::Tracer;
use synfin_tests::frames::Frame;
use synfin_tests::inject::Wire;
use synfin_tests::netns::Link;
use synfin_tests::record::{self, Connection};
use synfin_tests::requirement::Requirement::{Daemon, Root};
use synfin_tests::suite::Case;

use super::said;

/// The rules that are made to happen here.
pub(super) const CODES: &[&str] = &[
    "gave_up",
    "slow_answer",
    "slow_ack",
    "client_restarted",
    "fast_open_ignored",
    "backscatter",
    "probe",
    "forged_reset",
];

/// Fast Open with a cookie of eight octets (RFC 7413 §4.1.1).
const COOKIE: [u8; 12] = [34, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1];

pub(super) fn cases() -> Vec<Case> {
    cases![&[Root, Daemon];
        a_client_that_has_given_up,
        a_server_and_a_client_that_take_long,
        a_client_that_has_started_anew,
        data_on_a_syn_that_is_not_taken,
        a_reset_of_nothing,
        the_probe_of_a_scan,
        a_forged_reset,
    ]
}

fn talk() -> Conversation {
    Conversation::between(
        (([10, 1, 1, 2], 40_000).into(), 1_000),
        (([10, 1, 1, 1], 80).into(), 2_000),
    )
}

fn played(conversation: &Conversation) -> Result<Vec<Connection>> {
    let link = Link::silent()?;
    let tracer = Tracer::json(&link.near, &[])?;
    let (wire, began) = (Wire::of(&link)?, Instant::now());
    for ((sender, frame), at_ns) in conversation.frames().zip(conversation.times_ns()) {
        let at = Duration::from_nanos(at_ns);
        thread::sleep(at.saturating_sub(began.elapsed()));
        match sender {
            Client => wire.ingress(&frame.octets())?,
            Server => wire.egress(&frame.octets())?,
        }
    }
    record::with_lone_segments(&tracer.stop()?.stdout)
}

fn a_client_that_has_given_up() -> Result<()> {
    let told = played(&talk().syn().wait(1_200).syn_ack().rst(Client))?;
    said(
        &told,
        "gave_up",
        &[
            "client reset when the SYN-ACK came, 1.2",
            "it had given up waiting",
        ],
    )
}

fn a_server_and_a_client_that_take_long() -> Result<()> {
    let told = played(
        &talk()
            .syn()
            .wait(600)
            .syn_ack()
            .wait(700)
            .ack(Client)
            .close(Client),
    )?;
    said(
        &told,
        "slow_answer",
        &[
            "SYN-ACK came ",
            " ms after the SYN: a long way to the server",
        ],
    )?;
    said(
        &told,
        "slow_ack",
        &[
            "ACK came ",
            " ms after the SYN-ACK: a long way to the client",
        ],
    )
}

fn a_client_that_has_started_anew() -> Result<()> {
    let syn = |frame: Frame| frame.seq(77_000).flags(Flags::SYN);
    let told = played(
        &talk()
            .open()
            .data(Client, 20)
            .aside(Client, syn)
            .ack(Server),
    )?;
    said(
        &told,
        "client_restarted",
        &[
            "a new SYN came inside the open connection",
            "lost its state",
        ],
    )
}

fn data_on_a_syn_that_is_not_taken() -> Result<()> {
    let syn = |frame: Frame| {
        frame
            .seq(1_000)
            .flags(Flags::SYN)
            .options(&COOKIE)
            .payload(5)
    };
    let accepts = |frame: Frame| frame.flags(Flags::SYN.with(Flags::ACK)).ack(1_001);
    let acks = |frame: Frame| frame.seq(1_001);
    let told = played(
        &talk()
            .aside(Client, syn)
            .say(Server, accepts)
            .say(Client, acks),
    )?;
    said(
        &told,
        "fast_open_ignored",
        &["data on the SYN was not acknowledged"],
    )
}

fn a_reset_of_nothing() -> Result<()> {
    let told = played(&talk().rst(Server))?;
    said(
        &told,
        "backscatter",
        &["RST of 10.1.1.1:80 answers nothing seen here"],
    )
}

fn the_probe_of_a_scan() -> Result<()> {
    let xmas = Flags::FIN.with(Flags::PSH).with(Flags::URG);
    let told = played(&talk().say(Client, |frame| frame.flags(xmas)))?;
    said(
        &told,
        "probe",
        &["flags that no TCP sends, to port 80: a port scan"],
    )
}

fn a_forged_reset() -> Result<()> {
    let reset = |frame: Frame| frame.flags(Flags::RST);
    let told = played(
        &talk()
            .open()
            .data(Server, 9)
            .aside(Server, reset)
            .data(Server, 9)
            .close(Server),
    )?;
    said(
        &told,
        "forged_reset",
        &["server went on after its RST: a device on the way forged it"],
    )
}
