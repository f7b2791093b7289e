//! What came of a connection, in a sentence: the title of a ladder and the last line of a followed
//! connection.

use std::fmt::Write;

use synfin_ebpf::segment::Flags;

use super::flags::Shown;
use super::paint::{Clause, Tone};
use super::services;
use crate::diagnosis::diagnose;
use crate::timeline::{
    Bytes, BytesBasis, Close, CloseKind, Connection, FastOpen, Open, OpenKind, OpenOutcome,
    ResetCause, Role,
};
use crate::units::{Lasting, Octets, Seconds};

/// Backoff times that fit into a title; of a longer list the first ones are told.
const BACKOFFS: usize = 6;
/// A half-close shorter than this is the ordinary way of closing.
const LONG_HALF_CLOSE_NS: u64 = 1_000_000_000;

/// Who talked to whom: `10.1.1.2:52144 → 10.1.1.1:21 ftp`. The arrow of a lone segment is its own.
pub(super) fn route(connection: &Connection) -> String {
    let (client, server) = (connection.client.socket(), connection.server.socket());
    let lone = !connection.open.outcome.is_connection();
    let arrow = match connection.steps.first() {
        Some(step) if lone && step.from == Role::Server => '←',
        _ => '→',
    };
    let mut route = format!("{client} {arrow} {server}");
    if let Some(service) = services::name(server.port()) {
        route.push(' ');
        route.push_str(service);
    }
    route
}

/// How it opened, how it closed, how long it lived and what it carried.
pub(super) fn verdict(connection: &Connection) -> Vec<Clause> {
    let mut clauses = Vec::with_capacity(6);
    opened(connection, &mut clauses);
    closed(connection, &mut clauses);
    let lived = match (connection.open.outcome, connection.close.kind) {
        (OpenOutcome::Established | OpenOutcome::Unobserved, CloseKind::None) => {
            Some("last segment after")
        }
        (OpenOutcome::Established, _) => Some("lived"),
        (OpenOutcome::Unobserved, _) => Some("seen for"),
        _ => None,
    };
    if let Some(lived) = lived.filter(|_| connection.duration_ns > 0) {
        let text = format!("{lived} {}", Lasting(connection.duration_ns));
        clauses.push(Clause::new(Tone::Plain, text));
    }
    clauses.extend(carried(connection, lived.is_some()));
    clauses
}

/// The one clause that says the most: a failure, else what is odd, else how it closed, or that it is open.
pub(crate) fn gist(connection: &Connection) -> Clause {
    let mut clauses = Vec::with_capacity(4);
    opened(connection, &mut clauses);
    closed(connection, &mut clauses);
    let first = |tone: Tone| clauses.iter().position(|clause| clause.tone == tone);
    let place = first(Tone::Bad).or_else(|| first(Tone::Odd));
    let place = place.unwrap_or(clauses.len().saturating_sub(1));
    // How it opened is always told.
    let gist = clauses.into_iter().nth(place);
    gist.unwrap_or_else(|| Clause::new(Tone::Plain, ""))
}

/// Why it failed or is odd.
pub(super) fn explained(connection: &Connection) -> Vec<Clause> {
    let diagnoses = diagnose(connection).into_iter();
    let clauses = diagnoses.map(|diagnosis| Clause::new(Tone::Odd, diagnosis.text));
    clauses.collect()
}

