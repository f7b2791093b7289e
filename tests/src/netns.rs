//! Network namespaces with a wire between them, gone when dropped.
//!
//! The daemon under test sits in the *near* namespace and traces [`NEAR`]; the *far* namespace holds
//! the other end of the wire. Addresses repeat from test to test, since namespaces are isolated.

use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, anyhow, ensure};
use nix::sched::{CloneFlags, setns};

use crate::process;

/// The traced interface.
pub const NEAR: &str = "near0";
/// The other end of its wire.
pub const FAR: &str = "far0";

/// The near end's IPv4 address.
pub const NEAR_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 1, 1, 1));
/// The far end's IPv4 address.
pub const FAR_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 1, 1, 2));
/// The near end's IPv6 address.
pub const NEAR_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1));
/// The far end's IPv6 address.
pub const FAR_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2));

const NAMES: &str = "/run/netns";
const PREFIX: &str = "synfin-t";

/// A network namespace with a name, and its loopback up.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes one.
    ///
    /// # Errors
    /// Where this process may not.
    pub fn new() -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        // The first use of `ip netns` sets up the directory of names, and does not do so twice at once.
        static NAMING: Mutex<()> = Mutex::new(());
        let count = COUNT.fetch_add(1, Relaxed);
        let name = format!("{PREFIX}{}-{count}", std::process::id());
        let guard = NAMING.lock().unwrap_or_else(PoisonError::into_inner);
        ip(&["netns", "add", &name])?;
        drop(guard);
        let namespace = Self { name };
        namespace.ip(&["link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A command that runs inside. Its process is the program's own: `ip` replaces itself by it.
    #[must_use]
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]);
        command.arg(program.as_ref());
        command
    }

    /// Runs `ip` on it.
    ///
    /// # Errors
    /// Where `ip` fails; with what it said.
    pub fn ip(&self, words: &[&str]) -> Result<()> {
        ip(&[&["-netns", &self.name], words].concat())
    }

    /// Does something on a thread that is inside, as are the threads and sockets that it makes.
    ///
    /// # Errors
    /// Those of the body.
    pub fn enter<T: Send>(&self, body: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        thread::scope(|scope| join(scope.spawn(|| self.join().and_then(|()| body())).join()))
    }

    /// Starts something beside the test on a thread that is inside.
    pub fn spawn<T: Send + 'static>(
        &self,
        body: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Task<T> {
        let inside = Self::open(&self.name);
        Task(thread::spawn(move || {
            setns(inside?, CloneFlags::CLONE_NEWNET).context("enter a namespace")?;
            body()
        }))
    }

    /// Sets a value below `/proc/sys/net`.
    ///
    /// # Errors
    /// Where there is no such value.
    pub fn sysctl(&self, name: &str, value: &str) -> Result<()> {
        let path = Path::new("/proc/sys/net").join(name);
        self.enter(|| fs::write(&path, value).with_context(|| format!("write {}", path.display())))
    }

    /// Segments of TCP that it has sent again, as its kernel counts them: on a busy machine some are.
    ///
    /// # Errors
    /// Where they are not counted.
    pub fn sent_again(&self) -> Result<u64> {
        let counts = self.enter(|| {
            // Those of the thread: others are in other namespaces.
            fs::read_to_string("/proc/thread-self/net/snmp").context("read the counts of TCP")
        })?;
        let mut lines = counts.lines().filter(|line| line.starts_with("Tcp:"));
        let (names, counts) = lines.next().zip(lines.next()).context("find TCP")?;
        let mut named = names.split_whitespace().zip(counts.split_whitespace());
        let count = named.find(|(name, _)| *name == "RetransSegs");
        let (_, count) = count.context("find what was sent again")?;
        Ok(count.parse()?)
    }

    fn join(&self) -> Result<()> {
        setns(Self::open(&self.name)?, CloneFlags::CLONE_NEWNET).context("enter a namespace")
    }

    fn open(name: &str) -> Result<File> {
        let path = PathBuf::from(NAMES).join(name);
        File::open(&path).with_context(|| format!("open {}", path.display()))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(error) = ip(&["netns", "delete", &self.name]) {
            eprintln!("{error:#}");
        }
    }
}

/// Something that goes on beside the test.
#[derive(Debug)]
pub struct Task<T>(JoinHandle<Result<T>>);

impl<T> Task<T> {
    /// Waits for its end.
    ///
    /// # Errors
    /// Its own.
    pub fn finish(self) -> Result<T> {
        join(self.0.join())
    }
}

