//! seccomp: the system calls that are left (see seccomp(2)).
//!
//! The list is what runs after confinement, the start of threads included. A test records what the live
//! paths call and holds the list against it; what only another libc or architecture calls says so here.
//! Numbers differ between architectures, and some calls are missing on newer ones: hence `cfg`.

use std::collections::BTreeMap;
use std::env::consts::ARCH;

use nix::libc;
use seccompiler::{
    SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter,
};

use super::refusal;

/// What a confined process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Reads events and looks into maps; takes entries out where it counts segments.
    Trace {
        /// Segments are counted.
        accounts: bool,
    },
    /// The same, shown on a terminal, of which keys are read.
    Top {
        /// Segments are counted.
        accounts: bool,
    },
    /// Reads captures that are open.
    Read,
    /// Shows captures that are open on a terminal, of which keys are read.
    Replay,
    /// Follows interfaces and attaches to them.
    Attach,
}

/// A system call that is allowed.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its name.
    pub name: &'static str,
    /// Who makes it, where the tests do not see it made.
    pub elsewhere: Option<&'static str>,
    number: libc::c_long,
    only: Only,
}

/// With which arguments a call is allowed.
#[derive(Clone, Debug)]
enum Only {
    Any,
    /// One argument is one of these.
    Argument(u8, Vec<u64>),
    /// These bits of these arguments are so.
    Bits(Vec<(u8, u64, u64)>),
}

/// The list for a task.
pub type Calls = Vec<Call>;

/// Allows the calls that a task needs, and no others; gives how many that are, or why there is no filter.
pub(super) fn restrict(task: Task) -> Result<usize, String> {
    let calls = calls(task);
    let arch = if refusal::HEARS {
        TargetArch::try_from(ARCH).ok()
    } else {
        None
    };
    let arch = arch.ok_or_else(|| format!("there is none for {ARCH} yet"))?;
    // What clone3 is asked for lies in memory, where a filter cannot look: libc falls back to clone.
    let clone3 = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let unknown = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let first = SeccompFilter::new(clone3, SeccompAction::Allow, unknown, arch);
    let rules = calls
        .iter()
        .map(|call| Ok((call.number, call.only.rules()?)));
    let rules = rules.collect::<Result<BTreeMap<_, _>, seccompiler::BackendError>>();
    let second = rules.and_then(|rules| {
        SeccompFilter::new(rules, SeccompAction::Trap, SeccompAction::Allow, arch)
    });
    for filter in [first, second] {
        let program = filter.and_then(seccompiler::BpfProgram::try_from);
        let program = program.map_err(|error| error.to_string())?;
        apply_filter(&program).map_err(|error| error.to_string())?;
    }
    Ok(calls.len())
}

/// The list for a task.
#[must_use]
pub fn calls(task: Task) -> Calls {
    let controls = match task {
        Task::Attach => &INTERFACE[..],
        Task::Trace { .. } | Task::Read => &TERMINAL[..],
        Task::Top { .. } | Task::Replay => &SCREEN,
    };
    let mut calls = shared(controls);
    match task {
        Task::Trace { accounts } => calls.extend(tracing(accounts)),
        Task::Top { accounts } => {
            calls.extend(tracing(accounts));
            calls.push(Call::new("read", libc::SYS_read));
        }
        Task::Read => calls.push(Call::new("read", libc::SYS_read)),
        Task::Replay => {
            calls.extend(waiting());
            calls.push(Call::new("read", libc::SYS_read));
        }
        Task::Attach => calls.extend(attaching()),
    }
    calls
}

