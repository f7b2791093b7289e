//! The same addresses and ports once more.

use serde_json::json;
use synfin_ebpf::segment::Flags;
use synfin_tests::conversation::Conversation;
use synfin_tests::conversation::Sender::{Client, Server};
use synfin_tests::frames::SYN_OPTIONS;

use super::{FIN_ACK, SYN_ACK, X, Y, bare};
use crate::story::{MODES, both, exactly, records};
use crate::talk;

fn closed() -> Conversation {
    talk().open().data(Client, 26).close(Client)
}

/// A handshake with these initial numbers.
fn opened(talk: Conversation, x: u32, y: u32) -> Conversation {
    talk.say(Client, |frame| {
        bare(Flags::SYN)(frame.seq(x)).options(&SYN_OPTIONS)
    })
    .say(Server, |frame| {
        frame.seq(y).flags(SYN_ACK).options(&SYN_OPTIONS)
    })
    .ack(Client)
}

#[test]
fn case_29_half_open_recovery_is_two_records() {
    let again = |talk: Conversation| {
        talk.aside(Client, |frame| {
            bare(Flags::SYN)(frame.seq(X + 900_000)).options(&SYN_OPTIONS)
        })
    };
    // The client has forgotten; the server challenges, is reset, and takes the next SYN.
    let recovered = again(talk().open().data(Client, 26).data(Server, 40).wait(30_000))
        .ack(Server)
        .aside(Client, |frame| bare(Flags::RST)(frame.seq(X + 27)))
        .wait(1000);
    let recovered = opened(recovered, X + 900_000, Y + 700_000);
    for mode in MODES {
        let [old, new] = exactly(records(
            &recovered.clone().data(Client, 5).close(Client),
            mode,
        ));
        old.field("/open/outcome", "established")
            .field("/client/isn", X)
            .field("/client/bytes", 26)
            .field("/close/kind", "reset")
            .field("/close/by", "client")
            .odd(&[("syn_in_open_connection", 1), ("challenge_ack", 1)])
            .says("reset by client")
            .says("an ACK that challenges a SYN or RST")
            .says("a new SYN inside the open connection");
        new.field("/open/outcome", "established")
            .field("/client/isn", X + 900_000)
            .field("/server/isn", Y + 700_000)
            .field("/client/bytes", 5)
            .field("/close/kind", "four_way")
            .field("/observation_gap", false)
            .field(
                "/previous",
                json!({"client_isn": X, "server_isn": Y, "outcome": "established", "close": "reset"}),
            )
            .odd(&[])
            .says(&format!("takes the place of X = {X}, reset"));
    }
}

#[test]
fn case_29_of_a_connection_that_was_not_seen_the_recovery_is_one_attempt() {
    let recovered = talk()
        .syn()
        .aside(Server, |frame| frame.seq(77).ack(88))
        .aside(Client, |frame| bare(Flags::RST)(frame.seq(88)))
        .wait(1000)
        .aside(Client, |frame| {
            bare(Flags::SYN)(frame.seq(X)).options(&SYN_OPTIONS)
        })
        .syn_ack()
        .ack(Client)
        .data(Client, 3)
        .close(Client);
    for told in both(&recovered) {
        told.field("/open/outcome", "established")
            .field("/open/syn_retries", 1)
            .field("/close/kind", "four_way")
            .field("/client/bytes", 3)
            .field("/client/state", "TIME-WAIT")
            .odd(&[("challenge_ack", 1)])
            .says("an ACK that challenges a SYN or RST");
    }
}

#[test]
fn case_29_a_stray_syn_leaves_an_open_connection_as_it_is() {
    let stray = talk()
        .open()
        .data(Client, 100)
        .data(Server, 200)
        .aside(Client, |frame| {
            bare(Flags::SYN)(frame.seq(X + 900_000)).options(&SYN_OPTIONS)
        })
        .ack(Server)
        .wait(20)
        .data(Client, 50)
        .data(Server, 60)
        .close(Client);
    for told in both(&stray) {
        told.field("/open/outcome", "established")
            .field("/client/isn", X)
            .field("/close/kind", "four_way")
            .field("/client/bytes", 150)
            .field("/server/bytes", 260)
            .field("/observation_gap", false)
            .odd(&[("syn_in_open_connection", 1), ("challenge_ack", 1)])
            .says("a new SYN inside the open connection");
        if told.is_counted() {
            told.field("/client/account/payload_bytes", 150)
                .field("/client/account/retransmissions", 0)
                .field("/client/bytes_modulo", true)
                .unknown("/close/gap_bytes");
        }
    }
}

