//! Keeps the services of packages that we install from starting.
//!
//! We want the programs of nginx and vsftpd, not servers on the user's machine. A `policy-rc.d`
//! would do, but it is one file for the whole system, may exist already, and would outlive a kill.
//! Instead just the units concerned are masked while their packages are installed, under `/run`,
//! where a reboot removes what a kill left behind, and disabled afterwards, so that no later boot
//! starts them either.

use std::{path::Path, process::Command};

use crate::{
    exec::{self, say},
    privilege,
};

/// Units that do not start as long as this lives, and are disabled when it is dropped.
pub(crate) struct Held {
    units: Vec<&'static str>,
}

/// Holds the services of these packages down while they are installed. Where systemd does not run,
/// as in most containers, there is nothing to hold.
pub(crate) fn hold(packages: &[&str]) -> Held {
    // The test that sd_booted(3) documents.
    let systemd = Path::new("/run/systemd/system").is_dir();
    let units: Vec<_> = packages
        .iter()
        .filter(|_| systemd)
        .filter_map(|package| unit(package))
        .collect();
    let held = Held { units };
    held.systemctl(&["mask", "--runtime"]);
    held
}

impl Held {
    /// A failure here leaves a service running that the user can stop, which is no reason to end.
    fn systemctl(&self, verb: &[&str]) {
        if self.units.is_empty() {
            return;
        }
        let done = privilege::as_root("systemctl", "keeping a service from starting")
            .and_then(|mut systemctl| self.run(&mut systemctl, verb));
        if let Err(error) = done {
            say(format_args!("{error:#}"));
        }
    }

    fn run(&self, systemctl: &mut Command, verb: &[&str]) -> anyhow::Result<()> {
        exec::run_aside(systemctl.args(verb).args(&self.units))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.systemctl(&["unmask", "--runtime"]);
        self.systemctl(&["disable"]);
    }
}

fn unit(package: &str) -> Option<&'static str> {
    match package {
        "nginx-light" => Some("nginx.service"),
        "vsftpd" => Some("vsftpd.service"),
        _ => None,
    }
}
