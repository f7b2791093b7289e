//! What a break-in would try, from inside of the sandbox.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsRawFd as _;

use anyhow::{Context, Result, ensure};
use caps::Capability;
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, connect, socket};
use synfin::sandbox::{self, Plan, Task};
use synfin_tests::cases;
use synfin_tests::daemon::REFUSED;
use synfin_tests::privileges::{self, Privileges};
use synfin_tests::process::{Background, Output};
use synfin_tests::requirement::Requirement::Root;
use synfin_tests::suite::Case;

use crate::inside;

/// The task, as an argument.
const TASKS: [(&str, Task); 4] = [
    ("trace", Task::Trace { accounts: false }),
    ("account", Task::Trace { accounts: true }),
    ("read", Task::Read),
    ("attach", Task::Attach),
];

/// Said when everything was attempted.
const END: &str = "that was all";

/// What is left to do.
const ALLOWED: [&str; 4] = ["write", "thread", "memory", "clock"];

pub(crate) fn cases() -> Vec<Case> {
    cases![&[Root];
        a_tracer_can_do_nothing_that_a_break_in_would,
        a_tracer_that_counts_can_do_no_more_but_delete,
        a_reader_can_do_nothing_that_a_break_in_would,
        who_attaches_opens_no_file_and_without_capabilities_loads_nothing,
        one_capability_can_be_kept_and_no_other,
    ]
}

fn a_tracer_can_do_nothing_that_a_break_in_would() -> Result<()> {
    let outcomes = outcomes("trace")?;
    only(&outcomes, &ALLOWED)?;
    // Without a map the look-up fails, but is not refused.
    is(&outcomes, "look up", Errno::EBADF)?;
    is(&outcomes, "delete", Errno::EPERM)
}

fn a_tracer_that_counts_can_do_no_more_but_delete() -> Result<()> {
    let outcomes = outcomes("account")?;
    only(&outcomes, &ALLOWED)?;
    is(&outcomes, "look up", Errno::EBADF)?;
    is(&outcomes, "delete", Errno::EBADF)
}

fn a_reader_can_do_nothing_that_a_break_in_would() -> Result<()> {
    let outcomes = outcomes("read")?;
    only(&outcomes, &ALLOWED)?;
    is(&outcomes, "look up", Errno::EPERM)
}

fn who_attaches_opens_no_file_and_without_capabilities_loads_nothing() -> Result<()> {
    let outcomes = outcomes("attach")?;
    only(&outcomes, &ALLOWED)?;
    is(&outcomes, "load a program", Errno::EPERM)?;
    is(&outcomes, "link", Errno::EBADF)
}

fn one_capability_can_be_kept_and_no_other() -> Result<()> {
    let (_, threads) = attempted(&["trace", "keep"])?;
    for thread in threads {
        // CAP_BPF (linux/capability.h).
        assert_eq!(thread.capabilities, [0, 1 << 39, 1 << 39, 0, 0]);
    }
    Ok(())
}

/// An attempt, and what came of it.
type Outcome = (String, String);

/// What all attempts come to; every refusal was said.
fn outcomes(task: &str) -> Result<Vec<Outcome>> {
    let (output, threads) = attempted(&[task])?;
    privileges::ensure_none(&threads, false)?;
    let lines = output.stdout.lines();
    let lines = lines.filter_map(|line| line.split_once(": "));
    let outcomes = lines.map(|(name, came)| (name.into(), came.into()));
    for number in [libc::SYS_execve, libc::SYS_ptrace, libc::SYS_bpf] {
        let said = format!("{REFUSED} system call {number},");
        let times = output.stderr.matches(&said).count();
        ensure!(times == 1, "{said} in {}", output.stderr);
    }
    Ok(outcomes.collect())
}

/// A process that attempts everything: what it said, and its privileges.
fn attempted(words: &[&str]) -> Result<(Output, Vec<Privileges>)> {
    let mut process = Background::start(inside::command("attempts")?.args(words))?;
    process.wait_for_stdout(END, |text| text.contains(END).then_some(()))?;
    let threads = privileges::of(process.id())?;
    Ok((process.kill()?, threads))
}

