//! A cpio archive of the form `newc`, which the kernel unpacks as its first file system
//! (Documentation/driver-api/early-userspace/buffer-format.rst).

use std::{
    collections::BTreeSet,
    path::{Component, Path},
};

use anyhow::{Context, Result, bail};

const FOLDER: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const LINK: u32 = 0o120_777;
const CHARACTER_DEVICE: u32 = 0o020_600;

/// Headers, names and contents begin at multiples of this.
const ALIGNMENT: usize = 4;
const TRAILER: &str = "TRAILER!!!";

/// An archive in the making. Paths are absolute, and folders on the way to them are made.
#[derive(Default)]
pub(super) struct Archive {
    octets: Vec<u8>,
    made: BTreeSet<String>,
}

impl Archive {
    /// An empty folder.
    pub(super) fn folder(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let name = self.name(path.as_ref())?;
        self.add(name, FOLDER, (0, 0), &[])
    }

    /// A file that may be run.
    pub(super) fn file(&mut self, path: impl AsRef<Path>, content: &[u8]) -> Result<()> {
        let name = self.name(path.as_ref())?;
        self.add(name, PROGRAM, (0, 0), content)
    }

    /// A symbolic link.
    pub(super) fn link(&mut self, path: impl AsRef<Path>, target: &Path) -> Result<()> {
        let name = self.name(path.as_ref())?;
        let target = target.to_str().context("a link leads to no text")?;
        self.add(name, LINK, (0, 0), target.as_bytes())
    }

    /// A character device of this major and minor number.
    pub(super) fn device(&mut self, path: impl AsRef<Path>, numbers: (u32, u32)) -> Result<()> {
        let name = self.name(path.as_ref())?;
        self.add(name, CHARACTER_DEVICE, numbers, &[])
    }

    /// The whole archive.
    pub(super) fn finish(mut self) -> Result<Vec<u8>> {
        self.add(TRAILER.to_owned(), 0, (0, 0), &[])?;
        Ok(self.octets)
    }

    /// The name of a path, whose folders are there then.
    fn name(&mut self, path: &Path) -> Result<String> {
        let mut name = String::new();
        let mut parts = path.components().peekable();
        while let Some(part) = parts.next() {
            match part {
                Component::RootDir => continue,
                Component::Normal(part) => {
                    name.push_str(part.to_str().context("a path is no text")?);
                }
                _ => bail!("{} leads through other folders", path.display()),
            }
            if parts.peek().is_some() {
                if !self.made.contains(&name) {
                    self.add(name.clone(), FOLDER, (0, 0), &[])?;
                }
                name.push('/');
            }
        }
        Ok(name)
    }

    fn add(
        &mut self,
        name: String,
        mode: u32,
        (major, minor): (u32, u32),
        content: &[u8],
    ) -> Result<()> {
        let size = u32::try_from(content.len()).with_context(|| format!("{name} is too large"))?;
        let name_size = u32::try_from(name.len() + 1).context("a path is too long")?;
        let inode = u32::try_from(self.made.len() + 1).context("too many files")?;
        self.octets.extend(b"070701");
        let (owner, links, time, device, sum) = (0, 1, 0, 0, 0);
        let fields = [
            inode, mode, owner, owner, links, time, size, device, device, major, minor, name_size,
            sum,
        ];
        for field in fields {
            self.octets.extend(format!("{field:08x}").bytes());
        }
        self.octets.extend(name.bytes());
        self.octets.push(0);
        self.align();
        self.octets.extend(content);
        self.align();
        self.made.insert(name);
        Ok(())
    }

    fn align(&mut self) {
        let len = self.octets.len().next_multiple_of(ALIGNMENT);
        self.octets.resize(len, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_as_the_kernel_documents_it() -> Result<()> {
        let mut archive = Archive::default();
        archive.file("/etc/greeting", b"hello")?;
        archive.link("/etc/too", Path::new("greeting"))?;
        let octets = archive.finish()?;
        let text = String::from_utf8(octets)?;
        let header = |mode: &str, inode: u32, size: u32, name: u32| {
            let zeros = "0".repeat(16);
            format!(
                "070701{inode:08x}{mode}{zeros}0000000100000000{size:08x}{zeros}{zeros}{name:08x}\
                 00000000"
            )
        };
        let expected = [
            &header("000041ed", 1, 0, 4),
            "etc\0\0\0",
            &header("000081ed", 2, 5, 13),
            "etc/greeting\0\0hello\0\0\0",
            &header("0000a1ff", 3, 8, 8),
            "etc/too\0\0\0greeting",
            &header("00000000", 4, 0, 11),
            "TRAILER!!!\0\0\0\0",
        ];
        assert_eq!(text, expected.concat());
        Ok(())
    }

    #[test]
    fn a_folder_is_made_once() -> Result<()> {
        let mut archive = Archive::default();
        archive.file("/a/b", b"")?;
        archive.file("/a/c", b"")?;
        let text = String::from_utf8(archive.finish()?)?;
        assert_eq!(text.matches("000041ed").count(), 1);
        Ok(())
    }

    #[test]
    fn a_path_through_other_folders_is_refused() {
        assert!(Archive::default().file("/a/../b", b"").is_err());
    }
}
