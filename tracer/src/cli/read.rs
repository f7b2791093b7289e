//! Options of `synfin read`.

use std::path::PathBuf;

use clap::Args;

use super::{Ends, Limits, Printing};

/// Options of `synfin read`.
#[derive(Args, Debug)]
pub struct Read {
    /// Captures to read, - for standard input; several are merged by time
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// Which connections to look at.
    #[command(flatten)]
    pub ends: Ends,

    /// What is printed, and how.
    #[command(flatten)]
    pub printing: Printing,

    /// How long and how much.
    #[command(flatten)]
    pub limits: Limits,
}
