//! Running other programs: every one is shown before it runs and named when it fails.

use std::{
    env,
    ffi::{OsStr, OsString},
    fmt::Display,
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

/// Tells the user what goes on. Standard output belongs to the programs that are run.
pub(crate) fn say(message: impl Display) {
    eprintln!("xtask: {message}");
}

/// Runs a command to its end, and takes a status other than 0 as an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    say(format_args!("$ {}", shown(command)));
    let status = command
        .status()
        .with_context(|| format!("start `{}`", shown(command)))?;
    ensure!(status.success(), "`{}` ended with {status}", shown(command));
    Ok(())
}

/// As [`run`], for programs whose chatter on standard output is no result: it goes to standard error.
pub(crate) fn run_aside(command: &mut Command) -> Result<()> {
    run(command.stdin(Stdio::null()).stdout(io::stderr()))
}

/// What a command says on standard output, or `None` where it cannot be run or fails.
pub(crate) fn read(command: &mut Command) -> Option<String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    output.status.success().then_some(said)
}

/// The cargo that started us, so that the host's parts are built with the toolchain the user chose.
pub(crate) fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Finds a program as root's shell would: on `PATH`, and in the folders for system administration
/// that a user's `PATH` often lacks.
pub(crate) fn find(program: impl AsRef<Path>) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let administration = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path)
        .chain(administration)
        .map(|folder| folder.join(&program))
        .find(|file| file.is_file())
}

/// As [`find`], but its absence is an error.
pub(crate) fn need(program: &str) -> Result<PathBuf> {
    find(program).with_context(|| {
        format!("{program} is missing; `cargo xtask setup --tests` installs it where it can")
    })
}

/// A command as one would type it, without the environment.
pub(crate) fn shown(command: &Command) -> String {
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect();
    words.join(" ")
}

/// `folder` in front of `PATH`.
pub(crate) fn path_led_by(folder: &Path) -> Result<OsString> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder.to_path_buf()).chain(env::split_paths(&path));
    env::join_paths(folders).with_context(|| format!("put {} on PATH", folder.display()))
}
