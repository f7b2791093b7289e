//! Flags that no TCP sends, and segments that belong to no connection.

use synfin_ebpf::segment::Flags;
use synfin_tests::conversation::Sender::{Client, Server};

use super::{FIN_ACK, RST_ACK, SYN_ACK, X, bare};
use crate::story::{MODES, both, exactly, records};
use crate::talk;

/// NULL, XMAS, SYN and FIN, SYN and RST, FIN and RST, and FIN alone.
const IMPOSSIBLE: [Flags; 6] = [
    Flags(0),
    Flags::FIN.with(Flags::PSH).with(Flags::URG),
    Flags::SYN.with(Flags::FIN),
    Flags::SYN.with(Flags::RST),
    Flags::FIN.with(Flags::RST).with(Flags::ACK),
    Flags::FIN,
];

#[test]
fn case_23_impossible_flags_alone_are_a_probe_and_no_connection() {
    for flags in IMPOSSIBLE {
        for told in both(&talk().say(Client, bare(flags))) {
            told.field("/type", "probe")
                .field("/open/outcome", "probe")
                .field("/close/kind", "none")
                .odd(&[("impossible_flags", 1)])
                .says("probe: a lone");
        }
    }
}

#[test]
fn case_23_impossible_flags_change_no_state_of_an_open_connection() {
    for flags in IMPOSSIBLE {
        let disturbed = talk()
            .open()
            .data(Client, 10)
            .aside(Client, |frame| bare(flags)(frame))
            .aside(Server, |frame| bare(flags)(frame).payload(3))
            .data(Server, 20)
            .close(Client);
        for told in both(&disturbed) {
            told.field("/open/outcome", "established")
                .field("/close/kind", "four_way")
                .field("/client/bytes", 10)
                .field("/server/bytes", 20)
                .field("/client/state", "TIME-WAIT")
                .field("/server/state", "CLOSED")
                .odd(&[("impossible_flags", 2)])
                .says("flags that no TCP sends (×2)");
            if told.is_counted() {
                told.field("/client/account/payload_bytes", 10)
                    .field("/server/account/retransmissions", 0)
                    .unknown("/close/gap_bytes");
            }
        }
    }
}

#[test]
fn case_23_impossible_flags_change_no_state_of_an_opening() {
    for flags in IMPOSSIBLE {
        let disturbed = talk()
            .syn()
            .aside(Server, |frame| bare(flags)(frame))
            .aside(Client, |frame| bare(flags)(frame))
            .syn_ack()
            .aside(Server, |frame| bare(flags)(frame))
            .ack(Client);
        for told in both(&disturbed) {
            told.field("/open/outcome", "established")
                .field("/open/kind", "three_way")
                .field("/open/syn_retries", 0)
                .field("/client/state", "ESTABLISHED")
                .field("/server/state", "ESTABLISHED")
                .field("/open/rtt_ns/total", 5_000_000)
                .odd(&[("impossible_flags", 3)]);
        }
    }
}

#[test]
fn case_23_a_connection_after_a_probe_takes_nobodys_place() {
    for mode in MODES {
        let scanned = talk().aside(Client, bare(Flags(0))).open();
        let [probe, connection] = exactly(records(&scanned, mode));
        probe.field("/type", "probe");
        connection
            .field("/open/outcome", "established")
            .unknown("/previous")
            .odd(&[])
            .is_silent_on("takes the place");
    }
}

#[test]
fn case_24_a_lone_rst_is_backscatter_and_no_connection() {
    for flags in [Flags::RST, RST_ACK] {
        for told in both(&talk().aside(Server, |frame| frame.flags(flags))) {
            told.field("/type", "backscatter")
                .field("/open/outcome", "backscatter")
                .field("/close/kind", "none")
                .unknown("/client/isn")
                .odd(&[])
                .says("backscatter: a lone RST");
        }
    }
    for told in both(&talk().rst(Server).wait(100).again()) {
        told.field("/type", "backscatter").says("(×2)");
    }
}

#[test]
fn case_24_a_connection_after_backscatter_takes_nobodys_place() {
    for mode in MODES {
        let later = talk().rst(Server).wait(100).open();
        let [lone, connection] = exactly(records(&later, mode));
        lone.field("/type", "backscatter");
        connection
            .field("/open/outcome", "established")
            .unknown("/previous")
            .odd(&[]);
    }
}

#[test]
fn case_35_a_fin_before_the_syn_ack_is_an_anomaly() {
    let early = talk().syn().say(Client, bare(FIN_ACK));
    for told in both(&early) {
        told.field("/conn_state", "SH")
            .field("/close/kind", "none")
            .says("FIN before the SYN-ACK");
        assert_eq!(told.at("/anomalies/fin_before_synack"), 1);
    }
    let answered = early.say(Server, |frame| frame.flags(SYN_ACK).ack(X + 1));
    for told in both(&answered) {
        told.field("/open/outcome", "half_open")
            .field("/close/kind", "none");
        assert_eq!(told.at("/anomalies/fin_before_synack"), 1);
    }
}
