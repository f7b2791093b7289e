//! Every frame that is not analysed is counted by its reason.

use anyhow::{Result, ensure};
use synfin_ebpf::counters::{COUNTERS, Counter};
use synfin_ebpf::flow::filter::Filter;
use synfin_ebpf::segment::Flags;
use synfin_ebpf::wire::{Reject, Tunnels};
use synfin_tests::carriers::{Carrier, VXLAN_PORT};
use synfin_tests::cases;
use synfin_tests::conversation::{Conversation, Sender};
use synfin_tests::frames::{Extension, Frame, VLAN, patch};
use synfin_tests::requirement::Requirement::{BpfObject, Root};
use synfin_tests::suite::Case;

use crate::both::{Both, PROGRAMS};

pub(crate) fn cases() -> Vec<Case> {
    cases![[Root, BpfObject];
        every_reject_has_its_counter,
        what_is_not_tcp_is_counted_as_that,
        a_crowded_ring_holds_unproved_openings_back_by_a_counted_number,
        a_full_ring_loses_a_counted_number_of_events,
    ]
}

fn v4() -> Frame {
    let address = |text: &str| text.parse().expect("an address");
    Frame::new(address("10.0.0.1:1000"), address("10.0.0.2:80"))
}

fn v6() -> Frame {
    let address = |text: &str| text.parse().expect("an address");
    Frame::new(address("[fd00::1]:1000"), address("[fd00::2]:80"))
}

/// A frame for each reject.
fn rejected() -> Vec<(Reject, Vec<u8>)> {
    let cut = |frame: Frame, len: usize| frame.octets()[..len].to_vec();
    let patched = |frame: Frame, offset: usize, octet: u8| {
        let mut octets = frame.octets();
        patch(&mut octets, offset, &[octet]);
        octets
    };
    let tagged = v4().tagged(VLAN, 1).tagged(VLAN, 2);
    let options = [Extension::Destination(0); 7];
    let (ip4, ip6, tcp) = (v4().network(), v6().network(), v4().transport());
    let ends = [v4().source.ip(), v4().destination.ip()];
    let vxlan = v4().carried(Carrier::Vxlan(ends, VXLAN_PORT, 1));
    let udp = ip4 + 20;
    vec![
        (Reject::TruncatedLink, cut(tagged.clone(), 17)),
        (Reject::TooManyVlanTags, tagged.tagged(VLAN, 3).octets()),
        (Reject::TruncatedNetwork, cut(v4(), ip4 + 9)),
        (Reject::TruncatedNetwork, cut(v6(), ip6 + 7)),
        (Reject::BadIpVersion, patched(v4(), ip4, 0x65)),
        (Reject::BadIpVersion, patched(v6(), ip6, 0x40)),
        (Reject::BadIpHeaderLength, patched(v4(), ip4, 0x44)),
        (Reject::BadIpLength, patched(v4(), ip4 + 2, 0xff)),
        (Reject::BadIpLength, patched(v4(), ip4 + 3, 19)),
        (Reject::BadIpLength, patched(v6(), ip6 + 4, 0xff)),
        (
            Reject::TooManyExtensions,
            v6().extensions(&options).octets(),
        ),
        (Reject::LaterFragment, v4().fragment(1480, true).octets()),
        (
            Reject::LaterFragment,
            v6().extensions(&[Extension::Fragment(1480, true)]).octets(),
        ),
        (Reject::TinyFragment, {
            let mut octets = v4().fragment(0, true).octets();
            patch(&mut octets, ip4 + 2, &[0, 20 + 8]);
            octets
        }),
        (Reject::TruncatedTransport, patched(v4(), ip4 + 3, 20 + 19)),
        (Reject::BadDataOffset, patched(v4(), tcp + 12, 0x40)),
        (Reject::BadDataOffset, patched(v4(), tcp + 12, 0xf0)),
        (
            Reject::TruncatedTunnel,
            cut(v4().carried(Carrier::Mpls(vec![1])), 17),
        ),
        (Reject::BadTunnel, patched(vxlan.clone(), udp + 8, 0)),
        (
            Reject::TunnelTooDeep,
            vxlan.carried(Carrier::Mpls((1..30).collect())).octets(),
        ),
    ]
}

