//! Every state of a connection by every kind of segment from either side: what is told of it then.
//!
//! A table for each situation is in `snapshots`. Its first row is the situation as it is; every other
//! one is that of one segment more. Each record has a line: a `+` is before those of further records,
//! and where the two ways to look tell different things, each is named.

use std::fmt::Write;

use synfin::timeline::CloseKind;
use synfin_ebpf::segment::Flags;
use synfin_tests::conversation::Conversation;
use synfin_tests::conversation::Sender::{self, Client, Server};
use synfin_tests::frames::{Frame, SYN_OPTIONS};

use super::story::{MODES, Story, sightings, story};
use super::talk;

/// A conversation that has come to a state.
type Reach = fn() -> Conversation;
/// One more segment, made of an ACK with the right numbers.
type Next = fn(Frame, &Numbers) -> Frame;

/// Situations by name; of those of a close, the active closer is named.
const SITUATIONS: [(&str, Reach); 31] = [
    ("nothing", talk),
    ("syn_sent", || talk().syn()),
    ("syn_sent_by_both", || crossing_syns(talk().syn())),
    ("syn_received", || talk().syn().syn_ack()),
    ("syn_received_by_both", || {
        crossing_syns(talk().syn()).say(Client, syn_ack_of_crossing)
    }),
    ("syn_ack_wrong", || {
        let wrong = |frame: Frame| {
            let ack = frame.ack.wrapping_add(WRONG);
            syn(frame).ack(ack)
        };
        talk().syn().say(Server, wrong)
    }),
    ("established", busy),
    ("established_without_data", || talk().open()),
    ("unobserved", || {
        let (client, server) = (first(Client), first(Server));
        talk()
            .say(Client, |frame| frame.seq(client).ack(server).payload(10))
            .say(Server, |frame| frame.seq(server).payload(10))
            .ack(Client)
    }),
    ("ack_before_syn_ack", || {
        let early = |frame: Frame| {
            let ack = frame.ack.wrapping_add(1);
            frame.ack(ack)
        };
        talk().syn().aside(Client, early).syn_ack()
    }),
    ("syn_ack_lost", || {
        let server = first(Server);
        talk()
            .syn()
            .say(Client, |frame| frame.ack(server))
            .say(Server, |frame| frame.seq(server).payload(10))
            .ack(Client)
    }),
    ("fin_wait_1_client", || busy().fin(Client)),
    ("fin_wait_1_server", || busy().fin(Server)),
    ("fin_wait_2_client", || busy().fin(Client).ack(Server)),
    ("fin_wait_2_server", || busy().fin(Server).ack(Client)),
    ("closing_client", || crossing_fins(Client)),
    ("closing_server", || crossing_fins(Server)),
    ("closing_half_client", || crossing_fins(Client).ack(Client)),
    ("closing_half_server", || crossing_fins(Server).ack(Server)),
    ("last_ack_client", || {
        busy().fin(Client).ack(Server).fin(Server)
    }),
    ("last_ack_server", || {
        busy().fin(Server).ack(Client).fin(Client)
    }),
    ("time_wait_client", || busy().close(Client)),
    ("time_wait_server", || busy().close(Server)),
    ("closed_client", || busy().close(Client).wait(LONG_MS)),
    ("reset_client", || busy().rst(Client)),
    ("reset_server", || busy().rst(Server)),
    ("reset_after_fin_client", || busy().fin(Client).rst(Client)),
    ("reset_after_fin_server", || busy().fin(Server).rst(Server)),
    ("reset_long_ago", || busy().rst(Server).wait(LONG_MS)),
    ("refused", || talk().syn().rst(Server)),
    ("aborted", || talk().syn().syn_ack().rst(Client)),
];

/// Longer than a record waits after its end.
const LONG_MS: u64 = 20_000;
/// Numbers that are further away than any window, but not on the other side of the circle.
const FAR: u32 = 1 << 30;
/// What a wrong acknowledgment is beyond the right one.
const WRONG: u32 = 7_777;

