//! Whatever becomes of the frames of conversations on their way to us, in any order, any number of
//! times, cut anywhere: nothing panics, the bounds hold, and no verdict needs a segment that did not
//! come (see `proof`).

use std::collections::HashMap;
use std::fmt;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::RngSeed;
use synfin::assembler::{Assembler, Live, Output, Settings};
use synfin::source::Tracker;
use synfin::timeline::{Connection, Step};
use synfin_ebpf::account::Accounts;
use synfin_ebpf::event::Direction;
use synfin_ebpf::flow::{Filter, Key, Vantage};
use synfin_ebpf::octets::Captured;
use synfin_ebpf::segment::{Flags, Scope};
use synfin_ebpf::wire::{Link, Tunnels};
use synfin_tests::conversation::Conversation;
use synfin_tests::conversation::Sender::{Client, Server};
use synfin_tests::frames::Frame;

use super::proof;

/// Connections that are followed at once: fewer than there are.
const MAX_CONNECTIONS: usize = 2;
/// Segments that a record keeps.
const MAX_STEPS: usize = 64;
/// A TCP header up to its checksum.
const NUMBERS_LEN: usize = 18;
/// A time between two frames: ordinary ones, and longer than each of the assembler's patiences.
const GAPS_NS: [u64; 5] = [
    10_000,
    1_000_000,
    400_000_000,
    12_000_000_000,
    90_000_000_000,
];

/// Makes a conversation.
type Script = fn(Conversation) -> Conversation;

/// Every form of opening and closing.
const SCRIPTS: [Script; 14] = [
    |talk| talk.open().data(Client, 26).data(Server, 94).close(Server),
    |talk| {
        talk.open()
            .data(Client, 5)
            .fin(Client)
            .fin(Server)
            .ack(Client)
    },
    |talk| {
        talk.open()
            .fin(Client)
            .say(Server, crossing)
            .ack(Client)
            .ack(Server)
    },
    |talk| {
        talk.open()
            .fin(Server)
            .ack(Client)
            .data(Client, 9)
            .rst(Client)
    },
    |talk| talk.syn().again().again(),
    |talk| talk.syn().rst(Server).syn().rst(Server),
    |talk| talk.syn().syn_ack().again().again(),
    |talk| talk.syn().syn_ack().rst(Client),
    |talk| {
        talk.syn()
            .say(Server, |frame| frame.flags(Flags::SYN).ack(7))
            .rst(Client)
    },
    |talk| talk.open().data(Server, 700).rst(Server).data(Server, 5),
    // Simultaneous open, and data on the SYN.
    |talk| {
        talk.syn()
            .say(Server, bare_syn)
            .say(Server, repeating_its_syn)
            .ack(Client)
            .data(Client, 3)
            .close(Client)
    },
    |talk| {
        talk.say(Client, |frame| bare_syn(frame).payload(30))
            .syn_ack()
            .ack(Client)
            .close(Client)
    },
    // The same again, at once and later.
    |talk| {
        talk.open()
            .close(Client)
            .syn()
            .syn_ack()
            .ack(Client)
            .data(Client, 40)
            .close(Server)
    },
    |talk| {
        talk.data(Client, 20)
            .data(Server, 30)
            .fin(Client)
            .ack(Server)
            .say(Client, naught)
    },
];

fn bare_syn(frame: Frame) -> Frame {
    Frame {
        ack: 0,
        flags: Flags::SYN,
        ..frame
    }
}

/// The SYN-ACK of a simultaneous open has the number of the SYN (RFC 9293 §3.5).
fn repeating_its_syn(frame: Frame) -> Frame {
    let seq = frame.seq.wrapping_sub(1);
    Frame { seq, ..frame }.flags(Flags::SYN.with(Flags::ACK))
}

fn naught(frame: Frame) -> Frame {
    frame.flags(Flags::default())
}

/// A FIN that does not acknowledge the peer's.
fn crossing(frame: Frame) -> Frame {
    let ack = frame.ack.wrapping_sub(1);
    frame.flags(Flags::FIN).ack(ack)
}

/// The frames of some conversations, one after the other. Those of one port are of one connection
/// after the other.
fn frames(talks: &[(usize, u16, u32)]) -> Vec<Frame> {
    let frames = talks.iter().flat_map(|(script, port, isn)| {
        let client = (([10, 1, 1, 2], 40_000 + port).into(), *isn);
        let server = (([10, 1, 1, 1], 80).into(), isn.wrapping_mul(3));
        let talk = SCRIPTS[script % SCRIPTS.len()](Conversation::between(client, server));
        talk.frames()
            .map(|(_, frame)| frame.clone())
            .collect::<Vec<_>>()
    });
    frames.collect()
}

fn talks() -> impl Strategy<Value = Vec<(usize, u16, u32)>> {
    let isn = prop_oneof![
        Just(0),
        Just(u32::MAX - 3),
        Just(u32::MAX / 2),
        any::<u32>()
    ];
    prop::collection::vec((0..SCRIPTS.len(), 0..3_u16, isn), 1..5)
}

