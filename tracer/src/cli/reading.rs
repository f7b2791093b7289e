//! What is read, and how: the same for everything that reads captures.

use std::path::PathBuf;

use clap::{ArgAction, Args};

use super::{Carriers, Confining, Ends, Limits};
use crate::read::When;

/// Options of everything that reads captures.
#[derive(Args, Clone, Debug)]
pub struct Reading {
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
