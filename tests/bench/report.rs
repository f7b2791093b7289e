//! What was measured, as a table and as JSON.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

/// One round of a series: ns a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) idle_ns: f64,
    pub(super) tracer_ns: f64,
}

/// A series and its rounds.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) hook: &'static str,
    pub(super) connections: u32,
    pub(super) samples: Vec<Sample>,
}

/// All rows.
#[derive(Debug, Default)]
pub(super) struct Report(Vec<Row>);

/// The middle of some figures, and their ends.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Spread {
    min: f64,
    median: f64,
    max: f64,
}

impl Report {
    pub(super) fn push(&mut self, rows: Vec<Row>) {
        self.0.extend(rows);
    }

    pub(super) fn table(&self) -> String {
        let mut table = String::new();
        let _ = writeln!(
            table,
            "{:32} {:4} {:>11} {:>9} {:>9} {:>9}  (min – max)",
            "ns a segment", "hook", "connections", "nothing", "synfin", "more"
        );
        for row in &self.0 {
            let (idle, tracer, more) = (row.idle(), row.tracer(), row.more());
            let _ = writeln!(
                table,
                "{:32} {:4} {:>11} {:>9.1} {:>9.1} {:>9.1}  ({:.1} – {:.1})",
                row.name,
                row.hook,
                row.connections,
                idle.median,
                tracer.median,
                more.median,
                more.min,
                more.max
            );
        }
        table
    }

    pub(super) fn write_json(&self, path: &Path) -> Result<()> {
        let rows = self.0.iter().map(|row| {
            json!({
                "segment": row.name,
                "hook": row.hook,
                "connections": row.connections,
                "nothing_ns": row.idle().json(),
                "synfin_ns": row.tracer().json(),
                "more_ns": row.more().json(),
            })
        });
        let text = serde_json::to_vec_pretty(&rows.collect::<Vec<_>>())?;
        fs::write(path, text).with_context(|| format!("write {}", path.display()))
    }
}

impl Row {
    fn idle(&self) -> Spread {
        Spread::of(self.samples.iter().map(|sample| sample.idle_ns))
    }

    fn tracer(&self) -> Spread {
        Spread::of(self.samples.iter().map(|sample| sample.tracer_ns))
    }

    /// What the tracer takes more, in the same round.
    fn more(&self) -> Spread {
        Spread::of(
            self.samples
                .iter()
                .map(|sample| sample.tracer_ns - sample.idle_ns),
        )
    }
}

impl Spread {
    fn of(figures: impl Iterator<Item = f64>) -> Self {
        let mut figures: Vec<_> = figures.collect();
        figures.sort_by(f64::total_cmp);
        let at = |place: usize| figures.get(place).copied().unwrap_or(f64::NAN);
        Self {
            min: at(0),
            median: at(figures.len() / 2),
            max: at(figures.len().saturating_sub(1)),
        }
    }

    fn json(self) -> Value {
        json!({"min": self.min, "median": self.median, "max": self.max})
    }
}
