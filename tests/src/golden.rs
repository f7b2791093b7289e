//! Texts that stay as they are, except for what is different each time.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::evidence;

/// Set to write what is seen instead of comparing with it.
const BLESS: &str = "SYNFIN_BLESS";

/// Stands for a number in a column of times.
const TIME: &str = "<t>";
/// Stands for a number with its unit.
const DURATION: &str = "<duration>";

/// Stands at the head of the columns of a ladder.
const HEAD: char = 'Δ';
/// What a rung is made of: it is as much shorter as the columns of times are wider.
const LINE: char = '─';
/// The client's end of a rung.
const RUNG: [char; 2] = ['├', '│'];

const UNITS: [&str; 6] = ["ns", "µs", "ms", "s", "min", "h"];

/// Compares a text with the golden file of this name, times left out of both.
///
/// # Errors
/// Where they differ; the first line that does is named.
pub fn compare(name: &str, text: &str) -> Result<()> {
    let seen = without_times(text);
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("live/golden")
        .join(name);
    if std::env::var_os(BLESS).is_some() {
        return fs::write(&path, seen).with_context(|| format!("write {}", path.display()));
    }
    let golden = fs::read_to_string(&path)
        .with_context(|| format!("read {} ({BLESS}=1 writes it)", path.display()))?;
    let lines = golden.lines().count().max(seen.lines().count());
    let of = |text: &str, line| text.lines().nth(line).unwrap_or("(nothing)").to_owned();
    for line in 0..lines {
        if of(&golden, line) != of(&seen, line) {
            evidence::note("seen, times left out", &seen);
        }
        ensure!(
            of(&golden, line) == of(&seen, line),
            "line {} of {name} is\n{}\nand was\n{}",
            line + 1,
            of(&seen, line),
            of(&golden, line)
        );
    }
    Ok(())
}

/// Puts placeholders for times, dates and durations.
///
/// Columns of times are as wide as the longest time in them, and so is what stands before a rung.
#[must_use]
pub fn without_times(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let line = without_times_of(line);
        let moved = if line.contains(DURATION) || line.contains(HEAD) {
            line.len()
        } else {
            line.find(RUNG).unwrap_or(0)
        };
        let (moved, rest) = line.split_at(moved);
        let words: Vec<&str> = moved.split_whitespace().collect();
        let gap = if rest.is_empty() || words.is_empty() {
            ""
        } else {
            " "
        };
        let mut rung: Vec<char> = rest.chars().collect();
        rung.dedup_by(|next, before| (*next, *before) == (LINE, LINE));
        let rung: String = rung.into_iter().collect();
        format!("{}{gap}{rung}\n", words.join(" "))
    });
    lines.collect()
}

fn without_times_of(line: &str) -> String {
    let mut done = String::new();
    let mut rest = line;
    loop {
        let start = rest.find(|c: char| c != ' ').unwrap_or(rest.len());
        let (gap, after) = rest.split_at(start);
        let end = after.find(' ').unwrap_or(after.len());
        let (word, after) = after.split_at(end);
        if word.is_empty() {
            done += gap;
            return done.trim_end().to_owned();
        }
        let unit = after
            .trim_start()
            .split([' ', ','])
            .next()
            .unwrap_or_default();
        if is_number(word) && after.starts_with(' ') && UNITS.contains(&unit) {
            done += gap;
            done += DURATION;
            rest = after.trim_start().strip_prefix(unit).unwrap_or_default();
            continue;
        }
        match placeholder(word) {
            // A column of times is aligned to the right.
            Some(TIME) => {
                let width = gap.len() + word.len();
                done += &format!("{TIME:>width$}");
            }
            Some(mark) => {
                done += gap;
                done += mark;
            }
            None => {
                done += gap;
                done += word;
            }
        }
        rest = after;
    }
}

fn placeholder(word: &str) -> Option<&'static str> {
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).count();
    let only = |set: &str| word.chars().all(|c| c.is_ascii_digit() || set.contains(c));
    if word.contains('.') && is_number(word) {
        Some(TIME)
    } else if only("-:.TZ") && word.matches(':').count() == 2 && digits(word) > 5 {
        Some("<time>")
    } else if only("-") && word.matches('-').count() == 2 && digits(word) == 8 {
        Some("<date>")
    } else {
        None
    }
}

fn is_number(word: &str) -> bool {
    let number = word.strip_prefix(['+', '-']).unwrap_or(word);
    number.starts_with(|c: char| c.is_ascii_digit()) && number.parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_keeps_its_columns_width() {
        let narrow = without_times("    0.208  +0.208  ◀── SYN");
        assert_eq!(narrow, without_times("  110.208  +9.000  ◀── SYN"));
        assert_eq!(narrow, "      <t>     <t>  ◀─ SYN\n");
        assert_eq!(narrow, without_times("99110.208 +99.000  ◀── SYN"));
    }

    #[test]
    fn columns_that_a_long_time_widened_are_the_same() {
        let head = |gap: &str| without_times(&format!("      ms{gap}Δ    client    server"));
        assert_eq!(head("       "), head("        "));
        let rung = |gap: &str| without_times(&format!("   0.1  +0.1{gap}SYN-SENT ├── SYN  seq=X"));
        assert_eq!(rung("  "), rung("   "));
        assert_eq!(rung(" "), "<t> <t> SYN-SENT ├─ SYN  seq=X\n");
    }

    #[test]
    fn rungs_that_a_long_time_shortened_are_the_same() {
        let rung =
            |line: &str| without_times(&format!("   0.1  +0.1 │◄─ ACK  ack=1 {line}┤ CLOSED"));
        assert_eq!(rung("───"), rung("────"));
        assert_eq!(rung("───"), "<t> <t> │◄─ ACK  ack=1 ─┤ CLOSED\n");
    }

    #[test]
    fn addresses_and_numbers_stay() {
        let line = "10.1.1.2:52144 → 10.1.1.1:21 ftp  X = 2452765130 · ↑ 26 B\n";
        assert_eq!(without_times(line), line);
    }

    #[test]
    fn durations_lose_number_and_unit() {
        assert_eq!(
            without_times("established in 0.41 ms · lived 931 µs, over\n"),
            "established in <duration> · lived <duration>, over\n"
        );
    }

    #[test]
    fn dates_and_times_of_day_go() {
        assert_eq!(
            without_times("2026-11-22 18:00:00.123456 and 2026-11-22T18:00:00Z\n"),
            "<date> <time> and <time>\n"
        );
    }
}
