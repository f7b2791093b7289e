//! What was measured, as tables, as promises kept or broken, and as JSON.
//!
//! A ratio is taken within a round: what the machine does besides changes from round to round.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

/// Everything that a section measured.
#[derive(Debug, Default)]
pub(crate) struct Report {
    tables: Vec<Table>,
    verdicts: Vec<Verdict>,
    voids: usize,
}

/// One figure of several contestants, round by round.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    title: String,
    unit: &'static str,
    series: Vec<Series>,
}

#[derive(Clone, Debug)]
struct Series {
    name: &'static str,
    /// `None` where the round was void.
    rounds: Vec<Option<f64>>,
    /// What it cost besides, in µs of CPU time for each of something.
    cpu_us: Vec<f64>,
    /// Whom it is held against.
    references: Vec<&'static str>,
}

/// The middle of some figures, and their ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
}

#[derive(Debug)]
struct Verdict {
    promise: String,
    /// `None` where it was not measured.
    kept: Option<bool>,
}

impl Report {
    /// Adds a table.
    pub(crate) fn table(&mut self, table: Table) {
        self.tables.push(table);
    }

    /// Takes a round of a contestant for void where something was wrong with it, and says so.
    pub(crate) fn void(&mut self, name: &str, wrong: Option<&anyhow::Error>) {
        if let Some(wrong) = wrong {
            eprintln!("{name}, a void round: {wrong:#}");
            self.voids += 1;
        }
    }

    /// Promises that no round was void.
    pub(crate) fn none_void(&mut self, why: &str) {
        let voids = self.voids;
        self.verdict(format!("{why}: {voids} rounds void"), Some(voids == 0));
    }

    /// Promises that one is at least so many times the other, in the median of the rounds.
    pub(crate) fn at_least(&mut self, table: &Table, name: &str, limit: f64, reference: &str) {
        let ratio = table.ratio(name, reference).map(|spread| spread.median);
        let measured = ratio.map_or("not measured".to_owned(), |ratio| format!("{ratio:.3}"));
        self.verdict(
            format!(
                "{}: {name} at least {limit} of {reference}: {measured}",
                table.title
            ),
            ratio.map(|ratio| ratio >= limit),
        );
    }

    /// Promises anything.
    pub(crate) fn verdict(&mut self, promise: String, kept: Option<bool>) {
        self.verdicts.push(Verdict { promise, kept });
    }

    /// The tables and verdicts for people.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for table in &self.tables {
            table.write(&mut text);
        }
        for verdict in &self.verdicts {
            let word = match verdict.kept {
                Some(true) => "PASS",
                Some(false) => "FAIL",
                None => "----",
            };
            let _ = writeln!(text, "{word}  {}", verdict.promise);
        }
        text
    }

    /// How many promises were broken.
    pub(crate) fn broken(&self) -> usize {
        let broken = |verdict: &&Verdict| verdict.kept == Some(false);
        self.verdicts.iter().filter(broken).count()
    }

    /// The same for programs.
    pub(crate) fn write_json(&self, path: &Path) -> Result<()> {
        let tables: Vec<_> = self.tables.iter().map(Table::json).collect();
        let verdicts: Vec<_> = self
            .verdicts
            .iter()
            .map(|verdict| json!({"promise": verdict.promise, "kept": verdict.kept}))
            .collect();
        let all = json!({"tables": tables, "verdicts": verdicts});
        fs::write(path, serde_json::to_vec_pretty(&all)?)
            .with_context(|| format!("write {}", path.display()))
    }
}

impl Table {
    pub(crate) fn new(title: impl Into<String>, unit: &'static str) -> Self {
        Self {
            title: title.into(),
            unit,
            series: Vec::new(),
        }
    }

