//! What is told of one connection: the record that every sink prints.
//!
//! A record is plain data. It is made by the assembler, names what was observed from one vantage
//! point, and holds `None` for every number that was not seen. Absent on purpose: how it looks
//! (see `sink`) and how it came about (see `assembler`).

mod account;
mod anomaly;
mod close;
mod community_id;
mod open;
mod options;
mod step;
mod zeek;

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use synfin_ebpf::segment::{Address, Endpoint, Scope};
use synfin_ebpf::seq::Seq;

pub use account::{Account, Accounts};
pub use anomaly::Anomaly;
pub use close::{Close, CloseKind, ResetCause, ResetProof};
pub use community_id::CommunityId;
pub use open::{Confidence, FastOpen, Open, OpenKind, OpenOutcome, Rtt, WrongAck};
pub use options::{Negotiable, Negotiated, TcpOptions};
pub use step::{Check, Proof, State, Step};
pub use zeek::{ConnState, Zeek};

/// The two ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Did the active open.
    Client,
    /// Did the passive open.
    Server,
}

impl Role {
    /// The other end.
    #[must_use]
    pub const fn peer(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }

    /// `client` or `server`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

/// How a count of payload octets was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BytesBasis {
    /// The side's FIN number less its initial number: exact, modulo 2³².
    Fin,
    /// The number of the side's own reset less its initial number: what it had sent.
    Reset,
    /// The highest number the peer was seen to acknowledge: a lower bound.
    Acknowledged,
}

impl BytesBasis {
    /// The name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fin => "fin",
            Self::Reset => "reset",
            Self::Acknowledged => "acknowledged",
        }
    }
}

/// Payload octets that one side sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes {
    /// The count.
    pub count: u64,
    /// It comes from two sequence numbers alone: whole multiples of 2³² may be missing.
    pub modulo: bool,
    /// How it was found.
    pub basis: BytesBasis,
}

/// One end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// Address; an IPv4-mapped one is given as IPv4.
    pub address: IpAddr,
    /// Port.
    pub port: u16,
    /// Initial sequence number, where its SYN or SYN-ACK was seen or proved.
    pub isn: Option<Seq>,
    /// Payload octets it sent.
    pub bytes: Option<Bytes>,
    /// Options of its SYN or SYN-ACK; `None` where that was not seen.
    pub options: Option<TcpOptions>,
    /// Its inferred state when the record was written.
    pub state: State,
}

impl End {
    /// As segments have it.
    #[must_use]
    pub const fn endpoint(&self) -> Endpoint {
        let address = match self.address {
            IpAddr::V4(address) => Address::v4(address.octets()),
            IpAddr::V6(address) => Address::v6(address.octets()),
        };
        Endpoint {
            address,
            port: self.port,
        }
    }

    /// Address and port.
    #[must_use]
    pub const fn socket(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.port)
    }
}

/// The addresses that a tunnel runs between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TunnelEnds {
    /// On the client's side.
    pub client: IpAddr,
    /// On the server's side.
    pub server: IpAddr,
}

/// An incarnation before: its numbers tell its late segments from the new one's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Previous {
    /// Its client's initial sequence number.
    pub client_isn: Option<Seq>,
    /// Its server's initial sequence number.
    pub server_isn: Option<Seq>,
    /// What came of its opening.
    pub outcome: OpenOutcome,
    /// How it closed.
    pub close: CloseKind,
}

/// The life of one connection, as far as it was observed.
#[derive(Clone, Debug, PartialEq)]
pub struct Connection {
    /// Wall-clock time of the first segment, in ns since the Unix epoch.
    pub started_unix_ns: i128,
    /// The same by the events' clock, in ns: the wall clock may have been set since.
    pub started_ns: u64,
    /// Interface that the first segment was seen on.
    pub interface: Arc<str>,
    /// Other interfaces that segments of it were seen on, in the order of first sight.
    pub seen_also_on: Vec<Arc<str>>,
    /// VLAN tags and tunnel.
    pub scope: Scope,
    /// The tunnel's ends, where there is a tunnel between two addresses.
    pub tunnel: Option<TunnelEnds>,
    /// The incarnation of the same addresses and ports that this one took the place of.
    pub previous: Option<Previous>,
    /// The active opener.
    pub client: End,
    /// The passive opener.
    pub server: End,
    /// How it opened.
    pub open: Open,
    /// How it closed.
    pub close: Close,
    /// From the first to the last segment seen, in ns.
    pub duration_ns: u64,
    /// The kept segments in the order of their times.
    pub steps: Vec<Step>,
    /// Segments reported that did not fit into `steps`.
    pub steps_omitted: u64,
    /// What was odd, each kind once, with its count.
    pub anomalies: Vec<(Anomaly, u32)>,
    /// Events were lost while this connection was there; it may lack steps.
    pub observation_gap: bool,
    /// Segments of one direction only were seen.
    pub asymmetric: bool,
    /// What was counted segment by segment, where that was asked for.
    pub accounts: Option<Accounts>,
    /// The same in the words of Zeek's conn.log.
    pub zeek: Zeek,
    /// Wireshark's conversation completeness: SYN 1, SYN-ACK 2, ACK 4, DATA 8, FIN 16, RST 32.
    pub completeness: u8,
}

impl Connection {
    /// The interfaces that segments of it were seen on, in the order of first sight.
    pub fn seen_on(&self) -> impl Iterator<Item = &str> {
        let others = self.seen_also_on.iter().map(|name| &**name);
        [&*self.interface].into_iter().chain(others)
    }

    /// The options of both SYNs beside each other, where both were seen.
    #[must_use]
    pub const fn negotiated(&self) -> Option<Negotiated<'_>> {
        match (&self.client.options, &self.server.options) {
            (Some(client), Some(server)) => Some(Negotiated::new(client, server)),
            _ => None,
        }
    }

    /// Whether a RST ended it after it had opened: one in answer to a SYN or SYN-ACK is an outcome of
    /// the opening.
    #[must_use]
    pub fn was_reset(&self) -> bool {
        let opened = matches!(
            self.open.outcome,
            OpenOutcome::Established | OpenOutcome::Unobserved
        );
        opened && self.close.kind == CloseKind::Reset
    }

    /// The end with this role.
    #[must_use]
    pub const fn end(&self, role: Role) -> &End {
        match role {
            Role::Client => &self.client,
            Role::Server => &self.server,
        }
    }
}

/// The address of an endpoint as it is written.
#[must_use]
pub fn ip(endpoint: &Endpoint) -> IpAddr {
    address(endpoint.address)
}

/// An address as it is written.
#[must_use]
pub fn address(address: Address) -> IpAddr {
    Ipv6Addr::from(address.octets()).to_canonical()
}
