//! One kept segment of a timeline, with the check of its numbers.

use synfin_ebpf::segment::Flags;
use synfin_ebpf::seq::Seq;

use super::Role;

/// The states of RFC 9293 §3.3.2, inferred for an endpoint from what was seen of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// LISTEN.
    Listen,
    /// SYN-SENT.
    SynSent,
    /// SYN-RECEIVED.
    SynReceived,
    /// ESTABLISHED.
    Established,
    /// FIN-WAIT-1.
    FinWait1,
    /// FIN-WAIT-2.
    FinWait2,
    /// CLOSE-WAIT.
    CloseWait,
    /// CLOSING.
    Closing,
    /// LAST-ACK.
    LastAck,
    /// TIME-WAIT.
    TimeWait,
    /// CLOSED.
    Closed,
}

impl State {
    /// The name as the RFC writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Listen => "LISTEN",
            Self::SynSent => "SYN-SENT",
            Self::SynReceived => "SYN-RECEIVED",
            Self::Established => "ESTABLISHED",
            Self::FinWait1 => "FIN-WAIT-1",
            Self::FinWait2 => "FIN-WAIT-2",
            Self::CloseWait => "CLOSE-WAIT",
            Self::Closing => "CLOSING",
            Self::LastAck => "LAST-ACK",
            Self::TimeWait => "TIME-WAIT",
            Self::Closed => "CLOSED",
        }
    }
}

/// What a segment's numbers were held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Proof {
    /// SEG.ACK covers the peer's SYN.
    AcknowledgesSyn,
    /// SEG.ACK covers the peer's FIN.
    AcknowledgesFin,
    /// A RST whose number answers what its receiver sent (RFC 9293 §3.10.7).
    ResetAcceptable,
    /// The same SYN, SYN-ACK or FIN as before.
    Retransmission,
}

impl Proof {
    /// The name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AcknowledgesSyn => "acknowledges_syn",
            Self::AcknowledgesFin => "acknowledges_fin",
            Self::ResetAcceptable => "reset_acceptable",
            Self::Retransmission => "retransmission",
        }
    }
}

/// The result of holding a segment's numbers against those seen before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was checked.
    pub proof: Proof,
    /// Where the number is wrong, the one that was expected.
    pub expected: Option<Seq>,
}

impl Check {
    /// A check that held.
    #[must_use]
    pub const fn holds(proof: Proof) -> Self {
        Self {
            proof,
            expected: None,
        }
    }

    /// Whether the number was right.
    #[must_use]
    pub const fn ok(&self) -> bool {
        self.expected.is_none()
    }
}

/// One kept segment.
///
/// A SYN or SYN-ACK whose own event was lost is one too: a later event tells of it. Neither its payload
/// nor its window is known then, nor flags beside SYN and ACK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Time since the connection's first segment, in ns.
    pub t_ns: u64,
    /// Its sender.
    pub from: Role,
    /// Control bits.
    pub flags: Flags,
    /// SEG.SEQ.
    pub seq: Seq,
    /// SEG.ACK, where the ACK flag makes it valid.
    pub ack: Option<Seq>,
    /// Payload in octets; 0 for a step that was only learnt of.
    pub len: u32,
    /// SEG.WND as on the wire, without window scaling; `None` for a step that was only learnt of.
    pub window: Option<u16>,
    /// What its numbers prove or contradict; `None` where there was nothing to hold them against.
    pub check: Option<Check>,
    /// The client's inferred state after it, where it changed.
    pub client_state: Option<State>,
    /// The server's inferred state after it, where it changed.
    pub server_state: Option<State>,
}

impl Step {
    /// Whether a later event told of it, not one of its own.
    #[must_use]
    pub const fn is_learnt(&self) -> bool {
        self.window.is_none()
    }
}