fn join<T>(outcome: thread::Result<Result<T>>) -> Result<T> {
    outcome.unwrap_or_else(|panic| {
        let message = panic.downcast_ref::<String>().cloned();
        Err(anyhow!(
            message.unwrap_or_else(|| "a thread panicked".to_owned())
        ))
    })
}

/// Two namespaces with a veth pair between them.
#[derive(Debug)]
pub struct Link {
    /// Where the daemon is.
    pub near: Namespace,
    /// The other end.
    pub far: Namespace,
}

impl Link {
    /// A wire between two hosts with addresses.
    ///
    /// # Errors
    /// Where the namespaces or interfaces cannot be made.
    pub fn new() -> Result<Self> {
        Self::queued(1)
    }

    /// The same with so many queues each way at both ends, so that as many CPUs take in at once.
    ///
    /// # Errors
    /// Where the namespaces or interfaces cannot be made.
    pub fn queued(queues: u16) -> Result<Self> {
        let link = Self::wire(queues)?;
        link.near.address(NEAR, NEAR_V4, NEAR_V6)?;
        link.far.address(FAR, FAR_V4, FAR_V6)?;
        link.up()?;
        Ok(link)
    }

    /// A wire without addresses: nothing crosses it but what the test sends.
    ///
    /// # Errors
    /// Where the namespaces or interfaces cannot be made.
    pub fn silent() -> Result<Self> {
        let link = Self::wire(1)?;
        for (namespace, interface) in [(&link.near, NEAR), (&link.far, FAR)] {
            namespace.sysctl(&format!("ipv6/conf/{interface}/disable_ipv6"), "1")?;
        }
        link.up()?;
        Ok(link)
    }

    fn wire(queues: u16) -> Result<Self> {
        let near = Namespace::new()?;
        let far = Namespace::new()?;
        lay((&near, NEAR), (&far, FAR), queues)?;
        Ok(Self { near, far })
    }

    fn up(&self) -> Result<()> {
        self.near.ip(&["link", "set", NEAR, "up"])?;
        self.far.ip(&["link", "set", FAR, "up"])
    }
}

impl Namespace {
    fn address(&self, interface: &str, v4: IpAddr, v6: IpAddr) -> Result<()> {
        self.ip(&["address", "add", &format!("{v4}/24"), "dev", interface])?;
        // Without the detection of duplicates the address can be used at once.
        self.ip(&[
            "address",
            "add",
            &format!("{v6}/64"),
            "dev",
            interface,
            "nodad",
        ])
    }
}

/// Lays a wire between two namespaces. Its ends are born inside, so that this machine's own
/// namespace never sees them; they are down and without addresses.
///
/// # Errors
/// Where one of the names is taken.
pub fn connect(near: (&Namespace, &str), far: (&Namespace, &str)) -> Result<()> {
    lay(near, far, 1)
}

fn lay(near: (&Namespace, &str), far: (&Namespace, &str), queues: u16) -> Result<()> {
    let queues = queues.to_string();
    let queues = ["numtxqueues", &queues, "numrxqueues", &queues];
    let near = [&["link", "add", near.1, "netns", &near.0.name], &queues[..]].concat();
    let far = [&["peer", "name", far.1, "netns", &far.0.name], &queues[..]].concat();
    ip(&[&near[..], &["type", "veth"], &far[..]].concat())
}

/// The names of all namespaces that tests of this process made and that still are.
///
/// # Errors
/// Where the directory of names cannot be read.
pub fn left() -> Result<Vec<String>> {
    let ours = format!("{PREFIX}{}-", std::process::id());
    Ok(names()?
        .into_iter()
        .filter(|name| name.starts_with(&ours))
        .collect())
}

/// Deletes the namespaces of test runs that were killed: those whose process is no more.
pub fn sweep() {
    for name in names().unwrap_or_default() {
        let owner = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split_once('-'));
        if let Some((owner, _)) = owner
            && process::is_gone(owner)
            && let Err(error) = ip(&["netns", "delete", &name])
        {
            eprintln!("{error:#}");
        }
    }
}

fn names() -> Result<Vec<String>> {
    if !Path::new(NAMES).exists() {
        return Ok(Vec::new());
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(NAMES).context("list the namespaces")? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    Ok(names)
}

/// Runs `ip`.
///
/// # Errors
/// Where it fails; with what it said.
pub fn ip(words: &[&str]) -> Result<()> {
    let output = process::run(Command::new("ip").args(words))?;
    let complaint = output.stderr.trim();
    ensure!(
        output.status.success(),
        "`ip {}`: {complaint}",
        words.join(" ")
    );
    Ok(())
}
