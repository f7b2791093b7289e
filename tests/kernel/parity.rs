//! The same frames give the same events in the kernel and in user space, field by field.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use synfin_ebpf::event::Why;
use synfin_ebpf::flow::{COPY_NS, Key};
use synfin_ebpf::segment::{Flags, Scope};
use synfin_tests::cases;
use synfin_tests::conversation::{Conversation, Sender};
use synfin_tests::frames::{Extension, Frame, SERVICE_VLAN, VLAN};
use synfin_tests::requirement::Requirement::{BpfObject, Root};
use synfin_tests::suite::Case;

use crate::both::{Both, IP_PROGRAMS};

pub(crate) fn cases() -> Vec<Case> {
    cases![[Root, BpfObject];
        conversations_give_the_same_events_through_every_hook,
        conversations_whose_segments_are_counted_give_the_same_counts,
        a_connection_that_takes_another_ones_place_settles_its_counts,
        a_handshake_and_a_close_give_one_event_a_step,
        a_handshake_and_a_close_without_ethernet_headers_give_one_event_a_step,
        data_of_a_watched_connection_is_reported_once_a_side,
        the_completing_event_carries_the_whole_opening,
    ]
}

const V4: [&str; 2] = ["10.1.1.2:52144", "10.1.1.1:21"];
const V6: [&str; 2] = ["[fd00::2]:52144", "[fd00::1]:21"];

fn talk([client, server]: [&str; 2]) -> Conversation {
    let address = |text: &str| text.parse().expect("an address");
    Conversation::between((address(client), u32::MAX - 10), (address(server), 7))
}

fn whole(ends: [&str; 2]) -> Conversation {
    talk(ends)
        .open()
        .data(Sender::Client, 26)
        .data(Sender::Server, 94)
        .data(Sender::Server, 1400)
        .close(Sender::Server)
        .rst(Sender::Client)
}

/// Everything that can be around a segment, and every form of opening and closing.
fn conversations() -> Vec<(&'static str, Conversation)> {
    let (client, server) = (Sender::Client, Sender::Server);
    let around = |change: fn(Frame) -> Frame| whole(V4).around(change);
    let extended = |change: fn(Frame) -> Frame| whole(V6).around(change);
    vec![
        ("IPv4", whole(V4)),
        ("IPv6", whole(V6)),
        ("one VLAN", around(|frame| frame.tagged(VLAN, 7))),
        (
            "two VLANs",
            extended(|frame| frame.tagged(SERVICE_VLAN, 100).tagged(VLAN, 4095)),
        ),
        ("IPv4 options", around(|frame| frame.ip_options(&[1; 40]))),
        (
            "extension headers",
            extended(|frame| {
                frame.extensions(&[
                    Extension::HopByHop(2),
                    Extension::Destination(1),
                    Extension::Routing,
                    Extension::Fragment(0, false),
                    Extension::Authentication,
                ])
            }),
        ),
        ("padding", around(|frame| frame.padded(6))),
        ("no SYN-ACK", talk(V4).syn().again().again()),
        ("refused", talk(V4).syn().rst(server)),
        ("half open", talk(V4).syn().syn_ack().again()),
        ("aborted", talk(V6).syn().syn_ack().rst(client)),
        (
            "reset",
            talk(V4).open().data(client, 10).rst(server).data(server, 5),
        ),
        (
            "half close",
            talk(V6).open().fin(client).ack(server).data(server, 50),
        ),
        (
            "simultaneous close",
            talk(V4).open().fin(client).fin(server).ack(client),
        ),
        ("FIN again", talk(V4).open().fin(client).again().ack(server)),
        ("used again", whole(V4).syn().syn_ack().ack(client)),
        ("middle", talk(V4).data(client, 10).fin(server).ack(client)),
    ]
}

fn conversations_give_the_same_events_through_every_hook() -> Result<()> {
    // The client's frames arrive, the server's leave; and all through one hook.
    const HOOKS: [[&str; 2]; 5] = [
        ["synfin_xdp", "synfin_egress"],
        ["synfin_ingress", "synfin_egress"],
        ["synfin_xdp", "synfin_xdp"],
        ["synfin_egress", "synfin_ingress"],
        IP_PROGRAMS,
    ];
    let mut both = Both::load()?;
    for (round, hooks) in HOOKS.into_iter().enumerate() {
        for (number, (name, conversation)) in conversations().into_iter().enumerate() {
            // Every conversation is one of its own by its ports.
            let offset = u16::try_from(100 * (1 + round) + number)?;
            let conversation = conversation.around(|frame| moved(frame, offset));
            // The second time with the same numbers, over what the first time left.
            let twice = conversation.frames().chain(conversation.frames());
            for (index, (sender, frame)) in twice.enumerate() {
                let hook = hooks[usize::from(sender == Sender::Server)];
                let [kernel, user] = both.feed(hook, &frame.octets())?;
                ensure!(
                    kernel == user,
                    "{name}, frame {index} through {hook}: {kernel:#?} is not {user:#?}"
                );
            }
        }
    }
    Ok(())
}

