//! What `synfin read` and `synfin trace` tell of a conversation: its records, and each of them as
//! programs and people read it.
//!
//! The way is that of `synfin::read`: the tracker's events into the assembler, its records into the
//! sinks, with the time of the frames. A record is checked where it can be seen: JSON holds every
//! field of it.

use std::collections::HashMap;
use std::fmt::Debug;

use serde_json::Value;
use synfin::assembler::{Assembler, Counts, LIVE_LINGER_NS, Live, Output, Settings};
use synfin::sink::{Json, Ladder, Sink, Style};
use synfin::source::Tracker;
use synfin::timeline::{Connection, Step};
use synfin_ebpf::account::Accounts;
use synfin_ebpf::counters::COUNTERS;
use synfin_ebpf::event::Direction;
use synfin_ebpf::flow::{Filter, Key, Vantage};
use synfin_ebpf::segment::Scope;
use synfin_ebpf::wire::{Link, Tunnels};
use synfin_tests::conversation::{Conversation, Sender};

/// How long a record waits after its end in a file.
const FILE_LINGER_NS: u64 = 10_000_000_000;
/// Columns in which every sentence fits into its line.
const WIDTH: usize = 10_000;

/// Whether every segment is counted for its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// As from a capture.
    Counted,
    /// As live without `--account`.
    Lifecycle,
}

/// Both ways to look.
pub(crate) const MODES: [Mode; 2] = [Mode::Counted, Mode::Lifecycle];

/// A frame that was seen.
#[derive(Clone, Debug)]
pub(crate) struct Sighting {
    pub(crate) at_ns: u64,
    pub(crate) octets: Vec<u8>,
    pub(crate) vantage: Vantage,
}

/// A record, and what is told of it.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) mode: Mode,
    pub(crate) record: Connection,
    json: Value,
    /// The ladder, its words apart by one space.
    ladder: String,
    drawn: String,
}

/// All records of a conversation, and what was counted beside them.
#[derive(Debug)]
pub(crate) struct Story {
    pub(crate) told: Vec<Told>,
    pub(crate) counts: Counts,
    pub(crate) counters: [u64; COUNTERS],
}

/// The frames of a conversation as they pass: the client's arrive, the server's leave.
pub(crate) fn sightings(conversation: &Conversation) -> Vec<Sighting> {
    let frames = conversation.frames().zip(conversation.times_ns());
    let sightings = frames.map(|((sender, frame), at_ns)| Sighting {
        at_ns,
        octets: frame.octets(),
        vantage: Vantage {
            interface: 1,
            direction: match sender {
                Sender::Client => Direction::Ingress,
                Sender::Server => Direction::Egress,
            },
            scope: Scope::default(),
            link: Link::Ethernet,
        },
    });
    sightings.collect()
}

/// What is told of these frames.
pub(crate) fn story(sightings: &[Sighting], mode: Mode) -> Story {
    story_with_losses(sightings, mode, &[])
}

/// What is told of these frames where so many events were lost at these times.
pub(crate) fn story_with_losses(
    sightings: &[Sighting],
    mode: Mode,
    losses: &[(u64, u64)],
) -> Story {
    let tracker = match mode {
        Mode::Counted => Tracker::new(Filter::default(), Tunnels::ON).with_accounts(),
        Mode::Lifecycle => Tracker::new(Filter::default(), Tunnels::ON),
    };
    let mut assembler = Assembler::new(Settings {
        handshake_timeout_ns: 35_000_000_000,
        max_steps: 64,
        linger_ns: match mode {
            Mode::Counted => FILE_LINGER_NS,
            Mode::Lifecycle => LIVE_LINGER_NS,
        },
        max_connections: 100,
        shares: 1,
        interfaces: HashMap::from([(1, "eth0".into()), (2, "eth1".into())]),
    });
    let mut collected = Collected {
        tracker: &tracker,
        mode,
        records: Vec::new(),
    };
    let mut losses = losses.iter().peekable();
    for sighting in sightings {
        while let Some((_, events)) = losses.next_if(|(at_ns, _)| *at_ns <= sighting.at_ns) {
            assembler.lost(*events);
        }
        assembler.advance(sighting.at_ns, &mut collected);
        tracker.take(
            sighting.octets.as_slice(),
            &sighting.vantage,
            sighting.at_ns,
        );
        if let Some(settled) = tracker.settled() {
            assembler.settle(&settled);
        }
        if let Some(event) = tracker.event() {
            assembler.observe(&event, &mut collected);
        }
    }
    for (_, events) in losses {
        assembler.lost(*events);
    }
    assembler.advance(u64::MAX, &mut collected);
    assembler.finish(&mut collected);
    let records = collected.records;
    assert_eq!(assembler.open(), 0);
    Story {
        told: records
            .into_iter()
            .map(|record| tell(record, mode))
            .collect(),
        counts: *assembler.counts(),
        counters: tracker.counters(),
    }
}

