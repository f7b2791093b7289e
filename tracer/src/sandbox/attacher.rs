//! A small process that keeps what attaching needs, so that the one that reads what comes from outside
//! needs nothing.
//!
//! It is forked before there are threads, with the loaded programs and what they are attached to. Messages go
//! one way, from it to the confined process, which can ask it for nothing: it can only close its end. Then,
//! and so also when the confined process ends in whatever way, this one lets go of everything and ends.
//! It is not killed with its parent: it has to clean up what no link holds.

use std::fs::File;
use std::io::{self, ErrorKind, Write as _};
use std::marker::PhantomData;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process;
use std::time::Duration;

use caps::Capability;
use nix::sys::prctl;
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::sys::socket::{Shutdown, shutdown};
use nix::unistd::{ForkResult, dup2_stdout, fork};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::{Account, Confinement, Plan, SandboxError, Task, confine, one_thread};

/// What attaching takes, letting go where a filter is no link, and loading the programs for a device of
/// another kind than those before.
const KEPT: [Capability; 3] = [
    Capability::CAP_NET_ADMIN,
    Capability::CAP_BPF,
    Capability::CAP_PERFMON,
];
/// How the process is called; the kernel keeps 15 octets.
const NAME: &std::ffi::CStr = c"synfin-attach";
/// How long its end is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// Octets of a message, more or less.
const MESSAGE: usize = 1 << 12;

/// How the process that attaches is confined.
#[derive(Clone, Debug)]
pub enum Confine {
    /// Not at all.
    No,
    /// As this user, or nobody where it is root's.
    As(Option<Account>),
}

/// The other end of the process that attaches.
#[derive(Debug)]
pub struct Attacher<M> {
    socket: tokio::net::UnixStream,
    /// What came of the next message so far.
    unread: Vec<u8>,
    messages: PhantomData<fn() -> M>,
}

/// What the process that attaches tells, and how it hears that it is to end.
#[derive(Debug)]
pub struct Teller<M> {
    socket: UnixStream,
    messages: PhantomData<fn(M)>,
}

/// Starts the process: `begun` hears how it is confined, then `body` runs in it, to its end. Its messages are
/// waited for in the runtime that this is called in.
///
/// # Errors
/// Where there are threads already or no runtime, or there can be no more processes.
pub fn start<M: Serialize + DeserializeOwned>(
    how: Confine,
    begun: impl FnOnce(&Confinement),
    body: impl FnOnce(Teller<M>),
) -> Result<Attacher<M>, SandboxError> {
    one_thread()?;
    let (ours, theirs) = UnixStream::pair().map_err(SandboxError::io("make a pair of sockets"))?;
    // Nobody asks for the status of a process that has told all there is: the kernel forgets it at once.
    // SAFETY: no handler is installed.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn) }
        .map_err(|errno| SandboxError::system("leave the end of a process to the kernel", errno))?;
    // SAFETY: this thread is the only one, so that the child has all there is.
    let forked = unsafe { fork() };
    match forked.map_err(|errno| SandboxError::system("start the process that attaches", errno))? {
        ForkResult::Parent { .. } => {
            drop(theirs);
            let hear = || SandboxError::io("hear the process that attaches");
            ours.set_nonblocking(true).map_err(hear())?;
            Ok(Attacher {
                socket: tokio::net::UnixStream::from_std(ours).map_err(hear())?,
                unread: Vec::new(),
                messages: PhantomData,
            })
        }
        ForkResult::Child => {
            drop(ours);
            // A panic was told by its hook, and must not get into what the parent does.
            let lived = catch_unwind(AssertUnwindSafe(|| live(theirs, how, begun, body)));
            process::exit(lived.unwrap_or(1));
        }
    }
}

/// The life of the process that attaches; gives its exit status.
fn live<M>(
    socket: UnixStream,
    how: Confine,
    begun: impl FnOnce(&Confinement),
    body: impl FnOnce(Teller<M>),
) -> i32 {
    match settle(how) {
        Ok(confinement) => {
            if let Some(confinement) = &confinement {
                begun(confinement);
            }
            body(Teller {
                socket,
                messages: PhantomData,
            });
            0
        }
        Err(error) => {
            crate::say::say(format_args!("the process that attaches: {error}"));
            1
        }
    }
}

/// Becomes a process of its own kind; gives how it is confined where it is.
fn settle(how: Confine) -> Result<Option<Confinement>, SandboxError> {
    // Its name is for those who look.
    let _ = prctl::set_name(NAME);
    // Who reads the records waits for the end of those who can write them.
    let nowhere = File::options().write(true).open("/dev/null");
    let nowhere = nowhere.map_err(SandboxError::io("open /dev/null"))?;
    dup2_stdout(nowhere).map_err(|errno| SandboxError::system("leave the output alone", errno))?;
    // Signals from a terminal or a service manager go to both processes, and the other one decides when
    // this one ends.
    for ignored in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: no handler is installed.
        unsafe { signal(ignored, SigHandler::SigIgn) }
            .map_err(|errno| SandboxError::system("leave signals to the other process", errno))?;
    }
    let Confine::As(user) = how else {
        return Ok(None);
    };
    let plan = Plan {
        user,
        task: Task::Attach,
        keep: KEPT.to_vec(),
    };
    confine(&plan).map(Some)
}

impl<M: Serialize> Teller<M> {
    /// Tells; gives whether the other process is still there to hear it.
    pub fn tell(&self, message: &M) -> bool {
        let Ok(mut line) = serde_json::to_vec(message) else {
            return false;
        };
        line.push(b'\n');
        (&self.socket).write_all(&line).is_ok()
    }

    /// Readable, with nothing in it, as soon as it is time to end.
    #[must_use]
    pub const fn end(&self) -> &UnixStream {
        &self.socket
    }
}

impl<M: DeserializeOwned> Attacher<M> {
    /// Waits for the next message; `None` where the process has ended. May be cancelled.
    ///
    /// # Errors
    /// Where it tells what nobody understands.
    pub async fn message(&mut self) -> io::Result<Option<M>> {
        loop {
            if let Some(end) = self.unread.iter().position(|octet| *octet == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                return Ok(Some(serde_json::from_slice(&line)?));
            }
            self.socket.readable().await?;
            let mut piece = [0; MESSAGE];
            match self.socket.try_read(&mut piece) {
                Ok(0) => return Ok(None),
                Ok(len) => self.unread.extend(piece.iter().take(len)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Asks it to end and waits until it has let go of everything; gives whether it has.
    pub async fn finish(mut self) -> bool {
        // It may have ended already.
        let _ = shutdown(self.socket.as_raw_fd(), Shutdown::Write);
        let ended = async { while let Ok(Some(_)) = self.message().await {} };
        timeout(PATIENCE, ended).await.is_ok()
    }
}