/// Conversations in which there is something to count.
fn troubled() -> Vec<(&'static str, Conversation)> {
    let (client, server) = (Sender::Client, Sender::Server);
    let lost = |frame: Frame| {
        Frame {
            seq: frame.seq.wrapping_add(1000),
            ..frame
        }
        .payload(50)
    };
    let late = |frame: Frame| {
        Frame {
            seq: frame.seq.wrapping_sub(300),
            ..frame
        }
        .payload(100)
    };
    vec![
        (
            "sent again",
            talk(V4)
                .open()
                .say(client, |frame| frame.payload(99))
                .again()
                .ack(server),
        ),
        (
            "seen twice",
            talk(V4)
                .open()
                .copied()
                .data(client, 10)
                .copied()
                .close(server)
                .copied(),
        ),
        (
            "a hole",
            talk(V4)
                .open()
                .say(client, lost)
                .say(client, late)
                .say(client, late),
        ),
        (
            "a gap",
            talk(V4).open().say(server, |frame| Frame {
                ack: frame.ack.wrapping_add(500),
                ..frame
            }),
        ),
        (
            "a closed window",
            talk(V4)
                .open()
                .say(server, |frame| Frame { window: 0, ..frame })
                .again(),
        ),
        (
            "keepalives",
            talk(V4)
                .open()
                .say(client, |frame| Frame {
                    seq: frame.seq.wrapping_sub(1),
                    ..frame
                })
                .say(client, |frame| {
                    Frame {
                        seq: frame.seq.wrapping_sub(1),
                        ..frame
                    }
                    .payload(1)
                }),
        ),
        (
            "a RST with text",
            talk(V4)
                .open()
                .say(server, |frame| frame.flags(Flags::RST).payload(60)),
        ),
        (
            "far off",
            talk(V4).open().say(client, |frame| {
                Frame {
                    seq: frame.seq ^ 1 << 31,
                    ..frame
                }
                .payload(9)
            }),
        ),
        (
            "the middle",
            talk(V6).data(client, 10).data(server, 20).data(client, 5),
        ),
        ("its SYN late", talk(V6).syn_ack().syn().ack(client)),
    ]
}

fn conversations_whose_segments_are_counted_give_the_same_counts() -> Result<()> {
    const HOOKS: [[&str; 2]; 4] = [
        ["synfin_xdp", "synfin_egress"],
        ["synfin_ingress", "synfin_egress"],
        ["synfin_egress", "synfin_xdp"],
        IP_PROGRAMS,
    ];
    let mut both = Both::load_counting(4096)?;
    for (round, hooks) in HOOKS.into_iter().enumerate() {
        let all = conversations().into_iter().chain(troubled());
        // Without its Ethernet header a tagged frame is no IP packet.
        let all = all.filter(|(name, _)| hooks != IP_PROGRAMS || !name.contains("VLAN"));
        for (number, (name, conversation)) in all.enumerate() {
            let offset = u16::try_from(100 * (1 + round) + number)?;
            for attempt in 0..ATTEMPTS {
                let offset = offset + 1_000 * attempt;
                let begin = Instant::now();
                let alike = counted_alike(&mut both, hooks, &conversation, offset);
                if alike.is_err() && begin.elapsed() >= COPIES && attempt + 1 < ATTEMPTS {
                    continue;
                }
                alike.context(name)?;
                break;
            }
        }
    }
    Ok(())
}

/// Frames within this time are copies of each other, by the clock of whoever looks. The kernel and user
/// space look one after the other: where the machine stood still between a frame's two looks, one of them
/// has it within that time and the other one has not.
const COPIES: Duration = Duration::from_nanos(COPY_NS);
/// So often a conversation is played, other ports each time, until it took less than that. Only one that took
/// longer may differ, but for the last time.
const ATTEMPTS: u16 = 10;

