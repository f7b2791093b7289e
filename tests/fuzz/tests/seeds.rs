//! The seeds of fuzzing: they are what the generators make, and every target takes them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::{env, fs, io};

use flate2::Compression;
use flate2::write::GzEncoder;
use synfin::source::{Captures, Next, Tracker};
use synfin_ebpf::event::{Direction, Event};
use synfin_ebpf::flow::{Filter, Vantage};
use synfin_ebpf::segment::{Flags, Scope};
use synfin_ebpf::wire::{Link, Tunnels};
use synfin_fuzz::{octets_of_event, octets_of_frame};
use synfin_tests::carriers::{Carrier, Gre, Inner, VXLAN_PORT};
use synfin_tests::conversation::Conversation;
use synfin_tests::conversation::Sender::{Client, Server};
use synfin_tests::frames::{Extension, Frame, VLAN};

/// Set to write the seeds instead of comparing with them.
const BLESS: &str = "SYNFIN_BLESS";

/// The octet for a pause of about a millisecond.
const PAUSE: u8 = 20;

/// Records as synfin writes them, and three more that were made of one of them.
const RECORDS: &str = include_str!("records.jsonl");

/// Seeds by their names.
type Seeds = BTreeMap<&'static str, Vec<u8>>;

#[test]
fn frames_are_taken() {
    hold("frames", frames(), synfin_fuzz::frames);
}

#[test]
fn events_are_taken() {
    hold("events", events(), synfin_fuzz::events);
}

#[test]
fn lines_are_taken() {
    hold("lines", lines(), synfin_fuzz::lines);
}

#[test]
fn the_seeds_of_lines_are_records() {
    let read = |line: &str| synfin::report::record::parse(line.as_bytes());
    assert!(RECORDS.lines().all(|line| read(line).is_ok()));
}

#[test]
fn captures_are_taken() {
    hold("captures", captures(), synfin_fuzz::captures);
}

#[test]
fn what_is_cut_off_anywhere_is_taken() {
    for name in ["ipv6", "vlan"] {
        let seed = &frames()[name];
        // Past the first frame another length is nothing new.
        (0..120).for_each(|len| synfin_fuzz::frames(&seed[..len]));
    }
    for seed in events().into_values() {
        // No field is seven octets long, so every one of them is cut somewhere.
        (0..seed.len())
            .step_by(7)
            .for_each(|len| synfin_fuzz::events(&seed[..len]));
    }
}

#[test]
fn the_seeds_of_captures_are_captures() {
    for (name, seed) in captures() {
        let mut captures = Captures::of(name, io::Cursor::new(seed[1..].to_vec())).unwrap();
        let outcome = loop {
            match captures.read_on() {
                Ok(Next::End) => break Ok(captures.counts().packets),
                Ok(_) => {}
                Err(error) => break Err(error),
            }
        };
        match name {
            "empty" => assert!(outcome.is_err()),
            "cut_off" => assert_eq!(outcome.unwrap(), 2),
            _ => assert_eq!(outcome.unwrap(), 9, "{name}"),
        }
    }
}

/// Compares the folder of a target's seeds with what the generators make, and runs every file in it.
/// Seeds that a fuzzer found are kept beside the generated ones under names of their own.
fn hold(target: &str, seeds: Seeds, run: fn(&[u8])) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target);
    if env::var_os(BLESS).is_some() {
        fs::create_dir_all(&folder).expect("a folder for seeds");
        for (name, seed) in &seeds {
            fs::write(folder.join(name), seed).expect("a seed that is written");
        }
    }
    for (name, seed) in &seeds {
        let kept = fs::read(folder.join(name)).unwrap_or_default();
        assert!(
            kept == *seed,
            "seed {target}/{name} is another now ({BLESS}=1 writes it)"
        );
    }
    let files: BTreeSet<_> = fs::read_dir(folder)
        .expect("a folder of seeds")
        .map(|file| file.expect("a seed").path())
        .collect();
    assert!(files.len() >= seeds.len());
    for file in files {
        run(&fs::read(file).expect("a seed that can be read"));
    }
}

