//! Where the page goes: a file that is there when it is whole, and not before.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process;

use anyhow::{Context as _, bail};

use crate::sandbox::keeper::{self, Keeper};

/// An output that is open.
#[derive(Debug)]
pub(super) struct Output {
    name: String,
    out: Out,
    /// Puts a file in its place in the end.
    keeper: Option<Keeper>,
    octets: u64,
}

#[derive(Debug)]
enum Out {
    File(File),
    Stdout(io::Stdout),
}

impl Output {
    /// Opens it, before this process is confined; `-` is the standard output.
    ///
    /// # Errors
    /// Where it cannot be written, or is one of the files that are read.
    pub(super) fn open(path: &Path, inputs: &[PathBuf]) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        if path == "-" {
            return Ok(Self {
                name: "standard output".to_owned(),
                out: Out::Stdout(io::stdout()),
                keeper: None,
                octets: 0,
            });
        }
        // Behind a link there is the file that is meant.
        let place = match fs::canonicalize(path) {
            Ok(place) => place,
            Err(error) if error.kind() == ErrorKind::NotFound => path.to_owned(),
            Err(error) => return Err(error).with_context(|| format!("write {name}")),
        };
        let there = fs::metadata(&place).ok();
        if let Some(there) = &there {
            let same = |input: &PathBuf| {
                fs::metadata(input)
                    .is_ok_and(|input| (input.dev(), input.ino()) == (there.dev(), there.ino()))
            };
            if there.is_dir() {
                bail!("{name} is a directory: name a file, as -o report.html");
            }
            if there.is_file() && inputs.iter().any(same) {
                bail!("{name} is read, and cannot be written at the same time");
            }
            if !there.is_file() {
                let file = File::options().write(true).open(&place);
                let file = file.with_context(|| format!("write {name}"))?;
                return Ok(Self {
                    name,
                    out: Out::File(file),
                    keeper: None,
                    octets: 0,
                });
            }
        }
        let begun = beside(&place).with_context(|| format!("{name} names no file"))?;
        // Before there is anything, so that nothing is left wherever this process is killed.
        let keeper = keeper::start(begun.clone(), place)?;
        let file =
            File::create_new(&begun).with_context(|| format!("write {}", begun.display()))?;
        if let Some(there) = there {
            // The new one is as open as the old one; where that cannot be, it is as new files are.
            let _ = file.set_permissions(there.permissions());
        }
        Ok(Self {
            name,
            out: Out::File(file),
            keeper: Some(keeper),
            octets: 0,
        })
    }

    /// How it is called.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Octets that were written.
    pub(super) const fn octets(&self) -> u64 {
        self.octets
    }

    /// Puts it in its place.
    ///
    /// # Errors
    /// Where that is not possible.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        match self.keeper {
            Some(keeper) => keeper.keep(),
            None => Ok(()),
        }
    }
}

/// A name for what is not finished, in the same directory.
fn beside(place: &Path) -> Option<PathBuf> {
    let mut name = std::ffi::OsString::from(".");
    name.push(place.file_name()?);
    name.push(format!(".{}", process::id()));
    Some(place.with_file_name(name))
}

impl Write for Output {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let written = match &mut self.out {
            Out::File(file) => file.write(octets),
            Out::Stdout(stdout) => stdout.write(octets),
        };
        written.inspect(|len| self.octets += *len as u64)
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.out {
            Out::File(file) => file.flush(),
            Out::Stdout(stdout) => stdout.flush(),
        }
    }
}
