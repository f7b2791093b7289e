//! Frames that nobody should send: no verdict but to let them pass, nothing that user space does not
//! see alike, and every frame counted once.

use anyhow::{Result, ensure};
use synfin_ebpf::counters::frames;
use synfin_ebpf::wire::Tunnels;
use synfin_tests::carriers;
use synfin_tests::cases;
use synfin_tests::conversation::{Conversation, Sender};
use synfin_tests::frames::{Extension, Frame, SERVICE_VLAN, VLAN};
use synfin_tests::pace::paced;
use synfin_tests::requirement::Requirement::{BpfObject, Root};
use synfin_tests::suite::Case;

use crate::both::{Both, Came, IP_PROGRAMS, PROGRAMS};

pub(crate) fn cases() -> Vec<Case> {
    cases![[Root, BpfObject];
        every_truncation_is_seen_alike_and_counted_once,
        mutated_frames_are_seen_alike_and_counted_once,
        every_truncation_in_a_tunnel_is_seen_alike_and_counted_once,
        mutated_frames_in_tunnels_are_seen_alike_and_counted_once,
    ]
}

/// The shortest frame that BPF_PROG_TEST_RUN takes: an Ethernet header.
const SHORTEST: usize = 14;

fn samples() -> Result<Vec<Vec<u8>>> {
    let talk = |client: &str, server: &str| -> Result<Conversation> {
        let ends = ((client.parse()?, 1), (server.parse()?, u32::MAX));
        let talk = Conversation::between(ends.0, ends.1).open();
        Ok(talk.data(Sender::Client, 40).close(Sender::Client))
    };
    let v4 = talk("10.1.1.2:52144", "10.1.1.1:21")?;
    let v6 = talk("[fd00::2]:52144", "[fd00::1]:21")?;
    let conversations = [
        v4.clone()
            .around(|frame| frame.tagged(VLAN, 1).ip_options(&[1; 8])),
        v6.clone().around(|frame| {
            let frame = frame.tagged(SERVICE_VLAN, 1).tagged(VLAN, 2);
            frame.extensions(&[Extension::HopByHop(0), Extension::Fragment(0, false)])
        }),
        v4,
        v6,
    ];
    let frames = conversations.iter().flat_map(Conversation::frames);
    Ok(frames.map(|(_, frame)| frame.octets()).collect())
}

/// A SYN in every kind of tunnel.
fn carried() -> Result<Vec<Vec<u8>>> {
    let mut frames = Vec::new();
    for [client, server] in [
        ["10.1.1.2:52144", "10.1.1.1:21"],
        ["[fd00::2]:2", "[fd00::1]:1"],
    ] {
        let talk = Conversation::between((client.parse()?, 1), (server.parse()?, 2)).syn();
        for (_, carriers) in carriers::samples() {
            let talk = talk.clone().around(|frame| Frame {
                carriers: carriers.clone(),
                ..frame
            });
            frames.extend(talk.frames().map(|(_, frame)| frame.octets()));
        }
    }
    Ok(frames)
}

fn every_program() -> impl Iterator<Item = &'static str> + Clone {
    PROGRAMS.into_iter().chain(IP_PROGRAMS)
}

/// One frame, one outcome.
fn counted_once(came: &Came) -> bool {
    frames(&came.counted) == 1
}

fn hold(both: &mut Both, program: &'static str, frame: &[u8]) -> Result<()> {
    if !Both::takes(program, frame) {
        return Ok(());
    }
    let [kernel, user] = both.feed(program, frame)?;
    ensure!(
        kernel == user,
        "{program} on {frame:02x?}: {kernel:#?} is not {user:#?}"
    );
    ensure!(
        counted_once(&kernel),
        "{program} on {frame:02x?}: {kernel:?}"
    );
    Ok(())
}

fn every_truncation_is_seen_alike_and_counted_once() -> Result<()> {
    every_truncation(&mut Both::load()?, samples()?)
}

fn every_truncation_in_a_tunnel_is_seen_alike_and_counted_once() -> Result<()> {
    every_truncation(&mut Both::load_tunnels(Tunnels::ON)?, carried()?)
}

fn every_truncation(both: &mut Both, samples: Vec<Vec<u8>>) -> Result<()> {
    for frame in samples {
        for len in SHORTEST..=frame.len() {
            for program in every_program() {
                hold(both, program, &frame[..len])?;
            }
        }
    }
    Ok(())
}

fn mutated_frames_are_seen_alike_and_counted_once() -> Result<()> {
    mutated(&mut Both::load()?, &samples()?)
}

fn mutated_frames_in_tunnels_are_seen_alike_and_counted_once() -> Result<()> {
    let samples = [samples()?, carried()?].concat();
    mutated(&mut Both::load_tunnels(Tunnels::ON)?, &samples)
}

fn mutated(both: &mut Both, samples: &[Vec<u8>]) -> Result<()> {
    const FRAMES: u32 = 30_000;
    let mut random = fastrand::Rng::with_seed(9293);
    for (number, program) in (0..paced(FRAMES) as usize).zip(every_program().cycle()) {
        let mut frame = samples[random.usize(..samples.len())].clone();
        if number % 4 == 0 {
            frame.truncate(random.usize(SHORTEST..=frame.len()));
        }
        for _ in 0..random.usize(1..=6) {
            let place = random.usize(12..frame.len().max(13)).min(frame.len() - 1);
            frame[place] = random.u8(..);
        }
        hold(both, program, &frame)?;
    }
    Ok(())
}
