//! How the process is confined.

use clap::Args;

use crate::sandbox::Account;
use crate::sandbox::attacher::Confine;

/// How the process is confined.
#[derive(Args, Clone, Debug)]
pub struct Confining {
    /// Where it was started as root, go on as this user: a name or number, with a group where it has another
    /// than its own [default: nobody]
    #[arg(
        long,
        value_name = "USER[:GROUP]",
        conflicts_with = "no_sandbox",
        help_heading = "Privileges"
    )]
    pub user: Option<Account>,

    /// Keep all privileges while reading what comes from outside, instead of giving up capabilities, user,
    /// files and system calls
    #[arg(long, help_heading = "Privileges")]
    pub no_sandbox: bool,
}

impl Confining {
    /// How the process that attaches is confined, where there is one.
    #[must_use]
    pub fn attacher(&self) -> Confine {
        if self.no_sandbox {
            Confine::No
        } else {
            Confine::As(self.user.clone())
        }
    }
}
