//! Conversations and the records that they come to, in the order of the tables of outcomes.

use proptest::prelude::*;
use synfin_ebpf::event::{Event, Side};
use synfin_ebpf::segment::Flags;
use synfin_ebpf::seq::Seq;

use super::fixtures::{Say as _, client, server};
use super::*;
use crate::timeline::FastOpen;
use crate::timeline::{
    Anomaly, BytesBasis, CloseKind, Confidence, OpenKind, OpenOutcome, Proof, ResetCause, State,
    WrongAck,
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

    fn connection(&mut self, connection: Connection) {
        self.connections.push(connection);
    }
}

fn assembler() -> Assembler {
    Assembler::new(Settings {
        handshake_timeout_ns: 35 * SECOND,
        max_steps: 64,
        linger_ns: 1_000_000_000,
        max_connections: 100,
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

#[test]
fn a_syn_without_an_answer_is_no_reply_with_its_backoff() {
    let record = record(&[
        syn(),
        syn().at(1_000_000),
        syn().at(3_000_000),
        syn().at(7_000_000),
    ]);
    assert_eq!(record.open.outcome, OpenOutcome::NoReply);
    assert_eq!(record.open.syn_retries, 3);
    assert_eq!(record.open.backoff_ns, [SECOND, 2 * SECOND, 4 * SECOND]);
    assert_eq!(record.close.kind, CloseKind::None);
    assert_eq!(record.client.bytes, None);
    assert_eq!(record.server.isn, None);
    assert_eq!(record.completeness, 1);
}

#[test]
fn a_retried_syn_is_one_attempt_and_its_answer_leaves_the_first_leg_open() {
    let record = record(&[
        syn(),
        syn().at(1_000_000),
        syn_ack().at(1_000_200),
        ack().at(1_000_300),
    ]);
    assert_eq!(record.open.outcome, OpenOutcome::Established);
    assert_eq!(record.open.syn_retries, 1);
    assert_eq!(record.open.rtt.syn_to_synack, None);
    assert_eq!(record.open.rtt.synack_to_ack, Some(100_000));
    assert_eq!(record.open.rtt.total, Some(1_000_300_000));
}

#[test]
fn a_syn_with_a_new_number_is_a_new_attempt() {
    let again = client().at(1_000_000).seq(X + 5000).syn();
    let records = records(&[syn(), again]);
    assert_eq!(records.len(), 2);
    assert_eq!(records[0].open.outcome, OpenOutcome::NoReply);
    assert_eq!(records[1].client.isn, Some(Seq(X + 5000)));
}

#[test]
fn a_rst_that_acknowledges_the_syn_refuses() {
    let rst = server().at(200).seq(0).ack(X + 1).rst();
    let record = record(&[syn(), rst]);
    assert_eq!(record.open.outcome, OpenOutcome::Refused);
    assert_eq!(record.open.refused_after_ns, Some(200_000));
    assert_eq!(record.open.rtt.syn_to_synack, None);
    assert_eq!(record.close.kind, CloseKind::None);
    assert_eq!(record.completeness, 37);
}

#[test]
fn a_rst_that_does_not_acknowledge_the_syn_refuses_nothing() {
    for rst in [
        server().at(200).seq(0).ack(X).rst(),
        server().at(200).seq(0).rst(),
    ] {
        let record = record(&[syn(), rst]);
        assert_eq!(record.open.outcome, OpenOutcome::NoReply);
        assert_eq!(anomalies(&record), [Anomaly::RstOutOfWindow]);
        assert_eq!(record.steps[1].check.unwrap().expected, Some(Seq(X + 1)));
    }
}

#[test]
fn a_client_that_is_refused_and_tries_again_with_its_number_is_one_attempt() {
    let rst = |us| server().at(us).seq(0).ack(X + 1).rst();
    let record = record(&[syn(), rst(100), syn().at(500_000), rst(500_100)]);
    assert_eq!(record.open.outcome, OpenOutcome::Refused);
    assert_eq!(record.open.syn_retries, 1);
}

#[test]
fn a_syn_ack_without_an_answer_is_half_open() {
    let record = record(&[syn(), syn_ack(), syn_ack().at(1_000_000)]);
    assert_eq!(record.open.outcome, OpenOutcome::HalfOpen);
    assert_eq!(record.open.synack_retries, 1);
    assert_eq!(record.open.rtt.syn_to_synack, Some(208_000));
    assert_eq!(record.open.rtt.synack_to_ack, None);
    assert_eq!(record.server.state, State::SynReceived);
}

#[test]
fn a_syn_ack_of_a_wrong_number_answered_by_rst_is_rejected() {
    let wrong = server().at(208).seq(Y).ack(X + 7).syn();
    let rst = client().at(300).seq(X + 7).rst();
    let record = record(&[syn(), wrong, rst]);
    assert_eq!(record.open.outcome, OpenOutcome::Rejected);
    let expected = WrongAck {
        expected: Seq(X + 1),
        seen: Seq(X + 7),
    };
    assert_eq!(record.open.wrong_ack, Some(expected));
    assert_eq!(anomalies(&record), [Anomaly::WrongSynAckAck]);
    assert_eq!(record.steps[1].check.unwrap().expected, Some(Seq(X + 1)));
}

#[test]
fn a_valid_syn_ack_answered_by_rst_is_aborted() {
    let record = record(&[syn(), syn_ack(), client().at(300).seq(X + 1).rst()]);
    assert_eq!(record.open.outcome, OpenOutcome::Aborted);
    assert_eq!(record.close.kind, CloseKind::None);
}

#[test]
fn an_opening_that_the_end_of_the_observation_cuts_is_pending() {
    for events in [vec![syn()], vec![syn(), syn_ack()]] {
        let (mut assembler, mut collected) = (assembler(), Collected::default());
        events
            .iter()
            .for_each(|event| assembler.observe(event, &mut collected));
        assembler.finish(&mut collected);
        assert_eq!(collected.connections[0].open.outcome, OpenOutcome::Pending);
    }
}

#[test]
fn data_that_completes_the_handshake_is_told() {
    let record = record(&[syn(), syn_ack(), ack().len(5)]);
    assert_eq!(record.open.outcome, OpenOutcome::Established);
    assert!(record.open.ack_via_data);
}

#[test]
fn a_syn_ack_after_the_ack_is_a_retransmission_of_an_open_connection() {
    let record = record(&opened_then(&[syn_ack().at(1_000_000)]));
    assert_eq!(record.open.outcome, OpenOutcome::Established);
    assert_eq!(anomalies(&record), [Anomaly::SynAckRetransmitted]);
    assert_eq!(record.open.rtt.synack_to_ack, Some(204_000));
}

#[test]
fn of_two_syn_acks_the_acknowledged_one_counts() {
    let other = server().at(300).seq(Y + 9000).ack(X + 1).syn();
    let record = record(&[syn(), syn_ack(), other, ack()]);
    assert_eq!(record.open.outcome, OpenOutcome::Established);
    assert_eq!(record.server.isn, Some(Seq(Y)));
    assert_eq!(anomalies(&record), [Anomaly::SynAckIsnChanged]);
}

#[test]
fn a_syn_ack_seen_before_its_syn_is_established_without_that_leg() {
    let record = record(&[syn_ack().at(100), syn().at(200), ack()]);
    assert_eq!(record.open.outcome, OpenOutcome::Established);
    assert_eq!(record.open.kind, OpenKind::ThreeWay);
    assert_eq!(record.open.rtt.syn_to_synack, None);
}

#[test]
fn a_missing_syn_is_a_partial_opening_with_proved_numbers() {
    let record = record(&[syn_ack(), ack()]);
    assert_eq!(record.open.kind, OpenKind::Partial);
    assert_eq!(record.open.outcome, OpenOutcome::Established);
    assert_eq!(record.client.isn, Some(Seq(X)));
    assert_eq!(record.client.port, 52144);
    assert_eq!(record.completeness, 6);
}

#[test]
fn one_direction_alone_invents_no_verdict_for_the_other() {
    let record = record(&[syn(), ack(), client().at(900).seq(X + 1).ack(Y + 1).len(9)]);
    assert!(record.asymmetric);
    assert_eq!(record.open.outcome, OpenOutcome::Unobserved);
    assert_eq!(record.server.isn, None);
}

#[test]
fn a_close_without_an_opening_is_unobserved_with_guessed_roles() {
    let record = record(&four_way_close());
    assert_eq!(record.open.outcome, OpenOutcome::Unobserved);
    assert_eq!(record.open.kind, OpenKind::None);
    assert_eq!(record.open.confidence, Confidence::Inferred);
    assert_eq!(record.close.kind, CloseKind::FourWay);
    assert_eq!(record.close.by, Some(Role::Server));
    assert_eq!(record.client.isn, None);
    assert_eq!(record.client.bytes, None);
    assert_eq!(record.server.state, State::TimeWait);
}

#[test]
fn both_sides_opening_is_simultaneous() {
    let record = record(&[
        syn(),
        server().at(50).seq(Y).syn(),
        client().at(100).seq(X).ack(Y + 1).syn(),
        server().at(150).seq(Y).ack(X + 1).syn(),
    ]);
    assert_eq!(record.open.kind, OpenKind::Simultaneous);
    assert_eq!(record.open.outcome, OpenOutcome::Established);
    assert_eq!(record.open.syn_retries, 0);
    assert_eq!(record.client.state, State::Established);
    assert_eq!(record.server.state, State::Established);
}

#[test]
fn a_server_that_answers_with_a_syn_of_its_own_splits_the_handshake() {
    let own_syn = server().at(200).seq(Y).syn();
    let answer = client().at(300).seq(X).ack(Y + 1).syn();
    let last = server().at(400).seq(Y + 1).ack(X + 1);
    let bare_ack = server().at(100).seq(7777).ack(X + 1);
    for events in [
        vec![syn(), own_syn, answer, last],
        vec![syn(), bare_ack, own_syn, answer],
    ] {
        let record = record(&events);
        assert_eq!(record.open.kind, OpenKind::Split);
        assert_eq!(record.open.outcome, OpenOutcome::Established);
    }
}

#[test]
fn data_on_the_syn_is_fast_open_where_the_option_asks_for_it() {
    let opened = |syn: Event| {
        record(&[
            syn,
            server().at(200).seq(Y).ack(X + 101).syn(),
            client().at(300).seq(X + 101).ack(Y + 1),
        ])
    };
    let mut asking = syn().len(100);
    // Fast Open with a cookie of four octets (RFC 7413 §4.1.1).
    asking.sender.options[..6].copy_from_slice(&[34, 6, 1, 2, 3, 4]);
    asking.sender.options_len = 8;
    let record = opened(asking);
    assert_eq!(record.open.kind, OpenKind::FastOpen);
    assert_eq!(record.open.fast_open, FastOpen::Accepted);
    assert_eq!(record.open.outcome, OpenOutcome::Established);
    let record = opened(syn().len(100));
    assert_eq!(record.open.kind, OpenKind::ThreeWay);
    assert_eq!(anomalies(&record), [Anomaly::DataOnSyn]);
    assert_eq!(record.open.outcome, OpenOutcome::Established);
}

#[test]
fn a_fin_that_rides_on_the_ack_makes_three() {
    let record = record(&opened_then(&[
        client().at(1000).seq(X + 1).ack(Y + 1).fin(),
        server().at(1100).seq(Y + 1).ack(X + 2).fin(),
        client().at(1200).seq(X + 2).ack(Y + 2),
    ]));
    assert_eq!(record.close.kind, CloseKind::ThreeWay);
    assert_eq!(record.close.by, Some(Role::Client));
    assert_eq!(record.close.last_ack, Some(true));
    assert_eq!(record.client.state, State::TimeWait);
    assert_eq!(record.server.state, State::Closed);
}

#[test]
fn fins_that_meet_on_the_way_are_simultaneous() {
    let record = record(&opened_then(&[
        client().at(1000).seq(X + 1).ack(Y + 1).fin(),
        server().at(1010).seq(Y + 1).ack(X + 1).fin(),
        client().at(1100).seq(X + 2).ack(Y + 2),
        server().at(1110).seq(Y + 2).ack(X + 2),
    ]));
    assert_eq!(record.close.kind, CloseKind::Simultaneous);
    assert_eq!(record.steps[4].client_state, Some(State::Closing));
    assert_eq!(record.steps[4].server_state, Some(State::Closing));
    assert_eq!(record.client.state, State::TimeWait);
    assert_eq!(record.server.state, State::TimeWait);
}

#[test]
fn a_side_that_never_finishes_leaves_it_half_closed() {
    let record = record(&opened_then(&[
        client().at(1000).seq(X + 1).ack(Y + 1).fin(),
        server().at(1100).seq(Y + 1).ack(X + 2),
        server().at(5000).seq(Y + 1).ack(X + 2).len(10),
    ]));
    assert_eq!(record.close.kind, CloseKind::Half);
    assert_eq!(record.close.by, Some(Role::Client));
    assert_eq!(record.close.half_close_ns, Some(4_000_000));
    assert_eq!(record.server.state, State::CloseWait);
}

#[test]
fn a_fin_that_nobody_acknowledges_closes_nothing() {
    let fin = client().at(1000).seq(X + 1).ack(Y + 1).fin();
    let record = record(&opened_then(&[fin]));
    assert_eq!(record.close.kind, CloseKind::None);
    assert_eq!(anomalies(&record), [Anomaly::FinUnacknowledged]);
}

#[test]
fn a_missing_last_ack_is_told() {
    let close = four_way_close();
    let record = record(&opened_then(&close[..3]));
    assert_eq!(record.close.kind, CloseKind::FourWay);
    assert_eq!(record.close.last_ack, Some(false));
    assert_eq!(record.client.state, State::LastAck);
}

#[test]
fn the_data_of_a_fin_counts_before_it() {
    let record = record(&opened_then(&[
        server().at(1000).seq(Y + 1).ack(X + 1).len(50).fin(),
        client().at(1100).seq(X + 1).ack(Y + 52).fin(),
        server().at(1200).seq(Y + 52).ack(X + 2),
    ]));
    assert_eq!(record.close.kind, CloseKind::ThreeWay);
    assert_eq!(record.server.bytes.map(|bytes| bytes.count), Some(50));
}

#[test]
fn an_ack_short_of_the_fin_does_not_acknowledge_it() {
    let record = record(&opened_then(&[
        server().at(1000).seq(Y + 1).ack(X + 1).len(50).fin(),
        client().at(1100).seq(X + 1).ack(Y + 51),
    ]));
    assert_eq!(record.close.kind, CloseKind::None);
}

#[test]
fn a_reset_names_its_sender_and_its_situation() {
    let data = client().at(800).seq(X + 1).ack(Y + 1).len(10);
    let server_fin = server().at(900).seq(Y + 1).ack(X + 11).fin();
    let client_fin = client().at(900).seq(X + 11).ack(Y + 1).fin();
    let rst = client().at(1000).seq(X + 11).ack(Y + 1).rst();
    for (before, cause) in [
        (vec![data], ResetCause::InData),
        (vec![data, server_fin], ResetCause::AfterPeerFin),
        (vec![data, client_fin], ResetCause::AfterOwnFin),
    ] {
        let record = record(&opened_then(&[before, vec![rst]].concat()));
        assert_eq!(record.close.kind, CloseKind::Reset, "{cause:?}");
        assert_eq!(record.close.by, Some(Role::Client));
        assert_eq!(record.close.cause, Some(cause));
        assert_eq!(record.client.bytes.map(|bytes| bytes.count), Some(10));
    }
    let rst = server().at(1000).seq(Y + 1).ack(X + 1).rst();
    let record = record(&opened_then(&[rst]));
    assert_eq!(record.close.cause, Some(ResetCause::BeforeData));
    assert_eq!(record.close.by, Some(Role::Server));
}

#[test]
fn a_fin_and_a_rst_of_one_side_close_gracefully_if_the_peer_finishes_yet() {
    let record = record(&opened_then(&[
        client().at(1000).seq(X + 1).ack(Y + 1).fin(),
        client().at(1050).seq(X + 2).ack(Y + 1).rst(),
        server().at(1100).seq(Y + 1).ack(X + 2).fin(),
    ]));
    assert_eq!(record.close.kind, CloseKind::ThreeWay);
}

#[test]
fn a_rst_after_both_fins_does_not_change_the_close() {
    let rst = client().at(1_931_300).seq(X + 28).rst();
    let record = record(&opened_then(&[&four_way_close()[..], &[rst]].concat()));
    assert_eq!(record.close.kind, CloseKind::FourWay);
    assert_eq!(anomalies(&record), [Anomaly::RstAfterClose]);
}

#[test]
fn a_rst_before_what_its_receiver_acknowledged_is_out_of_its_window() {
    let data = client().at(800).seq(X + 1).ack(Y + 1).len(100);
    let acked = server().at(900).seq(Y + 1).ack(X + 101);
    let rst = client().at(1000).seq(X + 50).rst();
    let record = record(&opened_then(&[data, acked, rst]));
    assert_eq!(record.close.kind, CloseKind::None);
    assert_eq!(anomalies(&record), [Anomaly::RstOutOfWindow]);
}

#[test]
fn a_sender_that_goes_on_after_its_rst_was_not_its_sender() {
    let rst = client().at(1000).seq(X + 1).rst();
    let data = client().at(1100).seq(X + 1).ack(Y + 1).len(10);
    let record = record(&opened_then(
        &[&[rst, data][..], &four_way_close()].concat(),
    ));
    assert_eq!(record.close.kind, CloseKind::FourWay);
    assert_eq!(anomalies(&record), [Anomaly::TrafficAfterRst]);
}

#[test]
fn a_fin_again_is_counted_and_makes_no_new_record() {
    let [fin, ack, ..] = four_way_close();
    let again = Event {
        time_ns: fin.time_ns + 5000,
        ..fin
    };
    let record = record(&opened_then(&[fin, again, ack]));
    assert_eq!(anomalies(&record), [Anomaly::FinRetransmitted]);
    assert_eq!(
        record.steps[4].check.map(|check| check.proof),
        Some(Proof::Retransmission)
    );
}

#[test]
fn late_segments_of_an_ended_connection_begin_no_new_one() {
    let (mut assembler, mut collected) = (assembler(), Collected::default());
    for event in opened_then(&four_way_close()) {
        assembler.observe(&event, &mut collected);
    }
    assembler.advance(5 * SECOND, &mut collected);
    assert_eq!(collected.connections.len(), 1);
    let [_, _, fin, _] = four_way_close();
    assembler.observe(&fin.at(6_000_000), &mut collected);
    assembler.finish(&mut collected);
    assert_eq!(collected.connections.len(), 1);
    assert_eq!(assembler.counts().late, 1);
}

#[test]
fn impossible_flags_change_no_state() {
    let xmas = Event {
        flags: Flags::FIN.with(Flags::PSH).with(Flags::URG).0,
        ..client().at(900).seq(X + 1)
    };
    let syn_fin = client().at(901).seq(X + 1).syn().fin();
    let null = client().at(902).seq(X + 1);
    let record = record(&opened_then(&[xmas, syn_fin, null]));
    assert_eq!(record.open.outcome, OpenOutcome::Established);
    assert_eq!(record.close.kind, CloseKind::None);
    assert_eq!(record.anomalies, [(Anomaly::ImpossibleFlags, 3)]);
}

#[test]
fn who_sent_a_syn_ack_is_the_server_also_where_its_client_was_not_heard() {
    let mut fin = client().at(900).seq(X + 1).ack(Y + 1).fin();
    fin.receiver.iss = Y;
    fin.receiver.known = Side::SYN | Side::SYN_ACK;
    let record = record(&[fin]);
    assert_eq!((record.client.port, record.server.port), (52144, 21));
    assert_eq!(record.open.confidence, Confidence::Observed);
}

#[test]
fn a_lone_rst_is_no_connection() {
    let record = record(&[server().at(1).seq(Y).rst()]);
    assert_eq!(record.open.outcome, OpenOutcome::Backscatter);
    assert!(!record.open.outcome.is_connection());
    assert_eq!(record.close.kind, CloseKind::None);
}

#[test]
fn a_tuple_used_again_after_its_close_is_a_new_record() {
    for number in [X, X + 77] {
        let again = client().at(1_932_000).seq(number).syn();
        let records = records(&opened_then(&[&four_way_close()[..], &[again]].concat()));
        assert_eq!(records.len(), 2);
        assert_eq!(records[0].close.kind, CloseKind::FourWay);
        assert_eq!(records[1].client.isn, Some(Seq(number)));
    }
}

#[test]
fn a_syn_in_an_open_connection_is_an_anomaly_until_it_is_answered() {
    let other = client().at(2_000_000).seq(X + 9000).syn();
    let challenge = server().at(2_000_100).seq(Y + 1).ack(X + 1);
    let record = record(&opened_then(&[other, challenge]));
    assert_eq!(
        anomalies(&record),
        [Anomaly::SynInOpenConnection, Anomaly::ChallengeAck]
    );
    let answer = server().at(2_000_100).seq(Y + 5).ack(X + 9001).syn();
    let records = records(&opened_then(&[other, answer]));
    assert_eq!(records.len(), 2);
    assert_eq!(records[1].client.isn, Some(Seq(X + 9000)));
    assert_eq!(records[1].open.rtt.syn_to_synack, Some(100_000));
}

#[test]
fn numbers_wrap_at_two_to_the_thirty_two() {
    let (x, y) = (u32::MAX - 2, u32::MAX);
    let record = record(&[
        client().at(0).seq(x).syn(),
        server().at(100).seq(y).ack(x + 1).syn(),
        client().at(200).seq(x + 1).ack(0),
        client().at(300).seq(7).ack(20).fin(),
        server().at(400).seq(20).ack(8).fin(),
        client().at(500).seq(8).ack(21),
    ]);
    assert_eq!(record.open.outcome, OpenOutcome::Established);
    assert_eq!(record.close.kind, CloseKind::ThreeWay);
    assert_eq!(record.client.bytes.map(|bytes| bytes.count), Some(9));
    assert_eq!(record.server.bytes.map(|bytes| bytes.count), Some(20));
}

#[test]
fn the_same_segment_at_two_places_is_one() {
    let copies = opened_then(&four_way_close())
        .into_iter()
        .flat_map(|event| {
            let copy = Event {
                interface: 2,
                time_ns: event.time_ns + 7000,
                ..event
            };
            [event, copy]
        });
    let record = record(&copies.collect::<Vec<_>>());
    assert_eq!(record.anomalies, [(Anomaly::Duplicate, 7)]);
    assert_eq!(record.steps.len(), 7);
    assert_eq!(record.open.syn_retries, 0);
}

#[test]
fn a_lost_opening_is_healed_from_the_event_that_completes_it() {
    let known = |opened_us: u64, iss: u32| Side {
        opened_ns: opened_us * 1000,
        iss,
        known: Side::SYN,
        syns: 1,
        ..client().sender
    };
    let ack = Event {
        sender: known(0, X),
        receiver: known(208, Y),
        ..ack()
    };
    let record = record(&[ack]);
    assert_eq!(record.open.outcome, OpenOutcome::Established);
    assert_eq!(record.open.rtt.syn_to_synack, Some(208_000));
    assert_eq!(record.open.rtt.synack_to_ack, Some(204_000));
    assert_eq!(record.client.isn, Some(Seq(X)));
    assert!(record.observation_gap);
}

#[test]
fn connections_that_are_there_while_events_are_lost_say_so() {
    let (mut assembler, mut collected) = (assembler(), Collected::default());
    assembler.observe(&syn(), &mut collected);
    assembler.lost(3);
    assembler.finish(&mut collected);
    assembler.observe(&syn(), &mut collected);
    assembler.finish(&mut collected);
    let gaps: Vec<_> = collected
        .connections
        .iter()
        .map(|c| c.observation_gap)
        .collect();
    assert_eq!(gaps, [true, false]);
    assert_eq!(assembler.counts().lost, 3);
}

#[test]
fn past_the_limit_the_longest_idle_is_given_out() {
    let (mut assembler, mut collected) = (assembler(), Collected::default());
    for port in 0..101 {
        let event = Event {
            source_port: 1000 + port,
            ..syn()
        };
        assembler.observe(&event, &mut collected);
    }
    assert_eq!(assembler.open(), 100);
    assert_eq!(assembler.counts().evicted, 1);
    assert_eq!(collected.connections[0].client.port, 1000);
}

#[test]
fn a_connection_that_repeats_itself_keeps_room_for_its_close() {
    let retries = (1..100).map(|n| syn_ack().at(500 + n * 200_000));
    let events = opened_then(&retries.collect::<Vec<_>>());
    let close = four_way_close().map(|event| Event {
        time_ns: event.time_ns + 60 * SECOND,
        ..event
    });
    let record = record(&[&events[..], &close].concat());
    assert_eq!(record.close.kind, CloseKind::FourWay);
    assert_eq!(
        record.steps.iter().filter(|step| step.flags.fin()).count(),
        2
    );
    assert_eq!(record.steps.len() as u64 + record.steps_omitted, 3 + 99 + 4);
    assert!(record.steps.len() <= 64);
}

proptest! {
    /// Whatever comes in whatever order: no panic, no connection lost, none invented, and nothing
    /// established without the segments that prove it.
    #[test]
    fn any_events_in_any_order_come_to_bounded_and_proved_records(
        segments in proptest::collection::vec(
            (any::<bool>(), any::<u8>(), 0_u32..4, 0_u32..4, 0_u32..3, 0_u64..5_000_000, 0_u16..3),
            0..60,
        )
    ) {
        let (mut assembler, mut collected) = (assembler(), Collected::default());
        let mut last_ns = 0;
        for (from_client, flags, seq, ack, len, us, port) in segments {
            let mut event = if from_client { client() } else { server() }.at(us);
            event.flags = flags;
            event.seq = if from_client { X } else { Y }.wrapping_add(seq);
            event.ack = if from_client { Y } else { X }.wrapping_add(ack);
            event.len = len;
            if from_client {
                event.source_port += port;
            } else {
                event.destination_port += port;
            }
            last_ns = event.time_ns.max(last_ns);
            assembler.observe(&event, &mut collected);
            assembler.advance(last_ns, &mut collected);
        }
        assembler.finish(&mut collected);
        prop_assert_eq!(assembler.open(), 0);
        for record in &collected.connections {
            prop_assert!(record.steps.len() <= 64);
            if record.open.outcome == OpenOutcome::Established {
                prop_assert!(record.client.isn.is_some() && record.server.isn.is_some());
                let from_server = record.steps.iter().any(|step| step.from == Role::Server);
                prop_assert!(from_server);
            }
            if record.close.kind == CloseKind::FourWay {
                let fins = record.steps.iter().filter(|step| step.flags.fin()).count();
                prop_assert!(fins >= 2);
            }
        }
    }
}

#[test]
fn of_many_that_linger_those_that_waited_the_longest_are_handed_out() {
    let mut assembler = Assembler::new(Settings {
        linger_ns: 10 * SECOND,
        max_connections: 10_000,
        ..assembler().settings
    });
    let mut collected = Collected::default();
    // Five thousand connections in half a second, each closed at once.
    for port in 0..5_000_u16 {
        let at = |mut event: Event| {
            let (client, server) = if event.direction == 0 {
                (&mut event.source_port, &mut event.destination_port)
            } else {
                (&mut event.destination_port, &mut event.source_port)
            };
            (*client, *server) = (10_000 + port, 21);
            event.time_ns = u64::from(port) * 100_000;
            event
        };
        for event in opened_then(&four_way_close()) {
            let event = at(event);
            if assembler
                .next_deadline_ns()
                .is_some_and(|due_ns| due_ns <= event.time_ns)
            {
                assembler.advance(event.time_ns, &mut collected);
            }
            assembler.observe(&event, &mut collected);
        }
    }
    assert_eq!(assembler.open(), 4_096 + 1);
    let kinds = collected.connections.iter().map(|record| record.close.kind);
    assert!(kinds.clone().all(|kind| kind == CloseKind::FourWay));
    assert_eq!(kinds.count() + assembler.open(), 5_000);
}
