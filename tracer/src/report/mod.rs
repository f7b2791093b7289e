//! `synfin report`: one page about many connections, for a browser.
//!
//! This is a place where the parts meet. Records come from lines of JSON or, by way of `synfin read`, from
//! captures, and both are [`Connection`](crate::timeline::Connection)s from then on: all are counted, and those
//! that matter most are kept, with their ladders drawn up. Absent on purpose: anything that the page would
//! have to fetch.

mod best;
mod charts;
mod collection;
mod columns;
mod fate;
mod inputs;
mod ladder;
mod markup;
mod output;
mod packed;
mod page;
mod reason;
pub mod record;
mod row;
mod svg;
mod timeline;
mod totals;
mod words;

#[cfg(test)]
mod tests;

use std::io::BufWriter;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, bail};

use crate::cli::Report;
use crate::confine::confine;
use crate::printer::{Gather as _, Printer};
use crate::read;
use crate::sandbox::Task;
use crate::say::say;
use crate::source::Captures;
use crate::source::capture::lines::{Line, Lines, MAX_LINE};
use crate::writer;
use collection::Gatherer;
use inputs::Inputs;
use output::Output;
use record::parse;

/// Octets that are written at once.
const PIECE: usize = 256 << 10;

/// Reads everything, and writes the page.
///
/// # Errors
/// Where a file is neither a capture nor lines of synfin's, or the page cannot be written.
pub fn run(options: &Report) -> anyhow::Result<()> {
    let reading = &options.reading;
    let mut captures = Captures::open(&reading.files)?;
    let mut output = Output::open(&options.output, &reading.files)?;
    // Next to nothing was looked at so far, and no thread was started.
    let verbose = reading.verbose > 0;
    confine(&reading.confining, Task::Read, || Ok(Vec::new()), verbose)?;
    let stop = read::stop()?;
    let mut inputs = Inputs::new(&reading.files);
    let gatherer = Arc::new(Gatherer::new(options.list));
    for lines in lines(&mut captures, &stop)? {
        gather(lines, &gatherer, &mut inputs, &stop)?;
    }
    if !captures.are_none() {
        let printer = Printer::gathering(Arc::clone(&gatherer) as _);
        let told = read::gather(&mut captures, reading, printer, &stop)?;
        for (name, count) in told.losses.iter().filter(|(_, count)| *count > 0) {
            inputs.note(format!("Not everything is here: {count} {name}."));
        }
    } else if inputs.lines > 0 && inputs.is_all_wrong() {
        bail!("none of the lines is a record of synfin's; they are what `--format json` writes");
    }
    if stop.load(Ordering::Relaxed) {
        inputs.note("Reading was interrupted: this is what had been read by then.");
    }
    if let Some(wrong) = inputs.wrong() {
        say(wrong);
    }
    let written = {
        let mut out = BufWriter::with_capacity(PIECE, &mut output);
        let listed = page::write(&inputs, gatherer.collected(), &mut out);
        listed.and_then(|listed| std::io::Write::flush(&mut out).map(|()| listed))
    };
    let (name, octets) = (output.name().to_owned(), output.octets());
    let finished = written.and_then(|listed| output.finish().map(|()| listed));
    match finished {
        Ok(listed) => {
            say(format_args!(
                "{name}: {listed} connections listed, {octets} octets"
            ));
            Ok(())
        }
        // Nobody wants to read it.
        Err(error) if name == "standard output" && writer::is_closed_pipe(&error) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("write {name}")),
    }
}

/// The files that are lines, as soon as what they begin with is there.
fn lines(captures: &mut Captures, stop: &AtomicBool) -> anyhow::Result<Vec<Lines>> {
    loop {
        if let Some(lines) = captures.take_lines()? {
            return Ok(lines);
        }
        if stop.load(Ordering::Relaxed) {
            bail!("interrupted before there was anything to read");
        }
    }
}

/// Reads lines to their end, or to a signal.
fn gather(
    mut lines: Lines,
    gatherer: &Gatherer,
    inputs: &mut Inputs,
    stop: &AtomicBool,
) -> anyhow::Result<()> {
    let name = lines.name().to_owned();
    let mut number = 0;
    let mistake = |inputs: &mut Inputs, number, reason: &str| {
        if let Some(words) = inputs.mistake(&name, number, reason) {
            say(words);
        }
    };
    loop {
        let (line, last) = match lines.next_line() {
            Ok(Line::Whole(line)) => (line, false),
            Ok(Line::Last(line)) => (line, true),
            Ok(Line::TooLong) => {
                number += 1;
                inputs.lines += 1;
                let reason = format!("it is longer than {MAX_LINE} octets, as no record is");
                mistake(inputs, number, &reason);
                continue;
            }
            Ok(Line::Pause) if !stop.load(Ordering::Relaxed) => continue,
            Ok(Line::Pause | Line::End) => return Ok(()),
            Err(error) if number > 0 => {
                let words = format!("{name} cannot be read on after line {number}, {error}.");
                say(&words);
                inputs.note(words);
                return Ok(());
            }
            Err(error) => return Err(error).with_context(|| format!("read {name}")),
        };
        number += 1;
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        inputs.lines += 1;
        match parse(line) {
            Ok(record::Line::Connection(connection)) => gatherer.take(&connection),
            Ok(record::Line::Other) => inputs.others += 1,
            Err(_) if last => {
                let words = format!(
                    "{name} ends in the middle of line {number}; what comes before it was read."
                );
                say(&words);
                inputs.note(words);
            }
            Err(reason) => mistake(inputs, number, &reason),
        }
    }
}
