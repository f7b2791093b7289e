//! How connections open, or do not.

use serde_json::json;
use synfin_ebpf::segment::Flags;
use synfin_tests::conversation::Conversation;
use synfin_tests::conversation::Sender::{Client, Server};
use synfin_tests::frames::{Frame, SYN_OPTIONS};

use super::{RST_ACK, SYN_ACK, X, Y, bare};
use crate::story::{MODES, both, exactly, records};
use crate::talk;

/// A SYN-ACK that acknowledges this number.
fn syn_ack_of(talk: Conversation, ack: u32) -> Conversation {
    talk.say(Server, |frame| {
        frame.flags(SYN_ACK).ack(ack).options(&SYN_OPTIONS)
    })
}

#[test]
fn case_01_a_syn_alone_is_no_reply() {
    for told in both(&talk().syn()) {
        told.field("/type", "connection")
            .field("/open/outcome", "no_reply")
            .field("/open/syn_retries", 0)
            .field("/conn_state", "S0")
            .field("/client/isn", X)
            .unknown("/server/isn")
            .unknown("/server/bytes")
            .unknown("/open/rtt_ns/total")
            .field("/asymmetric", false)
            .field("/close/kind", "none")
            .odd(&[])
            .says("no reply to the SYN");
    }
}

#[test]
fn case_02_a_syn_retried_for_longer_than_five_seconds_is_one_attempt() {
    let mut retried = talk().syn();
    for wait in [1000, 2000, 4000, 8000, 16_000] {
        retried = retried.wait(wait).again();
    }
    for told in both(&retried) {
        told.field("/open/outcome", "no_reply")
            .field("/open/syn_retries", 5)
            .field(
                "/open/backoff_ns",
                json!([1, 2, 4, 8, 16].map(|seconds: u64| seconds * 1_000_000_000)),
            )
            .field("/open/backoff_doubles", true)
            .field("/conn_state", "S0")
            .says("no reply to 6 SYNs in 31.0 s")
            .says("doubling")
            .is_silent_on("not doubling");
    }
    // The answer to one of several SYNs is nobody's round-trip time.
    let answered = retried.syn_ack().ack(Client);
    for told in both(&answered) {
        told.field("/open/outcome", "established")
            .field("/open/syn_retries", 5)
            .unknown("/open/rtt_ns/syn_to_synack")
            .field("/open/rtt_ns/synack_to_ack", 1_000_000)
            .field("/open/rtt_ns/total", 31_002_000_000_u64)
            .says("SYN retried after 1.00, 2.00, 4.00, 8.00, 16.00 s (doubling)");
    }
}

#[test]
fn case_02_retries_at_equal_times_do_not_double() {
    let linear = talk().syn().wait(1000).again().wait(1000).again();
    for told in both(&linear) {
        told.field("/open/backoff_doubles", false)
            .says("not doubling");
    }
    for told in both(&talk().syn().wait(1000).again()) {
        told.unknown("/open/backoff_doubles")
            .is_silent_on("doubling");
    }
}

#[test]
fn case_03_a_syn_retried_with_a_new_isn_is_a_new_attempt_linked_to_the_old_one() {
    let other = |talk: Conversation| {
        talk.say(Client, |frame| {
            bare(Flags::SYN)(frame.seq(X + 70_000)).options(&SYN_OPTIONS)
        })
    };
    for mode in MODES {
        let retried = other(talk().syn().wait(1000).again().wait(2000));
        let [old, new] = exactly(records(&retried.syn_ack().ack(Client), mode));
        old.field("/open/outcome", "no_reply")
            .field("/open/syn_retries", 1)
            .field("/client/isn", X)
            .unknown("/previous")
            .says("no reply to 2 SYNs");
        new.field("/open/outcome", "established")
            .field("/open/syn_retries", 0)
            .field("/client/isn", X + 70_000)
            .field("/open/rtt_ns/syn_to_synack", 1_000_000)
            .field(
                "/previous",
                json!({"client_isn": X, "server_isn": null, "outcome": "no_reply", "close": "none"}),
            )
            .odd(&[])
            .says(&format!("takes the place of X = {X}, not answered"));
        // So is one after a refusal.
        let refused = other(talk().syn().rst(Server).wait(500));
        let [old, new] = exactly(records(&refused, mode));
        old.field("/open/outcome", "refused");
        new.field("/open/outcome", "no_reply")
            .field("/previous/outcome", "refused")
            .says("refused");
    }
}

