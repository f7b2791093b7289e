//! What is counted segment by segment, and what numbers alone say.

use serde_json::json;
use synfin::source::Tracker;
use synfin_ebpf::event::Direction;
use synfin_ebpf::flow::{Filter, Vantage};
use synfin_ebpf::wire::Tunnels;
use synfin_tests::conversation::Conversation;
use synfin_tests::conversation::Sender::{self, Client, Server};
use synfin_tests::frames::Frame;

use crate::story::{MODES, Mode, both, one, only, sightings, story};
use crate::talk;

fn talking() -> Conversation {
    talk().open().data(Client, 26).data(Server, 94)
}

/// An octet before the next number, with so much payload.
fn one_back(talk: Conversation, sender: Sender, len: usize) -> Conversation {
    talk.aside(sender, |frame| {
        let seq = frame.seq.wrapping_sub(1);
        frame.seq(seq).payload(len)
    })
}

#[test]
fn case_44_keepalives_are_no_retransmissions() {
    // With and without an octet of garbage (RFC 9293 §3.8.4).
    for len in [0, 1] {
        let mut kept = talking();
        for _ in 0..3 {
            kept = one_back(kept.wait(75_000), Client, len).ack(Server);
        }
        for told in both(&kept.close(Client)) {
            told.field("/close/kind", "four_way")
                .field("/client/bytes", 26)
                .odd(&[]);
            if told.is_counted() {
                told.field("/client/account/probes", 3)
                    .field("/client/account/retransmissions", 0)
                    .field("/client/account/retransmitted_bytes", 0)
                    .field("/client/account/duplicates", 0)
                    .field("/server/account/duplicates", 0)
                    .says("3 probes")
                    .is_silent_on("retransmission");
            }
        }
    }
}

#[test]
fn case_44_an_octet_that_was_not_acknowledged_is_a_retransmission() {
    let typed = talking()
        .say(Client, |frame| frame.payload(1))
        .wait(250)
        .again()
        .ack(Server);
    let told = only(&typed, Mode::Counted);
    told.field("/client/account/probes", 0)
        .field("/client/account/retransmissions", 1)
        .field("/client/account/retransmitted_bytes", 1);
}

#[test]
fn case_45_probes_of_a_closed_window_are_no_retransmissions() {
    let closed = |talk: Conversation| talk.say(Server, |frame| Frame { window: 0, ..frame });
    // Linux repeats a number that was acknowledged, others send the next octet.
    let before = one_back(closed(talking()).wait(200), Client, 0);
    let before = closed(one_back(closed(before).wait(400), Client, 0));
    let next = closed(talking())
        .wait(200)
        .aside(Client, |frame| frame.payload(1));
    let next = closed(
        closed(next)
            .wait(400)
            .aside(Client, |frame| frame.payload(1)),
    );
    for probed in [before, next] {
        let opened = probed.wait(100).ack(Server).data(Client, 500).close(Client);
        for told in both(&opened) {
            told.field("/close/kind", "four_way")
                .field("/client/bytes", 526)
                .odd(&[]);
            if told.is_counted() {
                told.field("/server/account/zero_windows", 3)
                    .field("/client/account/probes", 2)
                    .field("/client/account/retransmissions", 0)
                    .field("/client/account/retransmitted_bytes", 0)
                    .unknown("/close/gap_bytes")
                    .says("3 zero windows")
                    .is_silent_on("retransmission");
            }
        }
    }
}

#[test]
fn case_46_numbers_wrap_at_two_to_the_thirty_two() {
    let address = |text: &str| text.parse().expect("an address");
    for (x, y) in [(u32::MAX, u32::MAX), (u32::MAX - 10, u32::MAX - 50), (0, 0)] {
        let wrapping =
            Conversation::between((address("10.1.1.2:52144"), x), (address("10.1.1.1:21"), y));
        let closed = wrapping
            .open()
            .data(Client, 26)
            .data(Server, 94)
            .close(Server);
        for told in both(&closed) {
            told.field("/open/outcome", "established")
                .field("/client/isn", x)
                .field("/server/isn", y)
                .field("/client/bytes", 26)
                .field("/server/bytes", 94)
                .field("/close/kind", "four_way")
                .odd(&[])
                .says("↑ 26 B ↓ 94 B");
        }
    }
}

