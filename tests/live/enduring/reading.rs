//! A reader of the daemon's output that can stand still, and keeps of each record what is judged.

use std::io::{BufRead as _, BufReader};
use std::process::ChildStdout;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result};
use synfin_tests::record::{self, Connection};

/// What is judged of a record.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) port: u16,
    pub(super) start_ns: i128,
    pub(super) is_marked: bool,
    pub(super) outcome: String,
    pub(super) close: String,
    pub(super) closer: Option<String>,
    pub(super) isns: [Option<u32>; 2],
    pub(super) octets: [Option<u64>; 2],
    /// For whoever looks into a failure.
    pub(super) line: String,
}

/// The reader.
pub(super) struct Reading {
    still: Arc<AtomicBool>,
    thread: JoinHandle<Result<Vec<Told>>>,
}

impl Reading {
    pub(super) fn of(stdout: ChildStdout) -> Self {
        let still = Arc::new(AtomicBool::new(false));
        let ours = Arc::clone(&still);
        Self {
            still,
            thread: thread::spawn(move || read(stdout, &ours)),
        }
    }

    /// Stands still from now on, or goes on.
    pub(super) fn pause(&self, still: bool) {
        self.still.store(still, Relaxed);
    }

    /// Waits for the end of the output.
    pub(super) fn finish(self) -> Result<Vec<Told>> {
        self.thread.join().ok().context("the reader panicked")?
    }
}

fn read(stdout: ChildStdout, still: &AtomicBool) -> Result<Vec<Told>> {
    let mut output = BufReader::new(stdout);
    let mut told = Vec::new();
    let mut line = String::new();
    while output.read_line(&mut line).context("read the output")? > 0 {
        told.extend(
            record::with_lone_segments(&line)?
                .iter()
                .map(|record| Told::of(record, &line)),
        );
        line.clear();
        while still.load(Relaxed) {
            thread::sleep(Duration::from_millis(10));
        }
    }
    Ok(told)
}

impl Told {
    fn of(record: &Connection, line: &str) -> Self {
        let ends = [&record.client, &record.server];
        // The ports that were asked are no client's.
        let port = ends.map(|end| end.port).into_iter().max().unwrap_or(0);
        Self {
            port,
            start_ns: record.start.as_nanosecond(),
            is_marked: record.observation_gap,
            outcome: record.open.outcome.clone(),
            close: record.close.kind.clone(),
            closer: record.close.by.clone(),
            isns: ends.map(|end| end.isn),
            octets: ends.map(|end| end.bytes),
            line: line.trim_end().to_owned(),
        }
    }
}
