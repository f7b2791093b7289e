//! From a track to its record: the outcome of the opening, the kind of the close, the counts.
//!
//! In: a [`Track`] and why it ended. Out: a [`Connection`]. Nothing here changes the track, and
//! nothing is concluded from a segment that was not seen.

use std::sync::Arc;

use synfin_ebpf::account;
use synfin_ebpf::flow::{Half, Key};

use super::side::Side;
use super::track::Track;
use crate::timeline::{
    Account, Accounts, Anomaly, Bytes, BytesBasis, Close, CloseKind, Connection, End, FastOpen,
    Open, OpenKind, OpenOutcome, ResetCause, ResetProof, Role, Rtt, State, Step, TunnelEnds,
    WrongAck, Zeek, address, ip,
};

/// Sequence numbers before they come round again.
const ROUND: i64 = 1 << 32;

/// Why a track ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// Its close was seen.
    Closed,
    /// Its opening timed out, or the last ACK of its close did.
    TimedOut,
    /// A new connection took its place.
    Superseded,
    /// The observation ended, or made room.
    Unfinished,
}

/// Makes the record of a track that ended.
pub(super) fn connection(
    key: &Key,
    track: &Track,
    ended: Ended,
    observation_gap: bool,
    accounts: Option<account::Accounts>,
) -> Connection {
    let passes = track.seen_also_on(accounts.as_ref());
    let accounts = accounts.map(|accounts| sorted(&accounts, track.client()));
    let asymmetric = asymmetric(track);
    let outcome = outcome(track, ended, asymmetric);
    let mut close = close(track, outcome);
    if asymmetric {
        // The other side may have been first.
        close.by = close.by.filter(|_| close.kind != CloseKind::None);
    }
    let rare = track.rare();
    let mut anomalies = rare.map_or_else(Vec::new, |rare| rare.anomalies.clone());
    if unacknowledged_fin(track) && close.kind == CloseKind::None && !asymmetric {
        anomalies.push((Anomaly::FinUnacknowledged, 1));
    }
    if let Some(accounts) = &accounts {
        close.gap_bytes = accounts.unseen().filter(|_| close.kind != CloseKind::None);
        let copies = accounts.client.told.duplicates + accounts.server.told.duplicates;
        let copies = u32::try_from(copies).unwrap_or(u32::MAX);
        let told = (anomalies.iter_mut()).find(|(anomaly, _)| *anomaly == Anomaly::Duplicate);
        match told {
            Some((_, count)) => *count = count.saturating_add(copies),
            // That they pass several interfaces is not odd.
            None if copies > 0 && passes.is_empty() => anomalies.push((Anomaly::Duplicate, copies)),
            None => {}
        }
    }
    anomalies.sort_unstable();
    Connection {
        started_unix_ns: track.started_unix_ns(),
        started_ns: track.steps.base_ns(),
        // Whoever knows its name fills it in.
        interface: Arc::default(),
        seen_also_on: Vec::new(),
        scope: key.scope,
        tunnel: tunnel(track),
        previous: rare.and_then(|rare| Some(rare.before?.told)),
        client: end((key, track), Role::Client, outcome, accounts.as_ref()),
        server: end((key, track), Role::Server, outcome, accounts.as_ref()),
        open: open(track, outcome),
        close,
        duration_ns: track.last_ns.saturating_sub(track.first_ns()),
        steps_omitted: rare.map_or(0, |rare| rare.omitted),
        anomalies,
        observation_gap: observation_gap || track.is(Track::HEALED),
        asymmetric,
        accounts: accounts.as_ref().map(|accounts| Accounts {
            client: accounts.client.told,
            server: accounts.server.told,
            whole: accounts.whole,
        }),
        zeek: (track.words([key.lo_port, key.hi_port]))
            .map_or_else(Zeek::default, |words| words.sum_up(track.client())),
        completeness: completeness(track, accounts.as_ref()),
        steps: steps(track),
    }
}

fn outcome(track: &Track, ended: Ended, asymmetric: bool) -> OpenOutcome {
    let (client, server) = (track.side(Role::Client), track.side(Role::Server));
    let waiting = ended == Ended::Unfinished;
    let reset_by = track.reset().map(|reset| reset.by);
    if track.is_stray() {
        if track.reset().is_some() {
            OpenOutcome::Backscatter
        } else {
            OpenOutcome::Probe
        }
    } else if track.established() {
        OpenOutcome::Established
    } else if track.unobserved() || asymmetric {
        OpenOutcome::Unobserved
    } else if server.iss().is_some() {
        match reset_by {
            Some(Role::Client) if !client.syn_acked() && wrong_ack(track).is_some() => {
                OpenOutcome::Rejected
            }
            Some(Role::Client) => OpenOutcome::Aborted,
            None if waiting => OpenOutcome::Pending,
            _ => OpenOutcome::HalfOpen,
        }
    } else {
        match reset_by {
            // It was answered; by what was not seen.
            _ if client.syn_acked() => OpenOutcome::Unobserved,
            Some(Role::Server) => OpenOutcome::Refused,
            None if waiting => OpenOutcome::Pending,
            _ => OpenOutcome::NoReply,
        }
    }
}

