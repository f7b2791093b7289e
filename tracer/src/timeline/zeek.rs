//! The words that Zeek's conn.log uses of a connection (`conn_state`, `history`).

use super::Role;

/// How Zeek sums a connection up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConnState {
    /// Attempt seen, no reply.
    S0,
    /// Established, not terminated.
    S1,
    /// Established, close attempt by the originator, no reply from the responder.
    S2,
    /// Established, close attempt by the responder, no reply from the originator.
    S3,
    /// Normal establishment and termination.
    SF,
    /// Attempt rejected.
    Rej,
    /// Established, the originator reset it.
    Rsto,
    /// Established, the responder reset it.
    Rstr,
    /// The originator sent a SYN and then a RST; no SYN-ACK was seen.
    Rstos0,
    /// The responder sent a SYN-ACK and then a RST; no SYN was seen.
    Rstrh,
    /// The originator sent a SYN and then a FIN; no SYN-ACK was seen.
    Sh,
    /// The responder sent a SYN-ACK and then a FIN; no SYN was seen.
    Shr,
    /// No SYN seen: traffic in mid-stream.
    #[default]
    Oth,
}

impl ConnState {
    /// The word in conn.log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::S0 => "S0",
            Self::S1 => "S1",
            Self::S2 => "S2",
            Self::S3 => "S3",
            Self::SF => "SF",
            Self::Rej => "REJ",
            Self::Rsto => "RSTO",
            Self::Rstr => "RSTR",
            Self::Rstos0 => "RSTOS0",
            Self::Rstrh => "RSTRH",
            Self::Sh => "SH",
            Self::Shr => "SHR",
            Self::Oth => "OTH",
        }
    }
}

/// A connection as Zeek's conn.log has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zeek {
    /// Which end Zeek takes for the originator. It is the client but where no SYN was seen: there
    /// Zeek goes by ports that are known as servers', or by who was heard first.
    pub originator: Role,
    /// How the connection is summed up.
    pub conn_state: ConnState,
    /// The history: a letter for each kind of segment in the order in which they were earned, upper
    /// case for the originator.
    pub history: String,
}

impl Default for Zeek {
    fn default() -> Self {
        Self {
            originator: Role::Client,
            conn_state: ConnState::default(),
            history: String::new(),
        }
    }
}
