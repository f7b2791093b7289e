//! Follows interfaces as they come and go.
//!
//! In: the loaded programs and what is wished for. Out: [`Change`]s, one at a time. It begins in this
//! process, with all its rights. Where interfaces can come later, or something has to be taken off at the
//! end, it goes on in a process of its own that keeps the rights which that takes: plain data crosses
//! between both, and attaching, which takes its time, holds up nothing. Elsewhere it goes on here, needs
//! no right, and only tells.

mod follower;
mod interfaces;

use std::collections::VecDeque;
use std::io;

use anyhow::anyhow;
use serde::{Deserialize, Serialize};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::{AttachError, Attachment, Programs, XdpChoice};
use crate::sandbox::attacher::{self, Attacher, Confine};
use crate::sandbox::{Confinement, SandboxError};
use follower::Follower;

/// What is to be traced, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Every interface that is up, whenever that is.
    pub any: bool,
    /// Interfaces by their names, each once. They have to be there at the beginning.
    pub names: Vec<String>,
    /// The hook for what arrives.
    pub hook: XdpChoice,
    /// What leaves is looked at, too.
    pub egress: bool,
}

/// What became of the interfaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
}

/// What the process of its own tells: changes, and at last why nothing is traced any more.
type Told = Result<Change, String>;

/// Interfaces are followed.
pub struct Following {
    place: Place,
    /// What has changed and was not asked for yet.
    changes: VecDeque<Change>,
}

enum Place {
    Here(Box<AsyncFd<Follower>>),
    Apart(Attacher<Told>),
}

impl Following {
    /// Begins in this process, in the network namespace of the calling thread.
    ///
    /// # Errors
    /// Where netlink fails.
    pub fn begin(programs: Programs, wishes: Wishes) -> Result<Self, AttachError> {
        Ok(Self {
            place: Place::Here(here(Follower::new(programs, wishes)?)?),
            changes: VecDeque::new(),
        })
    }

    /// Goes on without rights in this process, which has to have one thread only. Where that is not
    /// enough, a process of its own keeps them; `begun` hears how that is confined.
    ///
    /// # Errors
    /// Where there are threads already, or there can be no more processes.
    pub fn give_up_rights(
        self,
        how: Confine,
        begun: impl FnOnce(&Confinement),
    ) -> anyhow::Result<Self> {
        let Self { place, changes } = self;
        let place = match place {
            Place::Here(follower) => {
                let mut follower = follower.into_inner();
                if follower.needs_rights() {
                    Place::Apart(apart(follower, how, begun)?)
                } else {
                    follower.only_tell();
                    Place::Here(here(follower)?)
                }
            }
            apart @ Place::Apart(_) => apart,
        };
        Ok(Self { place, changes })
    }

    /// Waits for the next change. May be cancelled.
    ///
    /// # Errors
    /// Where nothing is traced any more, and nothing will be.
    pub async fn change(&mut self) -> anyhow::Result<Change> {
        loop {
            if let Some(change) = self.changes.pop_front() {
                return Ok(change);
            }
            match &mut self.place {
                Place::Apart(attacher) => {
                    let told = attacher.message().await?;
                    let told =
                        told.ok_or_else(|| anyhow!("the process that attaches has ended"))?;
                    return told.map_err(|reason| anyhow!(reason));
                }
                Place::Here(follower) => {
                    if !follower.get_ref().has_news()? {
                        let read = follower.async_io_mut(Interest::READABLE, Follower::read);
                        read.await.map_err(AttachError::Netlink)?;
                    }
                    self.changes.extend(follower.get_mut().turn()?);
                }
            }
        }
    }

    /// Detaches from everything; gives whether that was done in time.
    pub async fn finish(self) -> bool {
        match self.place {
            Place::Here(_) => true,
            Place::Apart(attacher) => attacher.finish().await,
        }
    }
}

fn here(follower: Follower) -> Result<Box<AsyncFd<Follower>>, AttachError> {
    // SAFETY: a follower has the same open descriptor for as long as it is there.
    let follower = unsafe { AsyncFd::register(follower) };
    let follower = follower.map_err(|error| AttachError::Netlink(io::Error::from(error)))?;
    Ok(Box::new(follower))
}

/// Starts the process of its own, which has all that is attached from then on.
fn apart(
    follower: Follower,
    how: Confine,
    begun: impl FnOnce(&Confinement),
) -> Result<Attacher<Told>, SandboxError> {
    let mut follower = Some(follower);
    let attacher = attacher::start(how, begun, |teller| {
        let Some(follower) = follower.take() else {
            return;
        };
        if let Err(error) = follower.run(teller.end(), &mut |change| teller.tell(&Ok(change))) {
            teller.tell(&Err(format!("{:#}", anyhow::Error::new(error))));
        }
    })?;
    if let Some(follower) = follower {
        follower.give_away();
    }
    Ok(attacher)
}
