//! What few connections have, and none needs while it only opens, talks and is open.

use synfin_ebpf::account::Accounts;
use synfin_ebpf::event::Event;
use synfin_ebpf::segment::Address;
use synfin_ebpf::seq::Seq;

use super::steps::Whole;
use super::zeek::Words;
use crate::timeline::{Anomaly, Previous, ResetProof, Role, State, WrongAck};

/// What few connections have.
#[derive(Clone, Debug, Default)]
pub(super) struct Rare {
    /// When it began, where that was before the time of its first event.
    pub(super) first_ns: Option<u64>,
    /// When the client's and the server's last SYN or SYN-ACK was seen, where that was not the first.
    pub(super) last_syn_ns: [Option<u64>; 2],
    /// How long the client waited before each repetition of its SYN.
    pub(super) backoff_ns: Vec<u64>,
    pub(super) wrong_ack: Option<WrongAck>,
    pub(super) anomalies: Vec<(Anomaly, u32)>,
    pub(super) reset: Option<Reset>,
    /// The interfaces that its segments were seen on, beside its first.
    pub(super) seen_on: Vec<u32>,
    /// Steps that do not fit among the packed ones, and how many were not kept.
    pub(super) whole: Whole,
    pub(super) omitted: u64,
    /// A SYN inside the open connection as often as it came, in case it is answered.
    pub(super) pending_syns: Vec<Event>,
    /// What the tunnel's ends were, the client's first.
    pub(super) tunnel: Option<[Address; 2]>,
    /// The connection whose place it took.
    pub(super) before: Option<Before>,
    /// What was counted of it before a SYN that seemed to begin another one.
    pub(super) settled: Option<Box<Accounts>>,
    /// The same in Zeek's words, where its steps do not tell them.
    pub(super) words: Option<Box<Words>>,
}

/// What is remembered of a connection that another one takes the place of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Before {
    pub(super) told: Previous,
    /// The number that follows the last one of the key's lower and higher endpoint.
    pub(super) numbers: [Option<Seq>; 2],
}

/// A RST that its receiver would accept.
#[derive(Clone, Debug)]
pub(super) struct Reset {
    pub(super) proof: ResetProof,
    /// The beginning of its payload.
    pub(super) text: Option<Box<str>>,
    pub(super) by: Role,
    pub(super) seq: Seq,
    pub(super) t_ns: u64,
    /// The client's and the server's state before it.
    pub(super) states: [State; 2],
}
