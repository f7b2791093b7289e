//! What is listed while a flood lasts. The cases are those of the semantics.

use super::*;
use crate::flood::Counts;
use crate::flood::fixtures::{IRS, ISS};
use crate::timeline::{CloseKind, OpenOutcome};
use synfin_ebpf::event::NO_SIDE;
use synfin_ebpf::seq::Seq;

/// The segments of openings that are not listed: SYNs, SYN-ACKs, others.
fn unlisted(world: &World) -> [u64; 3] {
    let Counts {
        unlisted_syn,
        unlisted_syn_ack,
        unlisted_other,
        ..
    } = *world.flood.counts();
    [unlisted_syn, unlisted_syn_ack, unlisted_other]
}

#[test]
fn cases_1_to_6_are_counted_by_kind_and_not_listed() {
    type Case = (&'static str, fn(&Opening) -> Vec<Event>, [u64; 3]);
    let cases: [Case; 6] = [
        ("1: no reply", |it| vec![it.syn()], [1, 0, 0]),
        (
            "2: retried",
            |it| vec![it.syn(), it.syn_again(SECOND)],
            [2, 0, 0],
        ),
        (
            "3: retried with another number",
            |it| {
                let mut again = it.syn_again(SECOND);
                (again.seq, again.sender.iss) = (77, 77);
                again.sender.opened_ns = again.time_ns;
                vec![it.syn(), again]
            },
            [2, 0, 0],
        ),
        ("4: refused", |it| vec![it.syn(), it.refusal()], [1, 0, 1]),
        (
            "5: half open",
            |it| vec![it.syn(), it.syn_ack(), it.syn_ack()],
            [1, 2, 0],
        ),
        (
            "6: aborted",
            |it| vec![it.syn(), it.syn_ack(), it.abort()],
            [1, 1, 1],
        ),
    ];
    for (name, events, counts) in cases {
        let mut world = World::flooded();
        let events = events(&world.opening(7, 443));
        assert_eq!(world.take_all(&events), vec![false; events.len()], "{name}");
        assert_eq!(unlisted(&world), counts, "{name}");
        assert_eq!(world.records_of(7), [], "{name}");
    }
}

#[test]
fn what_comes_of_an_opening_after_the_flood_is_not_listed_unless_it_completes() {
    let mut world = World::flooded();
    let [silent, real] = [world.opening(7, 443), world.opening(8, 443)];
    world.take_all(&[silent.syn(), real.syn(), real.syn_ack()]);
    world.calm();
    let late = [
        silent.syn_again(9 * SECOND),
        silent.syn_ack(),
        silent.abort(),
    ];
    assert_eq!(world.take_all(&late), [false; 3]);
    assert!(world.take(real.ack()));
    // Another attempt is another opening.
    let again = world.opening(7, 443);
    assert_eq!(world.take_all(&[again.syn(), again.refusal()]), [true; 2]);
    let records = world.records_of(7);
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].open.outcome, OpenOutcome::Refused);
    assert!(!records[0].observation_gap);
}

#[test]
fn a_connection_that_completes_is_whole() {
    let mut world = World::flooded();
    let real = world.opening(7, 443);
    let events = [
        real.syn(),
        real.syn_ack(),
        real.ack(),
        real.fin(),
        real.abort(),
    ];
    assert_eq!(world.take_all(&events), [false, false, true, true, true]);
    let records = world.records_of(7);
    let [record] = &records[..] else {
        panic!("{records:#?}");
    };
    assert_eq!(record.open.outcome, OpenOutcome::Established);
    assert_eq!(
        (record.client.isn, record.server.isn),
        (Some(Seq(ISS)), Some(Seq(IRS)))
    );
    assert_eq!(record.close.kind, CloseKind::Reset);
    // Its SYN and SYN-ACK are known by what the ACK carried, and not among its segments.
    assert!(record.observation_gap);
}

#[test]
fn what_comes_again_of_a_connection_that_is_open_is_its_own() {
    let mut world = World::flooded();
    let real = world.opening(7, 443);
    world.take_all(&[real.syn(), real.syn_ack(), real.ack()]);
    let again = [real.syn_again(SECOND), real.syn_ack_again(SECOND)];
    assert_eq!(world.take_all(&again), [true; 2]);
    let records = world.records_of(7);
    assert_eq!(records.len(), 1, "{records:#?}");
    assert_eq!(records[0].open.outcome, OpenOutcome::Established);
}

