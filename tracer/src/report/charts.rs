//! Counts as SVG. Every bar has its number or its name beside it: colour only repeats what is said.

use std::fmt::Write as _;

use super::markup::Text;
use super::timeline::TimeLine;
use super::totals::{self, BARS, Totals};
use crate::timeline::{CloseKind, OpenOutcome};
use crate::units::Wall;

/// A bar that stands for something is never narrower.
const LEAST: f64 = 1.5;

/// How connections opened, and how they closed.
pub(super) fn outcomes(totals: &Totals, out: &mut String) {
    let rows: Vec<_> = OpenOutcome::ALL
        .iter()
        .zip(totals.opened)
        .map(|(outcome, count)| (words(*outcome), class(*outcome), count))
        .collect();
    rows_of_bars("How they opened", &rows, out);
    let rows: Vec<_> = CloseKind::ALL
        .iter()
        .zip(totals.closed)
        .map(|(kind, count)| {
            let class = match kind {
                CloseKind::Reset => "bad",
                CloseKind::Half | CloseKind::None => "odd",
                _ => "good",
            };
            (closed(*kind), class, count)
        })
        .collect();
    rows_of_bars("How those that opened closed", &rows, out);
}

/// An outcome in words.
pub(super) const fn words(outcome: OpenOutcome) -> &'static str {
    match outcome {
        OpenOutcome::Established => "established",
        OpenOutcome::NoReply => "no reply",
        OpenOutcome::Refused => "refused",
        OpenOutcome::HalfOpen => "half open",
        OpenOutcome::Rejected => "rejected",
        OpenOutcome::Aborted => "aborted",
        OpenOutcome::Pending => "pending",
        OpenOutcome::Unobserved => "open before",
        OpenOutcome::Backscatter => "backscatter",
        OpenOutcome::Probe => "probe",
    }
}

/// A close in words.
pub(super) const fn closed(kind: CloseKind) -> &'static str {
    match kind {
        CloseKind::FourWay => "four-way",
        CloseKind::ThreeWay => "three-way",
        CloseKind::Simultaneous => "simultaneous",
        CloseKind::Half => "half closed",
        CloseKind::Reset => "reset",
        CloseKind::None => "not closed",
    }
}

/// The class of an outcome.
pub(super) const fn class(outcome: OpenOutcome) -> &'static str {
    match outcome {
        OpenOutcome::Established => "good",
        failed if failed.is_failure() => "bad",
        _ => "odd",
    }
}

fn rows_of_bars(title: &str, rows: &[(&str, &str, u64)], out: &mut String) {
    const LABEL: f64 = 110.0;
    const WIDTH: f64 = 560.0;
    const LONGEST: f64 = 290.0;
    const ROW: f64 = 24.0;
    let rows = rows.iter().filter(|(_, _, count)| *count > 0);
    let rows: Vec<_> = rows.collect();
    let all: u64 = rows.iter().map(|(_, _, count)| count).sum();
    let most = rows.iter().map(|(_, _, count)| *count).max().unwrap_or(0);
    let height = ROW * length(rows.len()) + 8.0;
    begin(title, (WIDTH, height), out);
    for (place, (name, class, count)) in rows.iter().enumerate() {
        let y = ROW * length(place) + 4.0;
        let width = share(*count, most) * LONGEST;
        let percent = 100.0 * share(*count, all);
        let text = y + 15.0;
        let end = LABEL + width + 6.0;
        put(
            out,
            format_args!(
                "<text class=\"end\" x=\"{}\" y=\"{text}\">{name}</text>\
                 <rect class=\"{class}\" x=\"{LABEL}\" y=\"{y}\" width=\"{width:.1}\" height=\"18\"></rect>\
                 <text x=\"{end:.1}\" y=\"{text}\">{} · {}</text>",
                LABEL - 8.0,
                Grouped(*count),
                Percent(percent)
            ),
        );
    }
    end(out);
}

