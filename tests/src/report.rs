//! Rows for `cargo xtask test --report`: each test that attaches to devices tells there what it saw.

use std::env;
use std::fs::OpenOptions;
use std::io::Write as _;

use anyhow::{Context as _, Result};
use serde::Serialize;

/// Names the file that rows are added to; without it nothing is told.
pub const VARIABLE: &str = "SYNFIN_REPORT";

/// What came of tracing one device in one way.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The test.
    pub test: String,
    /// What kind of device.
    pub device: &'static str,
    /// `--xdp-mode`.
    pub mode: &'static str,
    /// `--direction`.
    pub direction: &'static str,
    /// What synfin said that it attached, or why it did not.
    pub attached: String,
    /// Connections that were made.
    pub made: usize,
    /// Connections that were told.
    pub traced: usize,
    /// `ok`, or what is wrong.
    pub verdict: String,
}

/// Adds a row.
///
/// # Errors
/// Where the file cannot be written.
pub fn tell(row: &Row) -> Result<()> {
    add(row)
}

/// Adds a row about a test that cannot run here.
///
/// # Errors
/// Where the file cannot be written.
pub fn tell_not_run(test: &str, reason: &str) -> Result<()> {
    add(&serde_json::json!({ "test": test, "not_run": reason }))
}

fn add(row: &impl Serialize) -> Result<()> {
    let Some(path) = env::var_os(VARIABLE) else {
        return Ok(());
    };
    // In one piece: tests of several threads write here.
    let line = serde_json::to_string(row)? + "\n";
    let file = OpenOptions::new().append(true).create(true).open(&path);
    let written = file.and_then(|mut file| file.write_all(line.as_bytes()));
    written.with_context(|| format!("write {}", path.display()))
}