/// One side only was seen, and it went on as if the other were there.
fn asymmetric(track: &Track) -> bool {
    let lone = |role: Role| {
        let side = track.side(role);
        let answers = side.is(Side::DATA)
            || side.is(Side::PURE_ACK)
            || track.fin(role).is_some()
            || side.is(Side::SENT_SYN_ACK);
        answers && !track.side(role.peer()).is(Side::SPOKE)
    };
    lone(Role::Client) || lone(Role::Server)
}

fn open(track: &Track, outcome: OpenOutcome) -> Open {
    let (client, server) = (track.side(Role::Client), track.side(Role::Server));
    let refused_after_ns = match track.reset() {
        Some(reset) if outcome == OpenOutcome::Refused => {
            Some(reset.t_ns.saturating_sub(track.last_syn_ns(Role::Client)))
        }
        _ => None,
    };
    let backoff_ns = track
        .rare()
        .map_or_else(Vec::new, |rare| rare.backoff_ns.clone());
    Open {
        outcome,
        kind: open_kind(track),
        confidence: track.confidence(),
        rtt: rtt(track),
        syn_retries: client.syns.saturating_sub(1),
        synack_retries: server.syns.saturating_sub(1),
        backoff_doubles: doubles(&backoff_ns),
        backoff_ns,
        fast_open: fast_open(track),
        refused_after_ns,
        ack_via_data: track.is(Track::ACK_VIA_DATA),
        wrong_ack: wrong_ack(track),
    }
}

/// Whether each wait is about twice the one before; the first retransmission timeouts of a
/// connection may also be equal (tcp_syn_linear_timeouts of Linux), which is not that.
fn doubles(waits: &[u64]) -> Option<bool> {
    let about_twice = |pair: &[u64]| match pair {
        [first, second] => (first / 2 * 3..=first / 2 * 5).contains(second),
        _ => false,
    };
    (waits.len() > 1).then(|| waits.windows(2).all(about_twice))
}

fn fast_open(track: &Track) -> FastOpen {
    let client = track.side(Role::Client);
    if !client.options().is_some_and(|options| options.fast_open) {
        FastOpen::None
    } else if track.is(Track::FAST_OPEN) {
        FastOpen::Accepted
    } else if client.syn_len == 0 {
        FastOpen::Requested
    } else {
        FastOpen::Ignored
    }
}

fn tunnel(track: &Track) -> Option<TunnelEnds> {
    let [client, server] = track.rare()?.tunnel?;
    Some(TunnelEnds {
        client: address(client),
        server: address(server),
    })
}

fn wrong_ack(track: &Track) -> Option<WrongAck> {
    track.rare()?.wrong_ack
}

fn open_kind(track: &Track) -> OpenKind {
    let (client, server) = (track.side(Role::Client), track.side(Role::Server));
    // Of a SYN alone whose sender went on it is not known what answered it.
    let unanswered =
        !server.is(Side::SPOKE) && (client.is(Side::PURE_ACK) || client.is(Side::DATA));
    if track.unobserved() || unanswered {
        OpenKind::None
    } else if client.syns == 0 {
        OpenKind::Partial
    } else if track.is(Track::FAST_OPEN) {
        OpenKind::FastOpen
    } else if server.is(Side::SENT_SYN) && server.is(Side::SENT_SYN_ACK) {
        OpenKind::Simultaneous
    } else if server.is(Side::SENT_SYN) {
        OpenKind::Split
    } else if client.is(Side::SENT_SYN_ACK) {
        // It answers a SYN that was not seen.
        OpenKind::Simultaneous
    } else {
        OpenKind::ThreeWay
    }
}

