//! A flood of SYNs through the loaded programs: counted exactly, reported within its budget, and
//! nothing that is proved makes room for it.

use anyhow::{Context as _, Result, ensure};
use synfin::attach::LoadOptions;
use synfin_ebpf::counters::Counter;
use synfin_ebpf::event::Event;
use synfin_ebpf::flow::filter::Filter;
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
        a_syn_that_is_held_twice_is_one_opening_with_its_first_time,
        a_held_syn_that_is_seen_at_another_place_is_no_other_one,
        an_opening_that_is_held_takes_the_place_of_an_older_connection,
        a_refusal_tells_of_the_syn_that_was_held,
        what_does_not_go_on_from_a_held_opening_tells_nothing_of_it,
        what_is_not_proved_is_reported_within_its_budget,
        a_flood_of_syns_leaves_the_budgets_of_other_segments,
    ]
}

fn loaded(unproved_per_second: u32) -> Result<Both> {
    loaded_with(unproved_per_second, Filter::default())
}

fn loaded_with(unproved_per_second: u32, filter: Filter) -> Result<Both> {
    Both::load_options(&LoadOptions {
        table_size: TABLE,
        unproved_per_second,
        filter,
        ..roomy()
    })
}

/// With it every SYN enters the table, also those that are not reported.
fn port_80() -> Filter {
    let mut filter = Filter {
        port_count: 1,
        ..Filter::default()
    };
    filter.ports[0] = 80;
    filter
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
    let hooks = ["synfin_xdp", "synfin_ingress"];
    let filters = [Filter::default(), port_80()];
    for (hook, filter) in hooks
        .into_iter()
        .flat_map(|hook| filters.map(|filter| (hook, filter)))
    {
        let mut both = loaded_with(0, filter)?;
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

/// Runs frames and gives the events that they made.
fn run(both: &mut Both, talk: &Conversation) -> Result<Vec<Event>> {
    for (_, frame) in talk.frames() {
        both.run("synfin_ingress", &frame.octets())?;
    }
    both.drain_raw()
}

fn a_syn_that_is_held_twice_is_one_opening_with_its_first_time() -> Result<()> {
    let mut both = loaded(0)?;
    let events = run(
        &mut both,
        &talk(1).syn().again().syn_ack().ack(Sender::Client),
    )?;
    let [event] = events.as_slice() else {
        anyhow::bail!("{} events", events.len());
    };
    ensure!(knows_both(event, 1), "{event:?}");
    ensure!(event.sender.syns == 2, "{} SYNs", event.sender.syns);
    let answered_ns = event.receiver.opened_ns;
    ensure!(event.time_ns > answered_ns, "{event:?}");
    ensure!(count(&both, Counter::Syns)? == 2, "both are counted");
    ensure!(count(&both, Counter::HeldSyn)? == 2, "both were held");
    Ok(())
}

fn a_held_syn_that_is_seen_at_another_place_is_no_other_one() -> Result<()> {
    let mut both = loaded(0)?;
    let (syn, whole) = (talk(1).syn(), talk(1).syn().syn_ack().ack(Sender::Client));
    for (_, frame) in syn.frames() {
        both.run("synfin_egress", &frame.octets())?;
    }
    let events = run(&mut both, &whole)?;
    let [event] = events.as_slice() else {
        anyhow::bail!("{} events", events.len());
    };
    ensure!(knows_both(event, 1), "{event:?}");
    ensure!(event.sender.syns == 1, "{} SYNs", event.sender.syns);
    ensure!(count(&both, Counter::HeldSyn)? == 2, "both were held");
    Ok(())
}

fn an_opening_that_is_held_takes_the_place_of_an_older_connection() -> Result<()> {
    let mut both = loaded(0)?;
    let older = Conversation::between(
        (([10, 1, 1, 2], 40_001).into(), 77_000),
        (([10, 1, 1, 1], 80).into(), 88_000),
    );
    let events = run(&mut both, &older.open().close(Sender::Client))?;
    ensure!(
        events.len() >= 4,
        "{} events of the older one",
        events.len()
    );
    let events = run(&mut both, &talk(1).open())?;
    let [event] = events.as_slice() else {
        anyhow::bail!("{} events", events.len());
    };
    ensure!(knows_both(event, 1), "{event:?}");
    Ok(())
}

fn a_refusal_tells_of_the_syn_that_was_held() -> Result<()> {
    let mut both = loaded(100)?;
    flood(&mut both, "synfin_ingress")?;
    both.drain_raw()?;
    // Now and then one is given.
    let mut port = 0;
    let mut given = 1;
    while given > 0 {
        port += 1;
        given = run(&mut both, &talk(port).syn())?.len();
    }
    let refused = talk(port).syn().rst(Sender::Server);
    for (_, frame) in refused.frames().skip(1) {
        both.run("synfin_ingress", &frame.octets())?;
    }
    let events = both.drain_raw()?;
    let [event] = events.as_slice() else {
        anyhow::bail!("{} events", events.len());
    };
    let client = &event.receiver;
    ensure!(
        client.iss().map(|iss| iss.0) == Some(1_000 + u32::from(port)),
        "{event:?}"
    );
    ensure!(
        client.opened_ns > 0 && client.opened_ns < event.time_ns,
        "{event:?}"
    );
    ensure!(client.options() == SYN_OPTIONS, "{event:?}");
    Ok(())
}

fn what_does_not_go_on_from_a_held_opening_tells_nothing_of_it() -> Result<()> {
    let mut both = loaded(0)?;
    let numbers = |frame: Frame| frame.seq(5_000_000).ack(6_000_000).flags(Flags::ACK);
    let stray = talk(1)
        .syn()
        .aside(Sender::Client, numbers)
        .aside(Sender::Server, numbers);
    let events = run(&mut both, &stray)?;
    ensure!(events.is_empty(), "{events:?}");
    // The opening is still there for the segments that do.
    for (_, frame) in talk(1).open().frames().skip(1) {
        both.run("synfin_ingress", &frame.octets())?;
    }
    let events = both.drain_raw()?;
    ensure!(events.len() == 1 && knows_both(&events[0], 1), "{events:?}");
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
