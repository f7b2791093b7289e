//! A small process that puts a finished file in its place, which whoever is confined cannot.
//!
//! It is forked before there are threads, and waits. It hears one octet: that the file is finished; or the end
//! of whoever writes it, however that comes, and then removes what was begun.

use std::fs;
use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::process;

use nix::sys::prctl;
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::unistd::{ForkResult, fork};

use super::{SandboxError, one_thread};

/// How the process is called; the kernel keeps 15 octets.
const NAME: &std::ffi::CStr = c"synfin-keep";
/// What it hears where the file is finished, and what it says where it is in its place.
const FINISHED: u8 = b'.';
const KEPT: [u8; 4] = 0_i32.to_ne_bytes();

/// The other end of the process.
#[derive(Debug)]
pub struct Keeper {
    said: PipeWriter,
    heard: PipeReader,
}

/// Starts the process: `begun`, which is not there yet, is to become `place`.
///
/// # Errors
/// Where there are threads already, or there can be no more processes.
pub fn start(begun: PathBuf, place: PathBuf) -> Result<Keeper, SandboxError> {
    one_thread()?;
    let pipe = || io::pipe().map_err(SandboxError::io("make a pipe"));
    let ((their_heard, said), (heard, their_said)) = (pipe()?, pipe()?);
    // SAFETY: this thread is the only one, so that the child has all there is.
    let forked = unsafe { fork() };
    let what = "start the process that puts the file in its place";
    match forked.map_err(|errno| SandboxError::system(what, errno))? {
        ForkResult::Parent { .. } => Ok(Keeper { said, heard }),
        ForkResult::Child => {
            drop((said, heard));
            // A panic was told by its hook, and must not get into what the parent does.
            let kept = catch_unwind(move || keep(their_heard, their_said, &begun, &place));
            process::exit(kept.unwrap_or(1));
        }
    }
}

/// The life of the process; gives its exit status.
fn keep(mut heard: PipeReader, mut said: PipeWriter, begun: &Path, place: &Path) -> i32 {
    // Its name is for those who look.
    let _ = prctl::set_name(NAME);
    // Signals from a terminal or a service manager go to both processes, and the other one decides.
    for ignored in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: no handler is installed. Where a signal is not ignored it ends this process, and nothing worse.
        let _ = unsafe { signal(ignored, SigHandler::SigIgn) };
    }
    let mut word = [0];
    let finished = matches!(heard.read(&mut word), Ok(1)) && word == [FINISHED];
    if !finished {
        // It may be gone already.
        let _ = fs::remove_file(begun);
        return 0;
    }
    let errno = match fs::rename(begun, place) {
        Ok(()) => 0,
        Err(error) => {
            let _ = fs::remove_file(begun);
            error.raw_os_error().unwrap_or(nix::libc::EIO)
        }
    };
    // Whoever asked may be gone.
    let _ = said.write_all(&errno.to_ne_bytes());
    0
}

impl Keeper {
    /// Puts the file in its place.
    ///
    /// # Errors
    /// Where that is not possible; the file is removed then.
    pub fn keep(mut self) -> io::Result<()> {
        self.said.write_all(&[FINISHED])?;
        let mut answer = [0; KEPT.len()];
        self.heard.read_exact(&mut answer)?;
        match answer {
            KEPT => Ok(()),
            errno => Err(io::Error::from_raw_os_error(i32::from_ne_bytes(errno))),
        }
    }
}