const SEGMENTS: [(&str, Next); 17] = [
    ("SYN", |frame, numbers| opening(frame, numbers.own_iss)),
    ("SYN of a new number", |frame, numbers| {
        opening(frame, numbers.own_iss.wrapping_add(1_000_000))
    }),
    ("SYN-ACK", |frame, numbers| {
        syn(frame.seq(numbers.own_iss)).ack(numbers.peer_iss.wrapping_add(1))
    }),
    ("SYN-ACK of a wrong number", |frame, numbers| {
        syn(frame.seq(numbers.own_iss)).ack(numbers.peer_iss.wrapping_add(1 + WRONG))
    }),
    ("ACK", |frame, _| frame),
    ("ACK of nothing new", |frame, numbers| {
        frame.ack(numbers.acked)
    }),
    ("data", |frame, _| {
        frame.flags(Flags::PSH.with(Flags::ACK)).payload(5)
    }),
    ("FIN without ACK", |frame, numbers| {
        frame.seq(numbers.fin).flags(Flags::FIN)
    }),
    ("FIN", |frame, numbers| {
        fin(frame.seq(numbers.fin)).ack(numbers.acked)
    }),
    ("FIN that acknowledges all", |frame, numbers| {
        fin(frame.seq(numbers.fin))
    }),
    ("RST", |frame, _| frame.flags(Flags::RST)),
    ("RST-ACK", |frame, _| {
        frame.flags(Flags::RST.with(Flags::ACK))
    }),
    ("RST that answers", |frame, numbers| {
        frame.seq(numbers.peer_acked).flags(Flags::RST)
    }),
    ("RST out of the window", |frame, _| {
        let seq = frame.seq.wrapping_add(FAR);
        frame.seq(seq).flags(Flags::RST)
    }),
    ("NULL", |frame, _| frame.flags(Flags(0))),
    ("XMAS", |frame, _| {
        frame.flags(Flags::FIN.with(Flags::PSH).with(Flags::URG))
    }),
    ("SYN and FIN", |frame, numbers| {
        opening(frame, numbers.own_iss).flags(Flags::SYN.with(Flags::FIN))
    }),
];

/// Numbers of a conversation, as one side has them.
struct Numbers {
    own_iss: u32,
    peer_iss: u32,
    /// The last acknowledgment that it sent, or none of the peer's SYN.
    acked: u32,
    /// The peer's.
    peer_acked: u32,
    /// Where its FIN is, or would be.
    fin: u32,
}

fn numbers(conversation: &Conversation, sender: Sender) -> Numbers {
    let iss = |sender| {
        let mut first = None;
        let _ = talk().aside(sender, |frame| {
            first = Some(frame.seq);
            frame
        });
        first.expect("the number of a first segment")
    };
    let mut next = None;
    let _ = conversation.clone().aside(sender, |frame| {
        next = Some(frame.seq);
        frame
    });
    let sent = |by| {
        let frames = conversation.frames();
        frames.filter_map(move |(from, frame)| (from == by).then_some(frame))
    };
    let acked = |by: Sender| {
        let acks = sent(by).filter(|frame| frame.flags.ack());
        acks.last().map_or(iss(by.peer()), |frame| frame.ack)
    };
    let fins = sent(sender).filter(|frame| frame.flags.fin());
    Numbers {
        own_iss: iss(sender),
        peer_iss: iss(sender.peer()),
        acked: acked(sender),
        peer_acked: acked(sender.peer()),
        fin: (fins.last().map(|frame| frame.seq))
            .or(next)
            .expect("a number to go on from"),
    }
}

/// The number of a side's first octet.
fn first(sender: Sender) -> u32 {
    numbers(&talk(), sender).own_iss.wrapping_add(1)
}

