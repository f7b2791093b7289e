//! A virtual machine that runs one command and is gone.

use std::{
    fs,
    io::{self, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use super::{Start, emulator, kernel::Kernel};
use crate::{process::Running, workspace::Workspace};

/// How the guest's instructions are carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Accel {
    /// By emulation, which works everywhere
    #[default]
    Tcg,
    /// By the processor, through /dev/kvm
    Kvm,
}

impl Accel {
    /// The word for it on command lines: ours and QEMU's.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Tcg => "tcg",
            Self::Kvm => "kvm",
        }
    }

    const fn cpu(self) -> &'static str {
        match self {
            Self::Tcg => "max",
            Self::Kvm => "host",
        }
    }
}

/// How the last word begins; behind it is the status of the command.
const LAST_WORD: &str = "guest: status ";
/// Lines of the console that are told of a guest that fails.
const LAST_LINES: usize = 40;

/// The console's port is the first, what the command says goes to the second one. A kernel that
/// panics ends the machine at once, and so does one that finds itself broken.
const KERNEL_LINE: &str = "console=ttyS0 loglevel=6 panic=-1 oops=panic";

/// Runs the guest to its end, passes on what its command says, and gives the command's status.
pub(super) fn run(
    workspace: &Workspace,
    kernel: &Kernel,
    root: &Path,
    console: &Path,
    start: &Start,
) -> Result<u8> {
    let Start { limit, accel, .. } = start;
    // It ends the guest also where nobody is left to do that.
    let mut limited = Command::new("timeout");
    limited.args(["--foreground", "--kill-after=5", &limit.to_string()]);
    let mut machine = emulator::command(workspace, limited);
    machine
        .args(["-accel", accel.word(), "-cpu", accel.cpu()])
        .args(["-smp", "2", "-m", "2G", "-nodefaults", "-display", "none"])
        .args(["-no-reboot", "-append", KERNEL_LINE])
        .arg("-kernel")
        .arg(kernel.image())
        .arg("-initrd")
        .arg(root)
        .arg("-serial")
        .arg(format!("file:{}", console.display()))
        .args(["-serial", "stdio"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut running = Running::start(&mut machine)?;
    let said = running.child().stdout.take();
    let said = said.context("take what the guest says")?;
    match pass_on(BufReader::new(said), io::stdout().lock())? {
        Some(status) => Ok(status),
        None => bail!(
            "the guest with Linux {} ended, or was ended after {limit} s, without a status; the last \
             lines of its console:\n{}",
            kernel.release(),
            last_lines(console)
        ),
    }
}

/// Passes lines on up to the last word, and gives the status in it; `None` where it never comes.
fn pass_on(mut said: impl io::BufRead, mut out: impl io::Write) -> Result<Option<u8>> {
    let mut line = Vec::new();
    loop {
        line.clear();
        if said
            .read_until(b'\n', &mut line)
            .context("read what the guest says")?
            == 0
        {
            return Ok(None);
        }
        if let Some(status) = status(&line) {
            return Ok(Some(status));
        }
        out.write_all(&line)
            .context("pass on what the guest says")?;
        out.flush().context("pass on what the guest says")?;
    }
}

fn status(line: &[u8]) -> Option<u8> {
    let line = str::from_utf8(line).ok()?;
    line.strip_prefix(LAST_WORD)?.trim_end().parse().ok()
}

fn last_lines(console: &Path) -> String {
    let said = fs::read(console).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<_> = said.lines().collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_in_the_last_word() -> Result<()> {
        let said = b"running 1 test\nguest: status 101\nmore\n";
        let mut out = Vec::new();
        assert_eq!(pass_on(&said[..], &mut out)?, Some(101));
        assert_eq!(out, b"running 1 test\n");
        Ok(())
    }

    #[test]
    fn a_guest_that_says_no_last_word_has_no_status() -> Result<()> {
        for said in ["running 1 test\nguest: sta", "guest: status \n"] {
            assert_eq!(pass_on(said.as_bytes(), Vec::new())?, None, "{said}");
        }
        Ok(())
    }
}