fn rtt(track: &Track) -> Rtt {
    let (client, server) = (track.side(Role::Client), track.side(Role::Server));
    let between = |from: Option<u64>, to: Option<u64>| to?.checked_sub(from?);
    // Which of several SYNs was answered is not known (Karn's rule, RFC 6298 §3).
    let leg = |side: &Side| side.is(Side::ACKED_AS_LEG) && side.is(Side::ACKED_AFTER_ONE);
    if track.is(Track::REORDERED) {
        return Rtt::default();
    }
    Rtt {
        syn_to_synack: between(client.opened_ns(), client.syn_acked_ns()).filter(|_| leg(client)),
        synack_to_ack: between(server.opened_ns(), server.syn_acked_ns()).filter(|_| leg(server)),
        total: between(client.opened_ns(), server.syn_acked_ns())
            .filter(|_| track.established() && server.is(Side::ACKED_AS_LEG)),
    }
}

fn close(track: &Track, outcome: OpenOutcome) -> Close {
    let text = track.reset().and_then(|reset| reset.text.as_deref());
    let mut close = Close {
        kind: CloseKind::None,
        by: None,
        cause: None,
        proof: None,
        text: text.map(str::to_owned),
        gap_bytes: None,
        half_close_ns: None,
        last_ack: None,
    };
    // What never opened has nothing to close: its RST belongs to the opening.
    let opened = match outcome {
        OpenOutcome::Established | OpenOutcome::Unobserved => true,
        OpenOutcome::HalfOpen => track.finished(),
        _ => false,
    };
    if !opened {
        return close;
    }
    let first = match (track.fin(Role::Client), track.fin(Role::Server)) {
        (Some(client), Some(server)) if server.t_ns < client.t_ns => Some(Role::Server),
        (Some(_), _) => Some(Role::Client),
        (None, Some(_)) => Some(Role::Server),
        (None, None) => None,
    };
    close.by = first;
    let fins = first.and_then(|first| Some((track.fin(first)?, track.fin(first.peer()))));
    match fins {
        Some((active, Some(passive))) => {
            close.kind = if active.acked_by_fin {
                CloseKind::ThreeWay
            } else if !passive.ack.covers(active.end)
                && active
                    .acked_ns
                    .is_none_or(|acked_ns| acked_ns > passive.t_ns)
            {
                CloseKind::Simultaneous
            } else {
                CloseKind::FourWay
            };
            close.half_close_ns = Some(passive.t_ns.saturating_sub(active.t_ns));
            close.last_ack = Some(passive.acked_ns.is_some());
        }
        Some((_, None)) | None if track.reset().is_some() => {
            let reset = track.reset();
            let by = reset.map(|reset| reset.by);
            close.kind = CloseKind::Reset;
            close.cause = by.map(|by| reset_cause(track, by));
            close.by = by;
            close.proof = reset.map(|reset| reset.proof);
        }
        Some((active, None)) if active.acked_ns.is_some() => {
            close.kind = CloseKind::Half;
            close.half_close_ns = Some(track.last_ns.saturating_sub(active.t_ns));
        }
        _ => {}
    }
    close
}

fn reset_cause(track: &Track, by: Role) -> ResetCause {
    if track.fin(by).is_some() {
        ResetCause::AfterOwnFin
    } else if track.fin(by.peer()).is_some() {
        ResetCause::AfterPeerFin
    } else if !track.established() && !track.unobserved() {
        ResetCause::InHandshake
    } else if [Role::Client, Role::Server]
        .iter()
        .any(|role| has_data(track, *role))
    {
        ResetCause::InData
    } else {
        ResetCause::BeforeData
    }
}

fn unacknowledged_fin(track: &Track) -> bool {
    [Role::Client, Role::Server]
        .iter()
        .filter_map(|role| track.fin(*role))
        .any(|fin| fin.acked_ns.is_none())
}

/// What was counted, by role.
struct Counted {
    client: CountedSide,
    server: CountedSide,
    whole: bool,
}

#[derive(Clone, Copy)]
struct CountedSide {
    told: Account,
    span: u64,
    unseen: u64,
}

impl Counted {
    const fn side(&self, role: Role) -> &CountedSide {
        match role {
            Role::Client => &self.client,
            Role::Server => &self.server,
        }
    }

    /// Octets of both sides that were never seen.
    fn unseen(&self) -> Option<u64> {
        Some(self.client.unseen.saturating_add(self.server.unseen)).filter(|unseen| *unseen > 0)
    }
}