/// An open connection that has carried data both ways.
fn busy() -> Conversation {
    talk().open().data(Client, 10).data(Server, 10)
}

fn syn(frame: Frame) -> Frame {
    frame
        .flags(Flags::SYN.with(Flags::ACK))
        .options(&SYN_OPTIONS)
}

fn fin(frame: Frame) -> Frame {
    frame.flags(Flags::FIN.with(Flags::ACK))
}

fn opening(frame: Frame, seq: u32) -> Frame {
    let bare = Frame { ack: 0, ..frame };
    bare.seq(seq).flags(Flags::SYN).options(&SYN_OPTIONS)
}

/// The server's SYN, sent before the client's arrives.
fn crossing_syns(conversation: Conversation) -> Conversation {
    conversation.say(Server, |frame| {
        let seq = frame.seq;
        opening(frame, seq)
    })
}

/// The client's SYN once more, in answer to the server's.
fn syn_ack_of_crossing(frame: Frame) -> Frame {
    let seq = frame.seq.wrapping_sub(1);
    syn(frame.seq(seq))
}

/// Two FINs that meet on the way.
fn crossing_fins(first: Sender) -> Conversation {
    busy().fin(first).say(first.peer(), |frame| {
        let ack = frame.ack.wrapping_sub(1);
        fin(frame).ack(ack)
    })
}

/// The rows of a segment.
fn rows(from: &str, segment: &str, conversation: &Conversation) -> String {
    let [counted, lifecycle] = MODES.map(|mode| told(&story(&sightings(conversation), mode)));
    let mut table = String::new();
    let mut add = |lines: &[String], mode: &str| {
        for (index, line) in lines.iter().enumerate() {
            let name = match (index, mode) {
                (0, "") => format!("{from:6} {segment}"),
                (0, mode) => format!("{from:6} {segment} ({mode})"),
                _ => "     +".to_owned(),
            };
            writeln!(table, "{}", format!("{name:46} {line}").trim_end()).expect("a row");
        }
    };
    if counted == lifecycle {
        add(&counted, "");
    } else {
        add(&counted, "counted");
        add(&lifecycle, "lifecycle");
    }
    table
}

/// A line for each record.
fn told(story: &Story) -> Vec<String> {
    let records = story.told.iter().map(|told| &told.record);
    let mut lines: Vec<_> = records
        .map(|record| {
            let anomalies = record.anomalies.iter();
            let anomalies: Vec<_> = anomalies
                .map(|(anomaly, count)| match count {
                    1 => anomaly.name().to_owned(),
                    count => format!("{} {count}×", anomaly.name()),
                })
                .collect();
            let close = match (record.close.kind, record.close.by) {
                (CloseKind::None, None) => "-".to_owned(),
                (kind, by) => {
                    format!("{} {}", kind.name(), by.map_or("-", |by| by.name()))
                }
            };
            format!(
                "{:13}{:13}{:13}{close:21}{}",
                record.client.state.name(),
                record.server.state.name(),
                record.open.outcome.name(),
                anomalies.join(", "),
            )
        })
        .collect();
    if lines.is_empty() {
        lines.push("no record".to_owned());
    }
    let beside = [("late", story.counts.late), ("stray", story.counts.stray)];
    for (name, _) in beside.into_iter().filter(|(_, count)| *count > 0) {
        lines.push(format!("{name} segment"));
    }
    lines
}

#[test]
fn every_situation_by_every_segment() {
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        for (name, reach) in SITUATIONS {
            let mut table = rows("", "as it is", &reach());
            for sender in [Client, Server] {
                for (segment, next) in SEGMENTS {
                    let conversation = reach();
                    let numbers = numbers(&conversation, sender);
                    let conversation = conversation.say(sender, |frame| next(frame, &numbers));
                    table += &rows(sender.name(), segment, &conversation);
                }
            }
            insta::assert_snapshot!(name, table);
        }
    });
}
