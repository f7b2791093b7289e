//! Two CPUs look at one connection at the same time: what a step proves is told once for each side.

use std::collections::BTreeMap;
use std::hint;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::thread;

use anyhow::{Result, anyhow, ensure};
use aya::programs::{TestRun, TestRunOptions, TestRunResult};
use synfin_ebpf::event::{Event, Why};
use synfin_ebpf::flow::filter::Filter;
use synfin_ebpf::segment::Flags;
use synfin_tests::cases;
use synfin_tests::cpus;
use synfin_tests::frames::{Frame, SYN_OPTIONS};
use synfin_tests::requirement::Requirement::{BpfObject, Root};
use synfin_tests::suite::Case;

use crate::both::Both;

/// Connections whose events the ring has room for.
const AT_ONCE: u16 = 400;
const RING: u32 = 1 << 23;

/// What each side proves once.
const PROOFS: [Why; 4] = [
    Why::ACKS_SYN,
    Why::ACKS_FIN,
    Why::FIRST_DATA,
    Why::FIRST_ACK,
];

pub(crate) fn cases() -> Vec<Case> {
    cases![&[Root, BpfObject];
        what_two_cpus_see_at_once_is_proved_once_by_tcx,
        what_two_cpus_see_at_once_is_proved_once_by_xdp,
    ]
}

fn what_two_cpus_see_at_once_is_proved_once_by_tcx() -> Result<()> {
    let mut both = Both::load_with(RING, Filter::default())?;
    for round in 0..5 {
        let talks = talks(round);
        race(both.programs().classifier("synfin_ingress")?, &talks)?;
        check(&both.drain_raw()?)?;
    }
    Ok(())
}

fn what_two_cpus_see_at_once_is_proved_once_by_xdp() -> Result<()> {
    let mut both = Both::load_with(RING, Filter::default())?;
    let talks = talks(0);
    race(both.programs().xdp("synfin_xdp")?, &talks)?;
    check(&both.drain_raw()?)
}

/// What the two CPUs see at the same time, step by step.
type Steps = Vec<[Frame; 2]>;

/// Connections of a round, by turns of each kind.
fn talks(round: u16) -> Vec<Steps> {
    let ports = round * AT_ONCE..(round + 1) * AT_ONCE;
    let kinds = [twice, crossing];
    let talks = ports.zip(kinds.iter().cycle());
    talks.map(|(port, kind)| kind(1_024 + port)).collect()
}

/// Both see the same, as where a frame comes over two interfaces.
fn twice(port: u16) -> Steps {
    let talk = Talk { port };
    let both = |frame: Frame| [frame.clone(), frame];
    vec![
        both(talk.client(0, 0).flags(Flags::SYN).options(&SYN_OPTIONS)),
        both(talk.server(0, 1).flags(SYN_ACK).options(&SYN_OPTIONS)),
        both(talk.client(1, 1)),
        both(talk.client(1, 1).payload(10)),
        both(talk.server(1, 11).payload(10)),
        both(talk.server(11, 11)),
        both(talk.client(11, 11).flags(FIN_ACK)),
        both(talk.server(11, 12).flags(FIN_ACK)),
        both(talk.client(12, 12)),
    ]
}

/// One sees what the client sends, the other one what the server does.
fn crossing(port: u16) -> Steps {
    let talk = Talk { port };
    let syn = talk.client(0, 0).flags(Flags::SYN).options(&SYN_OPTIONS);
    let syn_ack = talk.server(0, 1).flags(SYN_ACK).options(&SYN_OPTIONS);
    let acks = [talk.client(12, 12), talk.server(12, 12)];
    let [of_client, of_server] = acks.clone();
    vec![
        [syn.clone(), syn],
        // The ACK may come before what it acknowledges; then the data that follow prove it.
        [talk.client(1, 1), syn_ack],
        [talk.client(1, 1).payload(10), talk.server(1, 1).payload(10)],
        [
            talk.client(11, 11).flags(FIN_ACK),
            talk.server(11, 11).flags(FIN_ACK),
        ],
        acks,
        [of_server, of_client],
    ]
}