/// A conversation between two hosts whose numbers are those that the events are told by.
fn talk() -> Conversation {
    Conversation::between(
        (end("10.0.0.0:52144"), 0xffff_ff00),
        (end("10.0.0.1:80"), 1000),
    )
}

fn end(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn talks() -> BTreeMap<&'static str, Conversation> {
    let syn_ack = Flags::SYN.with(Flags::ACK);
    BTreeMap::from([
        (
            "four_way",
            talk()
                .open()
                .data(Client, 300)
                .data(Server, 94)
                .close(Server),
        ),
        ("reset", talk().open().data(Client, 26).rst(Server)),
        ("refused", talk().syn().again().rst(Server)),
        ("half_open", talk().syn().syn_ack().again().again()),
        ("aborted", talk().syn().syn_ack().rst(Client)),
        (
            "rejected",
            talk()
                .syn()
                .say(Server, |frame| frame.flags(syn_ack).ack(7))
                .say(Client, |frame| frame.flags(Flags::RST).seq(7)),
        ),
        (
            "unobserved",
            talk().data(Client, 5).data(Server, 5).fin(Client),
        ),
        ("reused", talk().open().close(Client).open().rst(Client)),
        (
            "odd",
            talk()
                .say(Client, |frame| frame.flags(Flags(0)))
                .syn_ack()
                .say(Server, |frame| frame.flags(Flags(0x29)))
                .say(Client, |frame| frame.flags(Flags::SYN.with(Flags::FIN))),
        ),
        (
            "simultaneous",
            talk()
                .say(Client, |frame| Frame { ack: 0, ..frame }.flags(Flags::SYN))
                .say(Server, |frame| Frame { ack: 0, ..frame }.flags(Flags::SYN))
                .syn_ack()
                .fin(Client)
                .fin(Server),
        ),
    ])
}

fn frames() -> Seeds {
    let mut seeds: Seeds = talks()
        .into_iter()
        .map(|(name, talk)| (name, whole(0, 0, &talk)))
        .collect();
    let short = || talk().open().data(Client, 5).close(Client);
    seeds.insert(
        "vlan",
        whole(0, 1, &short().around(|frame| frame.tagged(VLAN, 5))),
    );
    seeds.insert(
        "ip_options",
        whole(0, 0, &short().around(|frame| frame.ip_options(&[1; 8]))),
    );
    let v6 = Conversation::between((end("[fd00::2]:52144"), 7), (end("[fd00::1]:443"), 9));
    let extensions = [
        Extension::HopByHop(0),
        Extension::Fragment(0, false),
        Extension::Routing,
    ];
    let v6 = v6
        .open()
        .close(Server)
        .around(|frame| frame.extensions(&extensions));
    seeds.insert("ipv6", whole(0, 0, &v6));
    for (counted, name) in [("counted", "four_way"), ("counted_odd", "odd")] {
        seeds.insert(counted, whole(0, 2, &talks()[name]));
    }
    let ends = || [ip("192.0.2.1"), ip("192.0.2.2")];
    let gre = Gre {
        key: Some(9),
        sequence: true,
        ..Gre::default()
    };
    for (name, carrier) in [
        ("mpls", Carrier::Mpls(vec![16, 17])),
        ("pppoe", Carrier::Pppoe(3)),
        ("ip_in_ip", Carrier::Ip(ends())),
        ("gre", Carrier::Gre(ends(), gre)),
        ("vxlan", Carrier::Vxlan(ends(), VXLAN_PORT, 5)),
        ("geneve", Carrier::Geneve(ends(), 6, 2, Inner::Frame)),
    ] {
        let carried = short().around(|frame| frame.carried(carrier.clone()));
        seeds.insert(name, whole(0, 0, &carried));
    }
    seeds.insert("summed_up", whole(0, 6, &talks()["reset"]));
    seeds.insert("raw_ip", of_link(3, &[], &short()));
    seeds.insert(
        "cooked",
        of_link(
            1,
            &[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0],
            &short(),
        ),
    );
    seeds.insert("loopback", of_link(4, &2_u32.to_ne_bytes(), &short()));
    seeds.insert("ppp", of_link(6, &[0xff, 3, 0, 0x21], &short()));
    seeds
}