#[test]
fn case_04_a_rst_that_answers_the_syn_refuses() {
    for told in both(&talk().syn().rst(Server)) {
        told.field("/open/outcome", "refused")
            .field("/open/refused_after_ns", 1_000_000)
            .unknown("/open/rtt_ns/syn_to_synack")
            .unknown("/open/rtt_ns/total")
            .field("/conn_state", "REJ")
            .field("/close/kind", "none")
            .field("/segments/1/check/ok", true)
            .odd(&[])
            .says("refused after 1.00 ms");
    }
}

#[test]
fn case_04_a_rst_that_does_not_acknowledge_the_syn_refuses_nothing() {
    for answer in [RST_OF_NOTHING, RST_OF_ANOTHER] {
        let forged = talk().syn().say(Server, answer);
        for told in both(&forged) {
            told.field("/open/outcome", "no_reply")
                .field("/segments/1/check/ok", false)
                .field("/segments/1/check/expected", X + 1)
                .odd(&[("rst_out_of_window", 1)])
                .says("RST with a number its receiver would not accept");
        }
        for told in both(&forged.syn_ack().ack(Client)) {
            told.field("/open/outcome", "established");
        }
    }
}

const RST_OF_NOTHING: fn(Frame) -> Frame = |frame| {
    Frame {
        ack: 0,
        seq: 0,
        ..frame
    }
    .flags(Flags::RST)
};
const RST_OF_ANOTHER: fn(Frame) -> Frame = |frame| frame.ack(X + 900).flags(RST_ACK);

#[test]
fn case_04_a_refused_client_that_tries_again_with_its_number_and_gets_in_is_not_reset() {
    let again = talk()
        .syn()
        .aside(Server, |frame| frame.seq(0).flags(RST_ACK))
        .wait(500)
        .aside(Client, |frame| {
            bare(Flags::SYN)(frame.seq(X)).options(&SYN_OPTIONS)
        })
        .syn_ack()
        .ack(Client)
        .data(Client, 10)
        .wait(20_000)
        .data(Client, 10)
        .close(Client);
    for told in both(&again) {
        told.field("/open/outcome", "established")
            .field("/open/syn_retries", 1)
            .unknown("/open/rtt_ns/syn_to_synack")
            .field("/close/kind", "four_way")
            .field("/client/bytes", 20)
            .odd(&[])
            .says("established")
            .is_silent_on("reset");
    }
}

#[test]
fn case_05_a_syn_ack_that_nobody_acknowledges_is_half_open() {
    let mut retried = talk().syn().syn_ack();
    for wait in [1000, 2000, 4000] {
        retried = retried.wait(wait).again();
    }
    for told in both(&retried) {
        told.field("/open/outcome", "half_open")
            .field("/open/synack_retries", 3)
            .field("/open/syn_retries", 0)
            // Zeek's word for it says that it was established: it is kept there alone.
            .field("/conn_state", "S1")
            .field("/server/state", "SYN-RECEIVED")
            .field("/close/kind", "none")
            .unknown("/client/bytes")
            .odd(&[])
            .says("half open: none of 4 SYN-ACKs was acknowledged")
            .is_silent_on("established");
    }
    for told in both(&talk().syn().syn_ack()) {
        told.field("/open/outcome", "half_open")
            .says("half open: the SYN-ACK was not acknowledged");
    }
}

#[test]
fn case_06_a_valid_syn_ack_answered_by_a_rst_is_aborted() {
    for told in both(&talk().syn().syn_ack().say(Client, bare(Flags::RST))) {
        told.field("/open/outcome", "aborted")
            .unknown("/open/wrong_ack")
            .field("/close/kind", "none")
            .field("/conn_state", "RSTO")
            .odd(&[])
            .says("aborted by client after a valid SYN-ACK");
    }
}

