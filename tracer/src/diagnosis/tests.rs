//! Each rule on a record that it fits.

use std::collections::BTreeSet;

use synfin_ebpf::segment::Flags;
use synfin_ebpf::seq::Seq;

use super::*;
use crate::sink::fixtures::{self, SYN, SYN_ACK, X, Y, step};
use crate::timeline::{Anomaly, CloseKind, OpenOutcome, ResetCause, Role, State, WrongAck};

/// A rule, a record, and what is said of it.
type Case = (&'static str, Connection, &'static str);

fn changed(mut connection: Connection, change: impl FnOnce(&mut Connection)) -> Connection {
    change(&mut connection);
    connection
}

fn odd(anomaly: Anomaly, count: u32) -> Connection {
    changed(fixtures::ftp(), |ftp| {
        ftp.anomalies = vec![(anomaly, count)]
    })
}

fn reset(by: Role, cause: ResetCause, ns: u64) -> Connection {
    changed(fixtures::ftp(), |ftp| {
        let fin = (cause == ResetCause::AfterOwnFin).then_some(by);
        let fin = fin.or((cause == ResetCause::AfterPeerFin).then_some(by.peer()));
        ftp.steps.retain(|step| !step.flags.fin());
        if let Some(from) = fin {
            ftp.steps
                .push(step(from, Flags::FIN.with(Flags::ACK), X).at_us(900));
        }
        ftp.steps.push(step(by, Flags::RST, X).at_us(ns / 1_000));
        ftp.close.kind = CloseKind::Reset;
        ftp.close.by = Some(by);
        ftp.close.cause = Some(cause);
    })
}

fn openings() -> Vec<Case> {
    let syn_at = |us| step(Role::Client, SYN, X).at_us(us);
    vec![
        (
            "no_answer",
            fixtures::no_reply(),
            "no answer to 4 SYNs over 7.04 s: dropped on the way or host down",
        ),
        (
            "no_answer",
            changed(fixtures::no_reply(), |record| record.open.syn_retries = 0),
            "no answer to the only SYN: dropped on the way, or the probe of a scan",
        ),
        (
            "no_answer",
            changed(fixtures::no_reply(), |record| record.observation_gap = true),
            "no answer to 4 SYNs over 7.04 s: dropped on the way or host down (events were lost meanwhile: \
             it may have come)",
        ),
        (
            "refused",
            fixtures::refused(),
            "refused after 0.20 ms: nothing listens on port 6379, or a firewall rejects",
        ),
        (
            "refused",
            changed(fixtures::refused(), |record| record.open.syn_retries = 2),
            "refused after 0.20 ms, at the third SYN: nothing listens on port 6379, or a firewall rejects",
        ),
        (
            "wrong_synack",
            fixtures::rejected(),
            "client rejected the SYN-ACK: ACK 1001, expected 2452765131: stale or spoofed peer",
        ),
        (
            "wrong_synack",
            changed(fixtures::ftp(), |ftp| {
                let (expected, seen) = (Seq(8), Seq(1001));
                ftp.open.wrong_ack = Some(WrongAck { expected, seen });
            }),
            "a SYN-ACK was none for this SYN: ACK 1001, expected 8: stale or spoofed peer",
        ),
        (
            "reset_by_client",
            fixtures::aborted(),
            "client answered a valid SYN-ACK with RST after 0.05 ms: a port scan, or it knows nothing of the SYN",
        ),
        (
            "gave_up",
            changed(fixtures::aborted(), |record| {
                for step in record.steps.iter_mut().skip(1) {
                    step.t_ns += 3_000_000_000;
                }
            }),
            "client reset when the SYN-ACK came, 3.00 s after its first SYN: it had given up waiting",
        ),
        (
            "no_ack",
            fixtures::half_open(),
            "no ACK for 3 SYN-ACKs over 3.08 s: client gone or forged, or the way back to it drops",
        ),
        (
            "synack_repeated",
            odd(Anomaly::SynAckRetransmitted, 3),
            "server repeats its SYN-ACK after the client's ACK (3 times): its accept queue is full or the ACK is lost",
        ),
        (
            "synack_lost",
            changed(fixtures::ftp(), |ftp| {
                ftp.steps.insert(2, syn_at(1_000_208))
            }),
            "client sent its SYN again 1.00 s after the SYN-ACK was here: that was lost on its way to the client",
        ),
        (
            "syn_lost",
            fixtures::retried(),
            "handshake took 2.01 s: the first 2 SYNs were lost, the retry answered in 0.21 ms",
        ),
        (
            "slow_answer",
            changed(fixtures::ftp(), |ftp| {
                ftp.open.rtt.syn_to_synack = Some(612_000_000);
            }),
            "SYN-ACK came 612 ms after the SYN: a long way to the server, or it is busy",
        ),
        (
            "slow_ack",
            changed(fixtures::ftp(), |ftp| {
                ftp.open.rtt.synack_to_ack = Some(500_000_000);
            }),
            "ACK came 500 ms after the SYN-ACK: a long way to the client, or it is busy",
        ),
        (
            "client_restarted",
            changed(odd(Anomaly::SynInOpenConnection, 1), |ftp| {
                ftp.anomalies.push((Anomaly::ChallengeAck, 1));
            }),
            "a new SYN came inside the open connection, and was challenged: client or NAT lost its state and took \
             the port again",
        ),
        (
            "fast_open_ignored",
            fixtures::fast_open_ignored(),
            "data on the SYN was not acknowledged: Fast Open is off at the server, or its cookie is stale",
        ),
        (
            "backscatter",
            fixtures::backscatter(),
            "RST of 10.1.1.1:80 answers nothing seen here: forged addresses, or a forgotten connection",
        ),
        (
            "probe",
            fixtures::probe(),
            "flags that no TCP sends, to port 443: a port scan",
        ),
    ]
}

