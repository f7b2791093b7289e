//! The lines of `--format json`, as the contract of version 1 has them.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, de::Error};

/// What is odd of a connection where a segment was sent again that had arrived: a FIN may be answered by a
/// RST of a host that has forgotten the connection.
pub const OF_SENDING_AGAIN: [&str; 3] = [
    "fin_retransmitted",
    "synack_retransmitted",
    "rst_after_close",
];

/// One line.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Record {
    /// The life of one connection.
    Connection(Box<Connection>),
    /// A lone RST.
    Backscatter(Box<Connection>),
    /// A lone segment with flags that no TCP sends.
    Probe(Box<Connection>),
    /// One step of a connection, as it happened (`--follow`).
    Step(Box<LiveStep>),
}

/// The life of one connection.
#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the fields are documented by the contract")]
pub struct Connection {
    pub v: u32,
    #[serde(deserialize_with = "timestamp")]
    pub start: Timestamp,
    pub interface: String,
    pub seen_on: Vec<String>,
    pub vlans: Vec<u16>,
    pub tunnel: Option<Tunnel>,
    pub community_id: String,
    pub previous: Option<Previous>,
    pub client: End,
    pub server: End,
    pub accounts_whole: Option<bool>,
    pub options: Option<Negotiated>,
    pub open: Open,
    pub close: Close,
    pub duration_ns: u64,
    pub originator: String,
    pub conn_state: String,
    pub history: String,
    pub completeness: u8,
    pub asymmetric: bool,
    pub observation_gap: bool,
    pub anomalies: BTreeMap<String, u64>,
    pub diagnoses: Vec<Diagnosis>,
    pub segments: Vec<Segment>,
    pub segments_omitted: u64,
}

/// Why it failed or is odd.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are documented by the contract")]
pub struct Diagnosis {
    pub code: String,
    pub text: String,
}

/// One end of a connection.
#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the fields are documented by the contract")]
pub struct End {
    pub addr: IpAddr,
    pub port: u16,
    pub isn: Option<u32>,
    pub bytes: Option<u64>,
    pub bytes_basis: Option<String>,
    pub bytes_modulo: Option<bool>,
    pub state: String,
    pub account: Option<Account>,
    pub options: Option<Options>,
}

/// The options of a SYN or SYN-ACK.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are documented by the contract")]
pub struct Options {
    pub mss: Option<u16>,
    pub window_scale: Option<u8>,
    pub sack: bool,
    pub timestamps: bool,
    pub ecn: bool,
    pub fast_open: bool,
    pub mptcp: bool,
    pub malformed: bool,
}

/// What one side sent, counted segment by segment.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are documented by the contract")]
pub struct Account {
    pub packets: u64,
    pub payload_bytes: u64,
    pub retransmitted_bytes: u64,
    pub retransmissions: u64,
    pub duplicates: u64,
    pub out_of_order: u64,
    pub probes: u64,
    pub zero_windows: u64,
}

/// What a connection was carried in.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are documented by the contract")]
pub struct Tunnel {
    pub kind: String,
    pub id: u32,
    pub client: Option<IpAddr>,
    pub server: Option<IpAddr>,
}

/// The incarnation before.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are documented by the contract")]
pub struct Previous {
    pub client_isn: Option<u32>,
    pub server_isn: Option<u32>,
    pub outcome: String,
    pub close: String,
}

/// What came of the options that both sides have to send.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are documented by the contract")]
pub struct Negotiated {
    pub in_effect: Vec<String>,
    pub not_echoed: Vec<String>,
    pub not_offered: Vec<String>,
}

/// How a connection opened.
#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the fields are documented by the contract")]
pub struct Open {
    pub outcome: String,
    pub kind: String,
    pub confidence: String,
    pub rtt_ns: Rtt,
    pub syn_retries: u32,
    pub synack_retries: u32,
    pub backoff_ns: Vec<u64>,
    pub backoff_doubles: Option<bool>,
    pub fast_open: String,
    pub refused_after_ns: Option<u64>,
    pub ack_via_data: bool,
    pub wrong_ack: Option<WrongAck>,
}

