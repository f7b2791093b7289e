//! What happened on the wire, worked out from tshark's fields alone and with the whole capture in
//! view, where synfin has to decide frame by frame.
//!
//! In: a stream. Out: a verdict. Nothing of synfin's tracker is used but numbers modulo 2³².

use std::net::SocketAddr;

use synfin_ebpf::segment::Flags;
use synfin_ebpf::seq::Seq;

use crate::conversation::Sender;
use crate::tshark::{Seen, Stream};

/// What a capture says of one connection.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The sender of the first SYN, or else the receiver of the first SYN-ACK, or else the first sender.
    pub client: SocketAddr,
    /// Its peer.
    pub server: SocketAddr,
    /// Each side's initial sequence number, client first; of the last SYN or SYN-ACK.
    pub isns: [Option<u32>; 2],
    /// Each side's octets of payload up to its FIN, client first.
    pub bytes: [Option<u64>; 2],
    /// How it opened.
    pub outcome: &'static str,
    /// SYNs beside the first.
    pub syn_retries: u32,
    /// SYN-ACKs beside the first.
    pub synack_retries: u32,
    /// How it closed, of an established connection.
    pub close: Option<&'static str>,
    /// Who closed first.
    pub closed_by: Option<Sender>,
    /// tshark's own.
    pub completeness: u8,
    /// VLAN tags of the first segment.
    pub vlans: Vec<u16>,
    /// When the first segment was captured.
    pub start_ns: i128,
    /// When each SYN was captured.
    pub syn_times_ns: Vec<i128>,
    /// SYNs, FINs and RSTs as [`significant`] writes them, in their order.
    pub significant: Vec<String>,
}

/// Works out what happened.
#[must_use]
pub fn judge(stream: &Stream) -> Verdict {
    let talk = Talk::of(stream);
    let (syns, synacks) = (talk.syns(), talk.synacks());
    let last_seq = |segments: &[&Seen]| segments.last().map(|last| last.seq);
    let isns = [last_seq(&syns), last_seq(&synacks)];
    let outcome = talk.outcome(isns);
    let (close, closed_by) = talk.close();
    let retries =
        |segments: &[&Seen]| u32::try_from(segments.len().saturating_sub(1)).unwrap_or(u32::MAX);
    let bytes = |sender, isn: Option<u32>| {
        let fin = talk.fins(sender).next()?;
        // FIN.SEQ is SEG.SEQ + LEN; what lies between it and ISN+1 is payload.
        Some(u64::from(fin_number(fin).since(Seq(isn?).add(1))))
    };
    Verdict {
        client: talk.client,
        server: talk.server,
        isns,
        bytes: [
            bytes(Sender::Client, isns[0]),
            bytes(Sender::Server, isns[1]),
        ],
        outcome,
        syn_retries: retries(&syns),
        synack_retries: retries(&synacks),
        close: (outcome == "established").then_some(close),
        closed_by,
        completeness: stream.last().map_or(0, |last| last.completeness),
        vlans: stream
            .first()
            .map(|first| first.vlans.clone())
            .unwrap_or_default(),
        start_ns: stream.first().map_or(0, |first| first.time_ns),
        syn_times_ns: syns.iter().map(|syn| syn.time_ns).collect(),
        significant: (stream.iter())
            .filter(|seen| seen.any(Flags::SYN) || seen.any(Flags::FIN) || seen.any(Flags::RST))
            .map(|seen| {
                let ack = seen.any(Flags::ACK).then_some(seen.ack);
                let from = talk.sender(seen).name();
                significant(from, &flag_names(seen.flags), seen.seq, ack, seen.len)
            })
            .collect(),
    }
}
/// How a segment that opens or closes is written on both sides of a comparison.
#[must_use]
pub fn significant(from: &str, flags: &str, seq: u32, ack: Option<u32>, len: u32) -> String {
    let ack = ack.map(|ack| format!(" ack={ack}")).unwrap_or_default();
    format!("{from} {flags} seq={seq}{ack} len={len}")
}

/// The names of control bits in the order of the contract.
fn flag_names(flags: u8) -> String {
    let all = [
        (Flags::SYN, "SYN"),
        (Flags::FIN, "FIN"),
        (Flags::RST, "RST"),
        (Flags::PSH, "PSH"),
        (Flags::ACK, "ACK"),
        (Flags::URG, "URG"),
        (Flags::ECE, "ECE"),
        (Flags::CWR, "CWR"),
    ];
    let set = all.into_iter().filter(|(flag, _)| flags & flag.0 != 0);
    let names: Vec<&str> = set.map(|(_, name)| name).collect();
    if names.is_empty() {
        "-".to_owned()
    } else {
        names.join(",")
    }
}

/// The number that a FIN occupies.
fn fin_number(fin: &Seen) -> Seq {
    Seq(fin.seq).add(fin.len)
}

/// A stream with its roles.
struct Talk<'a> {
    client: SocketAddr,
    server: SocketAddr,
    stream: &'a Stream,
}

