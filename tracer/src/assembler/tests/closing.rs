//! Closes: FINs, their ACKs, and resets.

use super::*;

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
fn a_reset_acknowledges_what_had_come() {
    let transfer = |rst: Event| {
        let bytes = record(&opened_then(&[
            server().at(1000).seq(Y + 1).ack(X + 1).len(1000),
            client().at(1100).seq(X + 1).ack(Y + 1001),
            rst.rst(),
        ]));
        bytes.server.bytes.map(|bytes| (bytes.count, bytes.basis))
    };
    let aborted = client().at(1200).seq(X + 1).ack(Y + 5001);
    let told = |count| Some((count, BytesBasis::Acknowledged));
    assert_eq!(transfer(aborted), told(5000));
    // One whose number is not in the window says nothing.
    let forged = client().at(1200).seq(X).ack(Y + 5001);
    assert_eq!(transfer(forged), told(1000));
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
