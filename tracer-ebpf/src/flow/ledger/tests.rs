//! One side sends, the other acknowledges: what comes of it in the counts.

use super::*;
use crate::account::Account;
use crate::segment::Flags;

/// What is told of payload that the lower endpoint sends.
fn send(ledgers: &Ledgers, seq: u32, len: u32) -> Why {
    let segment = Segment {
        seq: Seq(seq),
        len,
        flags: Flags::ACK,
        window: 1,
        ..Segment::default()
    };
    ledgers.count(&segment, Half::Lo)
}

/// What is told of the higher endpoint's acknowledgment.
fn acknowledge(ledgers: &Ledgers, ack: u32) -> Why {
    let segment = Segment {
        ack: Seq(ack),
        flags: Flags::ACK,
        window: 1,
        ..Segment::default()
    };
    ledgers.count(&segment, Half::Hi)
}

#[test]
fn a_hole_that_is_acknowledged_is_told_as_a_gap_once() {
    let ledgers = Ledgers::new();
    send(&ledgers, 100, 10);
    send(&ledgers, 150, 10);
    assert_eq!(acknowledge(&ledgers, 110), Why::default());
    assert_eq!(acknowledge(&ledgers, 160), Why::GAP);
    assert_eq!(acknowledge(&ledgers, 160), Why::default());
    assert_eq!(ledgers.accounts().lo.unseen, 40);
    assert_eq!(ledgers.accounts().hi.gaps, 1);
}

#[test]
fn a_hole_that_was_filled_in_parts_is_no_gap() {
    let ledgers = Ledgers::new();
    send(&ledgers, 100, 10);
    send(&ledgers, 150, 10);
    send(&ledgers, 110, 20);
    assert_eq!(acknowledge(&ledgers, 130), Why::default());
    send(&ledgers, 130, 20);
    assert_eq!(acknowledge(&ledgers, 160), Why::default());
    assert_eq!(ledgers.accounts().lo.unseen, 0);
    assert_eq!(ledgers.accounts().lo.out_of_order, 2);
}

#[test]
fn payload_around_a_hole_fills_it_and_comes_again_for_the_rest() {
    let ledgers = Ledgers::new();
    send(&ledgers, 100, 1);
    send(&ledgers, 201, 51);
    send(&ledgers, 101, 151);
    assert_eq!(acknowledge(&ledgers, 252), Why::default());
    let sent = ledgers.accounts().lo;
    assert_eq!((sent.unseen, sent.retransmitted), (0, 51));
    assert_eq!((sent.retransmissions, sent.out_of_order), (1, 0));
}

#[test]
fn payload_that_brings_nothing_new_is_told_the_first_and_the_tenth_time() {
    let ledgers = Ledgers::new();
    send(&ledgers, 100, 10);
    send(&ledgers, 120, 10);
    assert_eq!(send(&ledgers, 125, 10), Why::default(), "half of it is new");
    assert_eq!(send(&ledgers, 110, 10), Why::BEHIND, "out of order");
    assert_eq!(
        send(&ledgers, 134, 1),
        Why::default(),
        "a probe, the second"
    );
    let told = (3..=10).map(|_| send(&ledgers, 120, 10));
    assert_eq!(told.filter(|why| *why == Why::BEHIND).count(), 1);
}

#[test]
fn payload_that_was_acknowledged_before_it_was_seen_is_not_behind() {
    let ledgers = Ledgers::new();
    send(&ledgers, 100, 10);
    assert_eq!(acknowledge(&ledgers, 120), Why::GAP);
    assert_eq!(send(&ledgers, 110, 10), Why::default());
}

const SYN_ACK: Flags = Flags::SYN.with(Flags::ACK);

/// A segment of one side, acknowledging nothing.
fn segment(seq: u32, len: u32, flags: Flags) -> Segment {
    Segment {
        seq: Seq(seq),
        len,
        flags,
        window: 1,
        ..Segment::default()
    }
}