#[test]
fn case_06_a_syn_ack_of_a_wrong_number_answered_by_a_rst_is_rejected() {
    let rejected =
        syn_ack_of(talk().syn(), 1001).say(Client, |frame| bare(Flags::RST)(frame.seq(1001)));
    for told in both(&rejected) {
        told.field("/open/outcome", "rejected")
            .field("/open/wrong_ack", json!({"expected": X + 1, "seen": 1001}))
            .field("/segments/1/check/ok", false)
            .field("/segments/2/check/ok", true)
            .unknown("/open/rtt_ns/syn_to_synack")
            .says(&format!(
                "rejected by client: the SYN-ACK acknowledges 1001, expected {}",
                X + 1
            ))
            .says("✗");
    }
}

#[test]
fn case_07_data_completes_the_handshake_where_the_ack_was_lost() {
    for told in both(&talk().syn().syn_ack().data(Client, 40).close(Client)) {
        told.field("/open/outcome", "established")
            .field("/open/kind", "three_way")
            .field("/open/ack_via_data", true)
            .field("/close/kind", "four_way")
            .field("/client/bytes", 40)
            .odd(&[])
            .says("its ACK came with data");
    }
}

#[test]
fn case_08_a_syn_ack_again_after_its_ack_means_that_the_ack_was_lost_beyond() {
    let lost = talk().open();
    let lost = lost.wait(1000).aside(Server, |frame| {
        frame.seq(Y).ack(X + 1).flags(SYN_ACK).options(&SYN_OPTIONS)
    });
    for told in both(&lost.ack(Client).data(Client, 5).close(Server)) {
        told.field("/open/outcome", "established")
            .field("/open/synack_retries", 1)
            // The ACK answered the only SYN-ACK that there was then.
            .field("/open/rtt_ns/synack_to_ack", 1_000_000)
            .field("/open/rtt_ns/syn_to_synack", 1_000_000)
            .field("/close/kind", "four_way")
            .field("/server/bytes", 0)
            .odd(&[("synack_retransmitted", 1)])
            .says("SYN-ACK again after its ACK: that was lost further on");
    }
}

#[test]
fn case_09_of_several_syn_acks_the_acknowledged_one_counts() {
    let syn_ack = |talk: Conversation, isn: u32| {
        talk.say(Server, |frame| {
            frame
                .seq(isn)
                .ack(X + 1)
                .flags(SYN_ACK)
                .options(&SYN_OPTIONS)
        })
    };
    let other = Y + 5000;
    let later = syn_ack(syn_ack(talk().syn(), other), Y).ack(Client);
    let earlier = syn_ack(syn_ack(talk().syn(), Y), other).say(Client, |frame| frame.ack(Y + 1));
    let earlier = earlier.aside(Server, |frame| frame.seq(Y + 1).payload(7));
    let after = syn_ack(talk().open(), other);
    for (name, talk) in [("later", later), ("earlier", earlier), ("after", after)] {
        for told in both(&talk) {
            println!("{name}");
            told.field("/open/outcome", "established")
                .field("/server/isn", Y)
                .odd(&[("synack_isn_changed", 1)])
                .says("SYN-ACK with another initial number than before");
            if told.is_counted() {
                told.field("/server/account/retransmissions", 0)
                    .unknown("/close/gap_bytes");
            }
        }
    }
}

#[test]
fn case_10_a_syn_ack_of_a_wrong_number_is_not_the_handshake() {
    let wrong = syn_ack_of(talk().syn(), X + 1001);
    for told in both(&wrong) {
        told.field("/open/outcome", "half_open")
            .field(
                "/open/wrong_ack",
                json!({"expected": X + 1, "seen": X + 1001}),
            )
            .unknown("/open/rtt_ns/syn_to_synack")
            .odd(&[("wrong_synack_ack", 1)])
            .says(&format!("✗ acknowledges {}, expected X+1", X + 1001));
    }
    // Nor does an ACK of it make one.
    for told in both(&wrong.clone().ack(Client)) {
        told.field("/open/outcome", "half_open")
            .unknown("/open/rtt_ns/total");
    }
    // The right one may still come.
    let right = wrong.wait(10).aside(Server, |frame| {
        frame.seq(Y).ack(X + 1).flags(SYN_ACK).options(&SYN_OPTIONS)
    });
    for told in both(&right.ack(Client).data(Client, 9).close(Client)) {
        told.field("/open/outcome", "established")
            .field("/client/bytes", 9)
            .field("/close/kind", "four_way")
            .says(&format!(
                "a SYN-ACK acknowledged {}, expected {}",
                X + 1001,
                X + 1
            ));
    }
}

