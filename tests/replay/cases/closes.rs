//! How connections close.

use synfin_tests::conversation::Conversation;
use synfin_tests::conversation::Sender::{Client, Server};
use synfin_tests::frames::Frame;

use super::{FIN_ACK, X, Y};
use crate::story::{MODES, Mode, both, only, sightings, story};
use crate::talk;

fn talking() -> Conversation {
    talk().open().data(Client, 26).data(Server, 94)
}

#[test]
fn case_33_a_fin_again_is_counted_and_begins_nothing() {
    let again = talking()
        .fin(Client)
        .wait(200)
        .again()
        .wait(400)
        .again()
        .ack(Server)
        .fin(Server)
        .wait(200)
        .again()
        .ack(Client);
    for told in both(&again) {
        told.field("/close/kind", "four_way")
            .field("/client/bytes", 26)
            .odd(&[("fin_retransmitted", 3)])
            .says("FIN retransmitted (×3)")
            .says("again, 200 ms after the first");
    }
    // Long after the record was given out it is late, and no record of its own.
    let late = talking()
        .close(Client)
        .wait(20_000)
        .aside(Server, |frame| frame.seq(Y + 95).flags(FIN_ACK))
        .aside(Client, |frame| frame);
    for mode in MODES {
        let story = story(&sightings(&late), mode);
        let [told] = crate::story::exactly(story.told);
        told.field("/close/kind", "four_way").odd(&[]);
        assert!(story.counts.late > 0, "{:?}", story.counts);
    }
}

#[test]
fn case_34_a_fin_with_data_has_its_number_behind_the_data() {
    let finish = |frame: Frame| frame.flags(FIN_ACK).payload(30);
    let closed = talking()
        .say(Server, finish)
        .ack(Client)
        .say(Client, finish)
        .ack(Server);
    for told in both(&closed) {
        told.field("/close/kind", "four_way")
            .field("/close/by", "server")
            .field("/server/bytes", 124)
            .field("/client/bytes", 56)
            .field("/close/last_ack", true)
            .odd(&[])
            .says("↑ 56 B ↓ 124 B");
    }
    // An ACK of the data alone does not acknowledge the FIN.
    let short = talking()
        .say(Server, finish)
        .aside(Client, |frame| frame.ack(Y + 1 + 124));
    for told in both(&short) {
        told.field("/close/kind", "none")
            .odd(&[("fin_unacknowledged", 1)])
            .says("FIN never acknowledged");
    }
}

#[test]
fn case_36_a_fin_beyond_data_that_was_not_seen_closes_with_a_gap() {
    let skip = |octets: u32| {
        move |frame: Frame| {
            let seq = frame.seq.wrapping_add(octets);
            frame.seq(seq).flags(FIN_ACK)
        }
    };
    let gap = talking()
        .say(Server, skip(5000))
        .ack(Client)
        .fin(Client)
        .ack(Server);
    for told in both(&gap) {
        told.field("/close/kind", "four_way")
            .field("/server/bytes", 5094)
            .field("/server/bytes_basis", "fin")
            .field("/observation_gap", false);
        if told.is_counted() {
            told.field("/close/gap_bytes", 5000)
                .field("/server/account/payload_bytes", 94)
                .says("5.0 kB of data were not seen");
        } else {
            // Most data is not looked at: nothing of it is missing.
            told.unknown("/close/gap_bytes");
        }
    }
    // What comes late was seen.
    let late = talking()
        .say(Server, skip(500))
        .aside(Server, |frame| frame.seq(Y + 95).payload(500))
        .ack(Client)
        .fin(Client)
        .ack(Server);
    let told = only(&late, Mode::Counted);
    told.field("/close/kind", "four_way")
        .unknown("/close/gap_bytes")
        .field("/server/account/out_of_order", 1)
        .says("1 out of order");
}

#[test]
fn case_37_a_half_close_is_half_until_the_other_fin_comes() {
    let half = talking()
        .fin(Client)
        .ack(Server)
        .wait(5000)
        .data(Server, 1000)
        .wait(3_600_000)
        .data(Server, 1000);
    for told in both(&half) {
        told.field("/close/kind", "half")
            .field("/close/by", "client")
            .unknown("/close/last_ack")
            .field("/client/state", "FIN-WAIT-2")
            .field("/server/state", "CLOSE-WAIT")
            .field("/conn_state", "S2")
            .odd(&[])
            .says("half closed by client, server did not finish");
    }
    for told in both(&half.fin(Server).ack(Client)) {
        told.field("/close/kind", "four_way")
            .field("/close/by", "client")
            .field("/close/last_ack", true)
            .field("/client/state", "TIME-WAIT")
            .field("/server/bytes", 2094)
            .says("closed by client, four-way")
            .says("server open 1 h");
    }
}

#[test]
fn case_38_fins_that_cross_close_simultaneously() {
    let crossed = talking()
        .fin(Client)
        .aside(Server, |frame| {
            let ack = frame.ack.wrapping_sub(1);
            frame.ack(ack).flags(FIN_ACK)
        })
        .aside(Client, |frame| frame.ack(Y + 96))
        .aside(Server, |frame| frame.seq(Y + 96).ack(X + 28));
    for told in both(&crossed) {
        told.field("/close/kind", "simultaneous")
            .field("/close/last_ack", true)
            .field("/client/state", "TIME-WAIT")
            .field("/server/state", "TIME-WAIT")
            .field("/client/bytes", 26)
            .field("/server/bytes", 94)
            .odd(&[])
            .says("closed by both at once")
            .says("CLOSING")
            .says("crosses the client's FIN");
    }
}

#[test]
fn case_39_a_fin_that_rides_on_the_ack_makes_three_segments() {
    for told in both(&talking().fin(Client).fin(Server).ack(Client)) {
        told.field("/close/kind", "three_way")
            .field("/close/by", "client")
            .field("/close/last_ack", true)
            .field("/conn_state", "SF")
            .odd(&[])
            .says("closed by client, three-way");
    }
}

#[test]
fn case_40_a_missing_last_ack_leaves_it_closed_at_the_second_fin() {
    for told in both(&talking().fin(Server).ack(Client).fin(Client)) {
        told.field("/close/kind", "four_way")
            .field("/close/by", "server")
            .field("/close/last_ack", false)
            .field("/server/state", "TIME-WAIT")
            .field("/client/state", "LAST-ACK")
            .odd(&[])
            .says("closed by server, four-way")
            .says("last ACK not seen");
    }
}
