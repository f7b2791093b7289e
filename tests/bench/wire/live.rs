//! Short connections a second, and throughput, with each contestant beside none.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use synfin_tests::netns::Link;
use synfin_tests::talks::Talks;

use crate::contestants::{Contestant, IDLE_XDP, NOTHING, SYNFIN_TCX, SYNFIN_XDP};
use crate::place;
use crate::programs::Bench;
use crate::report::{Report, Table};
use crate::throughput;

/// The connections of a round.
const TALKS: Talks = Talks {
    pairs: 16,
    each: 1_000,
};

/// How many connections iperf3 has at once.
const STREAMS: [u16; 2] = [1, 8];

/// Measures round by round, everyone in turns.
pub(crate) fn measure(object: &Path, rounds: usize) -> Result<Report> {
    let mut bench = Bench::load(object)?;
    let mut contestants = Contestant::present();
    let mut tables = Tables::new(&contestants);
    let streams: Vec<_> = tables.streams.iter().map(|(streams, _)| *streams).collect();
    let mut report = Report::default();
    for round in 0..rounds {
        eprintln!("round {} of {rounds}", round + 1);
        for one in &contestants {
            let turn = turn(*one, &mut bench, &streams);
            report.void(one.name(), turn.as_ref().err());
            tables.push(*one, turn.as_ref().ok());
        }
        // Whoever comes first or last is another one in each round.
        contestants.rotate_left(1);
    }
    tables.report(&mut report);
    Ok(report)
}

/// What is measured, one after the other.
struct Tables {
    connections: Table,
    streams: Vec<(u16, Table)>,
}

/// What one contestant's turn of a round came to.
struct Turn {
    /// Short connections a second.
    rate: f64,
    /// With each number of streams.
    gigabits: Vec<f64>,
    /// CPU time of the contestant for each connection.
    cpu_us: Option<f64>,
}

/// One contestant's turn of a round, on a wire of its own.
fn turn(one: Contestant, bench: &mut Bench, streams: &[u16]) -> Result<Turn> {
    let link = Link::new()?;
    for host in [&link.near, &link.far] {
        host.sysctl("ipv4/ip_local_port_range", "1024 65535")?;
        // TIME-WAIT is for hosts that meet again: beyond these, sockets go without it.
        host.sysctl("ipv4/tcp_max_tw_buckets", "1024")?;
    }
    let watching = one.start(&link, bench)?;
    // Throughput comes first: those who watch still work on short connections a while after their end.
    let mut connections = TALKS.count();
    let mut gigabits = Vec::new();
    for streams in streams {
        gigabits.push(throughput::gigabits(&link, *streams)?);
        connections += throughput::connections(*streams);
    }
    let took = TALKS.hold(&link, &[place::CLIENT], &[place::SERVER])?;
    let watched = watching.stop()?;
    if let Some(shortfall) = watched.shortfall(connections, TALKS.count()) {
        // What others lose is theirs.
        ensure!(!matches!(one, Contestant::Synfin(_)), "{shortfall}");
        eprintln!("{}: {shortfall}", one.name());
    }
    let cpu_us = |cpu: Duration| cpu.as_secs_f64() * 1e6 / connections as f64;
    Ok(Turn {
        rate: TALKS.count() as f64 / took.as_secs_f64(),
        gigabits,
        cpu_us: watched.cpu.map(cpu_us),
    })
}

impl Tables {
    fn new(contestants: &[Contestant]) -> Self {
        let table = |title: String, unit| {
            let mut table = Table::new(title, unit);
            for one in contestants {
                table.contestant(one.name(), one.references());
            }
            table
        };
        let title = |streams| format!("iperf3, {streams} connections at once");
        Self {
            connections: table("short connections".into(), "per second"),
            streams: if throughput::is_present() {
                STREAMS
                    .map(|streams| (streams, table(title(streams), "Gbit/s")))
                    .into()
            } else {
                eprintln!("throughput is left out: there is no iperf3 here");
                Vec::new()
            },
        }
    }

    fn push(&mut self, one: Contestant, turn: Option<&Turn>) {
        self.connections
            .push(one.name(), turn.map(|turn| turn.rate));
        if let Some(cpu_us) = turn.and_then(|turn| turn.cpu_us) {
            self.connections.push_cpu(one.name(), cpu_us);
        }
        for (place, (_, table)) in self.streams.iter_mut().enumerate() {
            let gigabits = turn.and_then(|turn| turn.gigabits.get(place));
            table.push(one.name(), gigabits.copied());
        }
    }

    fn report(self, report: &mut Report) {
        let connections = &self.connections;
        report.at_least(connections, SYNFIN_XDP, 0.97, IDLE_XDP);
        report.at_least(connections, SYNFIN_TCX, 0.96, NOTHING);
        for (_, table) in &self.streams {
            // What `auto` takes on veth.
            report.at_least(table, SYNFIN_TCX, 0.98, NOTHING);
        }
        report.none_void("every connection reported with its opening and close, nothing lost");
        report.table(self.connections);
        for (_, table) in self.streams {
            report.table(table);
        }
    }
}
