//! Holds what synfin told of a capture against tshark's streams of it: completeness, initial numbers,
//! and the times of the handshake's legs, to the nanosecond.
//!
//! In: records and streams. Out: every difference, by name, but for what tshark is known to get
//! wrong (see [`RULES`]).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{self, Debug, Display};
use std::net::SocketAddr;

use synfin_ebpf::segment::Flags;

use crate::handshake::{Handshake, handshake};
use crate::record::Connection;
use crate::tshark::{Seen, Stream};

/// Something that was told in another way than it was seen.
#[derive(Clone, Debug)]
pub struct Difference {
    /// The frame that the stream begins with.
    pub frame: u64,
    /// What differs.
    pub field: &'static str,
    /// By synfin.
    pub told: String,
    /// By tshark.
    pub seen: String,
    /// The beginning of the stream.
    pub segments: String,
}

impl Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "frame {}: {} told {}, seen {} in {}",
            self.frame, self.field, self.told, self.seen, self.segments
        )
    }
}

/// Something that tshark is known to get wrong.
#[derive(Clone, Copy)]
pub struct Rule {
    /// Why.
    pub reason: &'static str,
    error: Error,
}

#[derive(Clone, Copy)]
enum Error {
    /// It leaves these bits out of the completeness.
    Leaves(fn(&Stream) -> u8),
    /// It may count these bits.
    Counts(fn(&Stream) -> u8),
    /// It takes for one stream what is a connection and lone segments beside it.
    Joins,
    /// It begins a stream in the middle of a connection.
    Splits,
    /// Its initial RTT is not that of the handshake.
    InitialRtt(fn(&Stream) -> bool),
}

/// How many of [`RULES`] a corpus needs; the others are for captures out of order.
pub const OF_A_CORPUS: usize = 6;

/// What tshark 4.0 gets wrong.
pub const RULES: [Rule; 8] = [
    Rule {
        reason: "a SYN that comes after another segment of its stream, as in a reordered handshake, \
                 is not counted",
        error: Error::Leaves(|stream| {
            let late = stream.iter().skip(1).any(Seen::is_syn);
            u8::from(late && !stream.first().is_some_and(Seen::is_syn))
        }),
    },
    Rule {
        reason: "what the first frame adds is not known yet when that frame is told, and so never \
                 where it is the only one; but for a SYN",
        error: Error::Leaves(|stream| match stream.as_slice() {
            [only] if !only.is_syn() => adds(only),
            _ => 0,
        }),
    },
    Rule {
        reason: "the SYN and the FIN of a segment whose flags no TCP sends are counted; no TCP \
                 takes them for an opening or a close",
        error: Error::Counts(|stream| {
            let added = |odd: bool| {
                let segments = stream.iter().filter(|seen| seen.is_odd() == odd);
                segments.fold(0, |bits, seen| bits | adds(seen))
            };
            added(true) & !added(false)
        }),
    },
    Rule {
        reason: "a segment captured before the SYN of its connection, a RST that answers one, or one \
                 of a scan, is told beside the connection that comes after it",
        error: Error::Joins,
    },
    Rule {
        reason: "a SYN without ACK from the side that has not sent one begins a stream, even where \
                 both open at once, or where its other flags make it nothing that a TCP sends",
        error: Error::Splits,
    },
    Rule {
        reason: "the initial RTT begins at the last SYN that was seen, answered or not",
        error: Error::InitialRtt(|stream| stream.iter().filter(|seen| seen.is_syn()).count() > 1),
    },
    Rule {
        reason: "an initial RTT of zero counts for none, and a later one is told",
        error: Error::InitialRtt(|stream| {
            let handshake = handshake(stream);
            let legs = [handshake.syn_to_synack_ns, handshake.synack_to_ack_ns];
            legs == [Some(0); 2]
        }),
    },
    Rule {
        reason: "the initial RTT ends at the first ACK without a SYN, even that of the server",
        error: Error::InitialRtt(|stream| {
            let first = stream.first().map(|first| first.source);
            let ack = stream
                .iter()
                .find(|seen| !seen.any(Flags::SYN) && seen.any(Flags::ACK));
            ack.is_some_and(|ack| Some(ack.source) != first)
        }),
    },
];

/// What a segment adds to the completeness.
fn adds(seen: &Seen) -> u8 {
    let syn = seen.any(Flags::SYN);
    let ack = seen.any(Flags::ACK);
    u8::from(syn && !ack)
        | u8::from(syn && ack) << 1
        | u8::from(!syn && ack && seen.len == 0) << 2
        | u8::from(seen.len > 0) << 3
        | u8::from(seen.any(Flags::FIN) && ack) << 4
        | u8::from(seen.any(Flags::RST)) << 5
}

