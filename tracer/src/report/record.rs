//! A line of JSON, as `--format json` writes it, back to the record that it was made of.
//!
//! In: a line. Out: a [`Connection`], or the reason why it is none. Fields that this version does not
//! know are left out, and so are those that an earlier one did not write. Absent on purpose: trust. A
//! line is anything that somebody could write.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use synfin_ebpf::segment::{Flags, Scope, Tunnel};
use synfin_ebpf::seq::Seq;

use super::words::{Anomalies, Word};
use crate::assembler::USUAL_MAX_STEPS;
use crate::sink::flags;
use crate::timeline::{
    Account, Accounts, Bytes, BytesBasis, Check, Close, CloseKind, Confidence, ConnState,
    Connection, End, FastOpen, Open, OpenKind, OpenOutcome, Previous, Proof, ResetCause,
    ResetProof, Role, Rtt, State, Step, TcpOptions, TunnelEnds, WrongAck, Zeek,
};

/// The version of the format that is read.
const VERSION: u64 = 1;
/// How every record of a connection begins that synfin itself has written.
const USUAL: &[u8] = br#"{"v":1,"type":"connection","#;
/// A time that no calendar has: what a record tells as `null`.
const UNKNOWN_TIME: i128 = i128::MAX;

/// What a line is.
#[derive(Debug)]
pub enum Line {
    /// A connection, or a lone segment that is none.
    Connection(Box<Connection>),
    /// A step of `--follow`, or a line of `--summary`.
    Other,
}

/// Reads a line.
///
/// # Errors
/// Where it is none of synfin's, with the reason.
pub fn parse(line: &[u8]) -> Result<Line, String> {
    let wrong = |error: serde_json::Error| error.to_string();
    if !line.starts_with(USUAL) {
        let head: Head<'_> = serde_json::from_slice(line).map_err(wrong)?;
        if head.v != VERSION {
            return Err(format!(
                "it has version {} of the format, and {VERSION} is read",
                head.v
            ));
        }
        match &*head.kind {
            "connection" | "backscatter" | "probe" => {}
            "step" | "summary" => return Ok(Line::Other),
            other => return Err(format!("there are no records of type {other:?}")),
        }
    }
    let record: Record<'_> = serde_json::from_slice(line).map_err(wrong)?;
    record.connection().map(Box::new).map(Line::Connection)
}

#[derive(Deserialize)]
struct Head<'a> {
    v: u64,
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    start: Option<Cow<'a, str>>,
    #[serde(borrow)]
    interface: Cow<'a, str>,
    #[serde(default)]
    seen_on: Vec<String>,
    #[serde(default)]
    vlans: Vec<u16>,
    tunnel: Option<InTunnel>,
    previous: Option<Before>,
    client: Side,
    server: Side,
    accounts_whole: Option<bool>,
    open: Opening,
    close: Closing,
    duration_ns: u64,
    originator: Option<Word<Role>>,
    conn_state: Option<Word<ConnState>>,
    #[serde(default)]
    history: String,
    #[serde(default)]
    completeness: u8,
    #[serde(default)]
    asymmetric: bool,
    #[serde(default)]
    observation_gap: bool,
    #[serde(default)]
    anomalies: Anomalies,
    #[serde(default)]
    segments: Vec<Segment>,
    #[serde(default)]
    segments_omitted: u64,
}

