//! Options of `synfin top`.

use std::path::PathBuf;

use clap::{ArgGroup, Args};

use super::Tracing;
use crate::top::Speed;

/// Options of `synfin top`.
#[derive(Args, Debug)]
#[command(group(ArgGroup::new("from").required(true).multiple(true).args(["interfaces", "read"])))]
pub struct Top {
    /// Interface to look at; give it again for several. any is every interface that is up, and those
    /// that come up later
    #[arg(
        short = 'i',
        long = "iface",
        visible_alias = "interface",
        value_name = "IFACE",
        help_heading = "What to look at"
    )]
    pub interfaces: Vec<String>,

    /// Replay this capture in its own time instead of looking at interfaces, - for standard input;
    /// several are merged by time. Tunnels are looked into and segments counted without being asked for
    #[arg(long, value_name = "FILE", num_args = 1.., help_heading = "What to look at")]
    pub read: Vec<PathBuf>,

    /// How many times as fast as it happened a capture is replayed; max is as fast as it can be read
    #[arg(
        long,
        value_name = "N|max",
        default_value = "1",
        requires = "read",
        help_heading = "What to look at"
    )]
    pub speed: Speed,

    /// Rows that are kept of connections that are open, of those that ended, and of those that failed:
    /// so many of each
    #[arg(
        long,
        value_name = "N",
        default_value = "2000",
        value_parser = parse_rows,
        help_heading = "Limits"
    )]
    pub rows: usize,

    /// What is traced, and how.
    #[command(flatten)]
    pub tracing: Tracing,
}

fn parse_rows(text: &str) -> Result<usize, String> {
    let rows = text.parse().ok();
    rows.filter(|rows| (10..=100_000).contains(rows))
        .ok_or_else(|| "a number of rows is from 10 to 100000".into())
}
