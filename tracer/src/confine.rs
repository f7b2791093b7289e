//! Confines the process as the command line says, and tells what is in force.

use caps::Capability;

use crate::cli::Confining;
use crate::sandbox::{self, Plan, SandboxError, Task};
use crate::say::say;
use crate::source::Clock;

/// Confines the process for this task; `keep` tells which capabilities it cannot do without.
///
/// # Errors
/// Where it cannot be confined.
pub fn confine(
    options: &Confining,
    task: Task,
    keep: impl FnOnce() -> Result<Vec<Capability>, SandboxError>,
    verbose: bool,
) -> Result<(), SandboxError> {
    if options.no_sandbox {
        say("not confined: --no-sandbox keeps all privileges");
        return Ok(());
    }
    Clock::get_ready();
    let confinement = sandbox::confine(&Plan {
        user: options.user.clone(),
        task,
        keep: keep()?,
    })?;
    confinement.warnings().iter().for_each(say);
    if verbose {
        say(confinement);
    }
    Ok(())
}