fn sorted(accounts: &account::Accounts, client: Half) -> Counted {
    let side = |half: Half| {
        let counted = match half {
            Half::Lo => &accounts.lo,
            Half::Hi => &accounts.hi,
        };
        CountedSide {
            told: Account {
                packets: counted.packets,
                payload_bytes: counted.payload,
                retransmitted_bytes: counted.retransmitted,
                retransmissions: counted.retransmissions.into(),
                duplicates: counted.duplicates.into(),
                out_of_order: counted.out_of_order.into(),
                probes: counted.probes.into(),
                zero_windows: counted.zero_windows.into(),
            },
            span: counted.span,
            unseen: counted.unseen,
        }
    };
    Counted {
        client: side(client),
        server: side(client.peer()),
        whole: accounts.whole != 0,
    }
}

fn end(
    (key, track): (&Key, &Track),
    role: Role,
    outcome: OpenOutcome,
    counted: Option<&Counted>,
) -> End {
    let side = track.side(role);
    let endpoint = key.endpoint(track.half(role));
    let opened = matches!(outcome, OpenOutcome::Established | OpenOutcome::Unobserved);
    End {
        address: ip(&endpoint),
        port: endpoint.port,
        isn: side.iss(),
        bytes: bytes(track, role, counted).filter(|_| opened),
        options: side.options(),
        state: if outcome.is_connection() {
            side.state
        } else {
            State::Closed
        },
    }
}

/// Payload that a side sent: the numbers between its SYN and its FIN, its RST, or the highest number
/// that the peer acknowledged.
fn bytes(track: &Track, role: Role, counted: Option<&Counted>) -> Option<Bytes> {
    let (side, peer) = (track.side(role), track.side(role.peer()));
    let first = side.iss()?.add(1);
    let (next, basis) = match (track.fin(role), track.reset()) {
        // The FIN's own number is the one before its end.
        (Some(fin), _) => (fin.end.add(u32::MAX), BytesBasis::Fin),
        (None, Some(reset))
            if reset.by == role
                && reset.seq.covers(first)
                && matches!(reset.proof, ResetProof::Exact | ResetProof::NotBefore) =>
        {
            (reset.seq, BytesBasis::Reset)
        }
        _ => {
            let highest = peer.highest_ack().filter(|ack| ack.covers(first))?;
            (highest, BytesBasis::Acknowledged)
        }
    };
    if next.add(1) == first {
        // A FIN with the number of the SYN has none that could be counted from.
        return None;
    }
    let count = i64::from(next.since(first));
    // What was counted segment by segment tells how often the numbers went round.
    // A SYN inside the open connection may have hidden some of them.
    let settled = track.rare().is_some_and(|rare| rare.settled.is_some());
    let counted = counted.filter(|counted| counted.whole && !settled);
    let rounds = counted.map(|counted| {
        let span = i64::try_from(counted.side(role).span).unwrap_or(i64::MAX);
        span.saturating_sub(count)
            .saturating_add(ROUND / 2)
            .div_euclid(ROUND)
    });
    let count = count.saturating_add(rounds.unwrap_or(0).saturating_mul(ROUND));
    Some(Bytes {
        count: u64::try_from(count).ok()?,
        modulo: rounds.is_none(),
        basis,
    })
}

fn has_data(track: &Track, role: Role) -> bool {
    track.side(role).is(Side::DATA) || bytes(track, role, None).is_some_and(|bytes| bytes.count > 0)
}

/// Wireshark's bits, from what was seen of both sides.
fn completeness(track: &Track, counted: Option<&Counted>) -> u8 {
    let (client, server) = (track.side(Role::Client), track.side(Role::Server));
    let either = |test: fn(&Side) -> bool| test(client) || test(server);
    let synchronised = track.established() || track.unobserved();
    let roles = [Role::Client, Role::Server];
    let data = match counted {
        Some(counted) => roles
            .iter()
            .any(|role| counted.side(*role).told.payload_bytes > 0),
        // Without every segment, the numbers tell of data that was not reported.
        None => {
            either(|side| side.is(Side::DATA) || side.syn_len > 0)
                || synchronised && roles.iter().any(|role| has_data(track, *role))
        }
    };
    u8::from(either(|side| side.is(Side::SENT_SYN)))
        | u8::from(either(|side| side.is(Side::SENT_SYN_ACK))) << 1
        | u8::from(track.is(Track::PURE_ACK)) << 2
        | u8::from(data) << 3
        | u8::from(roles.iter().any(|role| track.fin(*role).is_some())) << 4
        | u8::from(track.is(Track::RST)) << 5
}

fn steps(track: &Track) -> Vec<Step> {
    let first_ns = track.first_ns();
    let mut steps = Vec::with_capacity(track.kept_len());
    steps.extend(track.kept().map(|kept| Step {
        t_ns: kept.step.t_ns.saturating_sub(first_ns),
        ..kept.step
    }));
    steps
}
