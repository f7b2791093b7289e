//! Whole captures through the loaded programs, frame by frame, beside the tracker in user space: the
//! same events, field by field, and the same counters.

use std::thread;

use anyhow::{Context as _, Result, anyhow, ensure};
use synfin::attach::LoadOptions;
use synfin_ebpf::counters;
use synfin_ebpf::wire::Tunnels;
use synfin_tests::capture::Capture;
use synfin_tests::cases;
use synfin_tests::corpus;
use synfin_tests::netns::Link;
use synfin_tests::packets::{self, ETHERNET, Packet};
use synfin_tests::requirement::Requirement::{BpfObject, Corpus, Root, Tool};
use synfin_tests::services;
use synfin_tests::suite::Case;

use crate::both::{Both, PROGRAMS, roomy};

pub(crate) fn cases() -> Vec<Case> {
    [
        cases![[Root, BpfObject, Corpus];
            every_ethernet_capture_of_the_corpus_gives_the_same_events_through_every_hook,
        ],
        cases![[Root, BpfObject, Tool("tcpdump")];
            a_capture_of_a_hundred_connections_gives_the_same_events_through_every_hook,
        ],
    ]
    .concat()
}

const ECHO: u16 = 7;
const CONNECTIONS: usize = 100;
/// SYN, SYN-ACK and ACK, and two FINs, which data may ride on.
const LEAST_EVENTS: usize = 5;

/// A capture and its name.
type Named = (String, Vec<Packet>);

fn every_ethernet_capture_of_the_corpus_gives_the_same_events_through_every_hook() -> Result<()> {
    let (captures, others) = ethernet_captures_of_the_corpus()?;
    let count = captures.len();
    let ways = [
        (Tunnels::OFF, None),
        (Tunnels::ON, None),
        (Tunnels::ON, Some(1 << 16)),
    ];
    for (tunnels, accounts) in ways {
        let events = all_agree(&captures, &loaded(tunnels, accounts))?;
        eprintln!(
            "{tunnels:?}, accounts {accounts:?}: {count} captures give the same {events:?} events \
             through {PROGRAMS:?}"
        );
    }
    eprintln!("not Ethernet: {others:?}");
    Ok(())
}

fn a_capture_of_a_hundred_connections_gives_the_same_events_through_every_hook() -> Result<()> {
    let link = Link::new()?;
    let capture = Capture::start(&link)?;
    services::talk_shortly(&link, ECHO, CONNECTIONS)?;
    let captured = capture.stop()?;
    let capture = packets::read(&captured.file)?;
    ensure!(capture.link_type == ETHERNET, "{}", capture.link_type);
    let frames = capture.packets.len();
    let captures = [("what was recorded".to_owned(), capture.packets)];
    for accounts in [None, Some(1 << 16)] {
        let events = all_agree(&captures, &loaded(Tunnels::OFF, accounts))?;
        eprintln!(
            "accounts {accounts:?}: {frames} frames give the same {events:?} events through \
             {PROGRAMS:?}"
        );
        let least = CONNECTIONS * LEAST_EVENTS;
        ensure!((events.iter()).all(|events| *events >= least), "{events:?}");
    }
    Ok(())
}

fn loaded(tunnels: Tunnels, accounts: Option<u32>) -> LoadOptions {
    LoadOptions {
        accounts,
        tunnels,
        ..roomy()
    }
}

/// The captures that are Ethernet, and the names of the others.
fn ethernet_captures_of_the_corpus() -> Result<(Vec<Named>, Vec<String>)> {
    let (mut captures, mut others) = (Vec::new(), Vec::new());
    for row in corpus::rows()? {
        match packets::read(&row.file) {
            Ok(capture) if capture.link_type == ETHERNET => {
                captures.push((row.name, capture.packets));
            }
            Ok(capture) => others.push(format!("{} (link type {})", row.name, capture.link_type)),
            Err(error) => others.push(format!("{} ({error:#})", row.name)),
        }
    }
    ensure!(!captures.is_empty(), "no capture of the corpus is Ethernet");
    Ok((captures, others))
}

/// Ensures that every program gives the same events for every capture as user space does. What
/// BPF_PROG_TEST_RUN does not take is said on standard error. Gives how many events each program made.
fn all_agree(captures: &[Named], options: &LoadOptions) -> Result<Vec<usize>> {
    let through = |program: &'static str| -> Result<usize> {
        let mut events = 0;
        // To load programs takes longer than to run them.
        let mut both = Both::load_options(options)?;
        for (name, capture) in captures {
            // The two clocks end a watch that an earlier capture began within a tick of each other.
            // What a capture comes to by itself is settled by programs that have seen no other.
            let agreed = agree(program, capture, &mut both);
            let fed = agreed
                .or_else(|_| agree(program, capture, &mut Both::load_options(options)?))
                .with_context(|| format!("{name} through {program}"))?;
            if !fed.refused.is_empty() {
                let refused = &fed.refused;
                eprintln!("{name}: {program} was not given the frames {refused:?}");
            }
            events += fed.events;
        }
        ensure!(events > 0, "{program} made no events");
        Ok(events)
    };
    thread::scope(|scope| {
        let threads = PROGRAMS.map(|program| scope.spawn(move || through(program)));
        let ends = threads.into_iter().map(|thread| thread.join());
        ends.map(|end| end.unwrap_or_else(|_| Err(anyhow!("a thread panicked"))))
            .collect()
    })
}

/// What came of a capture.
#[derive(Default)]
struct Fed {
    events: usize,
    /// Numbers and lengths of the frames that BPF_PROG_TEST_RUN does not take.
    refused: Vec<(usize, usize)>,
}

/// Feeds a capture, and ensures that both make the same of every frame.
fn agree(program: &'static str, capture: &[Packet], both: &mut Both) -> Result<Fed> {
    let mut fed = Fed::default();
    for (number, packet) in (1..).zip(capture) {
        // A frame that the capture cut short is fed as it is there.
        let frame = packet.octets.as_slice();
        if !Both::takes(program, frame) {
            fed.refused.push((number, frame.len()));
            continue;
        }
        let [kernel, user] =
            (both.feed(program, frame)).with_context(|| format!("frame {number}"))?;
        ensure!(
            kernel == user,
            "frame {number}: {kernel:#?} is not {user:#?}"
        );
        let frames = counters::frames(&kernel.counted);
        ensure!(frames == 1, "frame {number} was counted {frames} times");
        fed.events += kernel.events.len();
    }
    Ok(fed)
}
