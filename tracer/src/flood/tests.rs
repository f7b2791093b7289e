//! Floods with the assembler behind: what is said, what is listed, and that what is listed is true.

mod listing;
mod saying;

use std::collections::HashMap;

use synfin_ebpf::counters::{COUNTERS, Counter};
use synfin_ebpf::event::Event;
use synfin_ebpf::segment::Flags;

use super::fixtures::Opening;
use super::{Flood, Marked, WINDOW_NS};
use crate::assembler::{Assembler, Live, Output, Settings};
use crate::timeline::{Connection, Step};
use crate::totals::Totals;

/// SYNs a second that are a flood here.
const THRESHOLD: u32 = 2_000;
/// SYNs of a flood in each window: twice as many.
const FLOOD: u16 = 1_000;
const SECOND: u64 = 1_000_000_000;
/// When the tests begin.
const START_NS: u64 = 100 * SECOND;

/// The way of an event from the programs to the records.
struct World {
    flood: Flood,
    assembler: Assembler,
    counters: [u64; COUNTERS],
    now_ns: u64,
    said: Vec<String>,
    records: Records,
    /// Sources of the flood so far.
    sources: u32,
}

#[derive(Default)]
struct Records(Vec<Connection>);

impl Output for Records {
    fn follows(&self) -> bool {
        false
    }

    fn step(&mut self, _: &Live, _: &Step) {}

    fn connection(&mut self, connection: Connection, _at_ns: u64) {
        self.0.push(connection);
    }
}

impl World {
    fn new() -> Self {
        Self {
            flood: Flood::new(THRESHOLD, START_NS),
            assembler: Assembler::new(Settings {
                handshake_timeout_ns: 35 * SECOND,
                max_steps: 64,
                linger_ns: SECOND,
                max_connections: 100_000,
                shares: 1,
                interfaces: HashMap::new(),
            }),
            counters: [0; COUNTERS],
            now_ns: START_NS,
            said: Vec::new(),
            records: Records::default(),
            sources: 0,
        }
    }

    /// One that is flooded on port 443.
    fn flooded() -> Self {
        let mut world = Self::new();
        (0..2).for_each(|_| world.flood_window());
        assert!(world.flood.lasts());
        world
    }

    /// An event comes; tells whether the assembler took it.
    fn take(&mut self, event: Event) -> bool {
        let flags = Flags(event.flags);
        self.counters[Counter::Syns.index()] += u64::from(flags.syn() && !flags.ack());
        let now_ns = self.now_ns;
        self.flood
            .pass(&event, &mut self.assembler, now_ns, &mut self.records)
    }

    fn take_all(&mut self, events: &[Event]) -> Vec<bool> {
        events.iter().map(|event| self.take(*event)).collect()
    }

    /// The programs hold something back.
    fn held(&mut self, counter: Counter) {
        self.counters[counter.index()] += 1;
        if counter == Counter::HeldSyn {
            self.counters[Counter::Syns.index()] += 1;
        }
    }

    /// An opening that begins now.
    fn opening(&self, client_port: u16, port: u16) -> Opening {
        Opening::new([10, 9, 9, 9], client_port, port, self.now_ns + 1)
    }

    /// A window of a flood of port 443, from ever new sources.
    fn flood_window(&mut self) {
        for number in 0..FLOOD {
            let [_, b, c, d] = self.sources.to_be_bytes();
            self.sources += 1;
            let at_ns = self.now_ns + u64::from(number);
            self.take(Opening::new([172, b, c, d], 1_024, 443, at_ns).syn());
        }
        self.window();
    }

    /// A window ends.
    fn window(&mut self) {
        self.pass(WINDOW_NS);
    }

    /// So much time passes in which nothing is looked at, and then the counters are.
    fn pass(&mut self, ns: u64) {
        self.now_ns += ns;
        let totals = Totals::from(self.counters);
        self.said.extend(self.flood.look(&totals, self.now_ns));
        let mut marked = Marked {
            flood: &self.flood,
            now_ns: self.now_ns,
            output: &mut self.records,
        };
        self.assembler.advance(self.now_ns, &mut marked);
    }

    /// The flood stops, and is over.
    fn calm(&mut self) {
        (0..8).for_each(|_| self.window());
        assert!(!self.flood.lasts());
    }

    /// Everything that is listed in the end from this client's port.
    fn records_of(mut self, client_port: u16) -> Vec<Connection> {
        self.calm();
        self.pass(60 * SECOND);
        let mut marked = Marked {
            flood: &self.flood,
            now_ns: self.now_ns,
            output: &mut self.records,
        };
        self.assembler.finish(&mut marked);
        let Records(mut records) = self.records;
        records.retain(|record| [record.client.port, record.server.port].contains(&client_port));
        records
    }
}