impl Record<'_> {
    fn connection(self) -> Result<Connection, String> {
        let (client, client_account) = self.client.end();
        let (server, server_account) = self.server.end();
        let accounts = client_account.zip(server_account);
        let beyond = self.segments.len().saturating_sub(USUAL_MAX_STEPS);
        let beyond = u64::try_from(beyond).unwrap_or(u64::MAX);
        let steps = self.segments.into_iter().take(USUAL_MAX_STEPS);
        let scope = scope(&self.vlans, self.tunnel.as_ref());
        let interface: Arc<str> = self.interface.into();
        let others = self.seen_on.into_iter().skip(1);
        Ok(Connection {
            started_unix_ns: match &self.start {
                Some(start) => instant(start)?,
                None => UNKNOWN_TIME,
            },
            started_ns: 0,
            interface,
            seen_also_on: others.map(Arc::from).collect(),
            scope,
            tunnel: self.tunnel.and_then(|tunnel| {
                let (client, server) = (tunnel.client?, tunnel.server?);
                Some(TunnelEnds { client, server })
            }),
            previous: self.previous.map(Previous::from),
            client,
            server,
            open: self.open.into(),
            close: self.close.into(),
            duration_ns: self.duration_ns,
            steps: steps.map(Segment::step).collect::<Result<_, _>>()?,
            steps_omitted: self.segments_omitted.saturating_add(beyond),
            anomalies: self.anomalies.0,
            observation_gap: self.observation_gap,
            asymmetric: self.asymmetric,
            accounts: accounts.map(|(client, server)| Accounts {
                client,
                server,
                whole: self.accounts_whole.unwrap_or(false),
            }),
            zeek: Zeek {
                originator: self.originator.map_or(Role::Client, |Word(role)| role),
                conn_state: self
                    .conn_state
                    .map_or_else(ConnState::default, |Word(state)| state),
                history: self.history,
            },
            completeness: self.completeness,
        })
    }
}

fn instant(text: &str) -> Result<i128, String> {
    let instant = text.parse::<Timestamp>();
    let instant = instant.map_err(|_| format!("its start {text:?} is no time"))?;
    Ok(instant.as_nanosecond())
}

fn scope(vlans: &[u16], tunnel: Option<&InTunnel>) -> Scope {
    let tagged = vlans
        .iter()
        .take(2)
        .fold(Scope::default(), |scope, vlan| scope.tagged(*vlan));
    tunnel.map_or(tagged, |tunnel| tagged.within(tunnel.kind.0, tunnel.id))
}

#[derive(Deserialize)]
struct InTunnel {
    kind: Word<Tunnel>,
    id: u32,
    client: Option<IpAddr>,
    server: Option<IpAddr>,
}

#[derive(Deserialize)]
struct Before {
    client_isn: Option<u32>,
    server_isn: Option<u32>,
    outcome: Word<OpenOutcome>,
    close: Word<CloseKind>,
}

impl From<Before> for Previous {
    fn from(before: Before) -> Self {
        Self {
            client_isn: before.client_isn.map(Seq),
            server_isn: before.server_isn.map(Seq),
            outcome: before.outcome.0,
            close: before.close.0,
        }
    }
}

#[derive(Deserialize)]
struct Side {
    addr: IpAddr,
    port: u16,
    isn: Option<u32>,
    bytes: Option<u64>,
    bytes_basis: Option<Word<BytesBasis>>,
    bytes_modulo: Option<bool>,
    state: Option<Word<State>>,
    account: Option<Counts>,
    options: Option<Options>,
}