/// What came of a comparison.
#[derive(Clone, Debug, Default)]
pub struct Compared {
    /// Streams that both tell.
    pub streams: usize,
    /// Legs of handshakes that both give a time of.
    pub legs: usize,
    /// How often each of [`RULES`] was needed.
    pub rules: [usize; RULES.len()],
    /// What differs.
    pub differences: Vec<Difference>,
}

impl Compared {
    /// Both comparisons together.
    pub fn add(&mut self, other: Self) {
        self.streams += other.streams;
        self.legs += other.legs;
        for (sum, count) in self.rules.iter_mut().zip(other.rules) {
            *sum += count;
        }
        self.differences.extend(other.differences);
    }

    /// Counts the first rule that applies; tells whether there is one.
    fn excused(&mut self, applies: impl Fn(&Error) -> bool) -> bool {
        let place = RULES.iter().position(|rule| applies(&rule.error));
        let count = place.and_then(|place| self.rules.get_mut(place));
        count.is_some_and(|count| {
            *count += 1;
            true
        })
    }

    fn differs(
        &mut self,
        stream: &Stream,
        field: &'static str,
        told: &dyn Debug,
        seen: &dyn Debug,
    ) {
        let (told, seen) = (format!("{told:?}"), format!("{seen:?}"));
        if told != seen {
            self.differences.push(Difference {
                frame: stream.first().map_or(0, |first| first.number),
                field,
                told,
                seen,
                segments: written(stream),
            });
        }
    }
}

/// Both ends of a connection, the lower first.
type Ends = [SocketAddr; 2];

/// Compares all of a capture.
#[must_use]
pub fn compare(records: &[Connection], streams: &[Stream]) -> Compared {
    let mut told: BTreeMap<Ends, Vec<&Connection>> = BTreeMap::new();
    for record in records {
        let key = ends([record.client.endpoint(), record.server.endpoint()]);
        told.entry(key).or_default().push(record);
    }
    let mut seen: BTreeMap<Ends, Vec<(&Stream, Vec<&Connection>)>> = BTreeMap::new();
    for stream in streams {
        if let Some(first) = stream.first() {
            let key = ends([first.source, first.destination]);
            seen.entry(key).or_default().push((stream, Vec::new()));
        }
    }
    let mut compared = Compared::default();
    for (ends, records) in told {
        for record in records {
            let streams = seen.get_mut(&ends).map_or(&mut [][..], Vec::as_mut_slice);
            let start_ns = record.start.as_nanosecond();
            let at = |seen: &Seen| seen.time_ns == start_ns;
            // Frames of two streams may have come at the same time.
            let place = streams
                .iter()
                .position(|(stream, _)| stream.first().is_some_and(at))
                .or_else(|| streams.iter().position(|(stream, _)| stream.iter().any(at)));
            match place.and_then(|place| streams.get_mut(place)) {
                Some((_, records)) => records.push(record),
                None => compared.differs(&Vec::new(), "streams", &shown(record), &"nothing"),
            }
        }
    }
    for streams in seen.values() {
        match_streams(streams, &mut compared);
    }
    compared
}

/// Compares the streams of two ends; where tshark split a connection, its streams as one.
fn match_streams(streams: &[(&Stream, Vec<&Connection>)], compared: &mut Compared) {
    let mut streams = streams.iter().peekable();
    while let Some((stream, records)) = streams.next() {
        let mut whole = Cow::Borrowed(*stream);
        while let Some((rest, none)) = streams.peek()
            && none.is_empty()
            && is_split_off(stream, rest)
        {
            compared.excused(|error| matches!(error, Error::Splits));
            let completeness = [*stream, *rest].map(told_in_the_end);
            let completeness = completeness.iter().fold(0, |all, bits| all | bits);
            let whole = whole.to_mut();
            whole.extend(rest.iter().cloned());
            if let Some(last) = whole.last_mut() {
                last.completeness = completeness;
            }
            streams.next();
        }
        match_up(records, &whole, compared);
    }
}

/// What a whole stream adds to the completeness.
fn told_in_the_end(stream: &Stream) -> u8 {
    let last = stream.last().map_or(0, |last| last.completeness);
    match stream.as_slice() {
        [only] if !only.is_syn() => last | adds(only),
        _ => last,
    }
}

/// Whether a stream belongs to the one before: the peer's SYN began it, or one with odd flags.
fn is_split_off(stream: &Stream, rest: &Stream) -> bool {
    let (Some(first), Some(syn)) = (stream.first(), rest.first()) else {
        return false;
    };
    let peers = syn.is_syn() && syn.source == first.destination;
    peers && (syn.is_odd() || stream.iter().all(|seen| seen.source == first.source))
}