fn opened(connection: &Connection, clauses: &mut Vec<Clause>) {
    let open = &connection.open;
    let lasted = Lasting(connection.duration_ns);
    let failed = |text: String| Clause::new(Tone::Bad, text);
    clauses.push(match open.outcome {
        OpenOutcome::Established => Clause::new(Tone::Plain, established(connection)),
        OpenOutcome::NoReply => failed(no_reply(connection)),
        OpenOutcome::Refused => failed(match open.refused_after_ns {
            Some(ns) => format!("refused after {}", Lasting(ns)),
            None => "refused".to_owned(),
        }),
        OpenOutcome::HalfOpen => failed(match open.synack_retries {
            0 => format!("half open: the SYN-ACK was not acknowledged, seen for {lasted}"),
            retries => format!(
                "half open: none of {} SYN-ACKs was acknowledged in {lasted}",
                u64::from(retries) + 1
            ),
        }),
        OpenOutcome::Rejected => failed(match open.wrong_ack {
            Some(wrong) => format!(
                "rejected by client: the SYN-ACK acknowledges {}, expected {}",
                wrong.seen.0, wrong.expected.0
            ),
            None => "rejected by client: the SYN-ACK acknowledges a wrong number".to_owned(),
        }),
        OpenOutcome::Aborted => failed("aborted by client after a valid SYN-ACK".to_owned()),
        OpenOutcome::Pending => {
            Clause::new(Tone::Odd, format!("opening still under way after {lasted}"))
        }
        OpenOutcome::Backscatter => {
            Clause::new(Tone::Odd, format!("backscatter: {}", sent(connection)))
        }
        OpenOutcome::Probe => Clause::new(Tone::Odd, format!("probe: {}", sent(connection))),
        OpenOutcome::Unobserved if connection.asymmetric && opening_seen(connection) => {
            Clause::new(Tone::Odd, "opening seen in one direction")
        }
        OpenOutcome::Unobserved => Clause::new(Tone::Plain, "already open when first seen"),
    });
    // The other outcomes tell their retries themselves.
    if open.syn_retries > 0 && open.outcome != OpenOutcome::NoReply {
        let text = match backoff(open) {
            Some((times, doubling)) => {
                let doubling = doubling.map(|doubling| format!(" ({doubling})"));
                format!("SYN retried after {times}{}", doubling.unwrap_or_default())
            }
            None => format!("SYN sent {} times", u64::from(open.syn_retries) + 1),
        };
        clauses.push(Clause::new(Tone::Odd, text));
    }
    if open.synack_retries > 0 && open.outcome != OpenOutcome::HalfOpen {
        let text = format!("SYN-ACK sent {} times", u64::from(open.synack_retries) + 1);
        clauses.push(Clause::new(Tone::Odd, text));
    }
    match (open.fast_open, open.kind) {
        (FastOpen::Ignored, _) => clauses.push(Clause::new(Tone::Odd, "Fast Open data ignored")),
        (FastOpen::Accepted, kind) if kind != OpenKind::FastOpen => {
            clauses.push(Clause::new(Tone::Plain, "Fast Open data accepted"));
        }
        _ => {}
    }
    if open.ack_via_data {
        clauses.push(Clause::new(Tone::Plain, "its ACK came with data"));
    }
}

/// Whether a SYN or SYN-ACK was seen.
const fn opening_seen(connection: &Connection) -> bool {
    connection.client.options.is_some() || connection.server.options.is_some()
}

fn established(connection: &Connection) -> String {
    let mut text = "established".to_owned();
    if let Some(total) = connection.open.rtt.total {
        text.push_str(&format!(" in {}", Lasting(total)));
    }
    text.push_str(match connection.open.kind {
        OpenKind::ThreeWay | OpenKind::None => "",
        OpenKind::Simultaneous => " by a simultaneous open",
        OpenKind::Split => " by a split handshake",
        OpenKind::FastOpen => " with Fast Open",
        OpenKind::Partial => ", its SYN not seen",
    });
    text
}

fn no_reply(connection: &Connection) -> String {
    let open = &connection.open;
    if open.syn_retries == 0 {
        return "no reply to the SYN".to_owned();
    }
    let syns = u64::from(open.syn_retries) + 1;
    let mut text = format!(
        "no reply to {syns} SYNs in {}",
        Lasting(connection.duration_ns)
    );
    if let Some((times, doubling)) = backoff(open) {
        let retries = if open.backoff_ns.len() == 1 {
            "retry"
        } else {
            "retries"
        };
        let doubling = doubling.map(|doubling| format!(", {doubling}"));
        let doubling = doubling.unwrap_or_default();
        // A string takes what is written to it.
        let _ = write!(text, " ({retries} after {times}{doubling})");
    }
    text
}

/// The times between SYNs, `1.02, 2.05 s`, and whether each was about twice the one before.
fn backoff(open: &Open) -> Option<(String, Option<&'static str>)> {
    let times: Vec<_> = open
        .backoff_ns
        .iter()
        .take(BACKOFFS)
        .map(|&ns| Seconds(ns).to_string())
        .collect();
    let more = if open.backoff_ns.len() > BACKOFFS {
        ", …"
    } else {
        ""
    };
    let doubling = open.backoff_doubles.map(|doubles| match doubles {
        true => "doubling",
        false => "not doubling",
    });
    (!times.is_empty()).then(|| (format!("{}{more} s", times.join(", ")), doubling))
}

/// The flags of a lone segment, and how often it came.
fn sent(connection: &Connection) -> String {
    let bare = Flags::default();
    let flags = connection.steps.first().map_or(bare, |step| step.flags);
    let kept = u64::try_from(connection.steps.len()).unwrap_or(u64::MAX);
    let count = kept.saturating_add(connection.steps_omitted);
    match (count, flags == bare) {
        (0 | 1, true) => "a lone segment without flags".to_owned(),
        (0 | 1, false) => format!("a lone {}", Shown(flags)),
        (many, true) => format!("{many} segments without flags"),
        (many, false) => format!("{} (×{many})", Shown(flags)),
    }
}

