//! Programs that come from the distribution. Only what is missing is installed, and only where
//! there is an apt-get; elsewhere the user is told what to install.

use std::{ffi::OsStr, fs, path::Path, process::Command, sync::Once};

use anyhow::{Context, Result, ensure};

use crate::{
    exec::{self, say},
    privilege, services,
};

/// A program, and the Debian package that has it.
#[derive(Clone, Copy)]
pub(crate) struct Tool {
    program: &'static str,
    package: &'static str,
}

impl Tool {
    /// The name of the program.
    pub(crate) const fn program(self) -> &'static str {
        self.program
    }
}

/// What the demo runs.
pub(crate) const DEMO: &[Tool] = &[
    tool("ip", "iproute2"),
    tool("curl", "curl"),
    tool("vsftpd", "vsftpd"),
];

/// What the tests run.
pub(crate) const TESTS: &[Tool] = &[
    tool("ip", "iproute2"),
    tool("curl", "curl"),
    tool("vsftpd", "vsftpd"),
    tool("bpftool", "bpftool"),
    tool("setcap", "libcap2-bin"),
    tool("setpriv", "util-linux"),
    tool("strace", "strace"),
    tool("iperf3", "iperf3"),
    tool("nc.openbsd", "netcat-openbsd"),
    tool("man", "man-db"),
    tool("nft", "nftables"),
    tool("nginx", "nginx-light"),
    tool("tcpdump", "tcpdump"),
    tool("tmux", "tmux"),
    tool("tshark", "tshark"),
    tool("zstd", "zstd"),
];

/// What the tests look at pages with; guests, which have no pages to look at, do without.
pub(crate) const PAGES: &[Tool] = &[
    tool("chromium", "chromium"),
    tool("chromedriver", "chromium-driver"),
];

/// Installs everything that the tests run, and that is missing.
pub(crate) fn obtain_for_tests() -> Result<()> {
    obtain(&[TESTS, PAGES].concat())
}

/// Installs those of these programs that are missing.
pub(crate) fn obtain(tools: &[Tool]) -> Result<()> {
    let packages = missing(tools);
    if packages.is_empty() {
        return Ok(());
    }
    install(&packages)?;
    let still_missing = missing(tools);
    ensure!(
        still_missing.is_empty(),
        "the programs of these packages are still not to be found: {}",
        still_missing.join(" ")
    );
    Ok(())
}

/// Installs these Debian packages, asking nothing, removing nothing and starting no service.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let names = packages.join(" ");
    say(format_args!("missing: {names}"));
    ensure!(
        exec::find("apt-get").is_some(),
        "no apt-get here: install what Debian calls {names} with your package manager"
    );
    update_lists().with_context(|| {
        format!("run as root `apt-get install --no-install-recommends {names}`")
    })?;
    let _held = services::hold(packages);
    exec::run_aside(
        apt_get()?
            .args(["install", "-qq", "--yes", "--no-install-recommends"])
            // Another package that conflicts is the user's choice: fail instead of replacing it.
            .arg("--no-remove")
            .args(packages),
    )
    .with_context(|| format!("install {names}"))
}

/// This Debian package and those that it depends on, but not those that are installed.
pub(crate) fn not_installed_for(package: &str) -> Result<Vec<String>> {
    let simulate = || {
        let mut apt_get = Command::new("apt-get");
        apt_get.args(["install", "--simulate", "--no-install-recommends", package]);
        exec::read(&mut apt_get)
    };
    let said = match simulate() {
        Some(said) => said,
        None => {
            update_lists()?;
            simulate().with_context(|| format!("apt-get offers no {package}"))?
        }
    };
    Ok(to_install(&said).map(str::to_owned).collect())
}

/// The packages that a simulation of apt-get would install: `Inst NAME (VERSION …)`.
fn to_install(said: &str) -> impl Iterator<Item = &str> {
    let lines = said.lines().filter_map(|line| line.strip_prefix("Inst "));
    lines.filter_map(|rest| rest.split(' ').next())
}

/// Unpacks Debian packages into a folder without installing them. The folder is there afterwards
/// only where everything in it is.
pub(crate) fn unpack(packages: &[impl AsRef<OsStr>], folder: &Path) -> Result<()> {
    let making = folder.with_extension("making");
    if making.exists() {
        // What an earlier attempt left.
        fs::remove_dir_all(&making).with_context(|| format!("remove {}", making.display()))?;
    }
    fs::create_dir_all(&making).with_context(|| format!("make {}", making.display()))?;
    let fetch = || {
        exec::run_aside(
            Command::new("apt-get")
                .args(["download", "-qq"])
                .args(packages)
                .current_dir(&making),
        )
        .context("fetch packages of Debian's archive, which are only unpacked")
    };
    // The lists may name some that the archive has no longer.
    fetch().or_else(|_| update_lists().and_then(|()| fetch()))?;
    for entry in fs::read_dir(&making).context("look for what was fetched")? {
        let archive = entry.context("look for what was fetched")?.path();
        exec::run_aside(
            Command::new("dpkg-deb")
                .arg("--extract")
                .arg(&archive)
                .arg(&making),
        )?;
        fs::remove_file(&archive).with_context(|| format!("remove {}", archive.display()))?;
    }
    fs::rename(&making, folder).with_context(|| format!("make {}", folder.display()))
}

/// This program, in this package.
pub(crate) const fn tool(program: &'static str, package: &'static str) -> Tool {
    Tool { program, package }
}

fn missing(tools: &[Tool]) -> Vec<&'static str> {
    tools
        .iter()
        .filter(|tool| exec::find(tool.program).is_none())
        .map(|tool| tool.package)
        .collect()
}

/// Fetches the package lists, once. A third-party source that does not answer makes this fail while
/// the packages of the distribution can still be had, so installing shows whether it mattered.
pub(crate) fn update_lists() -> Result<()> {
    static ONCE: Once = Once::new();
    let mut update = apt_get()?;
    update.args(["update", "-qq"]);
    ONCE.call_once(|| {
        if let Err(error) = exec::run_aside(&mut update) {
            say(format_args!(
                "going on with the package lists as they are: {error:#}"
            ));
        }
    });
    Ok(())
}

/// apt-get as root, which asks nothing: questions of packages get their default answers. It waits
/// for another package manager to finish, such as the automatic upgrades of a machine just booted.
fn apt_get() -> Result<Command> {
    let mut command = privilege::as_root("env", "installing packages")?;
    command
        .args(["DEBIAN_FRONTEND=noninteractive", "apt-get"])
        .args(["-o", "DPkg::Lock::Timeout=300"])
        .args(["-o", "Dpkg::Use-Pty=0"]);
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_installed_is_read_from_a_simulation() {
        let said = "\
The following packages will be REMOVED:
  qemu-utils
Remv qemu-utils [1:10.0.2]
Inst seabios (1.16.2-1 Debian:12 [all])
Inst qemu-system-x86 (1:7.2 Debian:12 [amd64])
Conf seabios (1.16.2-1 Debian:12 [all])
";
        let packages: Vec<_> = to_install(said).collect();
        assert_eq!(packages, ["seabios", "qemu-system-x86"]);
    }
}