/// A conversation on Ethernet.
fn whole(link: u8, settings: u8, talk: &Conversation) -> Vec<u8> {
    let mut seed = vec![link, settings];
    for (_, frame) in talk.frames() {
        seed.extend(octets_of_frame(PAUSE, 0, &frame.octets()));
    }
    seed
}

/// A conversation whose packets have something else in front of them than an Ethernet header.
fn of_link(link: u8, head: &[u8], talk: &Conversation) -> Vec<u8> {
    let mut seed = vec![link, 0];
    for (_, frame) in talk.frames() {
        let packet = frame.octets().split_off(frame.network());
        seed.extend(octets_of_frame(PAUSE, 0, &[head, &packet].concat()));
    }
    seed
}

fn events() -> Seeds {
    let seeds = talks().into_iter().map(|(name, talk)| {
        let events = tracked(&talk);
        let calls = events
            .iter()
            .flat_map(|event| octets_of_event(PAUSE, event));
        // As many connections as the target allows, then the calls.
        (name, [3].into_iter().chain(calls).collect())
    });
    let mut seeds: Seeds = seeds.collect();
    let mut summed_up = seeds["four_way"].clone();
    summed_up[0] = 7;
    seeds.insert("summed_up", summed_up);
    seeds
}

/// The events of a conversation, the client's segments arriving and the server's leaving.
fn tracked(talk: &Conversation) -> Vec<Event> {
    let tracker = Tracker::new(Filter::default(), Tunnels::ON);
    let mut events = Vec::new();
    let mut time_ns = 0;
    for (sender, frame) in talk.frames() {
        time_ns += 1_000_000;
        let vantage = Vantage {
            interface: 1,
            direction: match sender {
                Client => Direction::Ingress,
                Server => Direction::Egress,
            },
            scope: Scope::default(),
            link: Link::Ethernet,
        };
        tracker.take(frame.octets().as_slice(), &vantage, time_ns);
        events.extend(tracker.event().as_deref().copied());
    }
    events
}

fn lines() -> Seeds {
    let named = ["established", "refused", "in_tunnel", "probe"];
    let lines = RECORDS.split_inclusive('\n');
    let mut seeds: Seeds = named.into_iter().zip(lines.map(Into::into)).collect();
    seeds.insert("all", RECORDS.into());
    seeds.insert("cut_off", RECORDS[..RECORDS.len() - 100].into());
    seeds.insert("step", r#"{"v":1,"type":"step"}"#.into());
    seeds.insert("wrong", "{\n{}\n\n[1]\n{\"v\":2}".into());
    // Whole at once, and as they come from a program that still writes.
    seeds.values_mut().for_each(|seed| seed.insert(0, 0));
    let mut slow = seeds["all"].clone();
    slow[0] = 7;
    seeds.insert("trickling", slow);
    seeds
}

fn captures() -> Seeds {
    let talk = talk().open().data(Client, 5).close(Server);
    let frames: Vec<_> = talk.frames().map(|(_, frame)| frame.octets()).collect();
    let mut seeds = Seeds::from([
        ("pcap", pcap(0xa1b2_c3d4, u32::to_le_bytes, &frames)),
        ("pcap_ns", pcap(0xa1b2_3c4d, u32::to_le_bytes, &frames)),
        (
            "pcap_big_endian",
            pcap(0xa1b2_c3d4, u32::to_be_bytes, &frames),
        ),
        ("pcapng", pcapng(u32::to_le_bytes, &frames)),
        ("pcapng_big_endian", pcapng(u32::to_be_bytes, &frames)),
        ("empty", Vec::new()),
    ]);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&seeds["pcap"]).expect("room in memory");
    seeds.insert("gzip", encoder.finish().expect("room in memory"));
    let zstd = zstd::encode_all(seeds["pcapng"].as_slice(), 9);
    seeds.insert("zstd", zstd.expect("room in memory"));
    let mut cut = seeds["pcap"].clone();
    cut.truncate(200);
    seeds.insert("cut_off", cut);
    // Whole at once, and as it comes from a program that still writes.
    seeds.values_mut().for_each(|seed| seed.insert(0, 0));
    let mut slow = seeds["pcapng"].clone();
    slow[0] = 7;
    seeds.insert("trickling", slow);
    seeds
}

