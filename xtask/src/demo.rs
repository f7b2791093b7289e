//! Shows what synfin sees of a real FTP transfer: a control connection and a data connection, from
//! their first SYN to their last ACK.
//!
//! Server and client are network namespaces of their own, so nothing on this machine is touched,
//! and everything that was made is removed again, also after a failure or Ctrl-C.

use std::{
    env,
    ffi::OsString,
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{ChildStderr, Command, Stdio},
    sync::mpsc::{self, Receiver, TryRecvError},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;

use crate::{
    build, exec, ftp, interrupt,
    netns::{self, Host},
    packages, privilege,
    process::{Running, wait_for},
    workspace::Workspace,
};

const SERVER: &str = "10.1.1.1";
const SERVER_WITH_PREFIX: &str = "10.1.1.1/24";
const CLIENT_WITH_PREFIX: &str = "10.1.1.2/24";

/// Traces an FTP transfer with a synfin that is given, or built first.
pub(crate) fn ftp(workspace: &Workspace, given: Option<PathBuf>, args: &[OsString]) -> Result<()> {
    let again = as_root()?;
    packages::obtain(packages::DEMO)?;
    let synfin = match given {
        Some(synfin) => synfin,
        None => build::all(workspace)?,
    };
    if let Some(mut again) = again {
        again.arg("--synfin").arg(synfin).arg("--").args(args);
        return Err(again.exec()).context("start again through sudo");
    }
    interrupt::watch()?;
    let (server, client) = netns::pair(
        ("demo-server", SERVER_WITH_PREFIX),
        ("demo-client", CLIENT_WITH_PREFIX),
    )?;
    let _ftp = ftp::Server::start(&server, SERVER)?;
    let mut tracer = trace(&server, &synfin, args)?;
    fetch(&client)?;
    finish(&mut tracer)
}

/// How long the tracer may take to load its programs.
const START: Duration = Duration::from_secs(30);

/// What the tracer's first line says when it sees every segment from then on.
const READY: &str = "synfin: tracing";

/// How long the last segments may take to reach the tracer's terminal.
const LAST_SEGMENTS: Duration = Duration::from_millis(500);

/// How long the tracer may take to write what is left and detach.
const FINISH: Duration = Duration::from_secs(10);

/// Where we are not root, the command that starts this demo again as root, once everything was
/// built as the user: only the namespaces need root.
fn as_root() -> Result<Option<Command>> {
    if privilege::is_root() {
        return Ok(None);
    }
    let own = env::current_exe().context("find our own program")?;
    let mut command = privilege::as_root(own, "making network namespaces")?;
    command.arg("demo");
    Ok(Some(command))
}

/// Starts the tracer, and returns when it is attached.
fn trace(host: &Host, synfin: &Path, args: &[OsString]) -> Result<Running> {
    let mut tracer = Running::start(
        host.command(synfin)?
            .args(["trace", "--iface", netns::INTERFACE])
            .args(args)
            .stdin(Stdio::null())
            .stderr(Stdio::piped()),
    )?;
    let stderr = tracer.child().stderr.take();
    let ready = pass_on(stderr.context("read what synfin says")?);
    wait_for("synfin to trace", START, || match ready.try_recv() {
        Ok(()) => Ok(Some(())),
        Err(TryRecvError::Empty) => Ok(None),
        Err(TryRecvError::Disconnected) => bail!("synfin ended before it traced anything"),
    })?;
    Ok(tracer)
}

/// Shows what the tracer says, and tells when it is ready.
fn pass_on(stderr: ChildStderr) -> Receiver<()> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            eprintln!("{line}");
            if line.starts_with(READY) {
                // Where nobody waits any more, its words are still shown.
                let _ = sender.send(());
            }
        }
    });
    receiver
}

fn fetch(client: &Host) -> Result<()> {
    let url = format!("ftp://{SERVER}/{}", ftp::FILE);
    let mut curl = client.command(&exec::need("curl")?)?;
    curl.args(["--silent", "--show-error", "--max-time", "20"]);
    exec::run_aside(curl.arg(url)).context("fetch a file by FTP")
}

/// Lets the tracer finish by itself, as Ctrl-C would.
fn finish(tracer: &mut Running) -> Result<()> {
    thread::sleep(LAST_SEGMENTS);
    tracer.signal(Signal::SIGINT)?;
    let status = wait_for("synfin to finish", FINISH, || tracer.ended())?;
    ensure!(status.success(), "synfin ended with {status}");
    Ok(())
}