fn shared(controls: &[i64]) -> Calls {
    let no_code = |flags: &[(u8, i32, i32)]| {
        let prot = [(2, libc::PROT_EXEC, 0)];
        Only::bits(&[&prot[..], flags].concat())
    };
    vec![
        // Octets in and out. What is open was opened before.
        Call::new("write", libc::SYS_write),
        Call::new("close", libc::SYS_close),
        Call::new("ioctl", libc::SYS_ioctl).only(Only::argument(1, controls)),
        Call::new("fcntl", libc::SYS_fcntl)
            .only(Only::argument(
                1,
                &[libc::F_GETFD, libc::F_GETFL, libc::F_SETFL],
            ))
            .elsewhere("builds with debug assertions, before they close"),
        // Memory that holds no code, and no file.
        Call::new("brk", libc::SYS_brk),
        Call::new("mmap", libc::SYS_mmap).only(no_code(&[(
            3,
            libc::MAP_ANONYMOUS,
            libc::MAP_ANONYMOUS,
        )])),
        Call::new("mprotect", libc::SYS_mprotect).only(no_code(&[])),
        Call::new("mremap", libc::SYS_mremap).elsewhere("allocators, of what is large and grows"),
        Call::new("munmap", libc::SYS_munmap),
        Call::new("madvise", libc::SYS_madvise),
        // Threads of this process.
        Call::new("clone", libc::SYS_clone).only(Only::bits(&[(0, NEW | THREAD, THREAD)])),
        Call::new("clone3", libc::SYS_clone3),
        Call::new("set_robust_list", libc::SYS_set_robust_list),
        Call::new("rseq", libc::SYS_rseq),
        Call::new("sched_getaffinity", libc::SYS_sched_getaffinity),
        Call::new("prctl", libc::SYS_prctl).only(Only::argument(0, &[libc::PR_SET_NAME])),
        Call::new("sigaltstack", libc::SYS_sigaltstack),
        Call::new("futex", libc::SYS_futex),
        Call::new("exit", libc::SYS_exit),
        Call::new("exit_group", libc::SYS_exit_group),
        // Signals that come, and those that end this very process.
        Call::new("rt_sigaction", libc::SYS_rt_sigaction),
        Call::new("rt_sigprocmask", libc::SYS_rt_sigprocmask),
        Call::new("rt_sigreturn", libc::SYS_rt_sigreturn),
        Call::new("restart_syscall", libc::SYS_restart_syscall)
            .elsewhere("the kernel, after SIGSTOP in a wait"),
        Call::new("gettid", libc::SYS_gettid).elsewhere("abort(3) of glibc"),
        Call::new("getpid", libc::SYS_getpid).elsewhere("abort(3) of glibc"),
        Call::new("tgkill", libc::SYS_tgkill)
            .only(Only::argument(0, &[nix::unistd::getpid().as_raw()]))
            .elsewhere("abort(3) of glibc"),
        // Time and chance.
        Call::new("clock_gettime", libc::SYS_clock_gettime)
            .elsewhere("clocks that the vDSO does not read"),
        Call::new("getrandom", libc::SYS_getrandom).elsewhere("the first hash map of a thread"),
        Call::new("sched_yield", libc::SYS_sched_yield)
            .elsewhere("channels between threads, where both ends are at it"),
    ]
}

fn tracing(accounts: bool) -> Calls {
    let commands = if accounts {
        &MAP_COMMANDS[..]
    } else {
        &MAP_COMMANDS[..1]
    };
    let mut calls = waiting();
    calls.extend([
        Call::new("bpf", libc::SYS_bpf).only(Only::argument(0, commands)),
        Call::new("epoll_ctl", libc::SYS_epoll_ctl),
        // The process that attaches is told to end.
        Call::new("shutdown", libc::SYS_shutdown),
    ]);
    calls
}

/// Waiting for several things at once, signals among them.
fn waiting() -> Calls {
    vec![
        #[cfg(target_arch = "x86_64")]
        Call::new("epoll_wait", libc::SYS_epoll_wait),
        Call::new("epoll_pwait", libc::SYS_epoll_pwait)
            .elsewhere("musl, and every libc on other architectures"),
        Call::new("recvfrom", libc::SYS_recvfrom),
        Call::new("sendto", libc::SYS_sendto),
    ]
}

/// What attaching takes, by links and by netlink.
fn attaching() -> Calls {
    vec![
        Call::new("bpf", libc::SYS_bpf).only(Only::argument(0, &ATTACH_COMMANDS)),
        Call::new("socket", libc::SYS_socket).only(Only::argument(0, &FAMILIES)),
        Call::new("bind", libc::SYS_bind),
        Call::new("recvfrom", libc::SYS_recvfrom),
        Call::new("sendto", libc::SYS_sendto),
        #[cfg(target_arch = "x86_64")]
        Call::new("poll", libc::SYS_poll),
        Call::new("ppoll", libc::SYS_ppoll).elsewhere("other architectures"),
    ]
}

