//! Segments that are seen on several interfaces.

use super::*;

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
    assert_eq!(record.anomalies, []);
    assert_eq!(record.steps.len(), 7);
    assert_eq!(record.open.syn_retries, 0);
    assert_eq!(seen_on(&record), ["eth0", "#2"]);
}

fn seen_on(record: &Connection) -> Vec<&str> {
    record.seen_on().collect()
}

/// The same event on another interface, a little later.
fn passing(event: &Event, interface: u32) -> Event {
    Event {
        interface,
        time_ns: event.time_ns + 1000 * u64::from(interface),
        ..*event
    }
}

#[test]
fn a_path_is_kept_in_the_order_of_first_sight_and_each_way_has_its_own_first_place() {
    let all = opened_then(&four_way_close());
    let turned = |event: &Event| {
        let there = event.source == client().source;
        let path = if there { [1, 7, 2] } else { [2, 7, 1] };
        path.map(|interface| passing(event, interface))
    };
    let record = record(&all.iter().flat_map(turned).collect::<Vec<_>>());
    assert_eq!(seen_on(&record), ["eth0", "#7", "#2"]);
    assert_eq!(record.anomalies, []);
    assert_eq!(
        (record.open.syn_retries, record.open.synack_retries),
        (0, 0)
    );
    assert_eq!(record.steps.len(), 7);
}

#[test]
fn what_is_sent_again_and_passes_two_places_counts_once() {
    let fin = |ident, t_us| Event {
        ident,
        ..client().at(t_us).seq(X + 1).ack(Y + 1).fin()
    };
    let (first, again) = (fin(1, 1_000), fin(2, 2_000));
    let events = [first, passing(&first, 2), again, passing(&again, 2)];
    let record = record(&opened_then(&events));
    let fins = record.steps.iter().filter(|step| step.flags.fin());
    assert_eq!(fins.count(), 2);
    let odd = [
        (Anomaly::FinRetransmitted, 1),
        (Anomaly::FinUnacknowledged, 1),
    ];
    assert_eq!(record.anomalies, odd);
}

#[test]
fn what_goes_another_way_when_it_is_sent_again_is_no_copy() {
    let fin = |ident| Event {
        ident,
        ..client().at(1_000).seq(X + 1).ack(Y + 1).fin()
    };
    let record = record(&opened_then(&[fin(1), passing(&fin(2), 2)]));
    let fins = record.steps.iter().filter(|step| step.flags.fin());
    assert_eq!(fins.count(), 2);
}

#[test]
fn a_fin_that_was_put_together_with_what_came_before_it_is_a_copy() {
    let fin = Event {
        len: 9,
        ..client().at(1_000).seq(X + 101).ack(Y + 1).fin()
    };
    let together = Event {
        seq: X + 1,
        len: 109,
        flags: fin.flags | Flags::PSH.0,
        ..passing(&fin, 2)
    };
    let record = record(&opened_then(&[fin, together]));
    assert_eq!(
        record.steps.iter().filter(|step| step.flags.fin()).count(),
        1
    );
    assert_eq!(seen_on(&record), ["eth0", "#2"]);
}

#[test]
fn the_interfaces_that_are_kept_of_a_connection_have_a_limit() {
    let all = opened_then(&[]);
    let everywhere = |event: &Event| {
        let event = *event;
        (1..100).map(move |interface| passing(&event, interface))
    };
    let record = record(&all.iter().flat_map(everywhere).collect::<Vec<_>>());
    assert_eq!(seen_on(&record).len(), 16);
    assert_eq!(record.open.syn_retries, 0);
}

#[test]
fn a_record_has_the_names_of_its_interfaces_though_they_are_gone() {
    let (mut assembler, mut collected) = (assembler(), Collected::default());
    let events = opened_then(&[]);
    assembler.name_interface(2, "veth2".into());
    for event in &events {
        assembler.observe(event, &mut collected);
        assembler.observe(&passing(event, 2), &mut collected);
    }
    assembler.name_interface(1, "wan0".into());
    for index in 1..10_000 {
        if index > 2 {
            assembler.name_interface(index, "x".into());
        }
        assembler.drop_interface(index);
    }
    assembler.finish(&mut collected);
    assert_eq!(seen_on(&collected.connections[0]), ["wan0", "veth2"]);
}
