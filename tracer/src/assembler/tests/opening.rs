//! Openings, from the SYN to the ACK of the SYN-ACK.

use super::*;

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
