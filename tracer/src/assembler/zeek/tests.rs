//! Conversations and what Zeek says of them; each of its rules by name.
//!
//! A packet is written as `>SA:10@5+T`: sent by the first host (`>`) or the second (`<`), with these
//! flags (`.` for none), 10 octets of payload, at 5 past the sender's initial number, reported as going
//! no further than what was sent before (`T`), a closed window (`W`) or a gap (`G`). Without `@` it goes on where the
//! sender's last one ended; an ACK covers all that the other sent.

use synfin_ebpf::event::{Event, Side};
use synfin_ebpf::flow::Key;
use synfin_ebpf::segment::Scope;

use super::*;
use crate::assembler::fixtures::{client, server};

/// Initial numbers of both hosts.
const ISS: [u32; 2] = [u32::MAX - 3, 1_996_069_412];

/// Writes a conversation between two ports.
struct Script {
    ports: [u16; 2],
    accounted: bool,
    /// How far past its initial number each host is.
    next: [u32; 2],
    words: Option<Words>,
}

impl Script {
    fn between(ports: [u16; 2]) -> Self {
        Self {
            ports,
            accounted: true,
            next: [0, 0],
            words: None,
        }
    }

    /// As in live traffic that is not accounted for.
    fn live(mut self) -> Self {
        self.accounted = false;
        self
    }

    fn play(mut self, packets: &str) -> Self {
        for packet in packets.split_whitespace() {
            let event = self.event(packet);
            self.take(&event);
        }
        self
    }

    fn take(&mut self, event: &Event) {
        let (key, half) = Key::of(&event.endpoints(), Scope::default());
        let words = self.words.get_or_insert_with(|| {
            Words::new(Flags(event.flags), [key.lo_port, key.hi_port], half)
        });
        words.observe(event, half);
    }

    fn event(&mut self, packet: &str) -> Event {
        let (direction, rest) = packet.split_at(1);
        let from = usize::from(direction == "<");
        let (rest, why) = rest.split_once('+').unwrap_or((rest, ""));
        let (rest, at) = rest.split_once('@').unwrap_or((rest, ""));
        let (flags, len) = rest.split_once(':').unwrap_or((rest, "0"));
        let mut event = if from == 0 { client() } else { server() };
        event.source_port = self.ports[from];
        event.destination_port = self.ports[1 - from];
        event.len = len.parse().unwrap();
        for flag in flags.chars() {
            event.flags |= match flag {
                'S' => Flags::SYN.0,
                'A' => Flags::ACK.0,
                'F' => Flags::FIN.0,
                'R' => Flags::RST.0,
                '.' => 0,
                _ => panic!("{packet}"),
            };
        }
        for letter in why.chars() {
            event.why |= match letter {
                'T' => Why::BEHIND.0,
                'G' => Why::GAP.0,
                'W' => Why::ZERO_WINDOW.0,
                _ => panic!("{packet}"),
            };
        }
        if why.contains('W') {
            event.window = 0;
        }
        let at = at.parse().unwrap_or(self.next[from]);
        event.seq = ISS[from].wrapping_add(at);
        if event.flags & Flags::ACK.0 != 0 {
            event.ack = ISS[1 - from].wrapping_add(self.next[1 - from]);
        }
        if event.flags & Flags::RST.0 == 0 {
            let end = at + event.len + u32::from(event.flags & 1) + u32::from(event.flags >> 1 & 1);
            self.next[from] = self.next[from].max(end);
        }
        if self.accounted {
            event.sender.known |= Side::NEXT;
            event.sender.next = ISS[from].wrapping_add(self.next[from]);
        }
        event
    }

    fn ends(&self) -> (&'static str, String) {
        let zeek = self.words.as_ref().unwrap().sum_up(Half::Lo);
        (zeek.conn_state.name(), zeek.history)
    }
}

/// State and history of a conversation between a client's port and one that Zeek does not know.
#[track_caller]
fn says(packets: &str, state: &str, history: &str) {
    assert_eq!(
        Script::between([52144, 7000]).play(packets).ends(),
        (state, history.to_owned()),
        "{packets}"
    );
}

const OPEN: &str = ">S <SA >A";

/// As [`says`], after a handshake.
#[track_caller]
fn says_open(packets: &str, state: &str, history: &str) {
    says(
        &format!("{OPEN} {packets}"),
        state,
        &format!("ShA{history}"),
    );
}