/// Times of the handshake's legs.
#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the fields are documented by the contract")]
pub struct Rtt {
    pub syn_to_synack: Option<u64>,
    pub synack_to_ack: Option<u64>,
    pub total: Option<u64>,
}

/// A SYN-ACK's wrong acknowledgment.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are documented by the contract")]
pub struct WrongAck {
    pub expected: u32,
    pub seen: u32,
}

/// How a connection closed.
#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the fields are documented by the contract")]
pub struct Close {
    pub kind: String,
    pub by: Option<String>,
    pub cause: Option<String>,
    pub proof: Option<String>,
    pub text: Option<String>,
    pub gap_bytes: Option<u64>,
    pub half_close_ns: Option<u64>,
    pub last_ack: Option<bool>,
}

/// One kept segment.
#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the fields are documented by the contract")]
pub struct Segment {
    pub t_ns: u64,
    pub from: String,
    pub flags: String,
    pub seq: u32,
    pub ack: Option<u32>,
    pub len: Option<u32>,
    pub window: Option<u16>,
    pub check: Option<Check>,
    pub client_state: Option<String>,
    pub server_state: Option<String>,
}

/// What a segment's numbers prove.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are documented by the contract")]
pub struct Check {
    pub proof: String,
    pub ok: bool,
    pub expected: Option<u32>,
}

/// One step as it happened.
#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the fields are documented by the contract")]
pub struct LiveStep {
    pub v: u32,
    #[serde(deserialize_with = "timestamp")]
    pub time: Timestamp,
    pub client: Address,
    pub server: Address,
    pub segment: Segment,
}

/// An address and a port.
#[derive(Clone, Copy, Debug, Deserialize)]
#[expect(missing_docs, reason = "the fields are documented by the contract")]
pub struct Address {
    pub addr: IpAddr,
    pub port: u16,
}

impl End {
    /// Its address and port.
    #[must_use]
    pub const fn endpoint(&self) -> SocketAddr {
        SocketAddr::new(self.addr, self.port)
    }
}

impl Connection {
    /// The sides as they are named: client, then server.
    #[must_use]
    pub const fn ends(&self) -> [(&'static str, &End); 2] {
        [("client", &self.client), ("server", &self.server)]
    }

    /// `client:port → server:port`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{} → {}", self.client.endpoint(), self.server.endpoint())
    }
}

/// Reads all whole lines of a JSON output.
///
/// # Errors
/// Where a line is no record of version 1; the line is named.
pub fn parse(output: &str) -> Result<Vec<Record>> {
    let (whole, _) = output.rsplit_once('\n').unwrap_or_default();
    whole.lines().map(parse_line).collect()
}

/// Reads the connections of a JSON output.
///
/// # Errors
/// Where a line is no record of version 1; the line is named.
pub fn connections(output: &str) -> Result<Vec<Connection>> {
    let connections = parse(output)?
        .into_iter()
        .filter_map(|record| match record {
            Record::Connection(connection) => Some(*connection),
            Record::Backscatter(_) | Record::Probe(_) | Record::Step(_) => None,
        });
    Ok(connections.collect())
}

/// Reads the connections of a JSON output, and the lone segments that are none.
///
/// # Errors
/// Where a line is no record of version 1; the line is named.
pub fn with_lone_segments(output: &str) -> Result<Vec<Connection>> {
    let told = parse(output)?
        .into_iter()
        .filter_map(|record| match record {
            Record::Connection(record) | Record::Backscatter(record) | Record::Probe(record) => {
                Some(*record)
            }
            Record::Step(_) => None,
        });
    Ok(told.collect())
}

fn parse_line(line: &str) -> Result<Record> {
    let record: Record =
        serde_json::from_str(line).with_context(|| format!("read the record {line}"))?;
    let version = match &record {
        Record::Connection(record) | Record::Backscatter(record) | Record::Probe(record) => {
            record.v
        }
        Record::Step(step) => step.v,
    };
    ensure!(version == 1, "a record of version {version}: {line}");
    Ok(record)
}

fn timestamp<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(D::Error::custom)
}