    /// Adds someone who is held against others of the table.
    pub(crate) fn contestant(&mut self, name: &'static str, references: &[&'static str]) {
        self.series.push(Series {
            name,
            rounds: Vec::new(),
            cpu_us: Vec::new(),
            references: references.to_vec(),
        });
    }

    /// What a contestant came to in a round; `None` where it is void.
    pub(crate) fn push(&mut self, name: &str, figure: Option<f64>) {
        if let Some(series) = self.series.iter_mut().find(|series| series.name == name) {
            series.rounds.push(figure);
        }
    }

    /// What that cost besides.
    pub(crate) fn push_cpu(&mut self, name: &str, cpu_us: f64) {
        if let Some(series) = self.series.iter_mut().find(|series| series.name == name) {
            series.cpu_us.push(cpu_us);
        }
    }

    /// What one came to by what the other did in the same round.
    fn ratio(&self, name: &str, reference: &str) -> Option<Spread> {
        let rounds = |name| {
            let mut named = self.series.iter().filter(|series| series.name == name);
            named.next().map(|series| &series.rounds)
        };
        let pairs = rounds(name)?.iter().zip(rounds(reference)?);
        Spread::of(pairs.filter_map(|(one, other)| Some((*one)? / (*other)?)))
    }

    fn write(&self, text: &mut String) {
        let _ = writeln!(
            text,
            "\n{}\n{:<26} {:>12} {:>21} {:>8}  of",
            self.title, "", self.unit, "(min – max)", "CPU µs"
        );
        for series in &self.series {
            let Some(figures) = series.figures() else {
                let _ = writeln!(text, "{:<26} {:>12}", series.name, "void");
                continue;
            };
            let cpu = Spread::of(series.cpu_us.iter().copied());
            let cpu = cpu.map_or(String::new(), |cpu| format!("{:.2}", cpu.median));
            let _ = write!(
                text,
                "{:<26} {:>12} {:>21} {cpu:>8} ",
                series.name,
                short(figures.median),
                format!("({} – {})", short(figures.min), short(figures.max)),
            );
            for reference in &series.references {
                if let Some(ratio) = self.ratio(series.name, reference) {
                    let (min, max) = (ratio.min, ratio.max);
                    let _ = write!(
                        text,
                        " {reference} {:.3} ({min:.3} – {max:.3})",
                        ratio.median
                    );
                }
            }
            let void = series.rounds.iter().filter(|round| round.is_none()).count();
            if void > 0 {
                let _ = write!(text, " · {void} rounds void");
            }
            text.push('\n');
        }
    }

    fn json(&self) -> Value {
        let series = self.series.iter().map(|series| {
            let ratios = series.references.iter().map(|reference| {
                let ratio = self.ratio(series.name, reference);
                json!({"to": reference, "ratio": ratio.map(Spread::json)})
            });
            json!({
                "name": series.name,
                "figure": series.figures().map(Spread::json),
                "cpu_us": Spread::of(series.cpu_us.iter().copied()).map(Spread::json),
                "rounds": series.rounds,
                "ratios": ratios.collect::<Vec<_>>(),
            })
        });
        json!({
            "title": self.title,
            "unit": self.unit,
            "contestants": series.collect::<Vec<_>>(),
        })
    }
}

impl Series {
    fn figures(&self) -> Option<Spread> {
        Spread::of(self.rounds.iter().copied().flatten())
    }
}

impl Spread {
    /// `None` of no figures.
    fn of(figures: impl Iterator<Item = f64>) -> Option<Self> {
        let mut figures: Vec<_> = figures.collect();
        figures.sort_by(f64::total_cmp);
        let (lower, upper) = figures.split_at(figures.len() / 2);
        let middle = *upper.first()?;
        let median = match lower.last() {
            Some(below) if lower.len() == upper.len() => f64::midpoint(*below, middle),
            _ => middle,
        };
        Some(Self {
            min: *figures.first()?,
            median,
            max: *figures.last()?,
        })
    }

    fn json(self) -> Value {
        json!({"min": self.min, "median": self.median, "max": self.max})
    }
}

/// Three digits that count, and no more of those behind the point than that takes.
fn short(figure: f64) -> String {
    match figure {
        large if large >= 100.0 => format!("{large:.0}"),
        middling if middling >= 10.0 => format!("{middling:.1}"),
        small => format!("{small:.2}"),
    }
}
