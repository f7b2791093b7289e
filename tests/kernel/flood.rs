//! A flood of SYNs through the loaded programs: counted exactly, reported within its budget, and
//! nothing that is proved makes room for it.

use anyhow::{Context as _, Result, ensure};
use synfin::attach::LoadOptions;
use synfin_ebpf::counters::Counter;
use synfin_ebpf::event::Event;
use synfin_ebpf::segment::Flags;
use synfin_tests::cases;
use synfin_tests::conversation::{Conversation, Sender};
use synfin_tests::frames::{Frame, SYN_OPTIONS};
use synfin_tests::pace::paced;
use synfin_tests::requirement::Requirement::{BpfObject, Root};
use synfin_tests::suite::Case;

use crate::both::{Both, roomy};

/// Connections that complete.
const REAL: u16 = 50;
/// Places in the table.
const TABLE: u32 = 1_024;
pub(crate) fn cases() -> Vec<Case> {
    cases![[Root, BpfObject];
        a_flood_takes_no_place_of_a_connection_that_is_proved,
        a_handshake_is_whole_whose_syn_and_syn_ack_were_held_back,
        what_is_not_proved_is_reported_within_its_budget,
        a_flood_of_syns_leaves_the_budgets_of_other_segments,
    ]
}

fn loaded(unproved_per_second: u32) -> Result<Both> {
    Both::load_options(&LoadOptions {
        table_size: TABLE,
        unproved_per_second,
        ..roomy()
    })
}

fn talk(port: u16) -> Conversation {
    let (client, server) = (([10, 1, 1, 2], 40_000 + port), ([10, 1, 1, 1], 80));
    Conversation::between(
        (client.into(), 1_000 + u32::from(port)),
        (server.into(), 9_000 + u32::from(port)),
    )
}

/// SYNs that nobody answers: many times as many as there are places. They have to be over while those
/// are still watched, which is 8 s.
fn flood_len() -> u32 {
    paced(8 * TABLE)
}

fn flood(both: &mut Both, hook: &'static str) -> Result<()> {
    for number in 0..flood_len() {
        let [_, a, b, c] = number.to_be_bytes();
        let syn = Frame::new(([172, a, b, c], 5_000).into(), ([10, 1, 1, 1], 80).into());
        let syn = syn.seq(number).flags(Flags::SYN).options(&SYN_OPTIONS);
        both.run(hook, &syn.octets())?;
    }
    Ok(())
}

fn count(both: &Both, counter: Counter) -> Result<u64> {
    let counters = both.kernel_counters()?;
    let count = counters.get(counter.index());
    count.copied().context("there is such a counter")
}

fn knows_both(event: &Event, port: u16) -> bool {
    let port = u32::from(port);
    let [client, server] = if event.destination_port == 80 {
        [&event.sender, &event.receiver]
    } else {
        [&event.receiver, &event.sender]
    };
    let opened = client.opened_ns > 0 && server.opened_ns > client.opened_ns;
    opened
        && client.iss().map(|iss| iss.0) == Some(1_000 + port)
        && server.iss().map(|iss| iss.0) == Some(9_000 + port)
        && client.options() == SYN_OPTIONS
        && server.options() == SYN_OPTIONS
}

fn a_flood_takes_no_place_of_a_connection_that_is_proved() -> Result<()> {
    for hook in ["synfin_xdp", "synfin_ingress"] {
        let mut both = loaded(0)?;
        for port in 1..=REAL {
            for (_, frame) in talk(port).open().frames() {
                both.run(hook, &frame.octets())?;
            }
        }
        let opened = both.drain_raw()?.len();
        ensure!(opened == usize::from(REAL), "{hook}: {opened} opened");
        flood(&mut both, hook)?;
        ensure!(both.drain_raw()?.is_empty(), "{hook}: the gate is open");
        for port in 1..=REAL {
            let opened = talk(port).open().frames().count();
            let all = talk(port).open().close(Sender::Server);
            for (_, frame) in all.frames().skip(opened) {
                both.run(hook, &frame.octets())?;
            }
            let events = both.drain_raw()?;
            ensure!(events.len() >= 3, "{hook}: {} events", events.len());
            for event in &events {
                ensure!(knows_both(event, port), "{hook}: forgotten in {event:?}");
            }
        }
        let syns = count(&both, Counter::Syns)?;
        ensure!(
            syns == u64::from(flood_len()) + u64::from(REAL),
            "{hook}: {syns}"
        );
        let held = count(&both, Counter::HeldSyn)?;
        ensure!(held == syns, "{hook}: {held} of {syns} were held back");
    }
    Ok(())
}

fn a_handshake_is_whole_whose_syn_and_syn_ack_were_held_back() -> Result<()> {
    let mut both = loaded(0)?;
    for (_, frame) in talk(1).open().frames() {
        both.run("synfin_egress", &frame.octets())?;
    }
    let events = both.drain_raw()?;
    let [event] = events.as_slice() else {
        anyhow::bail!("{} events", events.len());
    };
    ensure!(knows_both(event, 1), "{event:?}");
    for (counter, expected) in [
        (Counter::HeldSyn, 1),
        (Counter::HeldSynAck, 1),
        (Counter::HeldOther, 0),
        (Counter::Events, 1),
    ] {
        let counted = count(&both, counter)?;
        ensure!(counted == expected, "{counter:?}: {counted}");
    }
    Ok(())
}

fn a_flood_of_syns_leaves_the_budgets_of_other_segments() -> Result<()> {
    let mut both = loaded(100)?;
    flood(&mut both, "synfin_xdp")?;
    both.drain_raw()?;
    ensure!(count(&both, Counter::HeldSyn)? > 0, "none was held back");
    // Of these nothing is kept: they were open before.
    for (_, frame) in talk(1).fin(Sender::Client).rst(Sender::Server).frames() {
        both.run("synfin_xdp", &frame.octets())?;
    }
    let events = both.drain_raw()?.len();
    ensure!(events == 2, "{events} events of a FIN and a RST");
    Ok(())
}

fn what_is_not_proved_is_reported_within_its_budget() -> Result<()> {
    const BUDGET: u32 = 1_000;
    let mut both = loaded(BUDGET)?;
    flood(&mut both, "synfin_xdp")?;
    let (mut given, mut more) = (0_u64, both.drain_raw()?.len());
    while more > 0 {
        given += u64::try_from(more)?;
        more = both.drain_raw()?.len();
    }
    let (events, held) = (
        count(&both, Counter::Events)?,
        count(&both, Counter::HeldSyn)?,
    );
    // Every SYN is accounted for; how many a second may give depends on how long it took.
    ensure!(events == given, "{events} events, {given} read");
    ensure!(
        events + held == u64::from(flood_len()),
        "{events} events and {held} held back"
    );
    ensure!(events >= 1, "none was given");
    ensure!(held >= 1, "none was held back");
    Ok(())
}
