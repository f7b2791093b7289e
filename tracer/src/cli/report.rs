//! Options of `synfin report`.

use std::path::PathBuf;

use clap::Args;

use super::Reading;

/// Connections that are listed where nobody said otherwise.
const LISTED: &str = "200000";
/// Connections that a browser can list.
const MOST_LISTED: i64 = 1_000_000;

/// Options of `synfin report`.
#[derive(Args, Debug)]
pub struct Report {
    /// What is read.
    #[command(flatten)]
    pub reading: Reading,

    /// The page to write, - for standard output. It takes the place of a file of this name when it is whole
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub output: PathBuf,

    /// List at most this many connections, up to a million: those that failed or were reset, then the slowest.
    /// Totals and charts are of all
    #[arg(
        long,
        value_name = "N",
        default_value = LISTED,
        value_parser = clap::value_parser!(u32).range(1..=MOST_LISTED),
        help_heading = "Output"
    )]
    pub list: u32,
}