/// After the handshake of 99 and 999.
fn opened() -> Ledgers {
    let ledgers = Ledgers::new();
    ledgers.begin();
    ledgers.count(&segment(99, 0, Flags::SYN), Half::Lo);
    let syn_ack = Segment {
        ack: Seq(100),
        ..segment(999, 0, SYN_ACK)
    };
    ledgers.count(&syn_ack, Half::Hi);
    ledgers
}

/// The lower endpoint's payload and FIN.
fn finish(ledgers: &Ledgers, seq: u32, len: u32) {
    ledgers.count(&segment(seq, len, Flags::FIN.with(Flags::ACK)), Half::Lo);
}

/// The higher endpoint's acknowledgment, with its window.
fn announce(ledgers: &Ledgers, ack: u32, window: u16) -> Why {
    let segment = Segment {
        ack: Seq(ack),
        window,
        ..segment(1000, 0, Flags::ACK)
    };
    ledgers.count(&segment, Half::Hi)
}

#[test]
fn what_is_sent_once_is_counted_once() {
    let ledgers = opened();
    send(&ledgers, 100, 50);
    send(&ledgers, 150, 50);
    finish(&ledgers, 200, 7);
    let counted = ledgers.accounts();
    let expected = Account {
        packets: 4,
        payload: 107,
        span: 108,
        ..Account::default()
    };
    assert_eq!(counted.lo, expected);
    assert_eq!(counted.hi.packets, 1);
    assert_eq!(counted.whole, 1);
}

#[test]
fn payload_that_comes_again_is_a_retransmission_as_far_as_it_was_seen() {
    let ledgers = opened();
    send(&ledgers, 100, 50);
    send(&ledgers, 100, 50);
    assert_eq!(ledgers.accounts().lo.retransmissions, 1);
    assert_eq!(ledgers.accounts().lo.retransmitted, 50);
    // Half of it is new.
    send(&ledgers, 125, 50);
    let counted = ledgers.accounts().lo;
    assert_eq!((counted.retransmissions, counted.retransmitted), (2, 75));
    assert_eq!((counted.payload, counted.span), (150, 75));
}

#[test]
fn holes_are_filled_in_any_order() {
    for fills in [
        [(150, 10), (160, 10), (170, 10)],
        [(170, 10), (160, 10), (150, 10)],
        [(160, 10), (170, 10), (150, 10)],
    ] {
        let ledgers = opened();
        send(&ledgers, 100, 50);
        send(&ledgers, 180, 20);
        assert_eq!(ledgers.accounts().lo.unseen, 30);
        for (seq, len) in fills {
            send(&ledgers, seq, len);
        }
        let counted = ledgers.accounts().lo;
        // Of a hole that is filled in its middle one end is forgotten: what fills it comes again.
        let forgotten = u32::from(fills[0].0 == 160);
        assert_eq!(counted.out_of_order, 3 - forgotten, "{fills:?}");
        assert_eq!(counted.unseen, 10 * u64::from(forgotten), "{fills:?}");
        assert_eq!(counted.retransmissions, forgotten, "{fills:?}");
        assert_eq!((counted.payload, counted.span), (100, 100));
    }
}

#[test]
fn what_is_acknowledged_and_was_not_seen_is_missing() {
    let ledgers = opened();
    send(&ledgers, 100, 50);
    assert_eq!(acknowledge(&ledgers, 400), Why::GAP);
    let counted = ledgers.accounts();
    assert_eq!((counted.lo.unseen, counted.lo.span), (250, 300));
    assert_eq!(counted.hi.gaps, 1);
}

#[test]
fn a_number_far_off_belongs_to_another_connection() {
    let ledgers = opened();
    send(&ledgers, 100, 50);
    send(&ledgers, 100_u32.wrapping_add(1 << 31), 9);
    acknowledge(&ledgers, 150 + FARTHEST_ACK + 1);
    let counted = ledgers.accounts();
    assert_eq!((counted.lo.span, counted.lo.unseen), (50, 0));
    assert_eq!(counted.hi.gaps, 0);
    // Nor was it acknowledged: what comes next is not held against it.
    let mut side = event::NO_EVENT.sender;
    ledgers.tell(Half::Hi, &mut side);
    assert_eq!(side.acked().map(|(acked, _)| acked), Some(Seq(100)));
}

