//! The opening of a stream as tshark's fields have it: who opened, the initial numbers, and the times
//! between the segments that answer one another by number.
//!
//! In: a stream, with the whole capture in view. Out: what synfin has to tell of it.

use std::net::SocketAddr;

use synfin_ebpf::segment::Flags;
use synfin_ebpf::seq::Seq;

use crate::tshark::{Seen, Stream};

/// Copies of a segment come within this time; a retransmission takes longer.
const COPY_NS: i128 = 150_000_000;

/// An opening.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Handshake {
    /// The sender of the first SYN, or else the receiver of the first SYN-ACK.
    pub client: Option<SocketAddr>,
    /// The initial sequence numbers, the client's first.
    pub isns: [Option<u32>; 2],
    /// From the SYN to the SYN-ACK that acknowledges it; `None` where the SYN came again (Karn), or
    /// where the opening was captured out of order.
    pub syn_to_synack_ns: Option<i128>,
    /// From the SYN-ACK to the ACK of it; `None` where the SYN-ACK came again, where the first segment
    /// that acknowledges it acknowledges more, or where the ACK was captured before the SYN-ACK.
    pub synack_to_ack_ns: Option<i128>,
}

/// The segments of a stream, each once: what a bridge or a SPAN port shows twice is one.
#[must_use]
pub fn originals(stream: &Stream) -> Vec<&Seen> {
    let mut originals: Vec<&Seen> = Vec::with_capacity(stream.len());
    for seen in stream {
        let is_original = |known: &&&Seen| {
            let numbers = |seen: &Seen| (seen.seq, seen.ack, seen.flags, seen.len, seen.window);
            known.source == seen.source
                && numbers(known) == numbers(seen)
                && known.stamp == seen.stamp
                && seen.time_ns - known.time_ns < COPY_NS
        };
        if originals.iter().rev().find(is_original).is_none() {
            originals.push(seen);
        }
    }
    originals
}

/// Reads the opening of a stream.
#[must_use]
pub fn handshake(stream: &Stream) -> Handshake {
    let segments = originals(stream);
    let Some(client) = client(&segments) else {
        return Handshake::default();
    };
    let of = |own: bool| {
        let segments = segments.iter().copied();
        segments.filter(move |seen| (seen.source == client) == own && !seen.is_odd())
    };
    let syns: Vec<&Seen> = of(true).filter(|seen| seen.is_syn()).collect();
    let answers: Vec<&Seen> = of(false).filter(|seen| seen.any(Flags::SYN)).collect();
    let acks = |seen: &Seen, syn: &Seen| {
        let beyond = Seq(seen.ack).since(Seq(syn.seq).add(1));
        seen.any(Flags::ACK) && !seen.any(Flags::RST) && beyond <= syn.len
    };
    // Of several SYN-ACKs, the one that the client answered.
    let answered = answers
        .iter()
        .find(|answer| of(true).any(|seen| acks(seen, answer)));
    let answer = answered.or(answers.last()).copied();
    let x = (syns.first().map(|syn| syn.seq))
        .or_else(|| answer.map(|synack| synack.ack.wrapping_sub(1)));
    let mut handshake = Handshake {
        client: Some(client),
        isns: [x, answer.map(|answer| answer.seq)],
        ..Handshake::default()
    };
    let syn_acked = syns
        .first()
        .and_then(|syn| of(false).find(|seen| acks(seen, syn)));
    let answer_acked = answer.and_then(|answer| of(true).find(|seen| acks(seen, answer)));
    let late = |sent: Option<&Seen>, acked: Option<&Seen>| match (sent, acked) {
        (Some(sent), Some(acked)) => acked.number < sent.number,
        _ => false,
    };
    // What was captured out of order has no times.
    let first_syn = syns.first().copied();
    let early = first_syn.is_some_and(|syn| {
        let mut synacks = answers.iter().filter(|answer| answer.any(Flags::ACK));
        synacks.any(|synack| acks(synack, syn) && synack.number < syn.number)
    });
    if early || late(first_syn, syn_acked) || late(answer, answer_acked) {
        return handshake;
    }
    // A server that sends a SYN without ACK splits the handshake, or opens simultaneously; any other
    // answers with a SYN-ACK.
    let split = answers.iter().any(|answer| answer.is_syn());
    let leg = |sent: &[&Seen], acked: Option<&Seen>| {
        let acked = acked?;
        let mut before = sent.iter().filter(|seen| seen.number < acked.number);
        let (only, more) = (before.next()?, before.next());
        more.is_none().then_some(acked.time_ns - only.time_ns)
    };
    let syn_acked = syn_acked.filter(|acked| split || acked.any(Flags::SYN));
    handshake.syn_to_synack_ns = leg(&syns, syn_acked);
    // The first segment that acknowledges it at all, or it is not known when that happened.
    let first_acked = answer.and_then(|answer| {
        of(true).find(|seen| {
            let covers = Seq(seen.ack).covers(Seq(answer.seq).add(1));
            covers && seen.any(Flags::ACK) && !seen.any(Flags::RST) && seen.number > answer.number
        })
    });
    let answer_acked =
        answer_acked.filter(|acked| Some(acked.number) == first_acked.map(|f| f.number));
    handshake.synack_to_ack_ns = leg(&answers, answer_acked);
    handshake
}

fn client(segments: &[&Seen]) -> Option<SocketAddr> {
    let mut openings = segments
        .iter()
        .filter(|seen| seen.any(Flags::SYN) && !seen.is_odd());
    let syn = openings.clone().find(|seen| seen.is_syn());
    syn.map(|syn| syn.source)
        .or_else(|| openings.next().map(|synack| synack.destination))
}

impl Seen {
    /// Whether its flags are none that a TCP sends.
    #[must_use]
    pub const fn is_odd(&self) -> bool {
        Flags(self.flags).anomalous()
    }

    /// Whether it is a SYN without ACK.
    #[must_use]
    pub const fn is_syn(&self) -> bool {
        self.any(Flags::SYN) && !self.any(Flags::ACK)
    }
}