#[test]
fn every_state_by_its_plainest_conversation() {
    for (packets, state, history) in [
        (">S", "S0", "S"),
        (">S <SA >A", "S1", "ShA"),
        (">S <SA", "S1", "Sh"),
        (">S <SA >A >FA", "S2", "ShAF"),
        (">S <SA >A <FA", "S3", "ShAf"),
        (">S <SA >A >FA <FA >A", "SF", "ShAFf"),
        (">S <RA", "REJ", "Sr"),
        (">S <SA >A >RA", "RSTO", "ShAR"),
        (">S <SA >A <RA", "RSTR", "ShAr"),
        (">S >R", "RSTOS0", "SR"),
        (">S >F", "SH", "SF"),
        (">A", "OTH", "A"),
        (">R", "OTH", "R"),
    ] {
        says(packets, state, history);
    }
}

#[test]
fn a_responder_that_closes_or_resets_what_nobody_opened_is_shr_or_rstrh() {
    let from_server = |packets: &str| Script::between([52144, 80]).play(packets).ends();
    assert_eq!(from_server("<SA <F"), ("SHR", "^hf".to_owned()));
    assert_eq!(from_server("<SA <R"), ("RSTRH", "^hr".to_owned()));
}

#[test]
fn a_syn_ack_establishes_both_whatever_it_acknowledges() {
    says(">S:8 <SA@7", "S1", "STh");
}

#[test]
fn plain_acks_and_data_are_told_once_for_each_side() {
    says_open(">A:5 >A:5 <A <A >A <A:9 <A:9", "S1", "Dad");
}

#[test]
fn payload_on_a_fin_is_not_told_as_data() {
    says_open("<FA:20 >A >FA", "SF", "fF");
}

#[test]
fn a_segment_without_flags_and_payload_has_no_letter() {
    says(">.", "OTH", "");
}

#[test]
fn a_syn_again_begins_the_numbers_anew_so_that_it_is_told_only_after_a_fin_or_rst() {
    says(">S >S@0 <SA <SA@0 <SA@9", "S1", "Sh");
    says_open("<FA <SA@0 <SA@9", "S3", "fh");
}

#[test]
fn a_syn_with_another_number_while_it_waits_begins_the_numbers_anew() {
    says(">S >S@9", "S0", "S");
}

#[test]
fn a_fin_again_is_told_only_where_it_ends_elsewhere() {
    says_open(">FA >FA@1 >FA:3@1", "S2", "FF");
}

#[test]
fn a_rst_again_is_told_only_with_another_number() {
    says_open(">R >R@1 >R@7", "RSTO", "RR");
}

#[test]
fn syn_with_fin_or_rst_is_q_and_fin_with_rst_is_i_each_once() {
    says(">SF >SF <SR >FR >FR", "RSTR", "QqI");
}

#[test]
fn syn_fin_opens_and_closes_at_once() {
    says(">SF", "SH", "Q");
    says(">SR", "OTH", "Q");
}

#[test]
fn a_rst_after_both_fins_changes_no_state() {
    says_open(">FA <FA >A >R <R", "SF", "FfRr");
}

#[test]
fn a_rst_after_ones_own_fin_is_a_reset_until_the_peers_fin_comes() {
    says_open(">FA >R", "RSTO", "FR");
    says_open(">FA >R <FA", "SF", "FRf");
}

#[test]
fn a_rst_after_the_peers_fin_is_a_reset() {
    says_open(">FA <RA", "RSTR", "Fr");
}

#[test]
fn resets_of_both_sides_before_any_payload_are_a_rejection() {
    says(">S <SA >R <R", "REJ", "ShRr");
    says_open(">A:5 <A >R <R", "RSTR", "DaRr");
}

#[test]
fn rstos0_needs_a_rst_before_any_other_letter_of_the_originator() {
    says(">S >R <A", "RSTOS0", "SRa");
    says(">S >A >R", "OTH", "SAR");
    says(">S >SF >R", "OTH", "SQR");
}

#[test]
fn an_ack_of_the_responder_before_its_syn_ack_is_no_mid_stream() {
    says(">S <A <SA >A", "S1", "SahA");
}

#[test]
fn payload_of_the_responder_before_its_syn_ack_is_mid_stream() {
    says(">S <A:5 <SA >A", "OTH", "SdhA");
}

#[test]
fn a_simultaneous_open_is_established_by_the_second_syn_where_both_are_one_connection() {
    says(">S <S >SA@0 <SA@0", "S1", "Ss");
}

#[test]
fn a_fin_before_the_syn_ack_closes_and_a_rst_answers_it() {
    says(">S >F <SA >FA@1 <R", "RSTR", "SFhr");
}

#[test]
fn a_syn_after_mid_stream_traffic_opens() {
    says(">A >S", "S0", "AS");
}

#[test]
fn mid_stream_traffic_of_both_is_oth_and_closes_as_sf() {
    says(">A:11@1 <A:18@1", "OTH", "Dd");
    says(">A:11@1 <A:18@1 >FA <FA", "SF", "DdFf");
}

