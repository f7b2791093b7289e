//! When a flood is told, and in which words.

use super::*;

#[test]
fn a_flood_is_said_when_it_begins_every_ten_seconds_and_when_it_is_over() {
    let mut world = World::new();
    for _ in 0..(23 * SECOND / WINDOW_NS) {
        world.flood_window();
    }
    world.calm();
    insta::assert_snapshot!(world.said.join("\n"), @r"
    SYN flood: 4.0 k SYN/s to 10.0.0.2:443, none completed; openings that did not complete are counted, not listed
    SYN flood goes on: 4.0 k SYN/s to 10.0.0.2:443, none completed; 40000 segments of openings not listed so far
    SYN flood goes on: 4.0 k SYN/s to 10.0.0.2:443, none completed; 80000 segments of openings not listed so far
    SYN flood over after 23.0 s: 92000 SYNs to 10.0.0.2:443, none completed; 90000 segments of openings not listed
    ");
    assert_eq!(world.flood.counts().floods, 1);
}

#[test]
fn one_window_may_be_the_beginning_of_a_rush_and_is_no_flood() {
    let mut world = World::new();
    world.flood_window();
    assert!(!world.flood.lasts());
    world.window();
    world.flood_window();
    assert!(!world.flood.lasts());
    world.flood_window();
    assert!(world.flood.lasts());
}

#[test]
fn where_the_programs_hold_syns_back_one_window_is_enough() {
    let mut world = World::new();
    world.held(Counter::HeldSyn);
    world.flood_window();
    assert!(world.flood.lasts());
}

#[test]
fn a_reader_that_stood_still_has_seen_no_flood_though_syns_were_held_back() {
    let mut world = World::new();
    world.counters[Counter::Syns.index()] += 100_000;
    world.counters[Counter::HeldSyn.index()] += 90_000;
    for port in 0..9_000 {
        let opening = world.opening(port, 443);
        world.take_all(&[opening.syn(), opening.syn_ack()]);
    }
    world.pass(3 * SECOND);
    assert!(!world.flood.lasts());
}

#[test]
fn fewer_than_the_threshold_are_no_flood() {
    let mut world = World::new();
    for _ in 0..8 {
        for port in 0..499 {
            let syn = world.opening(port, 443).syn();
            world.take(syn);
        }
        world.window();
    }
    assert!(world.said.is_empty());
}

#[test]
fn many_that_complete_are_no_flood() {
    let mut world = World::new();
    for _ in 0..8 {
        for port in 0..FLOOD {
            let opening = world.opening(port, 443);
            world.take(opening.syn());
            if port % 10 == 0 {
                world.take_all(&[opening.syn_ack(), opening.ack()]);
            }
        }
        world.window();
    }
    assert!(world.said.is_empty(), "{:?}", world.said);
}

#[test]
fn the_rate_is_that_of_the_counters_and_not_of_what_is_reported() {
    let mut world = World::new();
    (0..300_000 - u32::from(FLOOD)).for_each(|_| world.held(Counter::HeldSyn));
    world.flood_window();
    assert_eq!(
        world.said,
        [
            "SYN flood: 1.2 M SYN/s to 10.0.0.2:443, none completed; openings that did not \
             complete are counted, not listed"
        ]
    );
}

#[test]
fn a_flood_that_lasts_at_the_end_is_over_with_it() {
    let mut world = World::flooded();
    let totals = Totals::from(world.counters);
    let line = world.flood.finish(&totals, world.now_ns);
    assert_eq!(
        line.as_deref(),
        Some(
            "SYN flood over after 0.5 s: 2000 SYNs to 10.0.0.2:443, none completed; 0 segments of \
             openings not listed"
        )
    );
    assert_eq!(world.flood.finish(&totals, world.now_ns), None);
}
