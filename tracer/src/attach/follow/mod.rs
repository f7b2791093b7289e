//! Attaches to interfaces, and follows them as they come and go.
//!
//! In: the loaded programs and what is wished for. Out: [`Change`]s, one at a time. Plain data crosses
//! between this and the rest of synfin, so that it runs by itself: attaching takes its time, which the
//! reading of events must not wait for, and needs rights that nothing else needs once tracing began.

mod interfaces;

use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};

use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::sync::mpsc;

use super::netlink::{Netlink, News};
use super::{AttachError, Attachment, Device, Programs, XdpChoice};
use interfaces::{Act, Interfaces};

/// Changes that may wait to be heard; then the following waits.
const WAITING: usize = 256;

/// What is to be traced, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Every interface that is up, whenever that is.
    pub any: bool,
    /// Interfaces by their names. They have to be there at the beginning.
    pub names: Vec<String>,
    /// The hook for what arrives.
    pub hook: XdpChoice,
    /// What leaves is looked at, too.
    pub egress: bool,
}

/// What became of the interfaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// An interface is traced from now on.
    Attached(Attachment),
    /// An interface is not traced, and why.
    Refused {
        /// Its name.
        name: String,
        /// In words.
        reason: String,
    },
    /// A traced interface that was named has gone down; it is still attached to.
    Down {
        /// Its name.
        name: String,
    },
    /// It is up again.
    Up {
        /// Its name.
        name: String,
    },
    /// A traced interface has another name from now on.
    Renamed {
        /// Its index, which stays.
        index: u32,
        /// The name that it had.
        from: String,
        /// The name that it has.
        to: String,
    },
    /// A traced interface is not here any more, and not attached to.
    Gone {
        /// Its index.
        index: u32,
        /// Its name.
        name: String,
        /// It is in another namespace now.
        moved: bool,
    },
    /// All that was there at the beginning has been told.
    Ready,
    /// Nothing is traced any more, and nothing will be. Nothing comes after this.
    Failed {
        /// In words.
        reason: String,
    },
}

/// Interfaces are followed, until it is dropped.
#[derive(Debug)]
pub struct Following {
    changes: mpsc::Receiver<Change>,
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Following {
    /// Begins on a thread of its own, in the network namespace of the calling one.
    ///
    /// # Errors
    /// Where there is no thread or descriptor left.
    pub fn start(programs: Programs, wishes: Wishes) -> io::Result<Self> {
        let (sender, changes) = mpsc::channel(WAITING);
        let (stop, stopped) = UnixStream::pair()?;
        let thread = thread::Builder::new().name("interfaces".into());
        let thread = thread.spawn(move || {
            let mut tell = |change| sender.blocking_send(change).is_ok();
            if let Err(error) = follow(programs, wishes, &stopped, &mut tell) {
                let reason = format!("{:#}", anyhow::Error::new(error));
                tell(Change::Failed { reason });
            }
        })?;
        Ok(Self {
            changes,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Waits for the next change. May be cancelled.
    pub async fn change(&mut self) -> Change {
        let change = self.changes.recv().await;
        change.unwrap_or_else(|| Change::Failed {
            reason: "the interfaces are not followed any more".into(),
        })
    }
}

impl Drop for Following {
    /// Detaches from everything.
    fn drop(&mut self) {
        // Nobody waits for room any more.
        self.changes.close();
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // It said what was wrong already, where it ended before.
            drop(thread.join());
        }
    }
}

/// Follows interfaces until the other end of `stop` is closed, or nobody hears what it tells.
fn follow(
    programs: Programs,
    wishes: Wishes,
    stop: &UnixStream,
    tell: &mut dyn FnMut(Change) -> bool,
) -> Result<(), AttachError> {
    let mut netlink = Netlink::watch().map_err(AttachError::Netlink)?;
    let mut follower = Follower {
        interfaces: Interfaces::new(wishes.any, &wishes.names),
        programs,
        wishes,
    };
    let mut news = Vec::new();
    while !is_stopped(&netlink, stop).map_err(AttachError::Netlink)? {
        netlink.read(&mut news).map_err(AttachError::Netlink)?;
        for news in news.drain(..) {
            for change in follower.take(news)? {
                if !tell(change) {
                    return Ok(());
                }
            }
        }
        if follower.interfaces.are_all_gone() {
            return Err(AttachError::NothingLeft);
        }
    }
    Ok(())
}

/// Waits until there are news or the end; tells whether it is the end.
fn is_stopped(netlink: &Netlink, stop: &UnixStream) -> io::Result<bool> {
    let mut watched = [
        PollFd::new(stop.as_fd(), PollFlags::POLLIN),
        PollFd::new(netlink.as_fd(), PollFlags::POLLIN),
    ];
    loop {
        match poll(&mut watched, PollTimeout::NONE) {
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
            Ok(_) => {
                let [stop, _] = &watched;
                // The other end sends nothing: it is closed.
                return Ok(stop.any().unwrap_or(true));
            }
        }
    }
}

/// Does what the news ask for.
struct Follower {
    programs: Programs,
    wishes: Wishes,
    interfaces: Interfaces,
}

impl Follower {
    fn take(&mut self, news: News) -> Result<Vec<Change>, AttachError> {
        let listed = news == News::Listed;
        let mut changes = Vec::new();
        for act in self.interfaces.take(news) {
            match act {
                Act::Attach(device) => changes.extend(self.attach(&device)?),
                Act::Detach(index) => self.programs.detach(index),
                Act::Tell(change) => changes.push(change),
            }
        }
        if listed && let Some(name) = self.interfaces.missing() {
            return Err(AttachError::NoDevice {
                name: name.to_owned(),
                there_are: self.interfaces.names(),
            });
        }
        if listed && self.interfaces.begin() {
            changes.push(Change::Ready);
        }
        Ok(changes)
    }

    fn attach(&mut self, device: &Device) -> Result<Vec<Change>, AttachError> {
        let attached = self
            .programs
            .attach(device, self.wishes.hook, self.wishes.egress);
        // Some hooks go by the name, which may be another's by now.
        let same = if_nametoindex(&*device.name) == Ok(device.index);
        match attached {
            Ok(attachment) if same => {
                let mut changes = vec![Change::Attached(attachment)];
                changes.extend(self.interfaces.attached(device.index));
                Ok(changes)
            }
            // What became of it is told next.
            Ok(_) | Err(AttachError::NoDevice { .. }) => {
                self.programs.detach(device.index);
                Ok(Vec::new())
            }
            Err(error) if self.interfaces.has_to_begin_with(device.index) => Err(error),
            Err(error) => {
                self.programs.detach(device.index);
                let reason = format!("{:#}", anyhow::Error::new(error));
                let refused = self.interfaces.refused(device.index, reason);
                Ok(refused.into_iter().collect())
            }
        }
    }
}