/// bpf(2): BPF_MAP_LOOKUP_ELEM, BPF_MAP_DELETE_ELEM.
const MAP_COMMANDS: [i32; 2] = [1, 3];

/// bpf(2): BPF_PROG_LOAD, BPF_LINK_CREATE.
const ATTACH_COMMANDS: [i32; 2] = [5, 28];
/// Netlink; and sockets of which only interfaces are asked (netdevice(7)), or that only hold a name.
const FAMILIES: [i32; 2] = [libc::AF_NETLINK, libc::AF_UNIX];

/// Whether something is a terminal, and how wide it is; newer versions of glibc ask by TCGETS2.
const TERMINAL: [i64; 3] = [libc::TCGETS as i64, 0x802c_542a, libc::TIOCGWINSZ as i64];

/// The same, and how it takes keys, which is given back at the end; glibc sets that by TCSETS or TCSETS2.
const SCREEN: [i64; 5] = [
    TERMINAL[0],
    TERMINAL[1],
    TERMINAL[2],
    libc::TCSETS as i64,
    0x402c_542b,
];

/// What an interface's number is (netdevice(7)).
const INTERFACE: [i64; 1] = [libc::SIOCGIFINDEX as i64];

/// A thread shares memory with its process.
const THREAD: i32 = libc::CLONE_THREAD | libc::CLONE_VM;
/// What no thread is started with: namespaces, and what a debugger wants.
const NEW: i32 = libc::CLONE_NEWNS
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_PTRACE
    | libc::CLONE_VFORK;

impl Call {
    /// Which argument has to have one of which values, where that is so.
    #[must_use]
    pub fn values(&self) -> Option<(u8, &[u64])> {
        match &self.only {
            Only::Argument(index, values) => Some((*index, values)),
            Only::Any | Only::Bits(_) => None,
        }
    }

    const fn new(name: &'static str, number: libc::c_long) -> Self {
        Self {
            name,
            elsewhere: None,
            number,
            only: Only::Any,
        }
    }

    fn only(self, only: Only) -> Self {
        Self { only, ..self }
    }

    const fn elsewhere(mut self, who: &'static str) -> Self {
        self.elsewhere = Some(who);
        self
    }
}

impl Only {
    fn argument<T: Copy + Into<i64>>(index: u8, values: &[T]) -> Self {
        let values = values.iter().map(|&value| value.into().cast_unsigned());
        Self::Argument(index, values.collect())
    }

    /// Of each argument: its index, a mask, and what it leaves.
    fn bits(bits: &[(u8, i32, i32)]) -> Self {
        let word = |bits: i32| u64::from(bits.cast_unsigned());
        let bits = bits
            .iter()
            .map(|&(index, mask, left)| (index, word(mask), word(left)));
        Self::Bits(bits.collect())
    }

    /// One of these has to match; none means that everything does.
    fn rules(&self) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
        let condition = |index, operator, value| {
            SeccompCondition::new(index, SeccompCmpArgLen::Dword, operator, value)
        };
        match self {
            Self::Any => Ok(Vec::new()),
            Self::Argument(index, values) => {
                let equal =
                    |&value| SeccompRule::new(vec![condition(*index, SeccompCmpOp::Eq, value)?]);
                values.iter().map(equal).collect()
            }
            Self::Bits(bits) => {
                let masked =
                    |&(index, mask, left)| condition(index, SeccompCmpOp::MaskedEq(mask), left);
                let conditions = bits.iter().map(masked).collect::<Result<_, _>>()?;
                Ok(vec![SeccompRule::new(conditions)?])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_call_is_listed_twice() {
        let mut calls = calls(Task::Trace { accounts: true });
        let all = calls.len();
        calls.sort_by_key(|call| call.number);
        calls.dedup_by_key(|call| call.number);
        assert_eq!(calls.len(), all);
    }

    #[test]
    fn the_list_has_nothing_that_reaches_beyond_the_process() {
        for task in [
            Task::Trace { accounts: true },
            Task::Top { accounts: true },
            Task::Read,
            Task::Replay,
        ] {
            for call in calls(task) {
                let far = [
                    "open", "exec", "socket", "connect", "ptrace", "kill", "mount", "set",
                ];
                let far = far.iter().any(|word| call.name.starts_with(word));
                assert!(!far || call.name == "set_robust_list", "{}", call.name);
            }
        }
    }
}
