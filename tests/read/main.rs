//! `synfin read` on captures, held against what others say of them.

mod recorded;
mod tshark;
mod zeek;

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::Result;
use synfin_tests::process::succeed;
use synfin_tests::record::{self, Connection};
use synfin_tests::requirement;
use synfin_tests::suite;

fn main() -> ExitCode {
    let cases = [recorded::cases(), tshark::cases(), zeek::cases()];
    suite::run(cases.concat())
}

/// What synfin tells of a capture.
fn told(capture: &Path) -> Result<Vec<Connection>> {
    let mut command = Command::new(requirement::daemon());
    command.args(["read", "--format", "json"]).arg(capture);
    record::with_lone_segments(&succeed(&mut command)?)
}