#[test]
fn a_connection_in_the_place_of_another_one_is_one_of_its_own() {
    // The one before lingers, was told, or never came to be.
    type Case = (fn(&Opening) -> Vec<Event>, u64);
    let before: [Case; 3] = [
        (|it| vec![it.syn(), it.syn_ack(), it.ack(), it.abort()], 2),
        (|it| vec![it.syn(), it.syn_ack(), it.ack(), it.abort()], 10),
        (|it| vec![it.syn()], 2),
    ];
    for (events, windows) in before {
        let mut world = World::new();
        let first = world.opening(7, 443);
        world.take_all(&events(&first));
        (0..windows).for_each(|_| world.flood_window());
        let second = world.opening(7, 443).numbered(900_000);
        let events = [second.syn(), second.syn_ack(), second.ack()];
        assert_eq!(world.take_all(&events), [false, false, true]);
        let records = world.records_of(7);
        let isns: Vec<_> = records.iter().map(|record| record.client.isn).collect();
        assert_eq!(isns, [Some(Seq(ISS)), Some(Seq(ISS + 900_000))]);
        assert_eq!(records[1].open.outcome, OpenOutcome::Established);
        assert!(
            records[0].anomalies.is_empty(),
            "{:?}",
            records[0].anomalies
        );
        assert!(records[1].previous.is_some());
    }
}

#[test]
fn an_opening_from_before_the_flood_keeps_its_segments_and_says_that_some_may_lack() {
    let outcome = |after: fn(&Opening) -> Vec<Event>| {
        let mut world = World::new();
        let before = world.opening(7, 443);
        world.take(before.syn());
        (0..2).for_each(|_| world.flood_window());
        let events = after(&before);
        assert_eq!(world.take_all(&events), vec![true; events.len()]);
        let records = world.records_of(7);
        assert_eq!(records.len(), 1, "{records:#?}");
        (records[0].open.outcome, records[0].observation_gap)
    };
    let none = outcome(|_| Vec::new());
    assert_eq!(none, (OpenOutcome::NoReply, true));
    let refused = outcome(|it| vec![it.refusal()]);
    assert_eq!(refused, (OpenOutcome::Refused, true));
    let half_open = outcome(|it| vec![it.syn_ack()]);
    assert_eq!(half_open, (OpenOutcome::HalfOpen, true));
    let aborted = outcome(|it| vec![it.syn_ack(), it.abort()]);
    assert_eq!(aborted, (OpenOutcome::Aborted, true));
    let established = outcome(|it| vec![it.syn_ack(), it.ack()]);
    assert_eq!(established, (OpenOutcome::Established, false));
}

#[test]
fn what_the_programs_have_forgotten_is_no_backscatter() {
    let mut world = World::flooded();
    let mut refusal = world.opening(7, 443).refusal();
    refusal.receiver = NO_SIDE;
    assert!(!world.take(refusal));
    assert_eq!(world.records_of(7), []);
}

#[test]
fn ports_that_are_used_again_and_again_are_not_listed_either() {
    let mut world = World::new();
    let flood = |world: &mut World| {
        for port in 0..FLOOD {
            let syn = world.opening(port, 443).syn();
            world.take(syn);
        }
        world.window();
    };
    (0..2).for_each(|_| flood(&mut world));
    assert!(world.flood.lasts());
    let (listed, before) = (world.records.0.len(), unlisted(&world));
    flood(&mut world);
    assert_eq!(world.records.0.len(), listed);
    assert_eq!(unlisted(&world)[0] - before[0], u64::from(FLOOD));
}

#[test]
fn a_flood_does_not_hide_what_fails_elsewhere() {
    let mut world = World::flooded();
    let (other_port, other_host) = (
        world.opening(7, 5432),
        world.opening(7, 443).of([10, 0, 0, 3]),
    );
    for opening in [other_port, other_host] {
        assert_eq!(
            world.take_all(&[opening.syn(), opening.refusal()]),
            [true; 2]
        );
    }
    world.flood_window();
    let records = world.records_of(7);
    assert_eq!(records.len(), 2);
    for record in records {
        assert_eq!(record.open.outcome, OpenOutcome::Refused);
        assert!(!record.observation_gap);
    }
}