fn every_reject_has_its_counter() -> Result<()> {
    let frames = rejected();
    // BPF_PROG_TEST_RUN makes buffers in one piece: what is out of reach is tested on captures.
    let within = Reject::ALL
        .iter()
        .filter(|reject| **reject != Reject::OutOfReach);
    for reject in within {
        ensure!(
            frames.iter().any(|(of, _)| of == reject),
            "no frame for {reject:?}"
        );
    }
    let mut both = Both::load_tunnels(Tunnels::ON)?;
    for program in PROGRAMS {
        for (reject, frame) in frames
            .iter()
            .filter(|(_, frame)| Both::takes(program, frame))
        {
            let [kernel, user] = both.feed(program, frame)?;
            ensure!(
                kernel == user,
                "{program}, {reject:?}: {kernel:?} is not {user:?}"
            );
            ensure!(
                kernel.counted[reject.index()] == 1,
                "{program}: {reject:?} not counted"
            );
            ensure!(
                kernel.counted.iter().sum::<u64>() == 1,
                "{program}: {kernel:?}"
            );
            ensure!(kernel.events.is_empty(), "{program}: {kernel:?}");
        }
    }
    Ok(())
}

fn what_is_not_tcp_is_counted_as_that() -> Result<()> {
    let mut arp = vec![0xff; 42];
    patch(&mut arp, 12, &[0x08, 0x06]);
    let mut udp = v4().octets();
    patch(&mut udp, v4().network() + 9, &[17]);
    let mut icmp = v6().octets();
    patch(&mut icmp, v6().network() + 6, &[58]);
    let mut both = Both::load()?;
    for frame in [arp, udp, icmp] {
        for program in PROGRAMS {
            let [kernel, user] = both.feed(program, &frame)?;
            ensure!(kernel == user, "{program}: {kernel:?} is not {user:?}");
            ensure!(
                kernel.counted[Counter::NotTcp.index()] == 1,
                "{program}: {kernel:?}"
            );
        }
    }
    Ok(())
}

fn a_crowded_ring_holds_unproved_openings_back_by_a_counted_number() -> Result<()> {
    const SYNS: u64 = 1000;
    let mut both = Both::load_with(64 << 10, Filter::default())?;
    for number in 0..SYNS {
        let source = format!("10.0.0.1:{}", 1024 + number).parse()?;
        let syn = Frame::new(source, "10.0.0.2:80".parse()?).flags(Flags::SYN);
        both.run("synfin_ingress", &syn.octets())?;
    }
    let counted = both.kernel_counters()?;
    let given = counted[Counter::Events.index()];
    let held = counted[Counter::HeldSyn.index()];
    let events = both.drain_raw()?;
    ensure!(
        given == events.len() as u64,
        "{given} counted, {} found",
        events.len()
    );
    ensure!(
        held > 0 && given + held == SYNS,
        "{given} given and {held} held of {SYNS}"
    );
    ensure!(counted[Counter::RingFull.index()] == 0);
    // What was held back has no number: it is no loss.
    ensure!(counted[COUNTERS] == given, "{} numbered", counted[COUNTERS]);
    Ok(())
}

fn a_full_ring_loses_a_counted_number_of_events() -> Result<()> {
    const TALKS: u64 = 100;
    let mut both = Both::load_with(64 << 10, Filter::default())?;
    for number in 0..TALKS {
        let client = format!("10.0.0.1:{}", 1024 + number).parse()?;
        let talk = Conversation::between((client, 1), ("10.0.0.2:80".parse()?, 2));
        for (_, frame) in talk.open().close(Sender::Client).frames() {
            both.run("synfin_xdp", &frame.octets())?;
        }
    }
    let counted = both.kernel_counters()?;
    let given = counted[Counter::Events.index()];
    let lost = counted[Counter::RingFull.index()];
    let held = counted[Counter::HeldSyn.index()] + counted[Counter::HeldSynAck.index()];
    ensure!(
        counted[Counter::HeldOther.index()] == 0,
        "a proved connection was held back"
    );
    ensure!(
        lost > 0 && held > 0 && given + lost + held == 7 * TALKS,
        "{counted:?}"
    );
    // The serial numbers know of the lost ones, too.
    ensure!(
        counted[COUNTERS] == given + lost,
        "{} numbered",
        counted[COUNTERS]
    );
    ensure!(given == both.drain_raw()?.len() as u64);
    Ok(())
}