fn shown(record: &Connection) -> String {
    format!(
        "{} {} (X = {:?})",
        record.name(),
        record.open.outcome,
        record.client.isn
    )
}

/// Compares what was told of the segments of one stream.
fn match_up(records: &[&Connection], stream: &Stream, compared: &mut Compared) {
    let opens = |record: &&&Connection| record.client.isn.is_some();
    let one_of_several = records.len() > 1 && records.iter().filter(opens).count() == 1;
    let is_lone = |record: &&Connection| {
        let lone = ["backscatter", "probe"].contains(&record.open.outcome.as_str());
        lone || one_of_several && record.client.isn.is_none()
    };
    let (lone, connections): (Vec<&Connection>, _) = records.iter().copied().partition(is_lone);
    let completeness = records
        .iter()
        .fold(0, |bits, record| bits | record.completeness);
    match (connections.as_slice(), lone.as_slice()) {
        ([connection], others) => {
            if !others.is_empty() {
                compared.excused(|error| matches!(error, Error::Joins));
            }
            compare_completeness(completeness, stream, compared);
            compare_numbers(connection, stream, compared);
            // What was captured before the SYN does not tell of the handshake's times.
            if others.is_empty() {
                compare_times(connection, stream, compared);
            }
        }
        ([], [_, ..]) => compare_completeness(completeness, stream, compared),
        _ => {
            let records: Vec<_> = records.iter().map(|record| shown(record)).collect();
            compared.differs(stream, "streams", &records, &"one");
        }
    }
}

fn compare_completeness(told: u8, stream: &Stream, compared: &mut Compared) {
    compared.streams += 1;
    let mut seen = stream.last().map_or(0, |last| last.completeness);
    for (rule, count) in RULES.iter().zip(&mut compared.rules) {
        let right = match rule.error {
            Error::Leaves(bits) => seen | bits(stream),
            Error::Counts(bits) => (seen & !bits(stream)) | (told & bits(stream)),
            _ => seen,
        };
        *count += usize::from(right != seen);
        seen = right;
    }
    compared.differs(stream, "completeness", &told, &seen);
}

fn compare_numbers(record: &Connection, stream: &Stream, compared: &mut Compared) {
    let Handshake { client, isns, .. } = handshake(stream);
    if let Some(client) = client {
        compared.differs(stream, "client", &record.client.endpoint(), &client);
    }
    let told = [record.client.isn, record.server.isn];
    compared.differs(stream, "isns", &told, &isns);
}

fn compare_times(record: &Connection, stream: &Stream, compared: &mut Compared) {
    let Handshake {
        syn_to_synack_ns,
        synack_to_ack_ns,
        ..
    } = handshake(stream);
    let rtt = &record.open.rtt_ns;
    for (field, told, seen) in [
        ("syn_to_synack", rtt.syn_to_synack, syn_to_synack_ns),
        ("synack_to_ack", rtt.synack_to_ack, synack_to_ack_ns),
    ] {
        let told = told.map(i128::from);
        compared.legs += usize::from(told.is_some() && told == seen);
        compared.differs(stream, field, &told, &seen);
    }
    // The same from tshark's own reckoning.
    let legs = rtt.syn_to_synack.and(rtt.synack_to_ack).and(rtt.total);
    if let Some(total) = legs
        && let Some(initial) = stream.iter().find_map(|seen| seen.initial_rtt_ns)
        && i128::from(total) != initial
        && !compared.excused(|error| match error {
            Error::InitialRtt(wrong) => wrong(stream),
            _ => false,
        })
    {
        compared.differs(stream, "initial_rtt", &i128::from(total), &initial);
    }
}

fn ends(mut ends: Ends) -> Ends {
    ends.sort_unstable();
    ends
}

/// The beginning of a stream in a line.
fn written(stream: &Stream) -> String {
    let Some(first) = stream.first() else {
        return String::new();
    };
    let segments = stream.iter().take(12).map(|seen| {
        let way = if seen.source == first.source {
            '>'
        } else {
            '<'
        };
        let flags = [
            (Flags::SYN, 'S'),
            (Flags::FIN, 'F'),
            (Flags::RST, 'R'),
            (Flags::ACK, 'A'),
        ];
        let flags = flags.iter().filter(|(flag, _)| seen.any(*flag));
        let flags: String = flags.map(|(_, letter)| letter).collect();
        format!("{way}{flags}:{}", seen.len)
    });
    let segments: Vec<_> = segments.collect();
    let more = if stream.len() > segments.len() {
        " …"
    } else {
        ""
    };
    format!(
        "{} → {} {}{more}",
        first.source,
        first.destination,
        segments.join(" ")
    )
}
