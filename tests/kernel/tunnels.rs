//! Connections inside of tunnels: the same in the kernel as in user space, and nothing where tunnels
//! are not asked for.

use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};
use synfin_ebpf::counters::Counter;
use synfin_ebpf::segment::{Address, Scope, Tunnel};
use synfin_ebpf::wire::{Reject, Tunnels};
use synfin_tests::carriers::{Carrier, Ends, VXLAN_PORT, samples};
use synfin_tests::cases;
use synfin_tests::conversation::{Conversation, Sender};
use synfin_tests::frames::{Frame, VLAN};
use synfin_tests::requirement::Requirement::{BpfObject, Root};
use synfin_tests::suite::Case;

use crate::both::{Both, PROGRAMS};

pub(crate) fn cases() -> Vec<Case> {
    cases![[Root, BpfObject];
        connections_in_tunnels_give_the_same_events_through_every_hook,
        where_tunnels_are_off_what_they_carry_is_no_tcp,
        other_ports_are_vxlan_by_option,
        an_event_names_the_ends_of_the_tunnel_from_its_sender_on,
        tunnels_too_deep_are_counted_as_that,
    ]
}

const INSIDE: [[&str; 2]; 2] = [
    ["10.1.1.2:52144", "10.1.1.1:21"],
    ["[fd00::2]:52144", "[fd00::1]:21"],
];

fn talk([client, server]: [&str; 2], carriers: &[Carrier]) -> Conversation {
    let address = |text: &str| text.parse().expect("an address");
    let talk = Conversation::between((address(client), u32::MAX - 10), (address(server), 7));
    let whole = talk.open().data(Sender::Server, 40).close(Sender::Client);
    whole.around(|frame| Frame {
        carriers: carriers.to_vec(),
        ..frame
    })
}

/// The scope that a stack of carriers makes, as far as it is told by numbers.
fn scope(carriers: &[Carrier]) -> Option<(Tunnel, Option<u32>)> {
    let told = |carrier: &Carrier| match carrier {
        Carrier::Tag(_) | Carrier::Mpls(_) => None,
        Carrier::Pppoe(session) => Some((Tunnel::Pppoe, Some((*session).into()))),
        Carrier::Ip(_) => Some((Tunnel::IpInIp, None)),
        Carrier::Gre(_, gre) => Some((Tunnel::Gre, gre.key)),
        Carrier::Vxlan(_, _, id) => Some((Tunnel::Vxlan, Some(*id))),
        Carrier::Geneve(_, id, ..) => Some((Tunnel::Geneve, Some(*id))),
    };
    carriers.iter().rev().find_map(told)
}

fn connections_in_tunnels_give_the_same_events_through_every_hook() -> Result<()> {
    for program in PROGRAMS {
        let mut both = Both::load_tunnels(Tunnels::ON)?;
        for (name, carriers) in samples() {
            for ends in INSIDE {
                let mut made = 0;
                for (_, frame) in talk(ends, &carriers).frames() {
                    let [kernel, user] = both.feed(program, &frame.octets())?;
                    ensure!(
                        kernel == user,
                        "{name} through {program}: {kernel:#?} is not {user:#?}"
                    );
                    ensure!(kernel.counted[Counter::Segments.index()] == 1, "{name}");
                    made += kernel.events.len();
                    for event in &kernel.events {
                        let found = Scope(event.scope).tunnel();
                        let expected = scope(&carriers);
                        ensure!(
                            found.map(|(tunnel, _)| tunnel) == expected.map(|(tunnel, _)| tunnel),
                            "{name}: {found:?}"
                        );
                        if let Some((_, Some(id))) = expected {
                            ensure!(found.is_some_and(|(_, found)| found == id), "{name}");
                        }
                    }
                }
                ensure!(made >= 7, "{name} through {program}: {made} events");
            }
        }
    }
    Ok(())
}

fn where_tunnels_are_off_what_they_carry_is_no_tcp() -> Result<()> {
    let mut both = Both::load()?;
    for program in PROGRAMS {
        for (name, carriers) in samples() {
            let talk = talk(INSIDE[0], &carriers);
            let (_, syn) = talk.frames().next().context("a SYN")?;
            let [kernel, user] = both.feed(program, &syn.octets())?;
            ensure!(kernel == user, "{name}: {kernel:?} is not {user:?}");
            ensure!(
                kernel.counted[Counter::NotTcp.index()] == 1,
                "{name}: {kernel:?}"
            );
            ensure!(kernel.events.is_empty(), "{name}: {kernel:?}");
        }
    }
    Ok(())
}

fn outer() -> Result<Ends> {
    Ok(["192.0.2.1".parse()?, "198.51.100.7".parse()?])
}

fn other_ports_are_vxlan_by_option() -> Result<()> {
    let ports = [8472, 1, 2, 65535];
    let tunnels = Tunnels::with_vxlan_ports(&ports).context("room for four ports")?;
    let mut both = Both::load_tunnels(tunnels)?;
    for (port, events) in [(8472, 7), (65535, 7), (VXLAN_PORT, 7), (8473, 0)] {
        let carrier = Carrier::Vxlan(outer()?, port, port.into());
        let mut made = 0;
        for (_, frame) in talk(INSIDE[0], &[carrier]).frames() {
            let [kernel, user] = both.feed("synfin_egress", &frame.octets())?;
            ensure!(kernel == user, "{port}: {kernel:#?} is not {user:#?}");
            made += kernel.events.len();
        }
        ensure!((made > 0) == (events > 0), "{port}: {made} events");
        ensure!(made >= events, "{port}: {made} events");
    }
    Ok(())
}

fn an_event_names_the_ends_of_the_tunnel_from_its_sender_on() -> Result<()> {
    let mut both = Both::load_tunnels(Tunnels::ON)?;
    let mapped = |address: IpAddr| match address {
        IpAddr::V4(address) => Address::v4(address.octets()).octets(),
        IpAddr::V6(address) => address.octets(),
    };
    let [client, server] = outer()?;
    let carriers = [
        Carrier::Vxlan(outer()?, VXLAN_PORT, 5),
        Carrier::Pppoe(6),
        Carrier::Mpls(vec![7]),
    ];
    let talk = talk(INSIDE[1], &carriers).around(|frame| frame.tagged(VLAN, 8));
    for (sender, frame) in talk.frames() {
        let [kernel, user] = both.feed("synfin_xdp", &frame.octets())?;
        ensure!(kernel == user, "{kernel:#?} is not {user:#?}");
        for event in kernel.events {
            let (source, destination) = match sender {
                Sender::Client => (client, server),
                Sender::Server => (server, client),
            };
            ensure!(event.outer_source == mapped(source), "{event:#?}");
            ensure!(event.outer_destination == mapped(destination), "{event:#?}");
            let scope = Scope(event.scope);
            ensure!(scope.tunnel() == Some((Tunnel::Pppoe, 6)), "{event:#?}");
            ensure!(scope.vlans().eq([8]), "{event:#?}");
        }
    }
    Ok(())
}

fn tunnels_too_deep_are_counted_as_that() -> Result<()> {
    let mut both = Both::load_tunnels(Tunnels::ON)?;
    let carriers = vec![Carrier::Ip(outer()?); 4];
    for program in PROGRAMS {
        for (_, frame) in talk(INSIDE[0], &carriers).frames() {
            let [kernel, user] = both.feed(program, &frame.octets())?;
            ensure!(kernel == user, "{kernel:?} is not {user:?}");
            ensure!(
                kernel.counted[Reject::TunnelTooDeep.index()] == 1,
                "{kernel:?}"
            );
        }
    }
    Ok(())
}
