//! Rules on how a connection ended.

use super::Rule;
use super::evidence::{count, fin_ns, reset_ns};
use crate::timeline::{Anomaly, CloseKind, Connection, ResetCause, Role, State};
use crate::units::{Lasting, counted};

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "forged_reset",
        headline: "The sender of a RST went on sending.",
        when: "segments that are no answer to anything came from the side whose RST had been seen",
        causes: &["a device on the way forged the RST: a firewall, a filter, an attacker"],
        look: &["the TTL of the RST beside that of its supposed sender (tcpdump -v)"],
        by_absence: false,
        find: forged_reset,
    },
    Rule {
        code: "reset_before_data",
        headline: "It was reset after the handshake, before any data.",
        when: "a RST that its receiver accepts after the ACK of the SYN-ACK, and no data",
        causes: &[
            "of a client: a health check or a scan that closes by RST (SO_LINGER 0)",
            "of a server: its program or a proxy turned the connection away (limits, access lists), or its \
             accept queue was full (net.ipv4.tcp_abort_on_overflow)",
        ],
        look: &[
            "the program's log of the side that reset",
            "nstat -az TcpExtListenOverflows on the server",
        ],
        by_absence: false,
        find: reset_before_data,
    },
    Rule {
        code: "reset_in_data",
        headline: "It was reset in the middle of its data.",
        when: "a RST that its receiver accepts, no FIN before it",
        causes: &[
            "the program of the side that reset closed with data unread, or with SO_LINGER 0",
            "its process was killed, or its host started anew and knows the connection no more",
            "a firewall, NAT or load balancer forgot the connection after it was idle",
        ],
        look: &[
            "the program's log of the side that reset",
            "whether all end after the same time: an idle timeout",
        ],
        by_absence: false,
        find: reset_in_data,
    },
    Rule {
        code: "reset_after_own_fin",
        headline: "One side reset after its own FIN.",
        when: "a RST that its receiver accepts, after a FIN of the same side and before one of the other",
        causes: &[
            "its program closed while data was on the way, and nobody is there to read it",
            "its program closed with data unread",
        ],
        look: &[
            "whether the other side sends after it was told of the end: a protocol without an orderly end",
        ],
        by_absence: false,
        find: reset_after_own_fin,
    },
    Rule {
        code: "reset_after_peer_fin",
        headline: "One side answered the other's FIN with a RST.",
        when: "a RST that its receiver accepts, after a FIN of the other side",
        causes: &[
            "its program closed with data unread, or with SO_LINGER 0",
            "its process was gone, and its system reset when more came",
        ],
        look: &["the program's log of the side that reset"],
        by_absence: false,
        find: reset_after_peer_fin,
    },
    Rule {
        code: "never_closed",
        headline: "One side closed, and the other one never did.",
        when: "a FIN that is acknowledged, and no FIN or RST of the other side until the record was written",
        causes: &[
            "its program forgot to close: sockets in CLOSE-WAIT pile up",
            "its program still sends: an ordinary half-close",
        ],
        look: &["ss -tnp state close-wait on that host: which process holds them"],
        by_absence: true,
        find: never_closed,
    },
    Rule {
        code: "fin_unanswered",
        headline: "A FIN was never acknowledged.",
        when: "a FIN was seen, and no ACK of it",
        causes: &["the other host is gone, or the way to it is cut"],
        look: &["trace on the other side"],
        by_absence: true,
        find: fin_unanswered,
    },
];

fn forged_reset(connection: &Connection) -> Option<String> {
    count(connection, Anomaly::TrafficAfterRst)?;
    let whose = match connection.steps.iter().find(|step| step.flags.rst()) {
        Some(step) => format!("{} went on after its RST", step.from.name()),
        None => "the sender of the RST went on".to_owned(),
    };
    Some(format!("{whose}: a device on the way forged it"))
}

/// Who reset in this situation.
fn reset(connection: &Connection, cause: ResetCause) -> Option<Role> {
    let reset = connection.was_reset() && connection.close.cause == Some(cause);
    connection.close.by.filter(|_| reset)
}

fn reset_before_data(connection: &Connection) -> Option<String> {
    let by = reset(connection, ResetCause::BeforeData)?;
    let handshake = connection.open.rtt.total;
    let after = reset_ns(connection, by).zip(handshake);
    let after = after.map_or_else(String::new, |(reset, handshake)| {
        format!(
            "{} after the handshake, ",
            Lasting(reset.saturating_sub(handshake))
        )
    });
    let why = match by {
        Role::Client => "a health check or scan that closes by RST",
        Role::Server => {
            "its program or a proxy turned the client away, or its accept queue is full"
        }
    };
    Some(format!(
        "reset by {} {after}before any data: {why}",
        by.name()
    ))
}

fn reset_in_data(connection: &Connection) -> Option<String> {
    let by = reset(connection, ResetCause::InData)?;
    let after = Lasting(connection.duration_ns);
    Some(format!(
        "reset by {} after {after}, in the middle of data: it closed with unread data, was killed, or a device \
         between gave up",
        by.name()
    ))
}

/// How long after a FIN of one side the RST came.
fn after_fin(connection: &Connection, by: Role, of: Role) -> String {
    let times = reset_ns(connection, by).zip(fin_ns(connection, of));
    times.map_or_else(String::new, |(reset, fin)| {
        format!("{} ", Lasting(reset.saturating_sub(fin)))
    })
}

fn reset_after_own_fin(connection: &Connection) -> Option<String> {
    let by = reset(connection, ResetCause::AfterOwnFin)?;
    let time = after_fin(connection, by, by);
    Some(format!(
        "reset by {} {time}after its own FIN: it closed with unread data, or more came",
        by.name()
    ))
}

fn reset_after_peer_fin(connection: &Connection) -> Option<String> {
    let by = reset(connection, ResetCause::AfterPeerFin)?;
    let (time, peer) = (after_fin(connection, by, by.peer()), by.peer().name());
    Some(format!(
        "reset by {} {time}after the {peer}'s FIN: it closed with unread data, or its process was gone",
        by.name()
    ))
}

fn never_closed(connection: &Connection) -> Option<String> {
    let close = &connection.close;
    let by = close
        .by
        .filter(|_| close.kind == CloseKind::Half && !connection.asymmetric)?;
    let peer = by.peer().name();
    let time = close
        .half_close_ns
        .map_or_else(String::new, |ns| format!(" in {}", Lasting(ns)));
    Some(format!(
        "{peer} did not close after the {}'s FIN{time}: its program forgot to (CLOSE-WAIT), or still sends",
        by.name()
    ))
}

fn fin_unanswered(connection: &Connection) -> Option<String> {
    count(connection, Anomaly::FinUnacknowledged)?;
    let waits = |role: Role| matches!(connection.end(role).state, State::FinWait1 | State::LastAck);
    let whose = [Role::Client, Role::Server]
        .into_iter()
        .find(|&role| waits(role));
    let whose = whose.map_or_else(
        || "a FIN".to_owned(),
        |role| format!("{}'s FIN", role.name()),
    );
    let again = count(connection, Anomaly::FinRetransmitted).unwrap_or(0);
    let times = match again {
        0 => String::new(),
        again => format!(", sent {},", counted(u64::from(again) + 1, "time")),
    };
    Some(format!(
        "{whose}{times} was never acknowledged: the other host is gone, or the way to it cut"
    ))
}
