//! How a connection closed.

use super::Role;

/// The form of the close.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CloseKind {
    /// FIN, its ACK, the peer's FIN, its ACK: four segments.
    FourWay,
    /// The peer's FIN rode on the ACK of the first FIN.
    ThreeWay,
    /// Both FINs were sent before either was acknowledged (CLOSING).
    Simultaneous,
    /// One side's FIN was acknowledged, the other side never finished.
    Half,
    /// A RST ended it.
    Reset,
    /// It was still open, aged out, or never came to be.
    None,
}

impl CloseKind {
    /// All kinds, in the order in which summaries list them.
    pub const ALL: [Self; 6] = [
        Self::FourWay,
        Self::ThreeWay,
        Self::Simultaneous,
        Self::Half,
        Self::Reset,
        Self::None,
    ];

    /// The name in JSON and summaries.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FourWay => "four_way",
            Self::ThreeWay => "three_way",
            Self::Simultaneous => "simultaneous",
            Self::Half => "half",
            Self::Reset => "reset",
            Self::None => "none",
        }
    }
}

/// In which situation a RST was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetCause {
    /// Before the handshake was complete.
    InHandshake,
    /// After the handshake, before any data was seen.
    BeforeData,
    /// Data had been seen, no FIN.
    InData,
    /// Its sender had sent a FIN before.
    AfterOwnFin,
    /// Its receiver had sent a FIN before: the sender closed with data unread, or was gone.
    AfterPeerFin,
}

impl ResetCause {
    /// The name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InHandshake => "in_handshake",
            Self::BeforeData => "before_data",
            Self::InData => "in_data",
            Self::AfterOwnFin => "after_own_fin",
            Self::AfterPeerFin => "after_peer_fin",
        }
    }
}

/// How sure it is that the RST was accepted by its receiver (RFC 5961 §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetProof {
    /// Its number was exactly the next one expected.
    Exact,
    /// Its number was in the window, not exact; nothing came after it.
    InWindow,
    /// Its number did not lie before the next one expected; the window's end is not known here.
    NotBefore,
    /// Nothing is known to hold its number against.
    Unchecked,
}

impl ResetProof {
    /// The name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::InWindow => "in_window",
            Self::NotBefore => "not_before",
            Self::Unchecked => "unchecked",
        }
    }
}

/// How a connection closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// Its form.
    pub kind: CloseKind,
    /// Who sent the first FIN (the active closer) or the RST.
    pub by: Option<Role>,
    /// The situation of the RST.
    pub cause: Option<ResetCause>,
    /// How sure it is that the RST was accepted.
    pub proof: Option<ResetProof>,
    /// The text that the RST carried (RFC 9293 §3.5.3 allows for it), its beginning.
    pub text: Option<String>,
    /// Octets of both sides that were never seen, though later ones, or their ACK, were.
    pub gap_bytes: Option<u64>,
    /// How long one side stayed open after the other's FIN, in ns.
    pub half_close_ns: Option<u64>,
    /// Whether the ACK of the second FIN was seen; `None` without a second FIN.
    pub last_ack: Option<bool>,
}