/// Frames and how they arrive.
#[derive(Clone)]
struct Way {
    frames: Vec<Frame>,
    arrivals: Vec<Arrival>,
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for arrival in &self.arrivals {
            let frame = &self.frames[arrival.frame];
            let flags = [
                (Flags::SYN, 'S'),
                (Flags::FIN, 'F'),
                (Flags::RST, 'R'),
                (Flags::ACK, 'A'),
            ];
            let flags = flags.iter().filter(|(flag, _)| frame.flags.any(*flag));
            writeln!(
                f,
                "after {} µs {} → {} {} seq={} ack={} len={}, left {}",
                GAPS_NS[arrival.gap] / 1000,
                frame.source.port(),
                frame.destination.port(),
                flags.map(|(_, letter)| letter).collect::<String>(),
                frame.seq,
                frame.ack,
                frame.payload.len(),
                arrival.left.min(frame.octets().len()),
            )?;
        }
        Ok(())
    }
}

/// One frame on its way to us: which one, what is left of it, and how long after the one before.
#[derive(Clone, Copy, Debug)]
struct Arrival {
    frame: usize,
    left: usize,
    gap: usize,
}

/// Any frames in any order, any number of times.
fn chaos() -> impl Strategy<Value = Way> {
    let arrival = (any::<Index>(), left(), 0..GAPS_NS.len());
    (talks(), prop::collection::vec(arrival, 0..80)).prop_map(|(talks, arrivals)| {
        let frames = frames(&talks);
        let count = frames.len();
        let arrivals = arrivals.into_iter().map(|(index, left, gap)| Arrival {
            frame: index.index(count),
            left,
            gap,
        });
        let arrivals = arrivals.collect();
        Way { frames, arrivals }
    })
}

/// The frames about in their order: some are missing, some come twice or late.
fn loss() -> impl Strategy<Value = Way> {
    // For each frame: how often it comes, how many places too late, what is left of it, and when.
    let fate = (
        prop_oneof![8 => Just(1_usize), 2 => Just(0), 1 => Just(2)],
        prop_oneof![8 => Just(0_usize), 2 => 1..5_usize],
        left(),
        prop_oneof![20 => Just(1_usize), 1 => 0..GAPS_NS.len()],
    );
    (talks(), prop::collection::vec(fate, 100)).prop_map(|(talks, fates)| {
        let frames = frames(&talks);
        let mut arrivals: Vec<(usize, Arrival)> = Vec::new();
        for (frame, (times, late, left, gap)) in (0..frames.len()).zip(fates.iter().cycle()) {
            let arrival = Arrival {
                frame,
                left: *left,
                gap: *gap,
            };
            arrivals.extend((0..*times).map(|time| (frame + late * (1 + time), arrival)));
        }
        arrivals.sort_by_key(|(place, _)| *place);
        let arrivals = arrivals.into_iter().map(|(_, arrival)| arrival).collect();
        Way { frames, arrivals }
    })
}

/// What is left of a frame: mostly all.
fn left() -> impl Strategy<Value = usize> {
    prop_oneof![12 => Just(usize::MAX), 1 => 0..100_usize]
}

/// Where records go. As from a capture, what is kept of a connection is forgotten when it ends.
struct Records<'a> {
    records: Vec<Connection>,
    tracker: &'a Tracker,
}

impl Output for Records<'_> {
    fn step(&mut self, _: &Live, _: &Step) {}

    fn connection(&mut self, connection: Connection, _at_ns: u64) {
        self.records.push(connection);
    }

    fn forget(&mut self, key: &Key) -> Option<Accounts> {
        self.tracker.forget(key)
    }
}

/// Has the frames arrive, with every segment counted and without.
fn arrive(way: &Way) -> Vec<Connection> {
    let tracker = || Tracker::new(Filter::default(), Tunnels::ON);
    let mut records = arrive_at(&tracker(), way);
    records.extend(arrive_at(&tracker().with_accounts(), way));
    records
}