/// How long handshakes took.
pub(super) fn handshakes(totals: &Totals, out: &mut String) {
    const SLOT: f64 = 46.0;
    const TALLEST: f64 = 150.0;
    const HEIGHT: f64 = 206.0;
    let bars = &totals.bars;
    let Some(first) = bars.iter().position(|count| *count > 0) else {
        out.push_str("<p>No handshake was seen whole.</p>");
        return;
    };
    let last = bars.iter().rposition(|count| *count > 0).unwrap_or(first);
    let most = bars.iter().copied().max().unwrap_or(0);
    let shown = bars.get(first..=last).unwrap_or_default();
    let width = SLOT * length(shown.len()) + 8.0;
    begin("How long handshakes took: up to …", (width, HEIGHT), out);
    for (place, count) in shown.iter().enumerate() {
        let bar = first + place;
        let height = share(*count, most) * TALLEST;
        let x = SLOT * length(place) + 6.0;
        let middle = x + (SLOT - 4.0) / 2.0;
        let top = 20.0 + TALLEST - height;
        let bound = match bar {
            ..BARS => round(totals::bound_ns(bar)),
            _ => "longer".to_owned(),
        };
        put(
            out,
            format_args!(
                "<rect class=\"good\" x=\"{x}\" y=\"{top:.1}\" width=\"{}\" height=\"{height:.1}\"></rect>\
                 <text class=\"mid small\" x=\"{middle}\" y=\"{:.1}\">{}</text>\
                 <text class=\"mid small\" x=\"{middle}\" y=\"{}\">{bound}</text>",
                SLOT - 4.0,
                top - 4.0,
                Short(*count),
                HEIGHT - 18.0
            ),
        );
    }
    end(out);
}

/// When connections began.
pub(super) fn time(line: &TimeLine, out: &mut String) {
    const WIDTH: f64 = 1_000.0;
    const TALLEST: f64 = 120.0;
    const HEIGHT: f64 = 170.0;
    let bins = line.bins();
    let Some((first_ns, last_ns)) = line.span() else {
        out.push_str("<p>No connection has a time.</p>");
        return;
    };
    let most = bins.iter().map(|(_, bin)| bin.all).max().unwrap_or(0);
    begin("When connections began", (WIDTH, HEIGHT), out);
    // Hatched, so that what failed is told without colours as well.
    out.push_str(
        "<defs><pattern id=\"hatch\" width=\"4\" height=\"4\" patternUnits=\"userSpaceOnUse\">\
         <path class=\"hatch\" d=\"M0 4L4 0\"></path></pattern></defs>",
    );
    put(
        out,
        format_args!(
            "<text x=\"0\" y=\"12\">at most {} in {}</text>",
            Grouped(most),
            line.width()
        ),
    );
    let slot = WIDTH / length(bins.len()).max(20.0);
    for (place, (at_ns, bin)) in bins.iter().enumerate().filter(|(_, (_, bin))| bin.all > 0) {
        let x = slot * length(place);
        let width = (slot - 0.5).max(LEAST);
        let all = share(bin.all, most) * TALLEST;
        let bad = if bin.bad > 0 {
            (share(bin.bad, most) * TALLEST).max(LEAST)
        } else {
            0.0
        };
        let bottom = 20.0 + TALLEST;
        put(
            out,
            format_args!(
                "<g><title>{}: {}, {} of them failed or reset</title>\
                 <rect class=\"good\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{all:.1}\"></rect>",
                Wall(*at_ns),
                Grouped(bin.all),
                Grouped(bin.bad),
                bottom - all
            ),
        );
        if bin.bad > 0 {
            let y = bottom - bad;
            for class in ["bad", "hatched"] {
                put(
                    out,
                    format_args!(
                        "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{bad:.1}\"></rect>"
                    ),
                );
            }
        }
        out.push_str("</g>");
    }
    let axis = HEIGHT - 12.0;
    put(
        out,
        format_args!(
            "<text x=\"0\" y=\"{axis}\">{}</text><text class=\"end\" x=\"{WIDTH}\" y=\"{axis}\">{}</text>",
            Wall(first_ns),
            Wall(last_ns)
        ),
    );
    end(out);
}

/// A round time: `20 µs`, `5 ms`, `1 s`.
fn round(ns: u64) -> String {
    match ns {
        ..1_000_000 => format!("{} µs", ns / 1_000),
        1_000_000..1_000_000_000 => format!("{} ms", ns / 1_000_000),
        _ => format!("{} s", ns / 1_000_000_000),
    }
}

fn begin(title: &str, (width, height): (f64, f64), out: &mut String) {
    put(
        out,
        format_args!(
            "<figure><figcaption>{0}</figcaption><svg class=\"chart\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{0}\"><title>{0}</title>",
            Text(title)
        ),
    );
}