/// That all attempts are refused but these, which succeed; what else is told of one is judged apart.
fn only(outcomes: &[Outcome], allowed: &[&str]) -> Result<()> {
    let apart = ["look up", "delete", "link"];
    let mut succeeded = Vec::new();
    for (name, came) in outcomes {
        if came == "done" {
            succeeded.push(name.as_str());
        } else if !apart.contains(&name.as_str()) {
            let refusals = ["EPERM", "ENOSYS"];
            ensure!(refusals.contains(&came.as_str()), "{name}: {came}");
        }
    }
    assert_eq!(succeeded, allowed);
    Ok(())
}

fn is(outcomes: &[Outcome], name: &str, errno: Errno) -> Result<()> {
    is_text(outcomes, name, &format!("{errno:?}"))
}

fn is_text(outcomes: &[Outcome], name: &str, expected: &str) -> Result<()> {
    let found = outcomes.iter().find(|(other, _)| other == name);
    let (_, came) = found.with_context(|| format!("{name} was not attempted: {outcomes:?}"))?;
    ensure!(came == expected, "{name}: {came}, and not {expected}");
    Ok(())
}

/// The part: enters the sandbox for a task, and tries everything.
pub(crate) fn attempt(words: &[String]) -> Result<()> {
    let [task, keep @ ..] = words else {
        anyhow::bail!("for which task?");
    };
    let (_, task) = TASKS
        .into_iter()
        .find(|(name, _)| name == task)
        .context("no such task")?;
    let opened = File::open("/proc/self/status")?;
    let socket = socket(
        AddressFamily::Inet,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    sandbox::confine(&Plan {
        user: None,
        task,
        keep: keep.iter().map(|_| Capability::CAP_BPF).collect(),
    })?;
    for (name, came) in everything(&opened, &socket) {
        let came = match came {
            Ok(()) => "done".to_owned(),
            Err(errno) => format!("{errno:?}"),
        };
        inside::tell(&format!("{name}: {came}"))?;
    }
    inside::tell(END)?;
    // Until it was looked at, and is killed.
    loop {
        std::thread::park();
    }
}

fn everything(
    opened: &File,
    socket: &impl std::os::fd::AsRawFd,
) -> Vec<(&'static str, Result<(), Errno>)> {
    let path = c"/etc/passwd".as_ptr();
    let nothing = [std::ptr::null::<libc::c_char>()];
    // Zeros ask for a program, a map or a link that is none; the command decides whether it is looked at.
    let zeros = [0u8; 128];
    let bpf = |command: i32| {
        call(
            libc::SYS_bpf,
            [i64::from(command), address(&zeros), 128, 0, 0, 0],
        )
    };
    // No map has this descriptor.
    let mut no_map = [0u8; 128];
    no_map[..4].copy_from_slice(&u32::MAX.to_ne_bytes());
    let on_map = |command: i32| {
        call(
            libc::SYS_bpf,
            [i64::from(command), address(&no_map), 128, 0, 0, 0],
        )
    };
    let web = SockaddrIn::from(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9));
    let code = i64::from(libc::PROT_READ | libc::PROT_EXEC);
    let page = i64::from(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    let file = i64::from(libc::MAP_PRIVATE);
    let parent = i64::from(nix::unistd::getppid().as_raw());
    vec![
        (
            "write",
            io::Write::write(&mut io::stdout(), b"")
                .map(drop)
                .map_err(errno),
        ),
        (
            "thread",
            std::thread::Builder::new()
                .spawn(|| ())
                .map(|thread| drop(thread.join()))
                .map_err(errno),
        ),
        ("memory", memory()),
        (
            "clock",
            nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).map(drop),
        ),
        (
            "open",
            call(libc::SYS_openat, [-100, path as i64, 0, 0, 0, 0]),
        ),
        (
            "make",
            call(
                libc::SYS_openat,
                [
                    -100,
                    path as i64,
                    i64::from(libc::O_CREAT | libc::O_WRONLY),
                    0o600,
                    0,
                    0,
                ],
            ),
        ),
        (
            "unlink",
            call(libc::SYS_unlinkat, [-100, path as i64, 0, 0, 0, 0]),
        ),
        (
            "execute",
            call(
                libc::SYS_execve,
                [
                    c"/bin/true".as_ptr() as i64,
                    nothing.as_ptr() as i64,
                    nothing.as_ptr() as i64,
                    0,
                    0,
                    0,
                ],
            ),
        ),
        (
            "fork",
            call(libc::SYS_clone, [i64::from(libc::SIGCHLD), 0, 0, 0, 0, 0]),
        ),
        (
            "fork by clone3",
            call(libc::SYS_clone3, [address(&zeros), 88, 0, 0, 0, 0]),
        ),
        (
            "new user namespace",
            call(
                libc::SYS_clone,
                [
                    i64::from(
                        libc::CLONE_NEWUSER
                            | libc::CLONE_THREAD
                            | libc::CLONE_VM
                            | libc::CLONE_SIGHAND,
                    ),
                    0,
                    0,
                    0,
                    0,
                    0,
                ],
            ),
        ),
        (
            "socket",
            call(
                libc::SYS_socket,
                [libc::AF_INET.into(), libc::SOCK_STREAM.into(), 0, 0, 0, 0],
            ),
        ),
        ("connect", connect(socket.as_raw_fd(), &web)),
        (
            "send from a raw socket",
            call(
                libc::SYS_socket,
                [libc::AF_PACKET.into(), libc::SOCK_RAW.into(), 0, 0, 0, 0],
            ),
        ),
        ("be traced", call(libc::SYS_ptrace, [0, 0, 0, 0, 0, 0])),
        (
            "trace another",
            call(libc::SYS_ptrace, [16, parent, 0, 0, 0, 0]),
        ),
        (
            "read another's memory",
            call(libc::SYS_process_vm_readv, [parent, 0, 0, 0, 0, 0]),
        ),
        (
            "signal another",
            call(libc::SYS_kill, [parent, 0, 0, 0, 0, 0]),
        ),
        ("load a program", bpf(5)),
        ("make a map", bpf(0)),
        ("write a map", on_map(2)),
        ("look up", on_map(1)),
        ("delete", on_map(3)),
        ("link", on_map(28)),
        (
            "map code",
            call(libc::SYS_mmap, [0, 4096, code, page, -1, 0]),
        ),
        (
            "map a file",
            call(
                libc::SYS_mmap,
                [0, 4096, 1, file, opened.as_raw_fd().into(), 0],
            ),
        ),
        (
            "make code",
            call(
                libc::SYS_mprotect,
                [(&raw const zeros) as i64 & !4095, 4096, code, 0, 0, 0],
            ),
        ),
        (
            "be root again",
            call(libc::SYS_setresuid, [0, 0, 0, 0, 0, 0]),
        ),
        (
            "enter a namespace",
            call(
                libc::SYS_unshare,
                [libc::CLONE_NEWUSER.into(), 0, 0, 0, 0, 0],
            ),
        ),
        (
            "load a module",
            call(
                libc::SYS_finit_module,
                [opened.as_raw_fd().into(), path as i64, 0, 0, 0, 0],
            ),
        ),
        (
            "use io_uring",
            call(libc::SYS_io_uring_setup, [1, address(&zeros), 0, 0, 0, 0]),
        ),
        (
            "lift the filter",
            call(libc::SYS_seccomp, [0, 0, 0, 0, 0, 0]),
        ),
        (
            "type on the terminal",
            call(libc::SYS_ioctl, [0, 0x5412, path as i64, 0, 0, 0]),
        ),
    ]
}

fn memory() -> Result<(), Errno> {
    let zeros = vec![0u8; 1 << 24];
    (std::hint::black_box(zeros).len() == 1 << 24)
        .then_some(())
        .ok_or(Errno::ENOMEM)
}

fn address(octets: &[u8]) -> i64 {
    octets.as_ptr() as i64
}

fn errno(error: io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or_default())
}

/// One system call, without what libc would do about it.
fn call(number: libc::c_long, words: [i64; 6]) -> Result<(), Errno> {
    let [a, b, c, d, e, f] = words;
    // SAFETY: pointers among the arguments are to memory that outlives the call, and lengths are theirs.
    // What would change this process if it were not refused ends the test with a failure.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    match result {
        0 if number == libc::SYS_clone => {
            // Not refused: this is a child that nobody wants.
            std::process::exit(1)
        }
        _ => Errno::result(result).map(drop),
    }
}
