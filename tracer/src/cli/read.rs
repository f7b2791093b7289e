//! Options of `synfin read`.

use clap::Args;

use super::{Printing, Reading};

/// Options of `synfin read`.
#[derive(Args, Debug)]
pub struct Read {
    /// What is read.
    #[command(flatten)]
    pub reading: Reading,

    /// What is printed, and how.
    #[command(flatten)]
    pub printing: Printing,
}