#[test]
fn what_lies_before_a_syn_is_of_the_connection_before() {
    let ledgers = opened();
    send(&ledgers, 50, 20);
    send(&ledgers, 100, 50);
    assert_eq!(ledgers.accounts().lo.retransmissions, 0);
    assert_eq!(ledgers.accounts().lo.span, 50);
    // In the middle of a stream nobody knows where it began.
    let middle = Ledgers::new();
    send(&middle, 100, 50);
    send(&middle, 50, 20);
    assert_eq!(middle.accounts().lo.retransmissions, 1);
}

#[test]
fn keepalives_are_probes_where_all_was_acknowledged() {
    let ledgers = opened();
    send(&ledgers, 100, 50);
    // Not acknowledged yet: the last octet comes again.
    send(&ledgers, 149, 1);
    assert_eq!(ledgers.accounts().lo.retransmissions, 1);
    acknowledge(&ledgers, 150);
    send(&ledgers, 149, 0);
    send(&ledgers, 149, 1);
    let counted = ledgers.accounts().lo;
    assert_eq!((counted.probes, counted.retransmissions), (2, 1));
    assert_eq!(counted.span, 50);
}

#[test]
fn an_octet_into_a_closed_window_is_a_probe_and_comes_again_with_the_rest() {
    let ledgers = opened();
    send(&ledgers, 100, 50);
    announce(&ledgers, 150, 0);
    send(&ledgers, 150, 1);
    send(&ledgers, 150, 1);
    announce(&ledgers, 150, 9);
    send(&ledgers, 150, 40);
    let counted = ledgers.accounts().lo;
    assert_eq!((counted.probes, counted.retransmissions), (2, 0));
    assert_eq!((counted.span, counted.unseen), (90, 0));
    // Where it was taken, nothing is missing either.
    announce(&ledgers, 190, 0);
    send(&ledgers, 190, 1);
    announce(&ledgers, 191, 9);
    send(&ledgers, 191, 9);
    let counted = ledgers.accounts();
    assert_eq!((counted.lo.span, counted.lo.unseen), (100, 0));
    assert_eq!(counted.hi.gaps, 0);
}

#[test]
fn closed_windows_are_told_the_first_tenth_and_hundredth_time() {
    let ledgers = opened();
    let told = (1..=100).filter(|_| announce(&ledgers, 100, 0).any(Why::ZERO_WINDOW));
    assert_eq!(told.count(), 3);
    assert_eq!(ledgers.accounts().hi.zero_windows, 100);
    // A window of a SYN is not one that was closed.
    let syn = Segment {
        window: 0,
        ..segment(999, 0, SYN_ACK)
    };
    ledgers.count(&syn, Half::Hi);
    assert_eq!(ledgers.accounts().hi.zero_windows, 100);
}

/// Where segments are seen.
const HERE: u32 = 1;
const ELSEWHERE: u32 = 7;
/// The interface of that.
const INTERFACE_ELSEWHERE: u32 = 3;

#[test]
fn a_copy_is_the_same_segment_soon_after() {
    let stamped = |ident| Segment {
        ident,
        checksum: 7,
        ..segment(100, 50, Flags::ACK)
    };
    let ledgers = opened();
    let copy = |segment: &Segment, half, now_ns| ledgers.is_copy(segment, half, now_ns, HERE);
    assert!(!copy(&stamped(1), Half::Lo, COPY_NS));
    assert!(copy(&stamped(1), Half::Lo, COPY_NS + 1));
    assert!(!copy(&stamped(2), Half::Lo, COPY_NS + 2));
    assert!(!copy(&stamped(1), Half::Hi, COPY_NS + 3));
    assert!(!copy(&stamped(2), Half::Lo, 2 * COPY_NS + 2));
    assert_eq!(ledgers.accounts().lo.duplicates, 1);
    // Without identification a bare ACK may be another one.
    let bare = segment(100, 0, Flags::ACK);
    assert!(!copy(&bare, Half::Hi, 9));
    assert!(!copy(&bare, Half::Hi, 10));
    assert!(ledgers.is_copy(&bare, Half::Hi, 11, ELSEWHERE));
}