fn counted_alike(
    both: &mut Both,
    hooks: [&'static str; 2],
    conversation: &Conversation,
    offset: u16,
) -> Result<()> {
    let conversation = conversation.clone().around(|frame| moved(frame, offset));
    let mut keys = Vec::new();
    for (index, (sender, frame)) in conversation.frames().enumerate() {
        let hook = hooks[usize::from(sender == Sender::Server)];
        let [kernel, user] = both.feed(hook, &frame.octets())?;
        ensure!(
            kernel == user,
            "frame {index} through {hook}: {kernel:#?} is not {user:#?}"
        );
        let events = user.events.iter();
        keys.extend(events.map(|event| Key::of(&event.endpoints(), Scope(event.scope)).0));
    }
    keys.sort();
    keys.dedup();
    let [kernel, user] = both.accounts(&keys)?;
    ensure!(kernel == user, "{kernel:#?} is not {user:#?}");
    ensure!(!user.is_empty(), "nothing was counted");
    Ok(())
}

fn a_connection_that_takes_another_ones_place_settles_its_counts() -> Result<()> {
    let mut both = Both::load_counting(16)?;
    let again = talk(V4)
        .open()
        .data(Sender::Client, 10)
        .close(Sender::Client)
        .say(Sender::Client, |frame| {
            Frame { ack: 0, ..frame }.seq(77).flags(Flags::SYN)
        });
    let mut settled = Vec::new();
    for (_, frame) in again.frames() {
        let [kernel, user] = both.feed("synfin_xdp", &frame.octets())?;
        ensure!(kernel == user, "{kernel:#?} is not {user:#?}");
        settled.extend(user.settled);
    }
    let [settled] = settled
        .try_into()
        .map_err(|all| anyhow!("settled {all:?}"))?;
    let packets = settled.accounts.lo.packets + settled.accounts.hi.packets;
    ensure!(packets == 3 + 2 + 4, "{settled:?}");
    ensure!(settled.accounts.lo.payload + settled.accounts.hi.payload == 10);
    let [kernel, _] = both.accounts(&[settled.key])?;
    ensure!(
        kernel[0].lo.packets + kernel[0].hi.packets == 1,
        "{kernel:?}"
    );
    Ok(())
}

/// The frame with both ports higher.
fn moved(mut frame: Frame, by: u16) -> Frame {
    for end in [&mut frame.source, &mut frame.destination] {
        end.set_port(end.port() + by);
    }
    frame
}

fn a_handshake_and_a_close_give_one_event_a_step() -> Result<()> {
    one_event_a_step("synfin_xdp")
}

fn a_handshake_and_a_close_without_ethernet_headers_give_one_event_a_step() -> Result<()> {
    one_event_a_step("synfin_ip_in")
}

fn one_event_a_step(program: &'static str) -> Result<()> {
    let mut both = Both::load()?;
    let quiet = talk(V4).open().close(Sender::Server);
    for (_, frame) in quiet.frames() {
        both.run(program, &frame.octets())?;
    }
    let reasons: Vec<_> = both.drain()?.iter().map(|event| Why(event.why)).collect();
    let first_ack = Why::FIRST_ACK;
    let expected = [
        Why::default(),
        Why::ACKS_SYN,
        Why::ACKS_SYN.with(first_ack),
        Why::default(),
        Why::ACKS_FIN,
        Why::default(),
        Why::ACKS_FIN.with(first_ack),
    ];
    ensure!(reasons == expected, "{reasons:?}");
    Ok(())
}

fn data_of_a_watched_connection_is_reported_once_a_side() -> Result<()> {
    let mut both = Both::load()?;
    let mut talk = talk(V6).open();
    for _ in 0..50 {
        talk = talk.data(Sender::Client, 100).data(Sender::Server, 1000);
    }
    for (_, frame) in talk.frames() {
        both.run("synfin_ingress", &frame.octets())?;
    }
    let events = both.drain()?;
    let count = |why: Why| {
        events
            .iter()
            .filter(|event| Why(event.why).any(why))
            .count()
    };
    ensure!(count(Why::FIRST_DATA) == 2, "{events:#?}");
    ensure!(count(Why::FIRST_ACK) == 2, "{events:#?}");
    ensure!(events.len() == 3 + 3, "{} events", events.len());
    Ok(())
}

fn the_completing_event_carries_the_whole_opening() -> Result<()> {
    let mut both = Both::load()?;
    for (_, frame) in talk(V4).open().frames() {
        both.run("synfin_xdp", &frame.octets())?;
    }
    let events = both.drain_raw()?;
    let (syn, ack) = (&events[0], &events[2]);
    ensure!(ack.sender.iss().map(|iss| iss.0) == Some(u32::MAX - 10));
    ensure!(ack.receiver.iss().map(|iss| iss.0) == Some(7));
    ensure!(ack.sender.opened_ns == syn.time_ns);
    ensure!(ack.receiver.opened_ns == events[1].time_ns);
    ensure!(ack.sender.options() == synfin_tests::frames::SYN_OPTIONS);
    ensure!(ack.receiver.options() == synfin_tests::frames::SYN_OPTIONS);
    let serials: Vec<_> = events.iter().map(|event| event.serial).collect();
    ensure!(
        serials == [0, 1, 2] || events.iter().any(|event| event.cpu != ack.cpu),
        "{serials:?}"
    );
    Ok(())
}