/// One window of SYNs from everywhere to everybody, each refused; gives how many of both were listed.
fn spray(world: &mut World) -> [usize; 2] {
    let mut listed = [0; 2];
    for number in 0..FLOOD {
        let [high, low] = number.to_be_bytes();
        let opening = Opening::new(
            [10, 8, high, low],
            7,
            80,
            world.now_ns + 10_000 * u64::from(number),
        );
        let opening = opening.of([192, 0, high, low]);
        listed[0] += usize::from(world.take(opening.syn()));
        listed[1] += usize::from(world.take(opening.refusal()));
    }
    world.window();
    listed
}

#[test]
fn of_a_flood_to_everybody_so_many_are_listed_and_each_with_all_its_segments() {
    let mut world = World::new();
    spray(&mut world);
    spray(&mut world);
    assert!(
        world.said[0].contains("to 1000 servers, none completed"),
        "{:?}",
        world.said
    );
    let before = world.records.0.len();
    // An eighth of a second's threshold, times two for SYN and RST.
    assert_eq!(spray(&mut world), [125, 125]);
    assert_eq!(spray(&mut world), [125, 125]);
    let records = world.records_of(7);
    for record in &records[before..] {
        assert_eq!(record.open.outcome, OpenOutcome::Refused);
    }
}

#[test]
fn what_the_programs_held_back_shows_on_the_openings_that_were_there() {
    let mut world = World::new();
    let [failing, real] = [world.opening(7, 443), world.opening(7, 444)];
    world.take_all(&[failing.syn(), real.syn(), real.syn_ack(), real.ack()]);
    world.held(Counter::HeldSynAck);
    world.window();
    let later = world.now_ns;
    (0..3).for_each(|_| world.window());
    let after = Opening::new([10, 9, 9, 9], 7, 445, later + SECOND);
    world.take(after.syn());
    let mut records = world.records_of(7);
    records.sort_by_key(|record| record.server.port);
    let told: Vec<_> = records
        .iter()
        .map(|record| (record.open.outcome, record.observation_gap))
        .collect();
    assert_eq!(
        told,
        [
            (OpenOutcome::NoReply, true),
            (OpenOutcome::Established, false),
            (OpenOutcome::NoReply, false)
        ]
    );
}

#[test]
fn every_syn_is_given_or_held_back_and_every_one_given_listed_or_not() {
    let mut world = World::new();
    let mut admitted = 0;
    for turn in 0..40_u16 {
        for number in 0..FLOOD {
            if number % 3 == 0 {
                world.held(Counter::HeldSyn);
                continue;
            }
            let opening = world.opening(number, if number % 7 == 0 { turn } else { 443 });
            admitted += u64::from(world.take(opening.syn()));
        }
        world.window();
    }
    let counts = *world.flood.counts();
    let [syns, held] =
        [Counter::Syns, Counter::HeldSyn].map(|counter| world.counters[counter.index()]);
    assert_eq!(syns, counts.syns + held);
    assert_eq!(counts.syns, admitted + counts.unlisted_syn);
    assert!(counts.unlisted_syn > 20_000, "{counts:?}");
}

#[test]
fn what_the_programs_held_back_marks_an_opening_also_where_the_wall_clock_was_set_meanwhile() {
    for step in [-3_600, 3_600].map(|seconds: i128| seconds * i128::from(SECOND)) {
        let mut world = World::new();
        let opening = world.opening(40_000, 80);
        world.take(opening.syn());
        world.held(Counter::HeldSynAck);
        world.window();
        world.assembler.set_wall_offset(step);
        world.pass(60 * SECOND);
        let records = world.records_of(40_000);
        assert!(records[0].observation_gap, "set by {step} ns");
    }
}

#[test]
fn an_opening_after_the_programs_held_something_back_is_whole_also_where_the_wall_clock_was_set() {
    let mut world = World::new();
    world.held(Counter::HeldSynAck);
    (0..8).for_each(|_| world.window());
    let opening = world.opening(40_000, 80);
    world.take(opening.syn());
    world.assembler.set_wall_offset(3_600 * i128::from(SECOND));
    let records = world.records_of(40_000);
    assert!(!records[0].observation_gap);
}
