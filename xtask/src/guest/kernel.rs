//! Kernels of Debian's for virtual machines: unpacked under `target`, never installed.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    exec::{self, say},
    packages,
    workspace::Workspace,
};

const PREFIX: &str = "linux-image-";
const SUFFIX: &str = "-cloud-amd64";

/// Modules that the tests use, where the kernel has them: devices, what filters need, and what else
/// traffic meets.
const MODULES: &[&str] = &[
    "act_gact",
    "act_mirred",
    "bonding",
    "bridge",
    "cls_bpf",
    "cls_u32",
    "dummy",
    "geneve",
    "ip6_gre",
    "ip6_tunnel",
    "ip_gre",
    "ipip",
    "ipvlan",
    "macvlan",
    "nf_tables",
    "nft_numgen",
    "nft_reject_inet",
    "sch_ingress",
    "sch_netem",
    "tun",
    "veth",
    "8021q",
    "vxlan",
];

/// A kernel that can be started.
pub(crate) struct Kernel {
    release: String,
    folder: PathBuf,
}

impl Kernel {
    /// The newest kernel that apt offers of a version, such as `6.1`.
    pub(super) fn obtain(workspace: &Workspace, version: &str) -> Result<Self> {
        let mut offered = offered();
        if newest(&offered, version).is_none() {
            packages::update_lists()?;
            offered = self::offered();
        }
        let Some(release) = newest(&offered, version) else {
            let all = offered.join(", ");
            bail!("apt offers no kernel {version} for virtual machines; it has: {all}");
        };
        let kernel = Self::at(workspace, release);
        if !kernel.image().is_file() {
            let package = format!("{PREFIX}{release}");
            packages::unpack(&[package], &kernel.folder)?;
        }
        if !kernel.modules_map().is_file() {
            kernel.map_modules(&busybox(workspace)?)?;
        }
        Ok(kernel)
    }

    /// A kernel that was obtained before, by its whole release.
    pub(super) fn at(workspace: &Workspace, release: &str) -> Self {
        Self {
            release: release.to_owned(),
            folder: workspace.guest().join(release),
        }
    }

    /// Its name, as `uname -r` says it.
    pub(super) fn release(&self) -> &str {
        &self.release
    }

    /// Major and minor version.
    pub(super) fn version(&self) -> Result<(u32, u32)> {
        let numbers = numbers(&self.release);
        let [major, minor, ..] = numbers[..] else {
            bail!("{} begins with no version", self.release);
        };
        Ok((major, minor))
    }

    /// The image that is started.
    pub(super) fn image(&self) -> PathBuf {
        self.folder
            .join("boot")
            .join(format!("vmlinuz-{}", self.release))
    }

    /// The files of the modules that the tests use, each after those that it needs.
    pub(super) fn modules(&self) -> Result<Vec<PathBuf>> {
        let (folder, map) = (self.modules_folder(), self.modules_map());
        let map = fs::read_to_string(&map).with_context(|| format!("read {}", map.display()))?;
        let ordered = in_order(&map, MODULES);
        Ok(ordered.iter().map(|file| folder.join(file)).collect())
    }

    fn modules_folder(&self) -> PathBuf {
        self.folder.join("lib/modules").join(&self.release)
    }

    /// Which module needs which.
    fn modules_map(&self) -> PathBuf {
        self.modules_folder().join("modules.dep")
    }

    /// Makes the list of which module needs which, as installing the package would.
    fn map_modules(&self, busybox: &Path) -> Result<()> {
        exec::run_aside(
            Command::new(busybox)
                .args(["depmod", "-b"])
                .arg(&self.folder)
                .arg(&self.release),
        )
    }
}

/// A program of many in one that needs no libraries.
pub(super) fn busybox(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.guest().join("busybox");
    let program = folder.join("bin/busybox");
    if !program.is_file() {
        packages::unpack(&["busybox-static"], &folder)?;
        ensure!(program.is_file(), "busybox-static has no bin/busybox");
    }
    Ok(program)
}