#[test]
fn what_is_sent_again_counts_once_at_however_many_places() {
    let ledgers = opened();
    let part = |ident| Segment {
        ident,
        ..segment(100, 50, Flags::ACK)
    };
    let mut now_ns = COPY_NS;
    for (ident, again) in [(1, 0), (2, 1)] {
        for place in [HERE, ELSEWHERE, ELSEWHERE + 2] {
            now_ns += 1;
            if !ledgers.is_copy(&part(ident), Half::Lo, now_ns, place) {
                ledgers.count(&part(ident), Half::Lo);
            }
        }
        let counted = ledgers.accounts().lo;
        assert_eq!((counted.span, counted.retransmissions), (50, again));
        assert_eq!(counted.duplicates, 2 + 2 * again);
    }
    let copied_on = ledgers.accounts().lo.copied_on();
    assert!(copied_on.eq([INTERFACE_ELSEWHERE, INTERFACE_ELSEWHERE + 1]));
}

#[test]
fn of_two_syn_acks_the_acknowledged_one_counts() {
    for (first, second) in [(999, 5000), (5000, 999)] {
        let ledgers = opened();
        ledgers.begin();
        ledgers.count(&segment(99, 0, Flags::SYN), Half::Lo);
        ledgers.count(&segment(first, 0, SYN_ACK), Half::Hi);
        ledgers.count(&segment(second, 0, SYN_ACK), Half::Hi);
        let ack = Segment {
            ack: Seq(1000),
            ..segment(100, 0, Flags::ACK)
        };
        ledgers.count(&ack, Half::Lo);
        ledgers.count(&segment(1000, 30, Flags::ACK), Half::Hi);
        let counted = ledgers.accounts();
        assert_eq!((counted.hi.span, counted.hi.unseen), (30, 0));
        assert_eq!((counted.hi.retransmissions, counted.lo.gaps), (0, 0));
    }
}

#[test]
fn a_syn_after_its_syn_ack_begins_the_counting_too() {
    let ledgers = Ledgers::new();
    ledgers.count(&segment(999, 0, SYN_ACK), Half::Hi);
    assert_eq!(ledgers.accounts().whole, 0);
    ledgers.count(&segment(99, 0, Flags::SYN), Half::Lo);
    assert_eq!(ledgers.accounts().whole, 1);
    // One in the middle of things does not.
    let middle = Ledgers::new();
    send(&middle, 100, 50);
    middle.count(&segment(99, 0, Flags::SYN), Half::Lo);
    assert_eq!(middle.accounts().whole, 0);
}

#[test]
fn a_syn_that_comes_late_or_again_moves_nothing() {
    let ledgers = opened();
    send(&ledgers, 100, 50);
    ledgers.count(&segment(99, 0, Flags::SYN), Half::Lo);
    send(&ledgers, 150, 50);
    let counted = ledgers.accounts().lo;
    assert_eq!((counted.span, counted.unseen), (100, 0));
    assert_eq!(counted.retransmissions, 0);
}

#[test]
fn resets_and_impossible_flags_move_nothing() {
    let ledgers = opened();
    send(&ledgers, 100, 50);
    ledgers.count(&segment(150_000, 9, Flags::RST), Half::Lo);
    ledgers.count(&segment(150_000, 9, Flags(0)), Half::Lo);
    let counted = ledgers.accounts().lo;
    assert_eq!((counted.packets, counted.payload), (4, 68));
    assert_eq!((counted.span, counted.unseen), (50, 0));
}

#[test]
fn what_begins_anew_has_counted_nothing() {
    let ledgers = opened();
    send(&ledgers, 100, 50);
    assert!(!ledgers.is_empty());
    ledgers.begin();
    assert!(ledgers.is_empty());
    let expected = Accounts {
        whole: 1,
        ..Accounts::default()
    };
    assert_eq!(ledgers.accounts(), expected);
}
