//! Two hosts in network namespaces with a wire between them, gone when dropped.

use std::{os::unix::process::CommandExt, path::Path, process::Command};

use anyhow::{Context, Result};

use crate::exec::{self, say};

/// The name of the interface in each namespace.
pub(crate) const INTERFACE: &str = "eth0";

/// A network namespace, deleted when dropped, and with it the interfaces in it.
///
/// It is made and deleted by processes of a group of their own, which Ctrl-C on the terminal does
/// not reach: half a creation or half a deletion would stay behind.
pub(crate) struct Host {
    name: String,
}

/// Makes two hosts that see each other at these addresses, given with their prefix length. Their
/// names hold our process number, so that two of us do not meet.
pub(crate) fn pair(first: (&str, &str), second: (&str, &str)) -> Result<(Host, Host)> {
    let first_host = Host::new(first.0)?;
    let second_host = Host::new(second.0)?;
    // Both ends are born inside, so that this machine's own namespace never sees an interface.
    ip(&["link", "add", INTERFACE, "netns", &first_host.name])
        .and_then(|mut link| {
            link.args(["type", "veth", "peer", "name", INTERFACE]);
            exec::run(link.args(["netns", &second_host.name]))
        })
        .context("connect the two namespaces")?;
    first_host.bring_up(first.1)?;
    second_host.bring_up(second.1)?;
    Ok((first_host, second_host))
}

impl Host {
    /// A command that runs in this namespace; arguments may be added.
    pub(crate) fn command(&self, program: &Path) -> Result<Command> {
        let mut command = ip(&["netns", "exec", &self.name])?;
        command.arg(program);
        Ok(command)
    }

    fn new(role: &str) -> Result<Self> {
        let name = format!("synfin-{role}-{}", std::process::id());
        exec::run(ip(&["netns", "add", &name])?.process_group(0))?;
        Ok(Self { name })
    }

    fn bring_up(&self, address: &str) -> Result<()> {
        let within = ["-netns", &self.name];
        for words in [
            ["address", "add", address, "dev", INTERFACE].as_slice(),
            ["link", "set", INTERFACE, "up"].as_slice(),
            ["link", "set", "lo", "up"].as_slice(),
        ] {
            exec::run(ip(&within)?.args(words))?;
        }
        Ok(())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let deleted = ip(&["netns", "delete", &self.name])
            .and_then(|mut delete| exec::run(delete.process_group(0)));
        if let Err(error) = deleted {
            say(format_args!("{error:#}"));
        }
    }
}

fn ip(words: &[&str]) -> Result<Command> {
    let mut command = Command::new(exec::need("ip")?);
    command.args(words);
    Ok(command)
}