fn closed(connection: &Connection, clauses: &mut Vec<Clause>) {
    let close = &connection.close;
    let open = matches!(
        connection.open.outcome,
        OpenOutcome::Established | OpenOutcome::Unobserved
    );
    let told_by_opening = !open && matches!(close.cause, None | Some(ResetCause::InHandshake));
    let by = close
        .by
        .map(|role| format!(" by {}", role.name()))
        .unwrap_or_default();
    let plain = |text: String| Some(Clause::new(Tone::Plain, text));
    clauses.extend(match close.kind {
        CloseKind::FourWay => plain(format!("closed{by}, four-way")),
        CloseKind::ThreeWay => plain(format!("closed{by}, three-way")),
        CloseKind::Simultaneous => plain("closed by both at once".to_owned()),
        CloseKind::Half => {
            let other = close.by.map_or("the other", |role| role.peer().name());
            let time = close.half_close_ns.map(|ns| format!(" in {}", Lasting(ns)));
            let time = time.unwrap_or_default();
            let text = format!("half closed{by}, {other} did not finish{time}");
            Some(Clause::new(Tone::Odd, text))
        }
        CloseKind::Reset if told_by_opening => None,
        CloseKind::Reset => {
            let text = format!("reset{by}{}", situation(close));
            Some(Clause::new(Tone::Bad, text))
        }
        // Of what one side alone says no more is known.
        CloseKind::None if open && !connection.asymmetric => {
            plain("still open as far as seen".to_owned())
        }
        CloseKind::None => None,
    });
    if let Some(ns) = close.half_close_ns
        && ns >= LONG_HALF_CLOSE_NS
        && close.kind != CloseKind::Half
        && let Some(role) = close.by
    {
        let text = format!("{} open {} longer", role.peer().name(), Lasting(ns));
        clauses.push(Clause::new(Tone::Plain, text));
    }
    if close.last_ack == Some(false) {
        clauses.push(Clause::new(Tone::Odd, "last ACK not seen"));
    }
}

/// The situation of a RST in words.
fn situation(close: &Close) -> String {
    let peer = |role: Option<Role>| role.map_or("peer", |role| role.peer().name());
    match close.cause {
        None => String::new(),
        Some(ResetCause::InHandshake) => " during the handshake".to_owned(),
        Some(ResetCause::BeforeData) => " before any data".to_owned(),
        Some(ResetCause::InData) => " in the middle of data".to_owned(),
        Some(ResetCause::AfterOwnFin) => " after its own FIN".to_owned(),
        Some(ResetCause::AfterPeerFin) => format!(" after the {}'s FIN", peer(close.by)),
    }
}

/// What it carried each way; of one that never opened only where it carried something.
fn carried(connection: &Connection, opened: bool) -> Option<Clause> {
    let (up, down) = (connection.client.bytes, connection.server.bytes);
    let told = |bytes: Option<Bytes>| match bytes {
        Some(bytes) if bytes.count == 0 => opened && bytes.basis != BytesBasis::Acknowledged,
        bytes => bytes.is_some(),
    };
    (told(up) || told(down)).then(|| {
        let text = format!("↑ {} ↓ {}", amount(up), amount(down));
        Clause::new(Tone::Plain, text)
    })
}