impl Side {
    fn end(self) -> (End, Option<Account>) {
        let bytes = self.bytes.zip(self.bytes_basis);
        let end = End {
            address: self.addr,
            port: self.port,
            isn: self.isn.map(Seq),
            bytes: bytes.map(|(count, Word(basis))| Bytes {
                count,
                modulo: self.bytes_modulo.unwrap_or(true),
                basis,
            }),
            options: self.options.map(TcpOptions::from),
            state: self.state.map_or(State::Closed, |Word(state)| state),
        };
        (end, self.account.map(Account::from))
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Counts {
    packets: u64,
    payload_bytes: u64,
    retransmitted_bytes: u64,
    retransmissions: u64,
    duplicates: u64,
    out_of_order: u64,
    probes: u64,
    zero_windows: u64,
}

impl From<Counts> for Account {
    fn from(counts: Counts) -> Self {
        Self {
            packets: counts.packets,
            payload_bytes: counts.payload_bytes,
            retransmitted_bytes: counts.retransmitted_bytes,
            retransmissions: counts.retransmissions,
            duplicates: counts.duplicates,
            out_of_order: counts.out_of_order,
            probes: counts.probes,
            zero_windows: counts.zero_windows,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Options {
    mss: Option<u16>,
    window_scale: Option<u8>,
    sack: bool,
    timestamps: bool,
    ecn: bool,
    fast_open: bool,
    mptcp: bool,
    malformed: bool,
}

impl From<Options> for TcpOptions {
    fn from(options: Options) -> Self {
        Self {
            mss: options.mss,
            window_scale: options.window_scale,
            sack: options.sack,
            timestamps: options.timestamps,
            ecn: options.ecn,
            fast_open: options.fast_open,
            mptcp: options.mptcp,
            malformed: options.malformed,
        }
    }
}

#[derive(Deserialize)]
struct Opening {
    outcome: Word<OpenOutcome>,
    kind: Option<Word<OpenKind>>,
    confidence: Option<Word<Confidence>>,
    #[serde(default)]
    rtt_ns: Legs,
    #[serde(default)]
    syn_retries: u32,
    #[serde(default)]
    synack_retries: u32,
    #[serde(default)]
    backoff_ns: Vec<u64>,
    backoff_doubles: Option<bool>,
    fast_open: Option<Word<FastOpen>>,
    refused_after_ns: Option<u64>,
    #[serde(default)]
    ack_via_data: bool,
    wrong_ack: Option<Wrong>,
}

#[derive(Default, Deserialize)]
struct Legs {
    syn_to_synack: Option<u64>,
    synack_to_ack: Option<u64>,
    total: Option<u64>,
}

#[derive(Deserialize)]
struct Wrong {
    expected: u32,
    seen: u32,
}

impl From<Opening> for Open {
    fn from(open: Opening) -> Self {
        let Legs {
            syn_to_synack,
            synack_to_ack,
            total,
        } = open.rtt_ns;
        Self {
            outcome: open.outcome.0,
            kind: open.kind.map_or(OpenKind::None, |Word(kind)| kind),
            confidence: open
                .confidence
                .map_or(Confidence::Observed, |Word(sure)| sure),
            rtt: Rtt {
                syn_to_synack,
                synack_to_ack,
                total,
            },
            syn_retries: open.syn_retries,
            synack_retries: open.synack_retries,
            backoff_ns: open.backoff_ns,
            backoff_doubles: open.backoff_doubles,
            fast_open: open.fast_open.map_or(FastOpen::None, |Word(came)| came),
            refused_after_ns: open.refused_after_ns,
            ack_via_data: open.ack_via_data,
            wrong_ack: open.wrong_ack.map(|wrong| WrongAck {
                expected: Seq(wrong.expected),
                seen: Seq(wrong.seen),
            }),
        }
    }
}

#[derive(Deserialize)]
struct Closing {
    kind: Word<CloseKind>,
    by: Option<Word<Role>>,
    cause: Option<Word<ResetCause>>,
    proof: Option<Word<ResetProof>>,
    text: Option<String>,
    gap_bytes: Option<u64>,
    half_close_ns: Option<u64>,
    last_ack: Option<bool>,
}

impl From<Closing> for Close {
    fn from(close: Closing) -> Self {
        Self {
            kind: close.kind.0,
            by: close.by.map(|Word(role)| role),
            cause: close.cause.map(|Word(cause)| cause),
            proof: close.proof.map(|Word(proof)| proof),
            text: close.text,
            gap_bytes: close.gap_bytes,
            half_close_ns: close.half_close_ns,
            last_ack: close.last_ack,
        }
    }
}

#[derive(Deserialize)]
struct Segment {
    t_ns: u64,
    from: Word<Role>,
    flags: String,
    seq: u32,
    ack: Option<u32>,
    len: Option<u32>,
    window: Option<u16>,
    check: Option<Checked>,
    client_state: Option<Word<State>>,
    server_state: Option<Word<State>>,
}

#[derive(Deserialize)]
struct Checked {
    proof: Word<Proof>,
    expected: Option<u32>,
}

impl Segment {
    fn step(self) -> Result<Step, String> {
        let unknown = || format!("there are no flags {:?}", self.flags);
        let flags: Flags = flags::parse(&self.flags).ok_or_else(unknown)?;
        let state = |word: Option<Word<State>>| word.map(|Word(state)| state);
        Ok(Step {
            t_ns: self.t_ns,
            from: self.from.0,
            flags,
            seq: Seq(self.seq),
            ack: self.ack.map(Seq),
            len: self.len.unwrap_or(0),
            window: self.window,
            check: self.check.map(|check| Check {
                proof: check.proof.0,
                expected: check.expected.map(Seq),
            }),
            client_state: state(self.client_state),
            server_state: state(self.server_state),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sink::arbitrary::{config, connection};
    use crate::sink::fixtures::{self, ftp};
    use crate::sink::{Json, Ladder, Sink};

    fn rendered(mut sink: impl Sink, connection: &Connection) -> String {
        let mut out = Vec::new();
        sink.connection(connection, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn json(connection: &Connection) -> String {
        rendered(Json::default(), connection)
    }

    fn read(line: &str) -> Connection {
        match parse(line.as_bytes()).unwrap() {
            Line::Connection(connection) => *connection,
            Line::Other => panic!("another line: {line}"),
        }
    }

    #[test]
    fn a_record_that_is_read_back_has_the_ladder_that_it_had() {
        for (name, connection) in fixtures::all() {
            let again = read(&json(&connection));
            let ladder = |connection| rendered(Ladder::default(), connection);
            assert_eq!(ladder(&again), ladder(&connection), "{name}");
        }
    }

    #[test]
    fn what_an_earlier_version_did_not_write_is_not_asked_for() {
        let line = r#"{"v":1,"type":"connection","start":"2026-11-22T18:00:00Z","interface":"eth0",
            "client":{"addr":"10.0.0.1","port":1,"isn":7},"server":{"addr":"::1","port":2},
            "open":{"outcome":"refused"},"close":{"kind":"none"},"duration_ns":5}"#;
        let connection = read(&line.replace('\n', ""));
        assert_eq!(connection.open.outcome, OpenOutcome::Refused);
        assert_eq!(connection.client.isn, Some(Seq(7)));
        assert!(connection.steps.is_empty() && connection.accounts.is_none());
    }

    #[test]
    fn what_a_later_version_writes_beside_it_is_left_out() {
        let line = json(&ftp());
        let more = line.replacen(
            r#""start":"#,
            r#""diagnoses":[{"code":"x","text":"y"}],"start":"#,
            1,
        );
        assert_eq!(read(&more), read(&line));
    }

    #[test]
    fn steps_and_summaries_are_no_records_and_no_mistakes() {
        for line in [
            r#"{"v":1,"type":"step","time":"2026-11-22T18:00:00Z"}"#,
            r#"{"type":"summary","server":null,"v":1}"#,
        ] {
            assert!(matches!(parse(line.as_bytes()), Ok(Line::Other)), "{line}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_line_is_said() {
        let line = json(&ftp());
        for (line, word) in [
            ("", "EOF"),
            ("{}", "missing field"),
            ("[1]", "invalid"),
            (r#"{"v":2,"type":"connection"}"#, "version 2"),
            (r#"{"v":1,"type":"ghost"}"#, "ghost"),
            (&line.replace("four_way", "five_way"), "five_way"),
            (&line.replace("2026-11-22T", "soon"), "is no time"),
            (&line.replace("SYN,ACK", "SYN,NACK"), "SYN,NACK"),
            (&line[..line.len() / 2], "EOF"),
        ] {
            let error = parse(line.as_bytes()).unwrap_err();
            assert!(error.contains(word), "{word}: {error}");
        }
    }

    #[test]
    fn more_segments_than_are_kept_are_counted() {
        let mut connection = ftp();
        let step = connection.steps[0].clone();
        connection.steps = vec![step; USUAL_MAX_STEPS + 3];
        connection.steps_omitted = 2;
        let again = read(&json(&connection));
        assert_eq!(again.steps.len(), USUAL_MAX_STEPS);
        assert_eq!(again.steps_omitted, 5);
    }

    proptest! {
        #![proptest_config(config())]

        #[test]
        fn what_is_read_back_is_written_the_same(connection in connection()) {
            let line = json(&connection);
            prop_assert_eq!(json(&read(&line)), line);
        }

        #[test]
        fn no_octets_make_it_panic(
            mut line in connection().prop_map(|connection| json(&connection).into_bytes()),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            end in any::<prop::sample::Index>(),
        ) {
            for (place, octet) in changes {
                let place = place.index(line.len());
                line[place] = octet;
            }
            let end = end.index(line.len());
            for line in [&line[..], &line[..end]] {
                if let Err(reason) = parse(line) {
                    prop_assert!(!reason.is_empty());
                }
            }
        }
    }
}