const SYN_ACK: Flags = Flags::SYN.with(Flags::ACK);
const FIN_ACK: Flags = Flags::FIN.with(Flags::ACK);

/// A connection whose numbers begin at the same place on both sides.
#[derive(Clone, Copy)]
struct Talk {
    port: u16,
}

impl Talk {
    const FIRST: u32 = 1_000;

    fn client(self, seq: u32, ack: u32) -> Frame {
        let [client, server] = self.ends();
        Self::segment(client, server, seq, ack)
    }

    fn server(self, seq: u32, ack: u32) -> Frame {
        let [client, server] = self.ends();
        Self::segment(server, client, seq, ack)
    }

    fn segment(source: SocketAddr, destination: SocketAddr, seq: u32, ack: u32) -> Frame {
        let frame = Frame::new(source, destination);
        frame.seq(Self::FIRST + seq).ack(Self::FIRST + ack)
    }

    fn ends(self) -> [SocketAddr; 2] {
        [
            ([10, 1, 1, 2], self.port).into(),
            ([10, 1, 1, 1], 80).into(),
        ]
    }
}

/// Runs a program on two CPUs, which begin each step together.
fn race<P>(program: &P, talks: &[Steps]) -> Result<()>
where
    P: for<'a> TestRun<Opts<'a> = TestRunOptions<'a>, Result = TestRunResult> + Sync,
{
    let cpus = cpus::allowed()?;
    let arrived = AtomicU32::new(0);
    let arrived = &arrived;
    let run = &|side: usize, cpu: usize| {
        cpus::stay_on(cpu)?;
        for (step, frames) in (1..).zip(talks.iter().flatten()) {
            let octets = frames.get(side).map(Frame::octets);
            meet(arrived, 2 * step);
            program.test_run(TestRunOptions {
                data_in: octets.as_deref(),
                ..TestRunOptions::new()
            })?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let sides = [cpus.first(), cpus.last()]
            .into_iter()
            .flatten()
            .enumerate();
        let sides: Vec<_> = sides
            .map(|(side, cpu)| {
                scope.spawn(move || {
                    let end: Result<()> = run(side, *cpu);
                    if end.is_err() {
                        arrived.store(NOBODY_COMES, SeqCst);
                    }
                    end
                })
            })
            .collect();
        sides.into_iter().try_for_each(|side| {
            let end = side.join();
            end.unwrap_or_else(|_| Err(anyhow!("a side panicked")))
        })
    })
}

/// One of them has failed: the other one need not wait.
const NOBODY_COMES: u32 = u32::MAX / 2;

/// Waits until both are here; awake, so that they go on at the same time.
fn meet(arrived: &AtomicU32, all: u32) {
    arrived.fetch_add(1, SeqCst);
    let mut looks = 0_u32;
    while arrived.load(SeqCst) < all {
        looks += 1;
        if looks.is_multiple_of(1_000) {
            // The other one may have to run here.
            thread::yield_now();
        }
        hint::spin_loop();
    }
}

/// Each side of every connection has each of its proofs once.
fn check(events: &[Event]) -> Result<()> {
    let mut proofs: BTreeMap<(u16, u16), [u32; PROOFS.len()]> = BTreeMap::new();
    for event in events {
        let counts = proofs.entry((event.source_port, event.destination_port));
        for (count, proof) in counts.or_default().iter_mut().zip(PROOFS) {
            *count += u32::from(Why(event.why).any(proof));
        }
    }
    ensure!(
        proofs.len() == 2 * usize::from(AT_ONCE),
        "{} sides",
        proofs.len()
    );
    for (side, counts) in proofs {
        ensure!(
            counts == [1; PROOFS.len()],
            "{side:?}: {counts:?} of {PROOFS:?}"
        );
    }
    Ok(())
}
