//! Resets: which of them count, and what they are told of (RFC 9293 §3.10.7, RFC 5961 §3).

use synfin_ebpf::segment::Flags;
use synfin_tests::conversation::Conversation;
use synfin_tests::conversation::Sender::{self, Client, Server};
use synfin_tests::frames::Frame;

use super::{RST_ACK, bare};
use crate::story::{Mode, both, only};
use crate::talk;

/// The window of every frame, scaled by what the SYNs say.
const WINDOW: u32 = 64240 << 7;

/// A forged RST so far beyond the sender's next number.
fn rst_beyond(talk: Conversation, sender: Sender, octets: u32) -> Conversation {
    talk.aside(sender, |frame| {
        let seq = frame.seq.wrapping_add(octets);
        bare(Flags::RST)(frame.seq(seq))
    })
}

fn talking() -> Conversation {
    talk().open().data(Client, 100).data(Server, 1000)
}

#[test]
fn case_26_a_rst_outside_the_window_is_ignored() {
    for beyond in [WINDOW, WINDOW + 1, 1 << 30, 1_u32.wrapping_neg(), 1 << 31] {
        let forged = rst_beyond(talking(), Server, beyond);
        let told = only(&forged, Mode::Counted);
        told.field("/open/outcome", "established")
            .field("/close/kind", "none")
            .unknown("/close/by")
            .field("/client/state", "ESTABLISHED")
            .field("/server/state", "ESTABLISHED")
            .odd(&[("rst_out_of_window", 1)])
            .says("✗ not acceptable, expected Y+1001")
            .says("RST with a number its receiver would not accept");
        for told in both(
            &forged
                .wait(3000)
                .data(Client, 5)
                .data(Server, 5)
                .close(Client),
        ) {
            if told.is_counted() {
                told.field("/close/kind", "four_way")
                    .odd(&[("rst_out_of_window", 1)]);
            }
        }
    }
    // Without every segment the end of the window is not known, and it is not said to be.
    let told = only(&rst_beyond(talking(), Server, WINDOW + 1), Mode::Lifecycle);
    told.field("/close/kind", "reset")
        .field("/close/proof", "not_before");
    // A number before what was acknowledged is never right.
    let told = only(
        &rst_beyond(talking(), Server, 1001_u32.wrapping_neg()),
        Mode::Lifecycle,
    );
    told.field("/close/kind", "none")
        .odd(&[("rst_out_of_window", 1)]);
}

#[test]
fn case_27_a_rst_in_the_window_that_silence_confirms() {
    for beyond in [1, 5000, WINDOW - 1] {
        let told = only(&rst_beyond(talking(), Server, beyond), Mode::Counted);
        told.field("/close/kind", "reset")
            .field("/close/by", "server")
            .field("/close/proof", "in_window")
            .odd(&[("rst_in_window", 1)])
            .says("reset by server in the middle of data")
            .says("nothing came after it, so it was probably taken");
    }
}

#[test]
fn case_27_a_rst_in_the_window_that_a_challenge_refutes() {
    let challenged = rst_beyond(talking(), Server, 5000).ack(Client);
    let told = only(&challenged, Mode::Counted);
    told.field("/close/kind", "none")
        .unknown("/close/by")
        .field("/client/state", "ESTABLISHED")
        .odd(&[("challenge_ack", 1), ("rst_in_window", 1)])
        .says("an ACK that challenges a SYN or RST");
    let told = only(
        &challenged.wait(50).data(Server, 10).close(Server),
        Mode::Counted,
    );
    told.field("/close/kind", "four_way")
        .field("/server/state", "TIME-WAIT")
        .field("/client/state", "CLOSED")
        .odd(&[("challenge_ack", 1), ("rst_in_window", 1)]);
}

#[test]
fn case_27_a_rst_of_the_exact_number_after_its_challenge_counts() {
    let exact = rst_beyond(talking(), Server, 5000)
        .ack(Client)
        .say(Server, bare(Flags::RST));
    let told = only(&exact, Mode::Counted);
    told.field("/close/kind", "reset")
        .field("/close/proof", "exact")
        .odd(&[("challenge_ack", 1), ("rst_in_window", 1)]);
}

#[test]
fn case_27_the_exact_number_needs_no_confirmation() {
    for told in both(&talking().rst(Server)) {
        told.field("/close/kind", "reset")
            .field("/close/by", "server")
            .field("/close/cause", "in_data")
            .field("/client/state", "CLOSED")
            .field("/conn_state", "RSTR")
            .odd(&[])
            .says("reset by server in the middle of data")
            .says("✓ acceptable to the client");
        if told.is_counted() {
            told.field("/close/proof", "exact");
        }
    }
}