#[test]
fn case_41_ports_used_again_from_time_wait_are_a_new_record() {
    for wait in [2, 3000, 30_000] {
        for mode in MODES {
            let again = opened(closed().wait(wait), X + 64_000, Y + 128_000);
            let [old, new] = exactly(records(&again.data(Client, 3).close(Server), mode));
            old.field("/close/kind", "four_way")
                .field("/client/bytes", 26)
                .unknown("/previous");
            new.field("/open/outcome", "established")
                .field("/open/syn_retries", 0)
                .field("/client/bytes", 3)
                .field("/close/kind", "four_way")
                .field("/observation_gap", false)
                .field(
                    "/previous",
                    json!({"client_isn": X, "server_isn": Y, "outcome": "established", "close": "four_way"}),
                )
                .odd(&[])
                .says(&format!("takes the place of X = {X}, closed"));
            if new.is_counted() {
                old.field("/client/account/packets", 5)
                    .field("/accounts_whole", true);
                new.field("/client/account/packets", 5)
                    .field("/client/account/payload_bytes", 3)
                    .field("/accounts_whole", true);
            }
        }
    }
}

#[test]
fn case_42_ports_used_again_with_the_same_numbers_are_a_new_record() {
    let reset = || talk().open().data(Client, 26).say(Client, bare(Flags::RST));
    for (kind, before) in [("four_way", closed()), ("reset", reset())] {
        for wait in [2, 3000, 15_000] {
            for mode in MODES {
                let again = opened(before.clone().wait(wait), X, Y);
                let [old, new] = exactly(records(&again.data(Client, 3).close(Client), mode));
                old.field("/close/kind", kind).field("/client/bytes", 26);
                new.field("/open/outcome", "established")
                    .field("/open/syn_retries", 0)
                    .field("/open/rtt_ns/syn_to_synack", 1_000_000)
                    .field("/client/isn", X)
                    .field("/client/bytes", 3)
                    .field("/observation_gap", false)
                    .field("/previous/client_isn", X)
                    .field("/previous/close", kind)
                    .odd(&[]);
                if new.is_counted() {
                    new.field("/client/account/payload_bytes", 3)
                        .field("/client/account/retransmissions", 0);
                }
            }
        }
    }
}

#[test]
fn case_43_a_late_segment_belongs_to_the_incarnation_before() {
    let late = opened(closed().wait(3000), X + 64_000, Y + 64_000)
        .aside(Server, |frame| frame.seq(Y + 1).ack(X + 28).flags(FIN_ACK))
        .aside(Client, |frame| frame.seq(X + 1).ack(Y + 1).payload(26))
        .data(Client, 3)
        .close(Client);
    for mode in MODES {
        let [old, new] = exactly(records(&late, mode));
        old.field("/close/kind", "four_way").odd(&[]);
        new.field("/open/outcome", "established")
            .field("/close/kind", "four_way")
            .field("/close/by", "client")
            .field("/client/bytes", 3)
            .field("/server/bytes", 0)
            .says("a late segment of the incarnation before");
        if new.is_counted() {
            new.odd(&[("late_segment", 2)])
                .field("/client/account/retransmissions", 0)
                .field("/client/account/retransmitted_bytes", 0)
                .unknown("/close/gap_bytes");
        }
    }
}

#[test]
fn case_48_traffic_after_a_long_idle_is_the_same_record() {
    let day = 24 * 3_600_000;
    let idle = talk()
        .open()
        .data(Client, 26)
        .wait(day)
        .data(Client, 4)
        .data(Server, 5)
        .wait(day)
        .close(Server);
    for told in both(&idle) {
        told.field("/open/outcome", "established")
            .field("/close/kind", "four_way")
            .field("/client/bytes", 30)
            .odd(&[])
            .says("lived 2 d");
    }
}

#[test]
fn a_syn_ack_that_comes_late_belongs_to_the_incarnation_that_it_acknowledges() {
    let (x, y) = (X + 900_000, Y + 700_000);
    let syn_ack = |talk: Conversation| {
        talk.say(Server, |frame| {
            let first = frame.seq(y).ack(x + 1);
            first.flags(SYN_ACK).options(&SYN_OPTIONS)
        })
    };
    let late = |talk: Conversation| {
        let early = talk
            .say(Client, |frame| {
                bare(Flags::SYN)(frame.seq(x)).options(&SYN_OPTIONS)
            })
            .say(Client, |frame| frame.ack(y + 1))
            .say(Client, |frame| frame.ack(y + 1).payload(5));
        syn_ack(early).ack(Server).close(Client)
    };
    let lost_fin = talk().open().data(Client, 26).fin(Client).ack(Server);
    let open = talk().open().data(Client, 26).data(Server, 40);
    let reset = talk().open().data(Client, 26).rst(Server);
    for before in [closed(), closed().wait(30_000), lost_fin, open, reset] {
        for mode in MODES {
            let [_, new] = exactly(records(&late(before.clone()), mode));
            new.field("/open/outcome", "established")
                .field("/client/isn", x)
                .field("/server/isn", y)
                .field("/client/bytes", 5)
                .field("/close/kind", "four_way")
                .field("/completeness", 31);
        }
    }
}