fn closings() -> Vec<Case> {
    vec![
        (
            "forged_reset",
            changed(odd(Anomaly::TrafficAfterRst, 1), |ftp| {
                ftp.steps.push(step(Role::Server, Flags::RST, Y));
            }),
            "server went on after its RST: a device on the way forged it",
        ),
        (
            "reset_before_data",
            reset(Role::Server, ResetCause::BeforeData, 712_000),
            "reset by server 0.30 ms after the handshake, before any data: its program or a proxy turned the client \
             away, or its accept queue is full",
        ),
        (
            "reset_before_data",
            reset(Role::Client, ResetCause::BeforeData, 712_000),
            "reset by client 0.30 ms after the handshake, before any data: a health check or scan that closes by RST",
        ),
        (
            "reset_in_data",
            fixtures::reset_in_data(),
            "reset by server after 4.12 s, in the middle of data: it closed with unread data, was killed, or a \
             device between gave up",
        ),
        (
            "reset_after_own_fin",
            reset(Role::Server, ResetCause::AfterOwnFin, 3_900_000),
            "reset by server 3.00 ms after its own FIN: it closed with unread data, or more came",
        ),
        (
            "reset_after_peer_fin",
            reset(Role::Client, ResetCause::AfterPeerFin, 2_900_000),
            "reset by client 2.00 ms after the server's FIN: it closed with unread data, or its process was gone",
        ),
        (
            "never_closed",
            fixtures::half_close(),
            "client did not close after the server's FIN in 1 min 01 s: its program forgot to (CLOSE-WAIT), or still \
             sends",
        ),
        (
            "fin_unanswered",
            changed(odd(Anomaly::FinUnacknowledged, 1), |ftp| {
                ftp.anomalies.push((Anomaly::FinRetransmitted, 4));
                ftp.client.state = State::FinWait1;
            }),
            "client's FIN, sent 5 times, was never acknowledged: the other host is gone, or the way to it cut",
        ),
    ]
}

