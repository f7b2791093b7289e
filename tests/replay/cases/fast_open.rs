//! Data on SYN and SYN-ACK (RFC 7413).

use synfin_ebpf::segment::Flags;
use synfin_tests::conversation::Conversation;
use synfin_tests::conversation::Sender::{Client, Server};
use synfin_tests::frames::SYN_OPTIONS;

use super::{SYN_ACK, X, Y, bare};
use crate::story::both;
use crate::talk;

/// Maximum segment size, and Fast Open with a cookie of eight octets.
const COOKIE: [u8; 16] = [2, 4, 0x05, 0xb4, 34, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1];
/// The same, asking for a cookie.
const REQUEST: [u8; 8] = [2, 4, 0x05, 0xb4, 34, 2, 1, 1];

fn syn(options: &[u8], len: usize) -> Conversation {
    talk().say(Client, |frame| {
        bare(Flags::SYN)(frame).options(options).payload(len)
    })
}

#[test]
fn case_18_data_on_a_syn_that_is_acknowledged_is_fast_open() {
    let answer = |talk: Conversation, len: usize| {
        talk.say(Server, |frame| {
            frame.flags(SYN_ACK).options(&SYN_OPTIONS).payload(len)
        })
    };
    // The server may answer at once, in its SYN-ACK (RFC 7413 §4.2.2).
    for answered in [0, 33] {
        let open = answer(syn(&COOKIE, 100), answered).ack(Client);
        for told in both(&open.data(Client, 20).close(Client)) {
            told.field("/open/outcome", "established")
                .field("/open/kind", "fast_open")
                .field("/open/fast_open", "accepted")
                .field("/client/bytes", 120)
                .field("/server/bytes", answered)
                .field("/open/rtt_ns/syn_to_synack", 1_000_000)
                .odd(&[])
                .says("with Fast Open");
            if told.is_counted() {
                told.field("/client/account/payload_bytes", 120)
                    .field("/client/account/retransmitted_bytes", 0)
                    .unknown("/close/gap_bytes");
            }
        }
    }
}

#[test]
fn case_18_a_cookie_that_is_asked_for_carries_no_data() {
    for told in both(&syn(&REQUEST, 0).syn_ack().ack(Client)) {
        told.field("/open/kind", "three_way")
            .field("/open/fast_open", "requested")
            .field("/client/options/fast_open", true)
            .odd(&[])
            .says("Fast Open offered");
    }
}

#[test]
fn case_19_fast_open_data_that_is_ignored_is_sent_again() {
    let ignored = syn(&COOKIE, 100)
        .say(Server, |frame| {
            frame.ack(X + 1).flags(SYN_ACK).options(&SYN_OPTIONS)
        })
        .aside(Client, |frame| frame.seq(X + 1))
        .aside(Client, |frame| frame.seq(X + 1).payload(100))
        .ack(Server);
    for told in both(&ignored.close(Client)) {
        told.field("/open/outcome", "established")
            .field("/open/kind", "three_way")
            .field("/open/fast_open", "ignored")
            .field("/open/ack_via_data", false)
            .field("/client/bytes", 100)
            .field("/server/isn", Y)
            .odd(&[])
            .says("Fast Open data ignored");
        if told.is_counted() {
            told.field("/client/account/payload_bytes", 200)
                .field("/client/account/retransmitted_bytes", 100)
                .says("1 retransmission (100 B)");
        }
    }
}

#[test]
fn case_19_a_syn_retried_without_its_data_was_ignored() {
    let retried = syn(&COOKIE, 100)
        .wait(1000)
        .aside(Client, |frame| {
            bare(Flags::SYN)(frame.seq(X)).options(&SYN_OPTIONS)
        })
        .say(Server, |frame| {
            frame.ack(X + 1).flags(SYN_ACK).options(&SYN_OPTIONS)
        })
        .aside(Client, |frame| frame.seq(X + 1));
    for told in both(&retried) {
        told.field("/open/outcome", "established")
            .field("/open/fast_open", "ignored")
            .field("/open/kind", "three_way")
            .field("/open/syn_retries", 1)
            .odd(&[]);
    }
}

#[test]
fn case_20_data_on_a_syn_or_syn_ack_without_fast_open_is_flagged() {
    let on_syn = syn(&SYN_OPTIONS, 12).syn_ack().ack(Client);
    let on_syn_ack = talk()
        .syn()
        .say(Server, |frame| {
            frame.flags(SYN_ACK).options(&SYN_OPTIONS).payload(12)
        })
        .ack(Client);
    for talk in [on_syn, on_syn_ack] {
        for told in both(&talk.close(Server)) {
            told.field("/open/outcome", "established")
                .field("/open/kind", "three_way")
                .field("/open/fast_open", "none")
                .odd(&[("data_on_syn", 1)])
                .says("data on a SYN");
        }
    }
}
