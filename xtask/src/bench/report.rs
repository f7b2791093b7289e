//! What was measured, as tables and verdicts.
//!
//! Seconds differ from machine to machine and from hour to hour, ratios hardly: each is the median
//! over the rounds of what a program took in a round by what the bare scan took in the same round.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{
    contest::{FIELDS, JSON, SCAN, SUMMARY},
    load::Load,
    measure::Cost,
};

/// The table by server may take so many times as long as the bare scan.
const SUMMARY_LIMIT: f64 = 3.0;
/// All records of the short connections may take so many seconds.
const JSON_SECONDS: f64 = 1.5;
/// tshark takes at least so many times as long.
const FIELDS_FACTOR: f64 = 15.0;

/// What everyone took for one capture.
pub(crate) struct Results {
    /// The capture.
    pub(crate) load: Load,
    /// Its size in octets.
    pub(crate) octets: u64,
    /// Everyone's costs, round by round, the bare scan's first.
    pub(crate) costs: Vec<(&'static str, Vec<Cost>)>,
}

/// A promise, and whether it was kept.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Verdict {
    /// What was promised and what was measured.
    pub(crate) text: String,
    /// Whether it was kept; `None` where it was not measured.
    pub(crate) kept: Option<bool>,
}

impl Results {
    /// A table for people.
    pub(crate) fn table(&self) -> String {
        let load = self.load;
        let mut table = format!(
            "{}: {} packets in {} connections, {} MB\n{:<26} {:>8} {:>17} {:>8} {:>9}\n",
            load.name(),
            grouped(u64::from(load.connections()) * u64::from(load.packets_each())),
            grouped(load.connections().into()),
            self.octets / 1_000_000,
            "",
            "seconds",
            "(min – max)",
            "× scan",
            "peak MiB",
        );
        for (name, costs) in &self.costs {
            let seconds: Vec<f64> = costs.iter().map(|cost| cost.seconds).collect();
            let peak_kib = costs.iter().map(|cost| cost.peak_kib).max();
            let (min, max) = (least(&seconds), most(&seconds));
            // Writing into a string cannot fail.
            let _ = writeln!(
                table,
                "{name:<26} {:>8.3} {:>17} {:>8.2} {:>9.1}",
                median(&seconds),
                format!("({min:.3} – {max:.3})"),
                self.ratio(name, SCAN).unwrap_or(f64::NAN),
                peak_kib.unwrap_or_default() as f64 / 1024.0,
            );
        }
        table
    }

    /// The promises that this capture is for.
    pub(crate) fn verdicts(&self) -> Vec<Verdict> {
        let load = self.load.name();
        let mut verdicts = Vec::new();
        let ratio = self.ratio(SUMMARY, SCAN);
        verdicts.push(Verdict {
            text: format!(
                "{load}: {SUMMARY} takes at most {SUMMARY_LIMIT} × the {SCAN}: {}",
                times(ratio)
            ),
            kept: ratio.map(|ratio| ratio <= SUMMARY_LIMIT),
        });
        if self.load == Load::Lifecycles {
            let seconds = self.costs_of(JSON).map(|costs| {
                let seconds: Vec<f64> = costs.iter().map(|cost| cost.seconds).collect();
                median(&seconds)
            });
            verdicts.push(Verdict {
                text: format!(
                    "{load}: {JSON} takes at most {JSON_SECONDS} s: {}",
                    seconds.map_or("not measured".to_owned(), |seconds| format!(
                        "{seconds:.3} s"
                    ))
                ),
                kept: seconds.map(|seconds| seconds <= JSON_SECONDS),
            });
            let factor = self.ratio(FIELDS, JSON);
            verdicts.push(Verdict {
                text: format!(
                    "{load}: {FIELDS} takes at least {FIELDS_FACTOR} × {JSON}: {}",
                    times(factor)
                ),
                kept: factor.map(|factor| factor >= FIELDS_FACTOR),
            });
        }
        verdicts
    }

    fn json(&self) -> Value {
        let costs = self.costs.iter().map(|(name, costs)| {
            let seconds: Vec<f64> = costs.iter().map(|cost| cost.seconds).collect();
            json!({
                "name": name,
                "seconds": {
                    "min": least(&seconds),
                    "median": median(&seconds),
                    "max": most(&seconds),
                },
                "times_scan": self.ratio(name, SCAN),
                "peak_kib": costs.iter().map(|cost| cost.peak_kib).max(),
            })
        });
        json!({
            "capture": self.load.name(),
            "octets": self.octets,
            "costs": costs.collect::<Vec<_>>(),
        })
    }

