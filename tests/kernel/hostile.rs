//! Frames that nobody should send: no verdict but to let them pass, nothing that user space does not
//! see alike, and every frame counted once.
//!
//! `cargo xtask test --hostile N` sends more of them: [`FRAMES`] is their number, [`SEED`] another seed.

mod frames;
mod shard;

use std::env;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;

use anyhow::{Context as _, Result, anyhow, ensure};
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
use shard::Tally;

pub(crate) fn cases() -> Vec<Case> {
    cases![[Root, BpfObject];
        every_truncation_is_seen_alike_and_counted_once,
        every_truncation_in_a_tunnel_is_seen_alike_and_counted_once,
        hostile_frames_are_seen_alike_and_counted_once,
    ]
}

/// How many frames are made up, and what they are made from.
const FRAMES: &str = "SYNFIN_HOSTILE_FRAMES";
const SEED: &str = "SYNFIN_HOSTILE_SEED";
const USUAL_FRAMES: u32 = 200_000;
const USUAL_SEED: u64 = 9293;

/// The shortest frame that BPF_PROG_TEST_RUN takes: an Ethernet header.
const SHORTEST: usize = 14;

fn samples() -> Result<Vec<Frame>> {
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
    Ok(frames.map(|(_, frame)| frame.clone()).collect())
}

/// A SYN in every kind of tunnel.
fn carried() -> Result<Vec<Frame>> {
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
            frames.extend(talk.frames().map(|(_, frame)| frame.clone()));
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

fn every_truncation(both: &mut Both, samples: Vec<Frame>) -> Result<()> {
    for frame in samples.iter().map(Frame::octets) {
        for len in SHORTEST..=frame.len() {
            for program in every_program() {
                hold(both, program, &frame[..len])?;
            }
        }
    }
    Ok(())
}

fn hostile_frames_are_seen_alike_and_counted_once() -> Result<()> {
    let frames = number(FRAMES)?.unwrap_or_else(|| paced(USUAL_FRAMES).into());
    let seed = number(SEED)?.unwrap_or(USUAL_SEED);
    // All kinds of options have their turn.
    let each = (frames / shard::OPTIONS).clamp(1, shard::FRAMES);
    let (left, next) = (AtomicU64::new(frames), AtomicU64::new(0));
    let came = Mutex::new(Tally::default());
    let feed = || -> Result<()> {
        loop {
            let take = |left: u64| (left > 0).then(|| left.saturating_sub(each));
            let Ok(before) = left.fetch_update(Relaxed, Relaxed, take) else {
                return Ok(());
            };
            let shard = next.fetch_add(1, Relaxed);
            let tally = shard::run(seed, shard, before.min(each))?;
            came.lock()
                .map_err(|_| anyhow!("a thread panicked"))?
                .add(&tally);
        }
    };
    let threads = thread::available_parallelism()?.get();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(feed)).collect();
        threads.into_iter().try_for_each(|thread| {
            let outcome = thread.join();
            outcome.unwrap_or_else(|_| Err(anyhow!("a thread panicked")))
        })
    })?;
    let came = came
        .into_inner()
        .map_err(|_| anyhow!("a thread panicked"))?;
    println!("hostile, seed {seed}, {} shards: {came}", next.into_inner());
    ensure!(came.frames() == frames, "{} frames were fed", came.frames());
    Ok(())
}

/// The number in a variable.
fn number(variable: &str) -> Result<Option<u64>> {
    let Ok(text) = env::var(variable) else {
        return Ok(None);
    };
    let number = text
        .parse()
        .with_context(|| format!("{variable} is {text:?}"))?;
    Ok(Some(number))
}
