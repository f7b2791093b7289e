//! Where the octets of a capture come from.
//!
//! A plain file is read as it is needed. Everything else, that is a pipe or what has to be
//! decompressed, is read ahead by a thread of its own, so that waiting for it can be given up. That thread
//! starts with the first reading, not when the file is opened: what comes from outside is not looked at
//! before this process is confined.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use super::decode::{Compression, MARK_LEN, decoded};
use super::error::CaptureError;

/// How long octets are waited for before there is a look at what else there is to do.
const PATIENCE: Duration = Duration::from_millis(100);
/// Octets in a buffer that is read ahead, and how many buffers there are.
const AHEAD: usize = 128 << 10;
const BUFFERS: usize = 3;

/// Where octets come from.
pub(super) struct Source {
    origin: Origin,
    /// Octets of the file itself that were read so far.
    taken: Arc<AtomicU64>,
    /// Octets of the file itself, where they are known beforehand.
    size: Option<u64>,
}

enum Origin {
    Direct(Box<dyn Read + Send>),
    /// Nothing was read yet.
    Unread(Box<dyn Read + Send>),
    Ahead(Ahead),
    /// There was no thread for it.
    Gone,
}

/// What reading comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Got {
    Octets(usize),
    End,
    /// None came yet.
    Nothing,
}

impl Source {
    /// Opens a file, or the standard input where the path is `-`.
    pub(super) fn open(path: &Path, name: &str) -> Result<Self, CaptureError> {
        let taken = Arc::new(AtomicU64::new(0));
        let fail = |source| CaptureError::Open {
            name: name.to_owned(),
            source,
        };
        if path == OsStr::new("-") {
            return Ok(Self {
                origin: Origin::Unread(Box::new(io::stdin())),
                taken,
                size: None,
            });
        }
        let file = File::open(path).map_err(fail)?;
        let about = file.metadata().map_err(fail)?;
        if about.is_dir() {
            return Err(CaptureError::Directory {
                name: name.to_owned(),
            });
        }
        let mut mark = [0; MARK_LEN];
        let plain = about.is_file() && {
            let len = file.read_at(&mut mark, 0).map_err(fail)?;
            Compression::of(&mark[..len]) == Compression::None
        };
        let origin = if plain {
            Origin::Direct(Box::new(file))
        } else {
            let counted = Counted {
                file,
                taken: Arc::clone(&taken),
            };
            Origin::Unread(Box::new(counted))
        };
        Ok(Self {
            origin,
            taken,
            size: about.is_file().then_some(about.len()),
        })
    }

    /// Takes anything that gives octets as they are and does not wait for long.
    pub(super) fn of(reader: Box<dyn Read + Send>) -> Self {
        Self {
            origin: Origin::Direct(reader),
            taken: Arc::default(),
            size: None,
        }
    }

    /// Reads what there is.
    pub(super) fn read(&mut self, into: &mut [u8]) -> io::Result<Got> {
        if let Origin::Unread(_) = self.origin
            && let Origin::Unread(raw) = std::mem::replace(&mut self.origin, Origin::Gone)
        {
            self.origin = Origin::Ahead(Ahead::start(raw)?);
        }
        match &mut self.origin {
            Origin::Ahead(ahead) => ahead.read(into),
            Origin::Unread(_) | Origin::Gone => Ok(Got::End),
            Origin::Direct(reader) => loop {
                match reader.read(into) {
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                    Ok(0) => return Ok(Got::End),
                    Ok(len) => {
                        self.taken.fetch_add(len as u64, Ordering::Relaxed);
                        return Ok(Got::Octets(len));
                    }
                }
            },
        }
    }

    /// Octets of the file that were read, and all of them where that is known.
    pub(super) fn progress(&self) -> (u64, Option<u64>) {
        (self.taken.load(Ordering::Relaxed), self.size)
    }
}

/// A reader in a thread of its own, and the buffers that go to and fro.
struct Ahead {
    full: Receiver<io::Result<Vec<u8>>>,
    empty: Sender<Vec<u8>>,
    buffer: Vec<u8>,
    at: usize,
    ended: bool,
}

impl Ahead {
    fn start<R: Read + Send + 'static>(raw: R) -> io::Result<Self> {
        let (filled, full) = channel();
        let (empty, emptied) = channel();
        for _ in 0..BUFFERS {
            // The other end is in scope.
            let _ = empty.send(Vec::new());
        }
        std::thread::Builder::new()
            .name("reader".into())
            .spawn(move || {
                if let Err(error) = read_ahead(raw, &emptied, &filled) {
                    // Nobody listens where reading was given up.
                    let _ = filled.send(Err(error));
                }
            })?;
        Ok(Self {
            full,
            empty,
            buffer: Vec::new(),
            at: 0,
            ended: false,
        })
    }

    fn read(&mut self, into: &mut [u8]) -> io::Result<Got> {
        if self.at == self.buffer.len() && !self.ended {
            let next = match self.full.recv_timeout(PATIENCE) {
                Ok(next) => next?,
                Err(RecvTimeoutError::Timeout) => return Ok(Got::Nothing),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(io::Error::other("its reader ended"));
                }
            };
            self.ended = next.is_empty();
            self.at = 0;
            let used = std::mem::replace(&mut self.buffer, next);
            // The thread may have ended by now.
            let _ = self.empty.send(used);
        }
        let rest = self.buffer.get(self.at..).unwrap_or_default();
        let len = rest.len().min(into.len());
        if let (Some(from), Some(to)) = (rest.get(..len), into.get_mut(..len)) {
            to.copy_from_slice(from);
        }
        self.at += len;
        Ok(match len {
            0 if self.ended => Got::End,
            _ => Got::Octets(len),
        })
    }
}

/// Fills buffers until there is no more, which an empty one tells, or nobody wants them any more.
fn read_ahead<R: Read + Send + 'static>(
    raw: R,
    emptied: &Receiver<Vec<u8>>,
    filled: &Sender<io::Result<Vec<u8>>>,
) -> io::Result<()> {
    let mut reader = decoded(raw)?;
    while let Ok(mut buffer) = emptied.recv() {
        buffer.resize(AHEAD, 0);
        let len = loop {
            match reader.read(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        buffer.truncate(len);
        if filled.send(Ok(buffer)).is_err() || len == 0 {
            break;
        }
    }
    Ok(())
}

/// Counts what is read of a file.
struct Counted {
    file: File,
    taken: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let len = self.file.read(into)?;
        self.taken.fetch_add(len as u64, Ordering::Relaxed);
        Ok(len)
    }
}