#[test]
fn case_28_traffic_of_its_sender_refutes_a_rst() {
    // Somebody between the two knows the exact number.
    let injected = talking()
        .aside(Server, |frame| frame.flags(RST_ACK))
        .wait(20)
        .data(Server, 500)
        .data(Client, 50);
    for told in both(&injected) {
        told.field("/open/outcome", "established")
            .field("/close/kind", "none")
            .unknown("/close/proof")
            .field("/client/state", "ESTABLISHED")
            .field("/server/state", "ESTABLISHED")
            .odd(&[("traffic_after_rst", 1)])
            .says("still open as far as seen")
            .says("the sender of the RST went on: it may be forged");
    }
    for told in both(&injected.close(Client)) {
        told.field("/close/kind", "four_way")
            .field("/close/by", "client")
            .field("/client/state", "TIME-WAIT")
            .field("/server/state", "CLOSED")
            .field("/client/bytes", 150)
            .odd(&[("traffic_after_rst", 1)])
            .says("closed by client, four-way");
    }
}

#[test]
fn case_28_a_syn_ack_after_a_refusal_says_that_it_was_injected() {
    let injected = talk()
        .syn()
        .aside(Server, |frame| frame.seq(0).flags(RST_ACK))
        .syn_ack();
    for told in both(&injected.clone().say(Client, bare(Flags::RST))) {
        told.field("/open/outcome", "aborted")
            .odd(&[("traffic_after_rst", 1)]);
    }
    for told in both(&injected.ack(Client).data(Client, 8).close(Client)) {
        told.field("/open/outcome", "established")
            .field("/close/kind", "four_way")
            .field("/client/state", "TIME-WAIT")
            .odd(&[("traffic_after_rst", 1)]);
    }
}

#[test]
fn case_30_the_text_of_a_rst_is_kept_as_its_cause() {
    let text = |frame: Frame| Frame {
        payload: b"Go away, we're not home".to_vec(),
        ..frame.flags(RST_ACK)
    };
    for told in both(&talking().say(Server, text)) {
        told.field("/close/kind", "reset")
            .field("/close/text", "Go away, we're not home")
            .field("/server/options/mss", 1460)
            .says("the RST says “Go away, we're not home”");
    }
    for told in both(&talk().syn().say(Server, text)) {
        told.field("/open/outcome", "refused")
            .field("/close/text", "Go away, we're not home")
            .unknown("/server/options")
            .says("the RST says");
    }
    // What is not text is made harmless.
    let noise = |frame: Frame| Frame {
        payload: vec![0x1b, b'[', b'2', b'J', 0xff, 0xfe],
        ..frame.flags(RST_ACK)
    };
    for told in both(&talking().say(Server, noise)) {
        assert!(
            told.at("/close/text")
                .as_str()
                .unwrap()
                .starts_with('\u{1b}')
        );
        told.is_silent_on("\u{1b}");
    }
}

#[test]
fn case_31_a_fin_and_a_rst_of_one_side_reset() {
    let both_of_one = || talking().fin(Client).say(Client, bare(Flags::RST));
    for told in both(&both_of_one()) {
        told.field("/close/kind", "reset")
            .field("/close/by", "client")
            .field("/close/cause", "after_own_fin")
            .odd(&[])
            .says("reset by client after its own FIN");
    }
    // Its FIN was acknowledged, it may still not want what comes.
    for told in both(
        &talking()
            .fin(Client)
            .ack(Server)
            .say(Client, bare(Flags::RST)),
    ) {
        told.field("/close/kind", "reset")
            .field("/close/cause", "after_own_fin");
    }
    for told in both(&talking().fin(Client).ack(Server).rst(Server)) {
        told.field("/close/kind", "reset")
            .field("/close/by", "server")
            .field("/close/cause", "after_peer_fin")
            .says("reset by server after the client's FIN");
    }
    // The peer finishes all the same.
    for told in both(&both_of_one().wait(5).fin(Server)) {
        told.field("/close/kind", "three_way")
            .field("/close/by", "client")
            .unknown("/close/cause")
            .field("/close/last_ack", false)
            .odd(&[])
            .says("closed by client, three-way");
    }
}

#[test]
fn case_32_a_rst_after_both_fins_is_graceful() {
    let closed = || talking().close(Client);
    for late in [closed().rst(Server), closed().say(Client, bare(Flags::RST))] {
        for told in both(&late) {
            told.field("/close/kind", "four_way")
                .field("/close/last_ack", true)
                .field("/client/state", "TIME-WAIT")
                .odd(&[("rst_after_close", 1)])
                .says("closed by client, four-way")
                .says("RST after both FINs");
        }
    }
    // In the place of the last ACK.
    let instead = talking()
        .fin(Client)
        .ack(Server)
        .fin(Server)
        .say(Client, bare(Flags::RST));
    for told in both(&instead) {
        told.field("/close/kind", "four_way")
            .field("/close/last_ack", false)
            .says("last ACK not seen");
        assert_eq!(told.at("/anomalies/rst_after_close"), 1);
    }
}
