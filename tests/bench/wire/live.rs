//! Short connections a second, and throughput, with each contestant beside none.

use std::path::Path;

use anyhow::Result;
use synfin_tests::netns::Link;
use synfin_tests::talks::Talks;

use crate::contestants::{Contestant, IDLE_XDP, NOTHING, SYNFIN_TCX, SYNFIN_XDP};
use crate::cpus;
use crate::programs::Bench;
use crate::report::{Report, Table};
use crate::throughput;

/// The connections of a round.
const TALKS: Talks = Talks {
    pairs: 16,
    each: 2_000,
};

/// How many connections iperf3 has at once.
const STREAMS: [u16; 2] = [1, 8];

/// Measures round by round, everyone in turns.
pub(crate) fn measure(object: &Path, rounds: usize) -> Result<Report> {
    let mut bench = Bench::load(object)?;
    let mut contestants = Contestant::present();
    let table = |title: String, unit| {
        let mut table = Table::new(title, unit);
        for one in &contestants {
            table.contestant(one.name(), one.references());
        }
        table
    };
    let mut tables = Tables {
        connections: table("short connections".into(), "per second"),
        streams: if throughput::is_present() {
            let title = |streams| format!("iperf3, {streams} connections at once");
            STREAMS
                .map(|streams| (streams, table(title(streams), "Gbit/s")))
                .into()
        } else {
            eprintln!("throughput is left out: there is no iperf3 here");
            Vec::new()
        },
        shortfalls: Vec::new(),
    };
    for round in 0..rounds {
        eprintln!("round {} of {rounds}", round + 1);
        for one in &contestants {
            tables.turn(*one, &mut bench)?;
        }
        // Whoever comes first or last is another one in each round.
        contestants.rotate_left(1);
    }
    Ok(tables.report())
}

struct Tables {
    connections: Table,
    streams: Vec<(u16, Table)>,
    shortfalls: Vec<String>,
}

impl Tables {
    /// One contestant's turn of a round, on a wire of its own.
    fn turn(&mut self, one: Contestant, bench: &mut Bench) -> Result<()> {
        let link = Link::new()?;
        for host in [&link.near, &link.far] {
            host.sysctl("ipv4/ip_local_port_range", "1024 65535")?;
            // TIME-WAIT is for hosts that meet again: beyond these, sockets go without it.
            host.sysctl("ipv4/tcp_max_tw_buckets", "1024")?;
        }
        let watching = one.start(&link, bench)?;
        let took = TALKS.hold(&link, &[cpus::CLIENT], &[cpus::SERVER])?;
        let mut connections = TALKS.count();
        let mut gigabits = Vec::new();
        for (streams, _) in &self.streams {
            gigabits.push(throughput::gigabits(&link, *streams)?);
            connections += throughput::connections(*streams);
        }
        let watched = watching.stop()?;
        let shortfall = watched.shortfall(connections, TALKS.count());
        let counts = shortfall.is_none() || !matches!(one, Contestant::Synfin(_));
        let figure = |figure: f64| counts.then_some(figure);
        let rate = TALKS.count() as f64 / took.as_secs_f64();
        self.connections.push(one.name(), figure(rate));
        for ((_, table), gigabits) in self.streams.iter_mut().zip(gigabits) {
            table.push(one.name(), figure(gigabits));
        }
        if let Some(cpu) = watched.cpu {
            let cpu_us = cpu.as_secs_f64() * 1e6 / connections as f64;
            self.connections.push_cpu(one.name(), cpu_us);
        }
        if let Some(shortfall) = shortfall {
            eprintln!("{}: {shortfall}", one.name());
            if !counts {
                self.shortfalls.push(shortfall);
            }
        }
        Ok(())
    }

    fn report(self) -> Report {
        let mut report = Report::default();
        let connections = &self.connections;
        report.at_least(connections, SYNFIN_XDP, 0.97, IDLE_XDP);
        report.at_least(connections, SYNFIN_TCX, 0.96, NOTHING);
        for (_, table) in &self.streams {
            report.at_least(table, SYNFIN_TCX, 0.98, NOTHING);
        }
        report.verdict(
            "every connection reported with its opening and close, nothing lost".into(),
            Some(self.shortfalls.is_empty()),
        );
        report.table(self.connections);
        self.streams
            .into_iter()
            .for_each(|(_, table)| report.table(table));
        report
    }
}
