//! The file system of a guest: one command with what it needs, at the paths that it has here.

use std::{
    collections::BTreeSet,
    env,
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::{archive::Archive, kernel::Kernel, without};
use crate::{exec, packages, workspace::Workspace};

/// What the tests run beside what is installed for them; the guest's shell has the rest.
const PROGRAMS: [&str; 8] = [
    "sh", "env", "ethtool", "script", "setpriv", "taskset", "tc", "unshare",
];

/// Of these, programs ask for users and names.
const TABLES: [&str; 5] = [
    "/etc/group",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/services",
];

/// Folders that are links to others on most systems.
const MERGED: [&str; 4] = ["/bin", "/sbin", "/lib", "/lib64"];

/// Folders that are mounted on, or have to be there; vsftpd goes home before it goes where it serves.
const FOLDERS: [&str; 8] = [
    "/dev", "/proc", "/root", "/run", "/srv/ftp", "/sys", "/tmp", "/var/tmp",
];

/// Variables that tests are told something by.
const VARIABLES: [&str; 3] = ["CI", "CARGO_MANIFEST_DIR", "RUST_BACKTRACE"];
const OURS: &str = "SYNFIN_";
/// The variable that tells tests what they may do without.
const MAY_LACK: &str = "SYNFIN_MAY_LACK";
/// The variable that tells tests to do less of the same.
const EMULATED: &str = "SYNFIN_EMULATED=1";

/// Makes the file system in which this command is run.
pub(super) fn root(
    workspace: &Workspace,
    kernel: &Kernel,
    busybox: &Path,
    command: &[OsString],
) -> Result<Vec<u8>> {
    let mut root = Root::new()?;
    for folder in FOLDERS {
        root.archive.folder(folder)?;
    }
    // The kernel hands it to the first process, before there are any others.
    root.archive.device("/dev/console", (5, 1))?;
    root.archive.file("/init", include_bytes!("init.sh"))?;
    root.archive.file("/busybox/busybox", &read(busybox)?)?;
    for (index, module) in kernel.modules()?.iter().enumerate() {
        let name = module.file_name().unwrap_or_default().to_string_lossy();
        let path = format!("/guest/modules/{index:02}-{name}");
        root.archive.file(path, &read(module)?)?;
    }
    for table in TABLES {
        root.archive
            .file(table, &fs::read(table).unwrap_or_default())?;
    }
    let without = without::here(kernel)?;
    root.programs(&without)?;
    root.built(workspace, command)?;
    root.command(command, &without)?;
    root.archive.finish()
}

struct Root {
    archive: Archive,
    copied: BTreeSet<PathBuf>,
}

impl Root {
    fn new() -> Result<Self> {
        let mut archive = Archive::default();
        for folder in MERGED {
            if let Ok(target) = fs::read_link(folder) {
                archive.link(folder, &target)?;
            }
        }
        Ok(Self {
            archive,
            copied: BTreeSet::new(),
        })
    }

    /// The programs of this machine that tests use, but those that a guest does without.
    fn programs(&mut self, without: &[&str]) -> Result<()> {
        let installed = packages::TESTS.iter().map(|tool| tool.program());
        for program in installed.chain(PROGRAMS) {
            if !without.contains(&program)
                && let Some(path) = exec::find(program)
            {
                self.libraries(&path)?;
                self.copy(&path)?;
            }
        }
        Ok(())
    }

    /// What was built here: the command's program, the daemon, the BPF programs, and the texts that
    /// tests compare with.
    fn built(&mut self, workspace: &Workspace, command: &[OsString]) -> Result<()> {
        let program = command.first().context("there is no command to run")?;
        let programs = [Path::new(program), &workspace.synfin()];
        for program in programs.into_iter().filter(|program| program.is_file()) {
            self.libraries(program)?;
            self.archive.file(program, &stripped(workspace, program)?)?;
        }
        let object = workspace.bpf_object();
        if object.is_file() {
            self.copy(&object)?;
        }
        let golden = workspace.root().join("tests/live/golden");
        for entry in fs::read_dir(&golden).with_context(|| format!("list {}", golden.display()))? {
            self.copy(&entry?.path())?;
        }
        Ok(())
    }

    /// The command, a word a line, and where it is run.
    fn command(&mut self, command: &[OsString], without: &[&str]) -> Result<()> {
        let may_lack = format!("{MAY_LACK}={}", without.join(","));
        let mut words: Vec<OsString> = vec!["env".into(), may_lack.into(), EMULATED.into()];
        for (name, value) in env::vars_os() {
            let text = name.to_string_lossy();
            if VARIABLES.contains(&text.as_ref()) || text.starts_with(OURS) {
                let mut word = name.clone();
                word.push("=");
                word.push(value);
                words.push(word);
            }
        }
        words.extend_from_slice(command);
        let lines: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
        self.archive
            .file("/guest/command", (lines.join("\n") + "\n").as_bytes())?;
        let folder = env::current_dir().context("ask where we are")?;
        self.archive.folder(&folder)?;
        self.archive
            .file("/guest/folder", folder.to_string_lossy().as_bytes())
    }

    /// The shared libraries of a program.
    fn libraries(&mut self, program: &Path) -> Result<()> {
        let said = exec::read(Command::new("ldd").arg(program)).unwrap_or_default();
        for library in said.split_whitespace().filter(|word| word.starts_with('/')) {
            self.copy(Path::new(library))?;
        }
        Ok(())
    }

    /// A file of this machine, at its own path; what links lead to is what is copied.
    fn copy(&mut self, path: &Path) -> Result<()> {
        let folder = path.parent().unwrap_or(Path::new("/"));
        let folder = folder
            .canonicalize()
            .with_context(|| format!("find {}", folder.display()))?;
        let real = folder.join(path.file_name().unwrap_or(OsStr::new("")));
        if self.copied.insert(real.clone()) {
            self.archive.file(&real, &read(path)?)?;
        }
        Ok(())
    }
}

/// A program without what only debuggers read, which is most of it.
fn stripped(workspace: &Workspace, program: &Path) -> Result<Vec<u8>> {
    let to = workspace
        .guest()
        .join(format!("stripped-{}", std::process::id()));
    let strip = exec::run_aside(
        Command::new("strip")
            .arg("--strip-debug")
            .arg("-o")
            .arg(&to)
            .arg(program),
    );
    let octets = strip.and_then(|()| read(&to));
    // Where there is no strip, there is nothing to remove, and the program goes in as it is.
    drop(fs::remove_file(&to));
    octets.or_else(|_| read(program))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("read {}", path.display()))
}
