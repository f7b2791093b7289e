//! What is known of one endpoint of a tracked connection.

use synfin_ebpf::event;
use synfin_ebpf::seq::Seq;

use crate::timeline::{State, TcpOptions};

/// One endpoint.
#[derive(Clone, Debug)]
pub(super) struct Side {
    /// Its initial sequence number: seen on its SYN or SYN-ACK, or proved by the peer's SYN-ACK.
    pub(super) iss: Option<Seq>,
    /// When its first SYN or SYN-ACK was seen.
    pub(super) opened_ns: Option<u64>,
    /// When its last SYN or SYN-ACK was seen.
    pub(super) last_syn_ns: u64,
    /// SYNs and SYN-ACKs with its number.
    pub(super) syns: u32,
    /// Payload of its SYN in octets.
    pub(super) syn_len: u32,
    /// It sent a SYN without ACK.
    pub(super) sent_syn: bool,
    /// It sent a SYN-ACK.
    pub(super) sent_syn_ack: bool,
    /// Its number came from another event than its SYN's.
    pub(super) healed: bool,
    /// Options of its SYN or SYN-ACK.
    pub(super) options: Option<TcpOptions>,
    /// When its SYN was first acknowledged.
    pub(super) syn_acked_ns: Option<u64>,
    /// How many of its SYNs had been seen then.
    pub(super) syns_when_acked: u32,
    /// The acknowledgment was of its SYN's number and no more, and a SYN-ACK's where it had to be:
    /// the time between them is that of a leg.
    pub(super) syn_acked_as_leg: bool,
    /// Its FIN.
    pub(super) fin: Option<Fin>,
    /// The highest acknowledgment that it sent.
    pub(super) highest_ack: Option<Seq>,
    /// It sent payload outside a SYN.
    pub(super) data: bool,
    /// It sent an ACK without SYN and without payload.
    pub(super) pure_ack: bool,
    /// Segments seen of it.
    pub(super) segments: u32,
    /// Its inferred state.
    pub(super) state: State,
}

/// A FIN.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fin {
    /// The number that acknowledges it: FIN.SEQ + 1.
    pub(super) end: Seq,
    /// What it acknowledged itself.
    pub(super) ack: Seq,
    /// When it was first seen.
    pub(super) t_ns: u64,
    /// When it was first acknowledged.
    pub(super) acked_ns: Option<u64>,
    /// The peer's FIN acknowledged it.
    pub(super) acked_by_fin: bool,
}

impl Side {
    pub(super) const fn new(state: State) -> Self {
        Self {
            iss: None,
            opened_ns: None,
            last_syn_ns: 0,
            syns: 0,
            syn_len: 0,
            sent_syn: false,
            sent_syn_ack: false,
            healed: false,
            options: None,
            syn_acked_ns: None,
            syns_when_acked: 0,
            syn_acked_as_leg: false,
            fin: None,
            highest_ack: None,
            data: false,
            pure_ack: false,
            segments: 0,
            state,
        }
    }

    /// Takes from an event what was missed of the side's opening; tells whether that was anything.
    pub(super) fn heal(&mut self, known: &event::Side) -> bool {
        let Some(iss) = known.iss() else {
            return false;
        };
        // What its peer's SYN-ACK proved is not to be learnt otherwise.
        if self.syns > 0 || self.iss.is_some_and(|proved| proved != iss) {
            return false;
        }
        self.iss = Some(iss);
        self.opened_ns = Some(known.opened_ns);
        self.last_syn_ns = self.last_syn_ns.max(known.opened_ns);
        self.syns = known.syns.into();
        if known.text().is_none() {
            self.options = Some(TcpOptions::parse(known.options()));
        }
        self.healed = true;
        true
    }

    /// Whether an acknowledgment covers its SYN.
    pub(super) fn syn_covered(&self, ack: Seq) -> bool {
        // SYN occupies one sequence number (RFC 9293 §3.4).
        self.iss.is_some_and(|iss| ack.covers(iss.add(1)))
    }

    /// Notes that its SYN was acknowledged; tells whether that is news.
    pub(super) fn acknowledge_syn(&mut self, t_ns: u64, as_leg: bool) -> bool {
        let news = self.syn_acked_ns.is_none();
        if news {
            self.syn_acked_ns = Some(t_ns);
            self.syn_acked_as_leg = as_leg;
            self.syns_when_acked = self.syns;
        }
        news
    }

    /// Notes the highest acknowledgment that it sent.
    pub(super) fn acknowledges(&mut self, ack: Seq) {
        if self.highest_ack.is_none_or(|highest| highest.before(ack)) {
            self.highest_ack = Some(ack);
        }
    }
}
