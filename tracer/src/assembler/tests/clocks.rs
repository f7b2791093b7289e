//! The wall clock is set while connections are followed: by NTP, by hand, or by a sleep of the machine.

use super::*;

/// Some time by the wall clock, less the events' clock.
const OFFSET: i128 = 1_700_000_000_000_000_000;
const HOUR: i128 = 3_600 * SECOND as i128;

#[test]
fn a_wall_clock_that_is_set_changes_no_start_and_no_duration() {
    for step in [-HOUR, HOUR] {
        let (mut assembler, mut collected) = (assembler(), Collected::default());
        assembler.set_wall_offset(OFFSET);
        for event in handshake() {
            assembler.observe(&event, &mut collected);
        }
        assembler.set_wall_offset(OFFSET + step);
        for event in four_way_close() {
            assembler.observe(&event, &mut collected);
        }
        assembler.finish(&mut collected);
        let record = &collected.connections[0];
        assert_eq!(record.started_unix_ns, OFFSET);
        assert_eq!(record.duration_ns, 1_931_210_000);
        assert_eq!(record.open.rtt.total, Some(412_000));
        let mut last_ns = 0;
        for kept in &record.steps {
            assert!(kept.t_ns >= last_ns, "{:#?}", record.steps);
            last_ns = kept.t_ns;
        }
    }
}

#[test]
fn what_begins_after_the_wall_clock_was_set_begins_at_the_new_time() {
    let (mut assembler, mut collected) = (assembler(), Collected::default());
    for (port, offset) in [(1_000, OFFSET), (1_001, OFFSET - HOUR)] {
        assembler.set_wall_offset(offset);
        let event = Event {
            source_port: port,
            ..syn()
        };
        assembler.observe(&event, &mut collected);
    }
    assembler.finish(&mut collected);
    let mut starts: Vec<_> = (collected.connections.iter())
        .map(|record| (record.client.port, record.started_unix_ns))
        .collect();
    starts.sort_unstable();
    assert_eq!(starts, [(1_000, OFFSET), (1_001, OFFSET - HOUR)]);
}

#[test]
fn a_wall_clock_that_is_set_ends_no_wait() {
    let (mut assembler, mut collected) = (assembler(), Collected::default());
    assembler.set_wall_offset(OFFSET);
    assembler.observe(&syn(), &mut collected);
    assembler.set_wall_offset(OFFSET + HOUR);
    assembler.advance(34 * SECOND, &mut collected);
    assert_eq!(collected.connections.len(), 0);
    assembler.advance(35 * SECOND, &mut collected);
    assert_eq!(collected.connections.len(), 1);
}
