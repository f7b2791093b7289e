//! A real FTP server with one file in it, gone when dropped.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::{
    exec::{self, say},
    netns::Host,
    process::{Running, wait_for},
};

/// The name of the file that is served.
pub(crate) const FILE: &str = "hello.txt";

const CONTENT: &str = "Hello from a real FTP server.\n";

/// The server, its configuration and its file.
pub(crate) struct Server {
    // In this order: the process is gone before its files are.
    _process: Running,
    _folder: Folder,
}

impl Server {
    /// Starts vsftpd on a host, and returns when it listens.
    pub(crate) fn start(host: &Host, address: &str) -> Result<Self> {
        let folder = Folder::new()?;
        let settings = folder.furnish(address)?;
        let mut process = Running::start(
            host.command(&exec::need("vsftpd")?)?
                .arg(settings)
                .stdin(Stdio::null())
                .stdout(Stdio::null()),
        )?;
        wait_for("vsftpd to listen", Duration::from_secs(10), || {
            if let Some(status) = process.ended()? {
                bail!("vsftpd ended at once, with {status}");
            }
            listens(process.child().id())
        })?;
        Ok(Self {
            _process: process,
            _folder: folder,
        })
    }
}

/// A temporary folder of our own.
struct Folder {
    path: PathBuf,
}

impl Folder {
    fn new() -> Result<Self> {
        let path = env::temp_dir().join(format!("synfin-ftp-{}", std::process::id()));
        // Fails where someone else made it first, so nobody can choose where we write.
        fs::create_dir(&path).with_context(|| format!("make {}", path.display()))?;
        Ok(Self { path })
    }

    /// Writes the served file and the settings, and returns where the settings are.
    fn furnish(&self, address: &str) -> Result<PathBuf> {
        let (root, jail) = (self.path.join("files"), self.path.join("jail"));
        let file = root.join(FILE);
        let settings = self.path.join("vsftpd.conf");
        let write = || {
            fs::create_dir(&root)?;
            fs::create_dir(&jail)?;
            fs::write(&file, CONTENT)?;
            fs::write(&settings, self::settings(address, &root, &jail))?;
            // vsftpd serves as another user, whatever our umask was.
            for (path, mode) in [(&self.path, 0o755), (&root, 0o755), (&file, 0o644)] {
                fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
            }
            Ok::<(), std::io::Error>(())
        };
        write().with_context(|| format!("write into {}", self.path.display()))?;
        Ok(settings)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            say(format_args!("remove {}: {error}", self.path.display()));
        }
    }
}

/// An anonymous server in the foreground, which also works in a container: there its sandbox of
/// system calls and its namespaces of its own may be refused. It serves as `daemon`, because it
/// enters the home of its user first, and of the users that every system has, that one's exists.
fn settings(address: &str, root: &Path, jail: &Path) -> String {
    let (root, jail) = (root.display(), jail.display());
    format!(
        "\
listen=YES
listen_ipv6=NO
listen_address={address}
background=NO
anonymous_enable=YES
no_anon_password=YES
local_enable=NO
write_enable=NO
ftp_username=daemon
nopriv_user=nobody
anon_root={root}
secure_chroot_dir={jail}
pasv_enable=YES
port_enable=NO
xferlog_enable=NO
seccomp_sandbox=NO
isolate=NO
isolate_network=NO
"
    )
}

/// Whether a TCP socket listens on the port of FTP in the network namespace of this process.
fn listens(process: u32) -> Result<Option<()>> {
    let table = format!("/proc/{process}/net/tcp");
    let sockets = fs::read_to_string(&table).with_context(|| format!("read {table}"))?;
    Ok(sockets.lines().any(is_ftp_listener).then_some(()))
}

/// A line of `/proc/net/tcp`: a number, the local address and port, the remote ones, the state.
fn is_ftp_listener(line: &str) -> bool {
    const PORT_21: &str = ":0015";
    const LISTEN: &str = "0A";
    let mut fields = line.split_whitespace().skip(1);
    let local = fields.next();
    let state = fields.nth(1);
    local.is_some_and(|local| local.ends_with(PORT_21)) && state == Some(LISTEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listening_socket_on_port_21_is_found() {
        assert!(is_ftp_listener(
            "   0: 0101010A:0015 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0"
        ));
    }

    #[test]
    fn the_header_other_ports_and_open_connections_are_not() {
        for line in [
            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt",
            "   0: 0101010A:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0",
            "   0: 0101010A:0015 0201010A:C350 01 00000000:00000000 00:00000000 00000000     0",
        ] {
            assert!(!is_ftp_listener(line), "{line}");
        }
    }
}