fn transfers() -> Vec<Case> {
    let counted = |change: fn(&mut Connection)| changed(fixtures::counted(), change);
    vec![
        (
            "segments_lost",
            fixtures::counted(),
            "3 of the server's 131 segments were sent again (2.2 %): lost beyond here, or their ACKs were",
        ),
        (
            "segments_late",
            counted(|record| {
                if let Some(accounts) = &mut record.accounts {
                    accounts.client.out_of_order = 4;
                }
            }),
            "4 of the client's 9 segments came late (44.4 %): lost before here, or overtaken",
        ),
        (
            "window_closed",
            fixtures::counted(),
            "server closed its receive window 1 time: its program reads too slowly",
        ),
        (
            "no_window_scaling",
            changed(fixtures::reset_in_data(), |record| {
                if let Some(options) = &mut record.server.options {
                    options.window_scale = None;
                }
            }),
            "window scaling was offered and not echoed: at most 64 KiB are on the way at a time",
        ),
    ]
}

fn cases() -> impl Iterator<Item = Case> {
    [openings(), closings(), transfers()].into_iter().flatten()
}

#[test]
fn each_rule_says_what_it_measured_and_what_is_behind_it() {
    for (code, connection, words) in cases() {
        let said = diagnose(&connection);
        let of_rule = said.iter().find(|diagnosis| diagnosis.code == code);
        let text = of_rule.map(|diagnosis| diagnosis.text.as_str());
        assert_eq!(text, Some(words), "{code}: {said:?}");
    }
}

#[test]
fn no_rule_is_without_a_case_and_no_name_is_given_twice() {
    let tried: BTreeSet<_> = cases().map(|(code, ..)| code).collect();
    let known: BTreeSet<_> = rules().map(|rule| rule.code).collect();
    assert_eq!(tried, known);
    assert_eq!(known.len(), rules().count());
}

#[test]
fn nothing_is_said_of_a_connection_that_is_well() {
    for connection in [
        fixtures::ftp(),
        fixtures::three_way_close(),
        fixtures::simultaneous_close(),
        fixtures::fast_open(),
        fixtures::still_open(),
        fixtures::pending(),
    ] {
        assert_eq!(diagnose(&connection), []);
    }
}

#[test]
fn every_failed_opening_and_every_reset_has_a_diagnosis() {
    for (name, connection) in fixtures::all() {
        let fails = !matches!(
            connection.open.outcome,
            OpenOutcome::Established | OpenOutcome::Pending | OpenOutcome::Unobserved
        );
        let said = diagnose(&connection);
        assert!(
            !said.is_empty() || !(fails || connection.was_reset()),
            "{name}"
        );
    }
}

#[test]
fn few_segments_or_a_small_share_prove_no_loss() {
    for (again, of) in [(2, 10), (3, 301)] {
        let mut connection = fixtures::counted();
        if let Some(accounts) = &mut connection.accounts {
            accounts.server.retransmissions = again;
            accounts.server.packets = of;
        }
        let said = diagnose(&connection);
        assert!(
            said.iter().all(|one| one.code != "segments_lost"),
            "{again} of {of}"
        );
    }
}

#[test]
fn a_synack_that_came_before_its_syn_tells_of_no_loss() {
    let mut connection = fixtures::ftp();
    connection
        .steps
        .retain(|step| step.flags != SYN && step.flags != SYN_ACK);
    assert_eq!(diagnose(&connection), []);
}

#[test]
fn every_rule_is_explained() {
    let list = catalogue();
    for rule in rules() {
        assert!(list.contains(rule.code));
        let text = explain(rule.code).unwrap();
        assert!(text.starts_with(rule.code) && text.contains(rule.when));
        assert!(
            rule.causes
                .iter()
                .chain(rule.look)
                .all(|line| text.contains(line))
        );
        assert!(
            !rule.causes.is_empty() && !rule.look.is_empty(),
            "{}",
            rule.code
        );
    }
    let error = explain("nonsense").unwrap_err().to_string();
    assert!(
        error.contains("nonsense") && error.contains("synfin explain"),
        "{error}"
    );
}
