//! Why a process could not be confined, and what to do about it.

use std::io;

use caps::errors::CapsError;
use nix::errno::Errno;
use thiserror::Error;

/// A failure to confine the process.
#[derive(Clone, Debug, Error)]
pub enum SandboxError {
    /// There is no such user.
    #[error("there is no user {0:?}; name one, or give UID:GID")]
    NoUser(String),
    /// There is no such group.
    #[error("there is no group {0:?}; name one, or give its number")]
    NoGroup(String),
    /// A number stands for a user that has no entry, and therefore no group.
    #[error("nothing is known of the user {0}; give its group, too: {0}:GID")]
    NoEntry(u32),
    /// Root was asked for.
    #[error("root is no unprivileged user; --no-sandbox stays root")]
    Root,
    /// The process cannot become another user.
    #[error("it cannot become the user {user}: {reason}")]
    Switch {
        /// Who it should become.
        user: String,
        /// In plain words.
        reason: String,
    },
    /// Threads run already, which would not be confined.
    #[error("{0} threads run already, which would not be confined; this is a defect of synfin")]
    Threads(usize),
    /// A capability set could not be changed or asked.
    #[error("cannot {what}: {reason}; --no-sandbox does without")]
    Capabilities {
        /// What was done.
        what: &'static str,
        /// What the kernel said.
        reason: String,
    },
    /// The kernel refused something else.
    #[error("cannot {what}: {reason}; --no-sandbox does without")]
    System {
        /// What was done.
        what: &'static str,
        /// What the kernel said.
        reason: String,
    },
    /// Landlock failed, though the kernel has it.
    #[error("Landlock fails: {0}; --no-sandbox does without")]
    Landlock(String),
}

impl SandboxError {
    pub(super) fn system(what: &'static str, errno: Errno) -> Self {
        Self::System {
            what,
            reason: io::Error::from(errno).to_string(),
        }
    }

    pub(super) fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::System {
            what,
            reason: error.to_string(),
        }
    }

    pub(super) fn capabilities(what: &'static str) -> impl FnOnce(CapsError) -> Self {
        move |error| Self::Capabilities {
            what,
            reason: error.to_string(),
        }
    }
}