fn end(out: &mut String) {
    out.push_str("</svg></figure>");
}

/// A count with its thousands apart: `200 000`, by narrow spaces.
pub(super) struct Grouped<T>(pub(super) T);

impl<T: std::fmt::Display> std::fmt::Display for Grouped<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits = self.0.to_string();
        for (place, digit) in digits.chars().enumerate() {
            if place > 0 && (digits.len() - place).is_multiple_of(3) {
                f.write_str("\u{202f}")?;
            }
            f.write_char(digit)?;
        }
        Ok(())
    }
}

/// A count in few characters: `83`, `9.1 k`, `120 k`, `1.2 M`.
struct Short(u64);

impl std::fmt::Display for Short {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (unit, name) = match self.0 {
            ..10_000 => return write!(f, "{}", self.0),
            10_000..1_000_000 => (1_000, "k"),
            1_000_000..1_000_000_000 => (1_000_000, "M"),
            _ => (1_000_000_000, "G"),
        };
        match self.0 / unit {
            whole @ ..10 => write!(f, "{whole}.{}\u{202f}{name}", self.0 % unit * 10 / unit),
            whole => write!(f, "{whole}\u{202f}{name}"),
        }
    }
}

/// A share in per cent: no count that is there is nothing, and none that is not all is everything.
struct Percent(f64);

impl std::fmt::Display for Percent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            share if share > 0.0 && share < 0.1 => f.write_str("< 0.1 %"),
            share if share < 100.0 && share > 99.9 => f.write_str("> 99.9 %"),
            share => write!(f, "{share:.1} %"),
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a bar is a thousand pixels long at most"
)]
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

#[expect(clippy::cast_precision_loss, reason = "a place among a few bars")]
const fn length(count: usize) -> f64 {
    count as f64
}

fn put(out: &mut String, text: impl std::fmt::Display) {
    // A string takes what is written to it.
    let _ = write!(out, "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::diagnose;
    use crate::sink::fixtures;

    fn totals() -> Totals {
        let mut totals = Totals::new();
        fixtures::all()
            .iter()
            .for_each(|(_, connection)| totals.count(connection, &diagnose(connection)));
        totals
    }

    #[test]
    fn every_chart_has_a_title_and_every_count_its_name() {
        let totals = totals();
        let mut svg = String::new();
        outcomes(&totals, &mut svg);
        handshakes(&totals, &mut svg);
        time(&totals.time, &mut svg);
        assert_eq!(svg.matches("<svg").count(), 4);
        assert_eq!(svg.matches("role=\"img\" aria-label=\"").count(), 4);
        for (outcome, count) in OpenOutcome::ALL.iter().zip(totals.opened) {
            assert_eq!(
                svg.contains(&format!(">{}</text>", words(*outcome))),
                count > 0
            );
        }
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn where_there_is_nothing_that_is_said() {
        let totals = Totals::new();
        let mut svg = String::new();
        handshakes(&totals, &mut svg);
        time(&totals.time, &mut svg);
        assert!(svg.contains("No handshake") && svg.contains("No connection"));
    }

    #[test]
    fn bounds_are_round_times() {
        let bounds: Vec<_> = (0..BARS).map(|bar| round(totals::bound_ns(bar))).collect();
        assert_eq!((bounds[0].as_str(), bounds[10].as_str()), ("1 µs", "2 ms"));
        assert_eq!(bounds.last().map(String::as_str), Some("50 s"));
    }

    #[test]
    fn numbers_are_written_for_reading() {
        assert_eq!(Grouped(1_234_567).to_string(), "1\u{202f}234\u{202f}567");
        assert_eq!(Grouped(999).to_string(), "999");
        for (count, short) in [
            (9_999, "9999"),
            (12_345, "12\u{202f}k"),
            (1_250_000, "1.2\u{202f}M"),
        ] {
            assert_eq!(Short(count).to_string(), short);
        }
        for (share, percent) in [
            (0.0, "0.0 %"),
            (0.01, "< 0.1 %"),
            (99.99, "> 99.9 %"),
            (100.0, "100.0 %"),
        ] {
            assert_eq!(Percent(share).to_string(), percent);
        }
    }
}
