//! Which CPU does what: left to the scheduler, nothing against nothing spreads by a quarter.

use std::path::Path;
use std::process::Command;

use synfin_tests::netns::Namespace;

/// Where clients are, and the senders of floods. What a frame brings about in the kernel happens on
/// its sender's CPU.
pub(crate) const CLIENT: usize = 0;
/// Where servers are.
pub(crate) const SERVER: usize = 1;
/// Where those are who watch: on the traced host, as the servers are.
pub(crate) const WATCHER: usize = SERVER;

/// A command in a namespace and on a CPU.
pub(crate) fn command(namespace: &Namespace, cpu: usize, program: &Path) -> Command {
    let mut command = namespace.command("taskset");
    command.args(["-c", &cpu.to_string()]).arg(program);
    command
}
