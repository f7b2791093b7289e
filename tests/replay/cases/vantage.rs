//! What a place in the middle does not see of a connection, or sees in another order.

use synfin_ebpf::segment::Flags;
use synfin_tests::conversation::Conversation;
use synfin_tests::conversation::Sender::{self, Client, Server};
use synfin_tests::frames::SYN_OPTIONS;

use super::{SYN_ACK, X, Y, bare};
use crate::story::{MODES, Mode, Told, both, one, only, records, sightings, story};
use crate::talk;

/// What is told of a conversation of which the frames of one side alone pass.
fn one_way(conversation: &Conversation, sender: Sender, mode: Mode) -> Told {
    let senders = conversation.frames().map(|(sender, _)| sender);
    let seen = sightings(conversation).into_iter().zip(senders);
    let seen: Vec<_> = seen
        .filter(|(_, by)| *by == sender)
        .map(|(sighting, _)| sighting)
        .collect();
    one(story(&seen, mode).told)
}

fn whole() -> Conversation {
    talk()
        .open()
        .data(Client, 26)
        .data(Server, 94)
        .close(Server)
}

#[test]
fn case_11_a_syn_ack_captured_before_its_syn_establishes_without_legs() {
    let reordered = talk()
        .say(Server, |frame| {
            frame.ack(X + 1).flags(SYN_ACK).options(&SYN_OPTIONS)
        })
        .syn()
        .ack(Client)
        .data(Client, 26)
        .close(Client);
    for told in both(&reordered) {
        told.field("/open/outcome", "established")
            .field("/open/kind", "three_way")
            .field("/client/isn", X)
            .field("/server/isn", Y)
            .unknown("/open/rtt_ns/syn_to_synack")
            .unknown("/open/rtt_ns/synack_to_ack")
            .unknown("/open/rtt_ns/total")
            .field("/client/bytes", 26)
            .field("/observation_gap", false)
            .odd(&[])
            .says("established · closed by client, four-way");
        if told.is_counted() {
            told.field("/accounts_whole", true)
                .field("/client/bytes_modulo", false)
                .is_silent_on("its beginning not counted");
        }
    }
}

#[test]
fn case_12_a_missing_syn_is_a_partial_opening_with_the_roles_of_the_syn_ack() {
    for mode in MODES {
        let seen = &sightings(&whole())[1..];
        let told = one(story(seen, mode).told);
        told.field("/open/outcome", "established")
            .field("/open/kind", "partial")
            .field("/open/confidence", "observed")
            .field("/client/addr", "10.1.1.2")
            // The SYN-ACK proves the number.
            .field("/client/isn", X)
            .unknown("/client/options")
            .unknown("/open/rtt_ns/syn_to_synack")
            .unknown("/open/rtt_ns/total")
            .field("/asymmetric", false)
            .odd(&[])
            .says("established, its SYN not seen")
            .is_silent_on("guess");
    }
}

#[test]
fn case_13_of_the_client_alone_nothing_is_concluded_for_the_server() {
    for mode in MODES {
        let told = one_way(&whole(), Client, mode);
        told.field("/asymmetric", true)
            .field("/open/outcome", "unobserved")
            .field("/open/kind", "none")
            .field("/open/confidence", "observed")
            .field("/client/isn", X)
            .unknown("/server/isn")
            .unknown("/server/bytes")
            .unknown("/server/options")
            .unknown("/open/rtt_ns/total")
            .field("/close/kind", "none")
            .unknown("/close/by")
            .odd(&[])
            .says("only one direction was seen")
            .is_silent_on("already open")
            .is_silent_on("established")
            .is_silent_on("never acknowledged")
            .is_silent_on("before the SYN-ACK");
    }
}

#[test]
fn case_14_of_the_server_alone_nothing_is_concluded_for_the_client() {
    for mode in MODES {
        let told = one_way(&whole(), Server, mode);
        told.field("/asymmetric", true)
            .field("/open/outcome", "unobserved")
            .field("/open/kind", "partial")
            .field("/open/confidence", "observed")
            .field("/server/isn", Y)
            .field("/client/addr", "10.1.1.2")
            .unknown("/client/options")
            .unknown("/open/rtt_ns/total")
            .field("/close/kind", "none")
            .unknown("/close/by")
            .odd(&[])
            .says("only one direction was seen")
            .is_silent_on("already open")
            .is_silent_on("established")
            .is_silent_on("never acknowledged");
    }
}

#[test]
fn case_15_the_middle_of_a_stream_is_unobserved() {
    let middle = || talk().data(Client, 10).data(Server, 300).data(Client, 7);
    let told = only(&middle(), Mode::Counted);
    told.field("/open/outcome", "unobserved")
        .field("/open/kind", "none")
        .field("/open/confidence", "inferred")
        .field("/client/addr", "10.1.1.2")
        .unknown("/client/isn")
        .unknown("/server/isn")
        .unknown("/client/bytes")
        .field("/client/account/payload_bytes", 17)
        .field("/server/account/payload_bytes", 300)
        .field("/accounts_whole", false)
        .field("/close/kind", "none")
        .field("/conn_state", "OTH")
        .odd(&[])
        .says("already open when first seen")
        .says("which end is the client is a guess from the ports")
        .says("its beginning not counted");
    // The segments of openings and closings tell nothing of it before it closes.
    assert!(records(&middle(), Mode::Lifecycle).is_empty());
    for told in both(&middle().close(Server)) {
        told.field("/open/outcome", "unobserved")
            .field("/close/kind", "four_way")
            .field("/close/by", "server")
            .unknown("/client/isn")
            .unknown("/client/bytes")
            .says("already open when first seen · closed by server, four-way");
    }
}

#[test]
fn case_25_a_lone_syn_ack_is_partial_and_of_one_direction() {
    for told in both(&talk().syn_ack().wait(1000).again()) {
        told.field("/open/kind", "partial")
            .field("/open/outcome", "unobserved")
            .field("/asymmetric", true)
            .field("/server/isn", Y)
            .unknown("/open/rtt_ns/total")
            .field("/close/kind", "none")
            .says("only one direction was seen")
            .is_silent_on("already open")
            .is_silent_on("established");
    }
    // An answer by RST says that nobody had asked.
    let unasked = talk()
        .say(Server, |frame| frame.flags(SYN_ACK).ack(X + 1))
        .say(Client, |frame| bare(Flags::RST)(frame.seq(X + 1)));
    for told in both(&unasked) {
        told.field("/open/kind", "partial")
            .field("/open/outcome", "aborted")
            .field("/asymmetric", false)
            .says("aborted by client");
    }
}
