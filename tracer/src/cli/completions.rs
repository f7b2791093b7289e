//! Options of `synfin completions`, and what it prints.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::Cli;

/// Options of `synfin completions`.
#[derive(Args, Debug)]
pub struct Completions {
    /// The shell to complete for
    pub shell: Shell,
}

impl Completions {
    /// The script.
    #[must_use]
    pub fn script(&self) -> Vec<u8> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "synfin", &mut script);
        script
    }
}