#[test]
fn case_16_both_sides_opening_is_simultaneous() {
    let syns = talk().syn().say(Server, |frame| {
        bare(Flags::SYN)(frame).options(&SYN_OPTIONS)
    });
    let syn_ack = |talk: Conversation, sender, seq: u32| {
        talk.aside(sender, |frame| {
            frame.seq(seq).flags(SYN_ACK).options(&SYN_OPTIONS)
        })
    };
    let open = syn_ack(syn_ack(syns, Client, X), Server, Y);
    for told in both(&open.data(Client, 4).data(Server, 5).close(Server)) {
        told.field("/open/outcome", "established")
            .field("/open/kind", "simultaneous")
            .field("/client/isn", X)
            .field("/server/isn", Y)
            .field("/open/syn_retries", 0)
            .field("/open/synack_retries", 0)
            .field("/client/bytes", 4)
            .field("/server/bytes", 5)
            .field("/close/kind", "four_way")
            .odd(&[])
            .says("established")
            .says("by a simultaneous open");
    }
}

#[test]
fn case_17_a_split_handshake_is_one_connection() {
    let syn = |talk: Conversation| {
        talk.say(Server, |frame| {
            bare(Flags::SYN)(frame).options(&SYN_OPTIONS)
        })
    };
    let client_syn_ack = |talk: Conversation| {
        talk.aside(Client, |frame| {
            frame.seq(X).flags(SYN_ACK).options(&SYN_OPTIONS)
        })
    };
    let four = client_syn_ack(syn(talk().syn())).ack(Server);
    let five = client_syn_ack(syn(talk().syn().ack(Server))).ack(Server);
    let acked = syn(talk().syn().ack(Server)).ack(Client);
    for (name, open) in [("four-way", four), ("five-way", five), ("bare ACK", acked)] {
        println!("{name}");
        for told in both(&open.data(Client, 14).data(Server, 15).close(Client)) {
            told.field("/open/outcome", "established")
                .field("/open/kind", "split")
                .field("/client/isn", X)
                .field("/server/isn", Y)
                .unknown("/previous")
                .field("/client/bytes", 14)
                .field("/server/bytes", 15)
                .field("/close/kind", "four_way")
                .field("/observation_gap", false)
                .odd(&[])
                .says("by a split handshake");
            if told.is_counted() {
                told.field("/accounts_whole", true)
                    .field("/client/account/payload_bytes", 14)
                    .field("/server/account/payload_bytes", 15);
            }
        }
    }
}

#[test]
fn case_21_of_syn_cookies_only_the_options_are_told() {
    let mss = [2, 4, 0x05, 0xb4];
    let answer = talk()
        .syn()
        .say(Server, |frame| frame.flags(SYN_ACK).options(&mss));
    for told in both(&answer.ack(Client)) {
        told.field("/open/outcome", "established")
            .field(
                "/options/not_echoed",
                json!(["window_scale", "sack", "timestamps"]),
            )
            .field("/options/in_effect", json!([]))
            .field("/server/options/mss", 1460)
            .odd(&[])
            .says("offered, not echoed")
            .is_silent_on("cookie");
    }
}

#[test]
fn case_22_ece_and_cwr_on_a_syn_negotiate_ecn() {
    let ecn = |answer: Flags| {
        talk()
            .say(Client, |frame| {
                let syn = bare(Flags::SYN.with(Flags::ECE).with(Flags::CWR))(frame);
                syn.options(&SYN_OPTIONS)
            })
            .say(Server, |frame| {
                frame.flags(SYN_ACK.with(answer)).options(&SYN_OPTIONS)
            })
            .ack(Client)
    };
    for told in both(&ecn(Flags::ECE)) {
        told.field("/open/outcome", "established")
            .field("/client/options/ecn", true)
            .field("/server/options/ecn", true)
            .odd(&[])
            .says("ECN")
            .is_silent_on("flags that no TCP sends");
    }
    for answer in [Flags(0), Flags::ECE.with(Flags::CWR)] {
        for told in both(&ecn(answer)) {
            told.field("/server/options/ecn", false)
                .field("/options/not_echoed", json!(["ecn"]))
                .odd(&[])
                .says("ECN offered, not echoed");
        }
    }
}
