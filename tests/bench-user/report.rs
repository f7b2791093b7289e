//! What was measured, as a table and as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};
use synfin::timeline::{Connection, Step};
use synfin_ebpf::event::Event;

/// What is counted a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Events,
    Connections,
}

/// A series and its rounds.
struct Row {
    name: &'static str,
    unit: Unit,
    count: f64,
    octets: f64,
    seconds: Vec<f64>,
}

/// Octets for one connection.
pub(super) struct Memory {
    pub(super) name: &'static str,
    pub(super) heap: f64,
    /// Of the first one measured: others have what that gave back.
    pub(super) resident: Option<f64>,
}

/// All figures.
#[derive(Default)]
pub(super) struct Report {
    rows: Vec<Row>,
    pub(super) memory: Vec<Memory>,
    /// Of the assembler, for a connection.
    pub(super) allocations: f64,
}

impl Unit {
    const fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Connections => "connections",
        }
    }
}

impl Row {
    /// The median, the least and the most of something a second.
    fn rates(&self, of: f64) -> [f64; 3] {
        let mut rates: Vec<_> = self.seconds.iter().map(|seconds| of / seconds).collect();
        rates.sort_by(f64::total_cmp);
        let at = |place: usize| rates.get(place).copied().unwrap_or(f64::NAN);
        [
            at(rates.len() / 2),
            at(0),
            at(rates.len().saturating_sub(1)),
        ]
    }
}

impl Report {
    pub(super) fn add(
        &mut self,
        name: &'static str,
        unit: Unit,
        count: usize,
        seconds: f64,
        octets: u64,
    ) {
        if let Some(row) = self.rows.iter_mut().find(|row| row.name == name) {
            return row.seconds.push(seconds);
        }
        self.rows.push(Row {
            name,
            unit,
            count: count as f64,
            octets: octets as f64,
            seconds: vec![seconds],
        });
    }

    pub(super) fn table(&self) -> String {
        let mut table = format!(
            "{:22} {:12} {:>9}  {:>21} {:>8} {:>8}\n",
            "thousands a second", "", "median", "(min – max)", "ns each", "MB/s"
        );
        for row in &self.rows {
            let [median, min, max] = row.rates(row.count);
            let [octets, ..] = row.rates(row.octets);
            let _ = writeln!(
                table,
                "{:22} {:12} {:>9.1}  {:>21} {:>8.1} {:>8.0}",
                row.name,
                row.unit.name(),
                median / 1e3,
                format!("({:.1} – {:.1})", min / 1e3, max / 1e3),
                1e9 / median,
                octets / 1e6
            );
        }
        let _ = writeln!(
            table,
            "\n{:22} {:>8} {:>8}",
            "octets a connection", "heap", "resident"
        );
        for memory in &self.memory {
            let _ = writeln!(
                table,
                "{:22} {:>8.1} {:>8}",
                memory.name,
                memory.heap,
                memory
                    .resident
                    .map_or(String::new(), |octets| format!("{octets:.1}"))
            );
        }
        let _ = writeln!(
            table,
            "\nallocations a connection: {:.2}\noctets of an event {}, a step {}, a record {}",
            self.allocations,
            size_of::<Event>(),
            size_of::<Step>(),
            size_of::<Connection>()
        );
        table
    }

    pub(super) fn json(&self) -> Value {
        let spread =
            |[median, min, max]: [f64; 3]| json!({"median": median, "min": min, "max": max});
        let rows = self.rows.iter().map(|row| {
            json!({
                "what": row.name,
                "unit": row.unit.name(),
                "per_second": spread(row.rates(row.count)),
                "octets_per_second": spread(row.rates(row.octets)),
            })
        });
        let memory = self.memory.iter().map(|memory| {
            json!({
                "connection": memory.name,
                "heap_octets": memory.heap,
                "resident_octets": memory.resident,
            })
        });
        json!({
            "speed": rows.collect::<Vec<_>>(),
            "memory": memory.collect::<Vec<_>>(),
            "allocations_per_connection": self.allocations,
            "size_of": {
                "event": size_of::<Event>(),
                "step": size_of::<Step>(),
                "connection": size_of::<Connection>(),
            },
        })
    }
}
