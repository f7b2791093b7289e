//! Options of `synfin read`.

use std::path::PathBuf;

use clap::{ArgAction, Args};

use super::{Carriers, Confining, Ends, Limits, Printing};
use crate::read::When;

/// Options of `synfin read`.
#[derive(Args, Debug)]
pub struct Read {
    /// Captures to read, - for standard input; several are merged by time
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// Which connections to look at.
    #[command(flatten)]
    pub ends: Ends,

    /// What else is a tunnel.
    #[command(flatten)]
    pub carriers: Carriers,

    /// Only packets from this time on: RFC 3339, or +30s after the start of the capture
    #[arg(long, value_name = "TIME", help_heading = "What to read")]
    pub since: Option<When>,

    /// Only packets up to this time
    #[arg(long, value_name = "TIME", help_heading = "What to read")]
    pub until: Option<When>,

    /// What is printed, and how.
    #[command(flatten)]
    pub printing: Printing,

    /// How long and how much.
    #[command(flatten)]
    pub limits: Limits,

    /// Say how the process is confined
    #[arg(short, long, action = ArgAction::Count, help_heading = "Output")]
    pub verbose: u8,

    /// How the process is confined.
    #[command(flatten)]
    pub confining: Confining,
}