/// A number in the order of octets of a file.
type Order = fn(u32) -> [u8; 4];

/// A file of the classic format; its packets are cut off at 60 octets.
fn pcap(magic: u32, order: Order, frames: &[Vec<u8>]) -> Vec<u8> {
    let version = if order(1)[0] == 1 {
        0x0004_0002
    } else {
        0x0002_0004
    };
    let mut numbers = vec![magic, version, 0, 0, 60, 1];
    let mut file: Vec<u8> = numbers.drain(..).flat_map(order).collect();
    for (second, frame) in (1_700_000_000..).zip(frames) {
        let kept = &frame[..frame.len().min(60)];
        for number in [second, 999_999, len(kept), len(frame)] {
            file.extend(order(number));
        }
        file.extend(kept);
    }
    file
}

/// A file of the next generation: two interfaces, of Ethernet and of raw IP, a block of names, and
/// packets with and without times.
fn pcapng(order: Order, frames: &[Vec<u8>]) -> Vec<u8> {
    let version = if order(1)[0] == 1 { 1 } else { 1 << 16 };
    let link = |number: u32| {
        if order(1)[0] == 1 {
            number
        } else {
            number << 16
        }
    };
    let all = u32::MAX;
    let mut file = block(order, 0x0a0d_0d0a, &[0x1a2b_3c4d, version, all, all], &[]);
    // Nanoseconds, and the name "a".
    let options = [
        9, 0, 1, 0, 9, 0, 0, 0, 2, 0, 1, 0, b'a', 0, 0, 0, 0, 0, 0, 0,
    ];
    let options = if order(1)[0] == 1 { &options[..] } else { &[] };
    file.extend(block(order, 1, &[link(1), 60], options));
    file.extend(block(order, 1, &[link(101), 0], &[]));
    file.extend(block(order, 4, &[0], &[]));
    for (place, frame) in frames.iter().enumerate() {
        let kept = &frame[..frame.len().min(60)];
        let packet = match place % 3 {
            0 => block(order, 6, &[0, 0x17_0000, 5, len(kept), len(frame)], kept),
            1 => block(
                order,
                6,
                &[1, 0x17_0000, 9, len(&frame[14..]), len(frame)],
                &frame[14..],
            ),
            _ => block(order, 3, &[len(frame)], kept),
        };
        file.extend(packet);
    }
    file
}

/// A block: numbers, then octets, padded to a multiple of four.
fn block(order: Order, kind: u32, numbers: &[u32], octets: &[u8]) -> Vec<u8> {
    let mut body: Vec<u8> = numbers.iter().copied().flat_map(order).collect();
    body.extend(octets);
    body.resize(body.len().next_multiple_of(4), 0);
    let whole = order(len(&body) + 12);
    [&order(kind)[..], &whole, &body, &whole].concat()
}

fn len(octets: &[u8]) -> u32 {
    u32::try_from(octets.len()).expect("a short file")
}