#[test]
fn the_direction_turns_where_only_the_first_sender_has_a_servers_port() {
    let from = |ports, packets: &str| Script::between(ports).play(packets).ends().1;
    assert_eq!(from([80, 52144], ">A:5@1"), "^d");
    assert_eq!(from([80, 52144], ">SA"), "^h");
    assert_eq!(from([80, 52144], ">S"), "S");
    assert_eq!(from([52144, 80], ">A:5@1"), "D");
}

#[test]
fn between_two_servers_ports_the_lower_one_is_the_responder_but_for_a_syn_ack() {
    let from = |ports, packets: &str| Script::between(ports).play(packets).ends().1;
    assert_eq!(from([80, 443], ">A:5@1"), "^d");
    assert_eq!(from([443, 80], ">A:5@1"), "D");
    assert_eq!(from([80, 443], ">SA"), "H");
}

#[test]
fn a_lone_syn_ack_turns_with_the_first_ack_or_payload_of_either_side() {
    says(">SA", "OTH", "H");
    says(">SA <A", "OTH", "^hA");
    says(">SA >A:5", "OTH", "^hd");
    says(">SA <A >FA <FA >A", "SF", "^hAfFa");
}

#[test]
fn a_syn_ack_that_is_answered_by_a_rst_was_a_scan() {
    says(">SA <R", "REJ", "Hr");
}

#[test]
fn after_the_turn_a_syn_ack_is_told_again() {
    says(">SA <A >SA@0", "OTH", "^hAh");
}

#[test]
fn a_syn_overtaken_by_its_answer_turns_the_direction() {
    says(">SA <S <A <A:5 >FA <FA", "SF", "Hs^ADfF");
}

#[test]
fn retransmissions_are_told_each_time_that_they_are_reported() {
    says_open(">A:5 >A:5@1+T >A:5@1+T", "S1", "DTT");
}

#[test]
fn what_a_syn_shows_by_itself_is_not_told_again_by_the_first_report() {
    says(">S:60 >S:60@0 <SA >A:9@1+T >A:9@1+T", "S1", "SThDT");
}

#[test]
fn payload_on_a_syn_is_a_retransmission_to_zeek() {
    says(">S:60", "S0", "ST");
}

#[test]
fn payload_on_a_rst_is_one_unless_the_number_is_far_off() {
    says_open("<A:3 >RA:13@1", "RSTO", "dRT");
    says_open(">RA:13@2000000", "RSTO", "R");
}

#[test]
fn a_rst_with_payload_after_a_rst_is_no_retransmission() {
    says_open(">R >R:5@1", "RSTO", "R");
}

#[test]
fn a_closed_window_is_told_unless_a_rst_is_about_or_the_peer_has_closed() {
    says_open("<A+W", "S1", "aw");
    says_open("<RA+W", "RSTR", "r");
    says_open(">FA <A+W", "S2", "Fa");
    says_open("<FA <A+W", "S3", "faw");
}

#[test]
fn a_gap_has_the_letter_of_the_side_whose_payload_is_missing() {
    says_open("<A >A+G", "S1", "ag");
    says_open(">A:538 <A <FA@2903 >A+G >FA <A", "SF", "DafgF");
}

#[test]
fn a_gap_in_mid_stream_or_after_a_rst_is_not_told() {
    says(">A@1 <A@1+G", "OTH", "Aa");
    says_open("<RA+G", "RSTR", "r");
}

#[test]
fn what_needs_every_data_segment_is_left_out_where_they_are_not_accounted_for() {
    let live = |packets: &str| Script::between([52144, 7000]).live().play(packets).ends();
    assert_eq!(
        live(">S <SA >A <A:3 >RA:13@1"),
        ("RSTO", "ShAdR".to_owned())
    );
    assert_eq!(live(">S:60"), ("S0", "ST".to_owned()));
}

#[test]
fn syns_whose_events_were_lost_are_taken_from_later_events() {
    let mut script = Script::between([52144, 7000]);
    let [_, _, mut ack] = [">S", "<SA", ">A"].map(|packet| script.event(packet));
    let known = |opened_ns, iss| Side {
        opened_ns,
        iss,
        known: Side::SYN,
        ..synfin_ebpf::event::NO_SIDE
    };
    ack.sender = known(1, ISS[0]);
    ack.receiver = known(2, ISS[1]);
    script.take(&ack);
    assert_eq!(script.ends(), ("S1", "ShA".to_owned()));
}

#[test]
fn a_history_ends_after_32_letters() {
    let resets: String = (1..40).map(|at| format!(">R@{at} ")).collect();
    let (_, history) = Script::between([52144, 7000]).play(&resets).ends();
    assert_eq!(history, "R".repeat(32));
}
