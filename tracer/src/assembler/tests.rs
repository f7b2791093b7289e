//! Conversations and the records that they come to, in the order of the tables of outcomes.

mod clocks;
mod closing;
mod lifetimes;
mod opening;
mod paths;

use proptest::prelude::*;
use synfin_ebpf::event::{Event, Side};
use synfin_ebpf::segment::Flags;
use synfin_ebpf::seq::Seq;

use super::fixtures::{Say as _, client, server};
use super::*;
use crate::timeline::{
    Anomaly, BytesBasis, CloseKind, Confidence, FastOpen, OpenKind, OpenOutcome, Proof, ResetCause,
    State, WrongAck,
};

const X: u32 = 2_452_765_130;
const Y: u32 = 1_996_069_412;
const SECOND: u64 = 1_000_000_000;

#[derive(Default)]
struct Collected {
    steps: Vec<Step>,
    connections: Vec<Connection>,
}

impl Output for Collected {
    fn step(&mut self, _: &Live, step: &Step) {
        self.steps.push(step.clone());
    }

    fn connection(&mut self, connection: Connection, _at_ns: u64) {
        self.connections.push(connection);
    }
}

fn assembler() -> Assembler {
    Assembler::new(Settings {
        handshake_timeout_ns: 35 * SECOND,
        max_steps: 64,
        linger_ns: 1_000_000_000,
        max_connections: 100,
        shares: 1,
        interfaces: HashMap::from([(1, "eth0".into())]),
    })
}

/// The records after the events, and after all timeouts.
fn records(events: &[Event]) -> Vec<Connection> {
    let (mut assembler, mut collected) = (assembler(), Collected::default());
    for event in events {
        assembler.advance(event.time_ns, &mut collected);
        assembler.observe(event, &mut collected);
    }
    assembler.advance(u64::MAX, &mut collected);
    assembler.finish(&mut collected);
    collected.connections
}

/// The only record.
fn record(events: &[Event]) -> Connection {
    let mut records = records(events);
    assert_eq!(records.len(), 1, "{records:#?}");
    records.remove(0)
}

fn anomalies(record: &Connection) -> Vec<Anomaly> {
    record
        .anomalies
        .iter()
        .map(|(anomaly, _)| *anomaly)
        .collect()
}

fn syn() -> Event {
    client().at(0).seq(X).syn()
}

fn syn_ack() -> Event {
    server().at(208).seq(Y).ack(X + 1).syn()
}

fn ack() -> Event {
    client().at(412).seq(X + 1).ack(Y + 1)
}

fn handshake() -> Vec<Event> {
    vec![syn(), syn_ack(), ack()]
}

fn opened_then(rest: &[Event]) -> Vec<Event> {
    [&handshake(), rest].concat()
}

/// The close of the article: the server first, 94 octets from it and 26 from the client.
fn four_way_close() -> [Event; 4] {
    [
        server().at(1_930_112).seq(Y + 95).ack(X + 27).fin(),
        client().at(1_930_318).seq(X + 27).ack(Y + 96),
        client().at(1_931_004).seq(X + 27).ack(Y + 96).fin(),
        server().at(1_931_210).seq(Y + 96).ack(X + 28),
    ]
}

#[test]
fn the_article_connection_opens_in_three_and_closes_in_four_segments() {
    let record = record(&opened_then(&four_way_close()));
    assert_eq!(record.open.outcome, OpenOutcome::Established);
    assert_eq!(record.open.kind, OpenKind::ThreeWay);
    assert_eq!(record.open.confidence, Confidence::Observed);
    assert_eq!(record.open.rtt.syn_to_synack, Some(208_000));
    assert_eq!(record.open.rtt.synack_to_ack, Some(204_000));
    assert_eq!(record.open.rtt.total, Some(412_000));
    assert_eq!(record.close.kind, CloseKind::FourWay);
    assert_eq!(record.close.by, Some(Role::Server));
    assert_eq!(record.close.half_close_ns, Some(892_000));
    assert_eq!(record.close.last_ack, Some(true));
    let bytes = |end: &crate::timeline::End| end.bytes.map(|bytes| (bytes.count, bytes.basis));
    assert_eq!(bytes(&record.client), Some((26, BytesBasis::Fin)));
    assert_eq!(bytes(&record.server), Some((94, BytesBasis::Fin)));
    assert_eq!(record.client.isn, Some(Seq(X)));
    assert_eq!(record.server.isn, Some(Seq(Y)));
    assert_eq!(record.completeness, 31);
    assert_eq!(&*record.interface, "eth0");
    assert_eq!(record.duration_ns, 1_931_210_000);
    assert_eq!(record.anomalies, []);
    let proofs: Vec<_> = record
        .steps
        .iter()
        .map(|step| step.check.map(|c| c.proof))
        .collect();
    let (syn, fin) = (Some(Proof::AcknowledgesSyn), Some(Proof::AcknowledgesFin));
    assert_eq!(proofs, [None, syn, syn, None, fin, None, fin]);
    assert!(
        record
            .steps
            .iter()
            .all(|step| step.check.is_none_or(|check| check.ok()))
    );
}

#[test]
fn the_states_of_both_ends_follow_the_article() {
    let record = record(&opened_then(&four_way_close()));
    let states: Vec<_> = (record.steps.iter())
        .map(|step| (step.client_state, step.server_state))
        .collect();
    let expected = [
        (Some(State::SynSent), None),
        (None, Some(State::SynReceived)),
        (Some(State::Established), Some(State::Established)),
        (Some(State::CloseWait), Some(State::FinWait1)),
        (None, Some(State::FinWait2)),
        (Some(State::LastAck), Some(State::TimeWait)),
        (Some(State::Closed), None),
    ];
    assert_eq!(states, expected);
}