#[test]
fn case_47_beyond_four_gibibytes_numbers_alone_are_modulo() {
    // Every step is one that a window allows; what lies between was not seen.
    const STEP: u32 = 900_000_000;
    const STEPS: u64 = 6;
    let mut huge = talk().open();
    for _ in 0..STEPS {
        huge = huge
            .say(Client, |frame| {
                let seq = frame.seq.wrapping_add(STEP - 1000);
                frame.seq(seq).payload(1000)
            })
            .ack(Server);
    }
    let sent = u64::from(STEP) * STEPS;
    for told in both(&huge.close(Client)) {
        told.field("/close/kind", "four_way")
            .field("/client/bytes_basis", "fin")
            .odd(&[]);
        if told.is_counted() {
            told.field("/client/bytes", sent)
                .field("/client/bytes_modulo", false)
                .field("/client/account/payload_bytes", 1000 * STEPS)
                .field("/close/gap_bytes", sent - 1000 * STEPS)
                .says("↑ 5.4 GB ↓ 0 B");
        } else {
            told.field("/client/bytes", sent % (1 << 32))
                .field("/client/bytes_modulo", true);
        }
    }
}

#[test]
fn case_49_the_same_segment_seen_twice_is_one() {
    // A SPAN port gives every frame twice.
    let whole = talking().close(Server);
    let mut copies = Vec::new();
    for sighting in sightings(&whole) {
        let mut copy = sighting.clone();
        copy.at_ns += 20_000;
        copies.extend([sighting, copy]);
    }
    // Both sides of a loopback or a bridge: another interface, or the other direction.
    let at_two_places = |interface: u32, turned: bool| {
        let mut seen = copies.clone();
        for copy in seen.iter_mut().skip(1).step_by(2) {
            copy.vantage.interface = interface;
            if turned {
                copy.vantage.direction = turn(copy.vantage.direction);
            }
        }
        seen
    };
    let seen = [
        copies.clone(),
        at_two_places(2, false),
        at_two_places(1, true),
    ];
    for mode in MODES {
        for (seen, interfaces) in seen.iter().zip([1, 2, 1]) {
            let told = one(story(seen, mode).told);
            told.field("/open/outcome", "established")
                .field("/open/syn_retries", 0)
                .field("/open/synack_retries", 0)
                .field("/open/rtt_ns/total", 2_000_000)
                .field("/client/bytes", 26)
                .field("/server/bytes", 94)
                .field("/close/kind", "four_way");
            if interfaces == 1 {
                told.says("the same segment seen twice")
                    .field("/seen_on", json!(["eth0"]));
                assert_eq!(told.at("/anomalies").as_object().unwrap().len(), 1);
            } else {
                // Each of them shows all of it: that is not odd.
                told.odd(&[])
                    .says("eth0, eth1")
                    .field("/seen_on", json!(["eth0", "eth1"]));
            }
            assert_eq!(told.record.steps.len(), 10);
            if told.is_counted() {
                if interfaces == 1 {
                    told.odd(&[("duplicate", 11)]);
                }
                told.field("/client/account/packets", 6)
                    .field("/client/account/duplicates", 6)
                    .field("/client/account/retransmissions", 0)
                    .field("/server/account/payload_bytes", 94);
            }
        }
    }
}

#[test]
fn case_49_a_syn_that_passes_two_places_is_remembered_as_often_as_it_was_sent() {
    // An event after it tells of it, should its own be lost.
    let told = |talk: Conversation| {
        let tracker = Tracker::new(Filter::default(), Tunnels::ON);
        for sighting in sightings(&talk) {
            for interface in [1, 2] {
                let vantage = Vantage {
                    interface,
                    ..sighting.vantage
                };
                tracker.take(sighting.octets.as_slice(), &vantage, sighting.at_ns);
            }
        }
        tracker.event().map(|event| event.sender.syns)
    };
    assert_eq!(told(talk().syn()), Some(1));
    assert_eq!(told(talk().syn().again()), Some(2));
}

#[test]
fn case_49_a_retransmission_is_no_copy() {
    let again = talking()
        .say(Client, |frame| frame.payload(40))
        .wait(3)
        .again()
        .ack(Server)
        .close(Server);
    let told = only(&again, Mode::Counted);
    told.field("/client/account/retransmissions", 1)
        .field("/client/account/duplicates", 0)
        .odd(&[])
        .says("1 retransmission (40 B)");
}

const fn turn(direction: Direction) -> Direction {
    match direction {
        Direction::Ingress => Direction::Egress,
        Direction::Egress => Direction::Ingress,
    }
}