    fn costs_of(&self, name: &str) -> Option<&[Cost]> {
        let found = self.costs.iter().find(|(of, _)| *of == name);
        found.map(|(_, costs)| costs.as_slice())
    }

    /// How many times as long as the other one this one took, over the rounds that both ran in.
    fn ratio(&self, name: &str, other: &str) -> Option<f64> {
        let rounds = self.costs_of(name)?.iter().zip(self.costs_of(other)?);
        let ratios: Vec<f64> = rounds
            .map(|(one, other)| one.seconds / other.seconds)
            .collect();
        (!ratios.is_empty()).then(|| median(&ratios))
    }
}

impl Verdict {
    /// A line for people.
    pub(crate) fn line(&self) -> String {
        let word = match self.kept {
            Some(true) => "PASS",
            Some(false) => "FAIL",
            None => "----",
        };
        format!("{word}  {}", self.text)
    }
}

/// Everything as JSON.
pub(crate) fn write_json(path: &Path, results: &[Results], verdicts: &[Verdict]) -> Result<()> {
    let results: Vec<_> = results.iter().map(Results::json).collect();
    let verdicts = verdicts
        .iter()
        .map(|verdict| json!({"promise": verdict.text, "kept": verdict.kept}));
    let all = json!({"captures": results, "verdicts": verdicts.collect::<Vec<_>>()});
    fs::write(path, serde_json::to_vec_pretty(&all)?)
        .with_context(|| format!("write {}", path.display()))
}

/// The value in the middle, or between the two in the middle; not a number for no values.
fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_unstable_by(f64::total_cmp);
    let (lower, upper) = values.split_at(values.len() / 2);
    match (lower.last(), upper.first()) {
        (Some(below), Some(above)) if lower.len() == upper.len() => f64::midpoint(*below, *above),
        (_, Some(middle)) => *middle,
        (_, None) => f64::NAN,
    }
}

fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NAN, f64::min)
}

fn most(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NAN, f64::max)
}

fn times(ratio: Option<f64>) -> String {
    ratio.map_or("not measured".to_owned(), |ratio| format!("{ratio:.2} ×"))
}

/// A number with its digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn costs(seconds: &[f64]) -> Vec<Cost> {
        let costs = seconds.iter().map(|seconds| Cost {
            seconds: *seconds,
            peak_kib: 2048,
        });
        costs.collect()
    }

    fn results(json: &[f64]) -> Results {
        Results {
            load: Load::Lifecycles,
            octets: 170_000_000,
            costs: vec![
                (SCAN, costs(&[0.1, 0.2, 0.1])),
                (SUMMARY, costs(&[0.2, 0.4, 0.9])),
                (JSON, costs(json)),
            ],
        }
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&[7.0]), 7.0);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn a_ratio_is_taken_within_each_round() {
        let ratio = results(&[1.0]).ratio(SUMMARY, SCAN);
        assert_eq!(ratio, Some(2.0));
        assert_eq!(results(&[1.0]).ratio(FIELDS, SCAN), None);
    }

    #[test]
    fn promises_are_kept_broken_or_not_measured() {
        let kept = |json: &[f64]| {
            results(json)
                .verdicts()
                .iter()
                .map(|one| one.kept)
                .collect::<Vec<_>>()
        };
        assert_eq!(kept(&[1.0, 1.5, 9.0]), [Some(true), Some(true), None]);
        assert_eq!(kept(&[1.6]), [Some(true), Some(false), None]);
    }

    #[test]
    fn the_table_names_everyone_with_the_spread() {
        let table = results(&[1.0]).table();
        let lines: Vec<&str> = table.lines().collect();
        assert!(
            lines[0].starts_with("lifecycles: 2,000,000 packets in 200,000 connections, 170 MB")
        );
        assert!(
            lines[3].starts_with(SUMMARY) && lines[3].contains("(0.200 – 0.900)"),
            "{table}"
        );
        assert!(lines[3].trim_end().ends_with("2.00       2.0"), "{table}");
    }

    #[test]
    fn digits_stand_in_groups_of_three() {
        let texts = [0, 999, 1000, 12_345, 2_000_000].map(grouped);
        assert_eq!(texts, ["0", "999", "1,000", "12,345", "2,000,000"]);
    }
}
