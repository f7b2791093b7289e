//! Does what the news of interfaces ask for.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd, RawFd};
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::interfaces::{Act, Interfaces};
use super::{Change, Wishes};
use crate::attach::news::{News, Watch};
use crate::attach::{AttachError, Device, Programs};

/// The programs, and the interfaces that they are attached to.
pub(super) struct Follower {
    watch: Watch,
    programs: Programs,
    wishes: Wishes,
    interfaces: Interfaces,
    /// It may attach.
    attaches: bool,
}

impl AsRawFd for Follower {
    fn as_raw_fd(&self) -> RawFd {
        self.watch.as_fd().as_raw_fd()
    }
}

impl Follower {
    pub(super) fn new(programs: Programs, wishes: Wishes) -> Result<Self, AttachError> {
        Ok(Self {
            watch: Watch::new().map_err(AttachError::Netlink)?,
            programs,
            interfaces: Interfaces::new(wishes.any, &wishes.names),
            wishes,
            attaches: true,
        })
    }

    /// Whether what can come takes the right to attach or detach. A link is let go of without, and where
    /// one interface was named, nothing comes after it.
    pub(super) fn needs_rights(&self) -> bool {
        self.wishes.any || self.wishes.names.len() > 1 || self.programs.may_outlive()
    }

    /// Attaches to nothing any more.
    pub(super) const fn only_tell(&mut self) {
        self.attaches = false;
    }

    /// Leaves everything to another process, which has it as well since it was forked.
    pub(super) fn give_away(self) {
        self.programs.give_away();
    }

    /// Follows until the other end of `stop` is closed, or nobody hears what it tells.
    pub(super) fn run(
        mut self,
        stop: &UnixStream,
        tell: &mut dyn FnMut(Change) -> bool,
    ) -> Result<(), AttachError> {
        loop {
            if !self.has_news()? {
                if self.is_stopped(stop).map_err(AttachError::Netlink)? {
                    return Ok(());
                }
                self.watch.read().map_err(AttachError::Netlink)?;
            }
            for change in self.turn()? {
                if !tell(change) {
                    return Ok(());
                }
            }
        }
    }

    /// Waits until there are news or the end; tells whether it is the end.
    fn is_stopped(&self, stop: &UnixStream) -> io::Result<bool> {
        let mut watched = [
            PollFd::new(stop.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.watch.as_fd(), PollFlags::POLLIN),
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

    /// Whether something was read that was not dealt with yet.
    ///
    /// # Errors
    /// Where nothing is traced any more, and nothing will be.
    pub(super) fn has_news(&self) -> Result<bool, AttachError> {
        match self.watch.is_empty() {
            true if self.interfaces.are_all_gone() => Err(AttachError::NothingLeft),
            is_empty => Ok(!is_empty),
        }
    }

    /// Reads the news that have come.
    pub(super) fn read(&mut self) -> io::Result<()> {
        if self.watch.read()? {
            return Ok(());
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Deals with one piece of news, where there is one; gives what changed.
    pub(super) fn turn(&mut self) -> Result<Vec<Change>, AttachError> {
        let mut changes = Vec::new();
        if let Some(news) = self.watch.next() {
            self.take(news, &mut changes)?;
        }
        Ok(changes)
    }

    fn take(&mut self, news: News, changes: &mut Vec<Change>) -> Result<(), AttachError> {
        let listed = news == News::Listed;
        for act in self.interfaces.take(news) {
            match act {
                Act::Attach(device) if self.attaches => self.attach(&device, changes)?,
                Act::Attach(_) => {}
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
        Ok(())
    }

    fn attach(&mut self, device: &Device, changes: &mut Vec<Change>) -> Result<(), AttachError> {
        let attached = self
            .programs
            .attach(device, self.wishes.hook, self.wishes.egress);
        // Some hooks go by the name, which may be another's by now.
        let same = if_nametoindex(&*device.name) == Ok(device.index);
        match attached {
            Ok(attachment) if same => {
                changes.push(Change::Attached(attachment));
                changes.extend(self.interfaces.attached(device.index));
            }
            // What became of it is told next.
            Ok(_) => self.programs.detach(device.index),
            Err(AttachError::NoDevice { .. }) => {}
            Err(error) if self.interfaces.has_to_begin_with(device.index) => return Err(error),
            Err(error) => {
                let reason = format!("{:#}", anyhow::Error::new(error));
                changes.extend(self.interfaces.refused(device.index, reason));
            }
        }
        Ok(())
    }
}
