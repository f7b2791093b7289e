//! What begins a connection and what does not, loss, and limits.

use super::*;

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

/// The ACK of the handshake as the programs report it: with what both sides' SYNs were.
fn telling_ack() -> Event {
    let known = |opened_us: u64, iss: u32, known: u8| Side {
        opened_ns: opened_us * 1000,
        iss,
        known,
        syns: 1,
        ..client().sender
    };
    Event {
        sender: known(0, X, Side::SYN),
        receiver: known(208, Y, Side::SYN | Side::SYN_ACK),
        ..ack()
    }
}

#[test]
fn a_lost_opening_is_healed_from_the_event_that_completes_it() {
    let whole = record(&opened_then(&four_way_close()));
    let syn_ack = Event {
        receiver: telling_ack().sender,
        ..syn_ack()
    };
    for seen in [&[][..], &[syn()], &[syn_ack]] {
        let record = record(&[seen, &[telling_ack()], &four_way_close()].concat());
        assert_eq!(record.open, whole.open);
        assert_eq!(record.close, whole.close);
        assert_eq!(record.duration_ns, whole.duration_ns);
        assert_eq!(record.started_unix_ns, whole.started_unix_ns);
        assert_eq!(
            (&record.client, &record.server),
            (&whole.client, &whole.server)
        );
        assert_eq!(record.completeness, whole.completeness);
        assert_eq!(record.zeek.conn_state, whole.zeek.conn_state);
        // Where a SYN-ACK is the first event, Zeek's direction is turned.
        let history = record.zeek.history.trim_start_matches('^');
        assert_eq!(history, whole.zeek.history);
        assert!(record.observation_gap);
        assert_eq!(record.anomalies, []);
        // What was not seen of the two is not told.
        for (step, other) in record.steps.iter().zip(&whole.steps) {
            assert_eq!(
                (step.len, step.is_learnt().then_some(step.check)),
                (other.len, step.is_learnt().then_some(None))
            );
            let known = Step {
                window: other.window,
                check: other.check,
                ..step.clone()
            };
            assert_eq!(&known, other);
        }
        let learnt = record.steps.iter().filter(|step| step.is_learnt()).count();
        assert_eq!(
            (record.steps.len(), learnt),
            (whole.steps.len(), 2 - seen.len())
        );
    }
}

#[test]
fn an_event_that_comes_after_what_told_of_it_takes_its_place() {
    let record = record(&[telling_ack(), syn(), syn_ack()]);
    assert!(record.steps.iter().all(|step| !step.is_learnt()));
    assert_eq!(record.steps.len(), 3);
    assert_eq!(record.open.outcome, OpenOutcome::Established);
    assert_eq!(record.anomalies, []);
}

#[test]
fn what_a_fast_open_acknowledged_is_not_known_where_it_was_not_seen() {
    let mut ack = telling_ack();
    (
        ack.sender.options[0],
        ack.sender.options[1],
        ack.sender.options_len,
    ) = (34, 2, 2);
    let record = record(&[ack]);
    let acks: Vec<_> = record.steps.iter().map(|step| step.ack).collect();
    assert_eq!(acks, [None, None, Some(Seq(Y + 1))]);
}

#[test]
fn connections_that_are_there_while_events_are_lost_say_so() {
    let (mut assembler, mut collected) = (assembler(), Collected::default());
    assembler.observe(&syn(), &mut collected);
    assembler.lost(3);
    assembler.finish(&mut collected);
    assembler.observe(&syn(), &mut collected);
    assembler.finish(&mut collected);
    assembler.observe(&syn(), &mut collected);
    assembler.doubt();
    assembler.finish(&mut collected);
    let gaps: Vec<_> = collected
        .connections
        .iter()
        .map(|c| c.observation_gap)
        .collect();
    assert_eq!(gaps, [true, false, true]);
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
        shares: 1,
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

#[test]
fn a_flood_of_openings_takes_no_place_of_a_connection_that_came_to_be() {
    let (mut assembler, mut collected) = (assembler(), Collected::default());
    for event in handshake() {
        assembler.observe(&event, &mut collected);
    }
    for number in 0..1_000_u16 {
        let mut syn = syn().at(1_000 + u64::from(number));
        // Every third comes before the one that it follows.
        syn.time_ns -= 2_000 * u64::from(number % 3 == 0);
        syn.source_port = 1_000 + number;
        assembler.observe(&syn, &mut collected);
        assert!(assembler.open() <= 100);
    }
    assert_eq!(assembler.counts().evicted, 901);
    let evicted = collected.connections.iter();
    let mut ports: Vec<u16> = evicted.map(|record| record.client.port).collect();
    ports.sort_unstable();
    assert!(ports.is_sorted_by(|one, other| one < other) && ports.last() < Some(&1_905));
    for event in four_way_close() {
        assembler.observe(&event, &mut collected);
    }
    assembler.finish(&mut collected);
    let whole = |record: &&Connection| record.close.kind == CloseKind::FourWay;
    assert_eq!(collected.connections.iter().filter(whole).count(), 1);
}

#[test]
fn without_openings_the_longest_idle_is_handed_out() {
    let mut assembler = Assembler::new(Settings {
        max_connections: 2,
        ..assembler().settings
    });
    let mut collected = Collected::default();
    for number in 0..3_u16 {
        for mut event in handshake() {
            event.time_ns += u64::from(number) * SECOND;
            let port = if event.direction == 0 {
                &mut event.source_port
            } else {
                &mut event.destination_port
            };
            *port = 1_000 + number;
            assembler.observe(&event, &mut collected);
        }
    }
    let ports: Vec<u16> = (collected.connections.iter())
        .map(|record| record.client.port)
        .collect();
    assert_eq!(ports, [1_000]);
}