/// A count of octets: `26 B`, `≥ 26 B` where it is a lower bound, `?` where nothing is known.
pub(crate) fn amount(bytes: Option<Bytes>) -> String {
    match bytes.map(|Bytes { count, basis, .. }| (count, basis)) {
        None | Some((0, BytesBasis::Acknowledged)) => "?".to_owned(),
        Some((count, BytesBasis::Acknowledged)) => format!("≥ {}", Octets(count)),
        Some((count, _)) => Octets(count).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::fixtures::{backscatter, ftp, no_reply, probe, text};
    use crate::timeline::Confidence;

    fn said(connection: &Connection) -> String {
        text(&verdict(connection))
    }

    #[test]
    fn the_gist_is_the_failure_or_the_close() {
        let gist = |connection: &Connection| gist(connection).text;
        assert_eq!(gist(&ftp()), "closed by server, four-way");
        assert!(gist(&no_reply()).starts_with("no reply to "));
        assert!(gist(&probe()).starts_with("probe: "));
    }

    #[test]
    fn a_close_is_told_with_who_began_it() {
        let mut connection = ftp();
        assert_eq!(
            said(&connection),
            "established in 0.41 ms · closed by server, four-way · lived 1.93 s · ↑ 26 B ↓ 94 B"
        );
        connection.close.by = None;
        assert!(said(&connection).contains("closed, four-way"));
    }

    #[test]
    fn a_reset_is_told_with_its_situation() {
        let mut connection = ftp();
        connection.close.kind = CloseKind::Reset;
        connection.close.by = Some(Role::Client);
        for (cause, words) in [
            (
                ResetCause::InHandshake,
                "reset by client during the handshake",
            ),
            (ResetCause::BeforeData, "reset by client before any data"),
            (ResetCause::InData, "reset by client in the middle of data"),
            (ResetCause::AfterOwnFin, "reset by client after its own FIN"),
            (
                ResetCause::AfterPeerFin,
                "reset by client after the server's FIN",
            ),
        ] {
            connection.close.cause = Some(cause);
            assert!(said(&connection).contains(words), "{words}");
        }
    }

    #[test]
    fn a_long_half_close_and_a_missing_last_ack_are_told() {
        let mut connection = ftp();
        connection.close.half_close_ns = Some(4_200_000_000);
        connection.close.last_ack = Some(false);
        let said = said(&connection);
        assert!(
            said.contains("client open 4.20 s longer · last ACK not seen"),
            "{said}"
        );
    }

    #[test]
    fn a_lower_bound_and_an_unknown_count_are_told_as_such() {
        let mut connection = ftp();
        connection.client.bytes = None;
        connection.server.bytes = Some(Bytes {
            modulo: true,
            count: 94,
            basis: BytesBasis::Acknowledged,
        });
        assert!(said(&connection).ends_with("↑ ? ↓ ≥ 94 B"));
        for bytes in [
            None,
            connection
                .server
                .bytes
                .map(|bytes| Bytes { count: 0, ..bytes }),
        ] {
            connection.server.bytes = bytes;
            assert!(said(&connection).ends_with("lived 1.93 s"));
        }
    }

    #[test]
    fn a_long_backoff_is_cut() {
        let mut connection = no_reply();
        connection.open.syn_retries = 8;
        connection.open.backoff_ns = vec![1_000_000_000; 8];
        let said = said(&connection);
        assert!(said.ends_with("1.00, 1.00, 1.00, … s, doubling)"), "{said}");
    }

    #[test]
    fn retries_of_the_syn_are_told_with_their_times() {
        let mut connection = ftp();
        connection.open.syn_retries = 2;
        connection.open.backoff_ns = vec![1_000_000_000, 2_000_000_000];
        for (doubles, words) in [
            (Some(true), "SYN retried after 1.00, 2.00 s (doubling) · "),
            (
                Some(false),
                "SYN retried after 1.00, 2.00 s (not doubling) · ",
            ),
            (None, "SYN retried after 1.00, 2.00 s · "),
        ] {
            connection.open.backoff_doubles = doubles;
            assert!(said(&connection).contains(words), "{}", said(&connection));
        }
    }

    #[test]
    fn what_came_of_fast_open_is_told() {
        let mut connection = ftp();
        for (fast_open, words) in [
            (FastOpen::None, "established in 0.41 ms · closed"),
            (FastOpen::Requested, "established in 0.41 ms · closed"),
            (FastOpen::Accepted, "0.41 ms · Fast Open data accepted · "),
            (FastOpen::Ignored, "0.41 ms · Fast Open data ignored · "),
        ] {
            connection.open.fast_open = fast_open;
            assert!(said(&connection).contains(words), "{}", said(&connection));
        }
    }

    #[test]
    fn a_lone_segment_is_told_by_its_flags_and_direction() {
        let mut reset = backscatter();
        assert_eq!(route(&reset), "10.1.1.2:52144 ← 10.1.1.1:80 http");
        assert_eq!(said(&reset), "backscatter: a lone RST,ACK");
        reset.steps_omitted = 2;
        assert_eq!(said(&reset), "backscatter: RST,ACK (×3)");
        let mut scan = probe();
        assert_eq!(said(&scan), "probe: a lone FIN,PSH,URG");
        scan.steps.iter_mut().for_each(|step| step.flags = Flags(0));
        assert_eq!(said(&scan), "probe: a lone segment without flags");
        scan.steps_omitted = 1;
        assert_eq!(said(&scan), "probe: 2 segments without flags");
    }

    #[test]
    fn forms_of_the_opening_and_its_retries_are_told() {
        let mut connection = ftp();
        connection.open.confidence = Confidence::Observed;
        connection.open.syn_retries = 1;
        connection.open.ack_via_data = true;
        for (kind, words) in [
            (
                OpenKind::ThreeWay,
                "established in 0.41 ms · SYN sent 2 times",
            ),
            (OpenKind::Simultaneous, "by a simultaneous open · SYN sent"),
            (OpenKind::Split, "by a split handshake · "),
            (OpenKind::FastOpen, "with Fast Open · "),
            (OpenKind::Partial, ", its SYN not seen · "),
        ] {
            connection.open.kind = kind;
            let said = said(&connection);
            assert!(said.contains(words), "{said}");
            assert!(said.contains("its ACK came with data"), "{said}");
        }
    }
}