/// The records of a conversation, looked at in this way.
pub(crate) fn records(conversation: &Conversation, mode: Mode) -> Vec<Told> {
    story(&sightings(conversation), mode).told
}

/// The one record of a conversation, looked at in this way.
pub(crate) fn only(conversation: &Conversation, mode: Mode) -> Told {
    one(records(conversation, mode))
}

/// The one record that there is.
pub(crate) fn one(told: Vec<Told>) -> Told {
    let [told] = exactly(told);
    told
}

/// The one record of a conversation, looked at in either way.
pub(crate) fn both(conversation: &Conversation) -> [Told; 2] {
    MODES.map(|mode| only(conversation, mode))
}

/// So many records and no others.
pub(crate) fn exactly<const N: usize>(told: Vec<Told>) -> [Told; N] {
    told.try_into().unwrap_or_else(|told: Vec<Told>| {
        let drawn: Vec<_> = told.iter().map(|told| told.drawn.as_str()).collect();
        panic!("{} records, not {N}:\n{}", drawn.len(), drawn.concat())
    })
}

impl Told {
    /// A field of the JSON, by its path.
    #[track_caller]
    pub(crate) fn field<T: Debug>(&self, path: &str, expected: T) -> &Self
    where
        Value: PartialEq<T>,
    {
        let field = self.at(path);
        assert!(
            *field == expected,
            "{:?}: {path} is {field}, expected {expected:?}\n{}",
            self.mode,
            self.drawn
        );
        self
    }

    /// What the JSON has at a path.
    #[track_caller]
    pub(crate) fn at(&self, path: &str) -> &Value {
        let field = self.json.pointer(path);
        field.unwrap_or_else(|| panic!("no {path} in {}", self.json))
    }

    /// A field of the JSON that was not seen.
    #[track_caller]
    pub(crate) fn unknown(&self, path: &str) -> &Self {
        self.field(path, Value::Null)
    }

    /// The anomalies, each with its count, and no others.
    #[track_caller]
    pub(crate) fn odd(&self, expected: &[(&str, u32)]) -> &Self {
        let expected = expected
            .iter()
            .map(|(name, count)| ((*name).to_owned(), (*count).into()));
        self.field("/anomalies", Value::Object(expected.collect()))
    }

    /// Words in the ladder.
    #[track_caller]
    pub(crate) fn says(&self, words: &str) -> &Self {
        assert!(
            self.ladder.contains(words),
            "{:?}: no “{words}” in\n{}",
            self.mode,
            self.drawn
        );
        self
    }

    /// Words that are not in the ladder.
    #[track_caller]
    pub(crate) fn is_silent_on(&self, words: &str) -> &Self {
        assert!(
            !self.ladder.contains(words),
            "{:?}: “{words}” in\n{}",
            self.mode,
            self.drawn
        );
        self
    }

    /// Whether its segments were counted.
    pub(crate) fn is_counted(&self) -> bool {
        self.mode == Mode::Counted
    }
}

fn tell(record: Connection, mode: Mode) -> Told {
    let (mut json, mut ladder) = (Vec::new(), Vec::new());
    Json::default().connection(&record, &mut json);
    let style = Style {
        colour: false,
        width: WIDTH,
    };
    let mut sink = Ladder {
        style,
        follow: false,
    };
    sink.connection(&record, &mut ladder);
    let drawn = String::from_utf8(ladder).expect("a ladder in UTF-8");
    let words: Vec<_> = drawn.split_whitespace().collect();
    let mut kinds: Vec<_> = record.anomalies.iter().map(|(kind, _)| *kind).collect();
    kinds.dedup();
    assert_eq!(kinds.len(), record.anomalies.len(), "an anomaly told twice");
    Told {
        mode,
        json: serde_json::from_slice(&json).expect("a line of JSON"),
        ladder: words.join(" "),
        drawn,
        record,
    }
}

struct Collected<'a> {
    tracker: &'a Tracker,
    mode: Mode,
    records: Vec<Connection>,
}

impl Output for Collected<'_> {
    fn step(&mut self, _: &Live, _: &Step) {}

    fn connection(&mut self, connection: Connection, _at_ns: u64) {
        self.records.push(connection);
    }

    fn forget(&mut self, key: &Key) -> Option<Accounts> {
        match self.mode {
            Mode::Counted => self.tracker.forget(key),
            // The kernel's table forgets of itself.
            Mode::Lifecycle => None,
        }
    }
}
