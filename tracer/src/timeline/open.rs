//! How a connection opened.

use synfin_ebpf::seq::Seq;

/// What came of the opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OpenOutcome {
    /// SYN, a SYN-ACK of ISS+1 and an ACK of IRS+1.
    Established,
    /// SYN, and nothing came back within the handshake timeout.
    NoReply,
    /// The server answered the SYN with RST.
    Refused,
    /// SYN-ACK seen, never acknowledged.
    HalfOpen,
    /// The client answered a SYN-ACK of a wrong number with RST.
    Rejected,
    /// The client answered a valid SYN-ACK with RST.
    Aborted,
    /// The opening was not over when the record was written.
    Pending,
    /// The connection was there before the observation.
    Unobserved,
    /// No connection: a lone RST, in answer to something that was not seen here.
    Backscatter,
    /// No connection: a lone segment whose flags no TCP sends, such as a NULL or XMAS scan's.
    Probe,
}

impl OpenOutcome {
    /// All outcomes, in the order in which summaries list them.
    pub const ALL: [Self; 10] = [
        Self::Established,
        Self::NoReply,
        Self::Refused,
        Self::HalfOpen,
        Self::Rejected,
        Self::Aborted,
        Self::Pending,
        Self::Unobserved,
        Self::Backscatter,
        Self::Probe,
    ];

    /// The name in JSON and summaries.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Established => "established",
            Self::NoReply => "no_reply",
            Self::Refused => "refused",
            Self::HalfOpen => "half_open",
            Self::Rejected => "rejected",
            Self::Aborted => "aborted",
            Self::Pending => "pending",
            Self::Unobserved => "unobserved",
            Self::Backscatter => "backscatter",
            Self::Probe => "probe",
        }
    }

    /// Whether the opening did not come to be.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        matches!(
            self,
            Self::NoReply | Self::Refused | Self::HalfOpen | Self::Rejected | Self::Aborted
        )
    }

    /// Whether it is told of a connection, and not of a lone segment.
    #[must_use]
    pub const fn is_connection(self) -> bool {
        !matches!(self, Self::Backscatter | Self::Probe)
    }
}

/// The form of the opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenKind {
    /// SYN, SYN-ACK, ACK.
    ThreeWay,
    /// Both sides sent a SYN (RFC 9293 §3.5).
    Simultaneous,
    /// The server answered with a SYN of its own that the client had to acknowledge.
    Split,
    /// Data on the SYN was accepted (RFC 7413).
    FastOpen,
    /// The SYN was not seen, the SYN-ACK was.
    Partial,
    /// Nothing of the opening was seen.
    None,
}

impl OpenKind {
    /// The name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ThreeWay => "three_way",
            Self::Simultaneous => "simultaneous",
            Self::Split => "split",
            Self::FastOpen => "fast_open",
            Self::Partial => "partial",
            Self::None => "none",
        }
    }
}

/// What came of Fast Open (RFC 7413).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FastOpen {
    /// The client did not ask for it.
    #[default]
    None,
    /// The client asked for a cookie.
    Requested,
    /// The data on the SYN was acknowledged.
    Accepted,
    /// The data on the SYN was not acknowledged.
    Ignored,
}

impl FastOpen {
    /// The name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Requested => "requested",
            Self::Accepted => "accepted",
            Self::Ignored => "ignored",
        }
    }
}

/// How sure it is which end is the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confidence {
    /// A SYN or SYN-ACK proved it.
    Observed,
    /// A guess from the ports.
    Inferred,
}

impl Confidence {
    /// The name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Observed => "observed",
            Self::Inferred => "inferred",
        }
    }
}

/// Times of the handshake's legs in ns, each from the matching pair of segments; `None` where a
/// retransmission makes the pair ambiguous (Karn) or one of them was not seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rtt {
    /// From the SYN to its SYN-ACK: the server's side of the vantage point.
    pub syn_to_synack: Option<u64>,
    /// From the SYN-ACK to its ACK: the client's side of the vantage point.
    pub synack_to_ack: Option<u64>,
    /// From the first SYN to the ACK, retransmissions included: what the client waited.
    pub total: Option<u64>,
}

/// A SYN-ACK whose acknowledgment was not ISS+1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongAck {
    /// ISS+1.
    pub expected: Seq,
    /// SEG.ACK.
    pub seen: Seq,
}

/// How a connection opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// What came of it.
    pub outcome: OpenOutcome,
    /// Its form.
    pub kind: OpenKind,
    /// How sure the roles are.
    pub confidence: Confidence,
    /// Times of its legs.
    pub rtt: Rtt,
    /// SYNs after the first.
    pub syn_retries: u32,
    /// SYN-ACKs after the first.
    pub synack_retries: u32,
    /// Time from each SYN to the next, in ns.
    pub backoff_ns: Vec<u64>,
    /// Whether each wait was about twice the one before, as is usual; `None` with fewer than two.
    pub backoff_doubles: Option<bool>,
    /// What came of Fast Open.
    pub fast_open: FastOpen,
    /// From the last SYN to the RST that refused it, in ns. No round-trip time: a firewall may have sent it.
    pub refused_after_ns: Option<u64>,
    /// The ACK that completed the handshake carried data.
    pub ack_via_data: bool,
    /// The wrong acknowledgment of a SYN-ACK, where one was seen.
    pub wrong_ack: Option<WrongAck>,
}