/// The releases that apt knows of.
fn offered() -> Vec<String> {
    let pattern = format!("^{PREFIX}[0-9].*{SUFFIX}$");
    let mut search = Command::new("apt-cache");
    let Some(found) = exec::read(search.args(["search", "--names-only", &pattern])) else {
        say("no apt-cache here: kernels to test with come from Debian's archive");
        return Vec::new();
    };
    let names = found.lines().filter_map(|line| line.split(' ').next());
    let releases = names.filter_map(|name| name.strip_prefix(PREFIX));
    // The names of whole series, which only depend on the newest of them, have no third number.
    let releases = releases.filter(|release| numbers(release).len() > 2);
    let mut releases: Vec<_> = releases.map(str::to_owned).collect();
    releases.sort_by_key(|release| numbers(release));
    releases
}

/// The newest of a version: all its numbers are the first ones of the release.
fn newest<'a>(sorted: &'a [String], version: &str) -> Option<&'a str> {
    let wanted = numbers(version);
    let fits = |release: &&String| {
        !wanted.is_empty() && (**release == version || numbers(release).starts_with(&wanted))
    };
    sorted.iter().rfind(fits).map(String::as_str)
}

/// The numbers that a version begins with, before the first word: 6.1.0-56-cloud is 6, 1, 0, 56.
fn numbers(version: &str) -> Vec<u32> {
    let parts = version.split(['.', '-', '+']);
    parts.map_while(|part| part.parse().ok()).collect()
}

/// What `modules.dep` tells of these modules: their files, each after those that it needs.
fn in_order<'a>(map: &'a str, modules: &[&str]) -> Vec<&'a str> {
    let lines = map.lines().filter_map(|line| line.split_once(':'));
    let needs: BTreeMap<_, _> = lines
        .map(|(file, needs)| (name(file), (file, needs)))
        .collect();
    let mut ordered = Vec::new();
    for module in modules {
        let Some((file, needed)) = needs.get(*module) else {
            continue;
        };
        // What a module needs is named before what that needs in turn.
        for file in needed.split_whitespace().rev().chain([*file]) {
            if !ordered.contains(&file) {
                ordered.push(file);
            }
        }
    }
    ordered
}

fn name(file: &str) -> &str {
    let (_, name) = file.rsplit_once('/').unwrap_or(("", file));
    name.split('.').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn releases() -> Vec<String> {
        [
            "6.1.0-9-cloud-amd64",
            "6.1.0-56-cloud-amd64",
            "6.12.117+deb12-cloud-amd64",
        ]
        .map(str::to_owned)
        .to_vec()
    }

    #[test]
    fn the_newest_of_a_version_is_taken() {
        assert_eq!(newest(&releases(), "6.1"), Some("6.1.0-56-cloud-amd64"));
        assert_eq!(
            newest(&releases(), "6.12"),
            Some("6.12.117+deb12-cloud-amd64")
        );
        assert_eq!(newest(&releases(), "6"), Some("6.12.117+deb12-cloud-amd64"));
        assert_eq!(
            newest(&releases(), "6.1.0-9-cloud-amd64"),
            Some("6.1.0-9-cloud-amd64")
        );
    }

    #[test]
    fn a_version_is_no_beginning_of_a_number() {
        assert_eq!(newest(&releases(), "6.11"), None);
        assert_eq!(newest(&releases(), "5"), None);
        assert_eq!(newest(&releases(), "new"), None);
    }

    #[test]
    fn modules_come_after_what_they_need() {
        let map = "\
kernel/net/llc/llc.ko:
kernel/net/802/stp.ko: kernel/net/llc/llc.ko
kernel/net/bridge/bridge.ko: kernel/net/802/stp.ko kernel/net/llc/llc.ko
kernel/drivers/net/veth.ko.xz:
";
        let expected = [
            "kernel/drivers/net/veth.ko.xz",
            "kernel/net/llc/llc.ko",
            "kernel/net/802/stp.ko",
            "kernel/net/bridge/bridge.ko",
        ];
        assert_eq!(in_order(map, &["veth", "bridge", "nosuch"]), expected);
    }
}
