//! Whole conversations and their records.

use std::collections::HashMap;

use synfin::assembler::{Assembler, Live, Output, Settings};
use synfin::timeline::{CloseKind, Connection, OpenKind, OpenOutcome, Role, Step};
use synfin_ebpf::segment::Flags;
use synfin_tests::conversation::Conversation;
use synfin_tests::conversation::Sender::{Client, Server};
use synfin_tests::frames::{Frame, VLAN};

use super::{events, talk};

#[derive(Default)]
struct Records(Vec<Connection>);

impl Output for Records {
    fn step(&mut self, _: &Live, _: &Step) {}

    fn connection(&mut self, connection: Connection, _at_ns: u64) {
        self.0.push(connection);
    }
}

fn records(conversation: &Conversation) -> Vec<Connection> {
    let mut assembler = Assembler::new(Settings {
        handshake_timeout_ns: 35_000_000_000,
        max_steps: 64,
        linger_ns: 1_000_000_000,
        max_connections: 100,
        shares: 1,
        interfaces: HashMap::from([(1, "eth0".into())]),
    });
    let mut records = Records::default();
    for event in events(conversation).iter().flatten() {
        assembler.observe(event, &mut records);
    }
    assembler.advance(u64::MAX, &mut records);
    assembler.finish(&mut records);
    records.0
}

fn record(conversation: &Conversation) -> Connection {
    let mut records = records(conversation);
    assert_eq!(records.len(), 1, "{records:#?}");
    records.remove(0)
}

#[test]
fn the_article_connection_comes_out_number_for_number() {
    let conversation = talk()
        .open()
        .data(Client, 26)
        .data(Server, 94)
        .close(Server);
    let record = record(&conversation);
    assert_eq!(record.open.outcome, OpenOutcome::Established);
    assert_eq!(record.open.kind, OpenKind::ThreeWay);
    assert_eq!(record.close.kind, CloseKind::FourWay);
    assert_eq!(record.close.by, Some(Role::Server));
    assert_eq!(record.client.bytes.map(|bytes| bytes.count), Some(26));
    assert_eq!(record.server.bytes.map(|bytes| bytes.count), Some(94));
    let fin = record
        .steps
        .iter()
        .find(|step| step.flags.fin())
        .map(|step| step.seq.0);
    assert_eq!(fin, Some(1_996_069_507));
    assert_eq!(
        record.client.options.and_then(|options| options.mss),
        Some(1460)
    );
    assert_eq!(record.completeness, 31);
}

#[test]
fn removing_the_syn_ack_never_leaves_it_established_by_three_segments() {
    let conversation = talk().syn().ack(Client).data(Client, 5);
    let record = record(&conversation);
    assert_ne!(record.open.outcome, OpenOutcome::Established);
}

#[test]
fn a_wrong_number_in_the_syn_ack_answered_by_rst_is_rejected() {
    let conversation = talk()
        .syn()
        .say(Server, |frame| {
            frame.flags(Flags::SYN.with(Flags::ACK)).ack(1001)
        })
        .say(Client, |frame| frame.flags(Flags::RST).seq(1001));
    let record = record(&conversation);
    assert_eq!(record.open.outcome, OpenOutcome::Rejected);
    let wrong = record
        .open
        .wrong_ack
        .map(|wrong| (wrong.expected.0, wrong.seen.0));
    assert_eq!(wrong, Some((2_452_765_131, 1001)));
}

#[test]
fn the_same_tuple_in_two_vlans_is_two_connections() {
    let tagged = |id: u16| {
        let whole = talk().open().close(Client);
        whole.around(|frame| frame.tagged(VLAN, id))
    };
    let mut assembler = Assembler::new(Settings {
        handshake_timeout_ns: 35_000_000_000,
        max_steps: 64,
        linger_ns: 1_000_000_000,
        max_connections: 100,
        shares: 1,
        interfaces: HashMap::new(),
    });
    let mut records = Records::default();
    for event in [tagged(1), tagged(2)].iter().flat_map(events).flatten() {
        assembler.observe(&event, &mut records);
    }
    assembler.advance(u64::MAX, &mut records);
    let vlans = records
        .0
        .iter()
        .map(|record| record.scope.vlans().collect::<Vec<_>>());
    assert_eq!(vlans.collect::<Vec<_>>(), [[1], [2]]);
}

#[test]
fn a_connection_used_again_after_its_close_is_two_records() {
    let again = talk().open().close(Client).open().rst(Server);
    let kinds: Vec<_> = records(&again)
        .iter()
        .map(|record| record.close.kind)
        .collect();
    assert_eq!(kinds, [CloseKind::FourWay, CloseKind::Reset]);
}

#[test]
fn a_connection_in_place_of_a_half_closed_one_keeps_the_retries_of_its_syn() {
    let syn = |frame: Frame| Frame { ack: 0, ..frame }.seq(77).flags(Flags::SYN);
    let again = talk()
        .open()
        .fin(Server)
        .ack(Client)
        .say(Client, syn)
        .again();
    let records = records(&again.syn_ack().ack(Client));
    assert_eq!(records.len(), 2, "{records:#?}");
    let open = &records[1].open;
    assert_eq!(
        (open.outcome, open.syn_retries),
        (OpenOutcome::Established, 1)
    );
    // Which of the two was answered is not known (Karn).
    assert_eq!(open.rtt.syn_to_synack, None);
}

#[test]
fn a_lone_segment_has_no_part_in_the_opening_after_it() {
    let odd = Flags::SYN.with(Flags::ACK).with(Flags::RST);
    let all = records(
        &talk()
            .say(Server, |frame| frame.flags(odd))
            .syn()
            .syn_ack()
            .ack(Client),
    );
    let told: Vec<_> = all
        .iter()
        .map(|record| (record.open.outcome, record.client.port))
        .collect();
    assert_eq!(
        told.last(),
        Some(&(OpenOutcome::Established, 52144)),
        "{told:?}"
    );
    let late = talk().say(Client, |frame| frame.flags(odd)).syn_ack();
    let records = records(&late);
    let told: Vec<_> = records.iter().map(|record| record.open.outcome).collect();
    // One side alone was seen of the second.
    assert_eq!(told, [OpenOutcome::Probe, OpenOutcome::Unobserved]);
    assert_eq!(records[1].client.port, 52144);
}

#[test]
fn a_connection_in_place_of_an_open_one_is_told_apart_without_its_syn_ack() {
    let syn = |frame: Frame| Frame { ack: 0, ..frame }.seq(77).flags(Flags::SYN);
    let again = talk()
        .open()
        .data(Client, 10)
        .say(Client, syn)
        .ack(Client)
        .data(Client, 5);
    let records = records(&again);
    let isns: Vec<_> = records
        .iter()
        .map(|record| record.client.isn.map(|isn| isn.0))
        .collect();
    assert_eq!(isns, [Some(2_452_765_130), Some(77)]);
    let bytes = records[0].client.bytes.map(|bytes| bytes.count);
    assert_eq!(bytes, Some(10));
}