/// Ensures that the bounds hold and that every verdict is proved.
fn arrive_at(tracker: &Tracker, way: &Way) -> Vec<Connection> {
    let mut assembler = Assembler::new(Settings {
        handshake_timeout_ns: 35_000_000_000,
        max_steps: 64,
        linger_ns: 1_000_000_000,
        max_connections: MAX_CONNECTIONS,
        shares: 1,
        interfaces: HashMap::new(),
    });
    let mut records = Records {
        records: Vec::new(),
        tracker,
    };
    let mut now_ns = 1;
    let mut seen = Vec::new();
    for arrival in &way.arrivals {
        now_ns += GAPS_NS[arrival.gap];
        let frame = &way.frames[arrival.frame];
        let octets = frame.octets();
        let left = arrival.left.min(octets.len());
        // Behind them nothing is needed but options.
        let whole = left >= frame.transport() + NUMBERS_LEN;
        seen.extend(whole.then_some(frame));
        let vantage = Vantage {
            interface: 1,
            direction: Direction::Ingress,
            scope: Scope::default(),
            link: Link::Ethernet,
        };
        let captured = Captured {
            octets: &octets[..left],
            wire_len: octets.len(),
        };
        assembler.advance(now_ns, &mut records);
        tracker.take(&captured, &vantage, now_ns);
        if let Some(settled) = tracker.settled() {
            assembler.settle(&settled);
        }
        if let Some(event) = tracker.event().as_deref() {
            assembler.observe(event, &mut records);
        }
        let open = assembler.open();
        assert!(open <= MAX_CONNECTIONS, "{open} are open: {way:?}");
        let kept = tracker.len();
        assert!(kept <= MAX_CONNECTIONS, "{kept} are kept: {way:?}");
    }
    assembler.finish(&mut records);
    assert_eq!(
        (assembler.open(), tracker.len()),
        (0, 0),
        "at the end: {way:?}"
    );
    let records = records.records;
    assert!(
        records.len() <= way.arrivals.len(),
        "{} records",
        records.len()
    );
    for record in &records {
        let steps = record.steps.len();
        assert!(steps <= MAX_STEPS, "{steps} steps: {way:?}");
        if let Err(lack) = proof::of(record, &seen) {
            panic!("{lack}: {way:?} {record:#?}");
        }
    }
    records
}

proptest! {
    // The same cases every time; PROPTEST_CASES asks for more of them.
    #![proptest_config(ProptestConfig {
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn frames_in_any_order_prove_every_verdict(way in chaos()) {
        arrive(&way);
    }

    #[test]
    fn frames_lost_doubled_late_and_cut_prove_every_verdict(way in loss()) {
        arrive(&way);
    }
}

/// All frames of one conversation but those that are not wanted, in their order.
fn without(script: Script, unwanted: impl Fn(&Frame) -> bool) -> Vec<Connection> {
    let talk = Conversation::between(
        (([10, 1, 1, 2], 40_000).into(), 5),
        (([10, 1, 1, 1], 80).into(), 9),
    );
    let frames: Vec<Frame> = script(talk)
        .frames()
        .map(|(_, frame)| frame.clone())
        .collect();
    let wanted = (0..frames.len()).filter(|frame| !unwanted(&frames[*frame]));
    let arrivals = wanted
        .map(|frame| Arrival {
            frame,
            left: usize::MAX,
            gap: 1,
        })
        .collect();
    arrive(&Way { frames, arrivals })
}

/// The proof is no proof unless it asks for every segment: each script without one of its kinds of
/// segments, and then what it was for is not told.
#[test]
fn without_a_kind_of_segment_nothing_is_told_that_needs_it() {
    use synfin::timeline::{CloseKind, OpenKind, OpenOutcome};
    let is = |flags: Flags| move |frame: &Frame| frame.flags.any(flags);
    let syn_ack = |frame: &Frame| frame.flags.syn() && frame.flags.ack();
    let syn = |frame: &Frame| frame.flags.syn() && !frame.flags.ack();
    for script in SCRIPTS {
        for record in without(script, syn_ack) {
            let three_way = record.open.kind == OpenKind::ThreeWay;
            assert!(
                !(three_way && record.open.outcome == OpenOutcome::Established),
                "{record:#?}"
            );
            assert_eq!(record.completeness & 2, 0);
        }
        for record in without(script, syn) {
            assert!(
                matches!(record.open.kind, OpenKind::Partial | OpenKind::None),
                "{record:#?}"
            );
            assert_eq!(record.open.rtt.syn_to_synack, None);
            assert_eq!(record.completeness & 1, 0);
        }
        for record in without(script, is(Flags::FIN)) {
            assert!(
                matches!(record.close.kind, CloseKind::None | CloseKind::Reset),
                "{record:#?}"
            );
            assert_eq!((record.completeness & 16, record.close.last_ack), (0, None));
        }
        for record in without(script, is(Flags::RST)) {
            let refusals = [
                OpenOutcome::Refused,
                OpenOutcome::Rejected,
                OpenOutcome::Aborted,
                OpenOutcome::Backscatter,
            ];
            assert!(!refusals.contains(&record.open.outcome), "{record:#?}");
            assert_ne!(record.close.kind, CloseKind::Reset);
            assert_eq!(record.completeness & 32, 0);
        }
        for record in without(script, is(Flags::ACK)) {
            assert_ne!(record.open.outcome, OpenOutcome::Established, "{record:#?}");
        }
        for record in without(script, |frame| !frame.payload.is_empty()) {
            assert!(!record.open.ack_via_data, "{record:#?}");
        }
        for end in 0..2 {
            let only = |frame: &Frame| {
                frame.source.port() == 80 && end == 0 || frame.source.port() != 80 && end == 1
            };
            for record in without(script, only) {
                assert!(
                    !matches!(
                        record.open.outcome,
                        OpenOutcome::Established | OpenOutcome::Refused
                    ),
                    "{record:#?}"
                );
                assert_eq!(record.open.rtt, Default::default());
            }
        }
    }
}