impl<'a> Talk<'a> {
    fn of(stream: &'a Stream) -> Self {
        let syn = |ack| {
            let mut syns = stream.iter().filter(|seen| seen.any(Flags::SYN));
            syns.find(|seen| seen.any(Flags::ACK) == ack)
        };
        let (client, server) = if let Some(syn) = syn(false) {
            (syn.source, syn.destination)
        } else if let Some(synack) = syn(true) {
            (synack.destination, synack.source)
        } else {
            let first = stream.first().expect("a stream has a segment");
            (first.source, first.destination)
        };
        Self {
            client,
            server,
            stream,
        }
    }

    fn sender(&self, seen: &Seen) -> Sender {
        if seen.source == self.client {
            Sender::Client
        } else {
            Sender::Server
        }
    }

    fn syns(&self) -> Vec<&'a Seen> {
        let syns = self.stream.iter().filter(|seen| seen.any(Flags::SYN));
        syns.filter(|seen| !seen.any(Flags::ACK)).collect()
    }

    fn synacks(&self) -> Vec<&'a Seen> {
        let syns = self.stream.iter().filter(|seen| seen.any(Flags::SYN));
        syns.filter(|seen| seen.any(Flags::ACK)).collect()
    }

    fn fins(&self, sender: Sender) -> impl Iterator<Item = &'a Seen> {
        let fins = self.stream.iter().filter(|seen| seen.any(Flags::FIN));
        fins.filter(move |seen| self.sender(seen) == sender)
    }

    /// Whether the sender acknowledged this number, in a segment that has none of `without`.
    fn acknowledged(&self, sender: Sender, number: Seq, without: Flags) -> bool {
        self.stream.iter().any(|seen| {
            self.sender(seen) == sender
                && seen.any(Flags::ACK)
                && !seen.any(without)
                && Seq(seen.ack).covers(number)
        })
    }

    fn outcome(&self, isns: [Option<u32>; 2]) -> &'static str {
        let [Some(x), y] = isns else {
            return if isns[1].is_some() {
                "partial"
            } else {
                "unobserved"
            };
        };
        let reset_by = |sender| {
            let mut resets = self.stream.iter().filter(|seen| seen.any(Flags::RST));
            resets.any(|seen| self.sender(seen) == sender)
        };
        let Some(y) = y else {
            return if reset_by(Sender::Server) {
                "refused"
            } else {
                "no_reply"
            };
        };
        let right = self.acknowledged(Sender::Server, Seq(x).add(1), Flags::RST);
        let completed =
            self.acknowledged(Sender::Client, Seq(y).add(1), Flags::RST.with(Flags::SYN));
        match (right, completed, reset_by(Sender::Client)) {
            (true, true, _) => "established",
            (true, false, true) => "aborted",
            (false, _, true) => "rejected",
            _ => "half_open",
        }
    }

    /// How a connection that was established closed, and who closed it.
    fn close(&self) -> (&'static str, Option<Sender>) {
        let place = |flag| self.stream.iter().position(|seen| seen.any(flag));
        let reset = place(Flags::RST);
        let ends = [Sender::Client, Sender::Server].map(|sender| self.fins(sender).next());
        let fin_place = |fin: &Seen| self.stream.iter().position(|seen| seen == fin);
        let both_before = |reset| {
            let mut places = ends.iter().map(|fin| fin.and_then(fin_place));
            places.all(|place| place.is_some_and(|place| place < reset))
        };
        if let Some(reset) = reset
            && !both_before(reset)
        {
            let by = self.stream.get(reset).map(|reset| self.sender(reset));
            return ("reset", by);
        }
        let Some(first) = place(Flags::FIN).and_then(|place| self.stream.get(place)) else {
            return ("none", None);
        };
        let active = self.sender(first);
        let passive = active.peer();
        let end = fin_number(first).add(1);
        let kind = match self.fins(passive).next() {
            None => "half",
            Some(second) if !Seq(second.ack).covers(end) => "simultaneous",
            // An ACK of its own before the second FIN makes the fourth segment.
            Some(second) => {
                let before = self.stream.iter().take_while(|seen| *seen != second);
                let acknowledged = before
                    .filter(|seen| self.sender(seen) == passive)
                    .any(|seen| seen.any(Flags::ACK) && Seq(seen.ack).covers(end));
                if acknowledged {
                    "four_way"
                } else {
                    "three_way"
                }
            }
        };
        (kind, Some(active))
    }
}

impl Seen {
    /// Whether any of the flags is set.
    #[must_use]
    pub const fn any(&self, flags: Flags) -> bool {
        Flags(self.flags).any(flags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_named_in_the_order_of_the_contract() {
        assert_eq!(flag_names(0x12), "SYN,ACK");
        assert_eq!(flag_names(0xff), "SYN,FIN,RST,PSH,ACK,URG,ECE,CWR");
        assert_eq!(flag_names(0), "-");
    }
}
