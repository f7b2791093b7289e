//! A system call that is not on the list fails with EPERM, and is said on standard error.
//!
//! Killing the process would hold no better: the call is not made either way, and nothing that is
//! allowed can do harm. But it would end a trace in the middle of the night because of a call that some
//! version of libc makes and can do without. Failing silently would hide both that and a break-in.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::io::{Cursor, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;
use nix::libc::{SYS_openat, siginfo_t, ucontext_t};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use super::SandboxError;
use crate::say::{self, say};

/// Whether a refusal is heard on this architecture.
pub(super) const HEARS: bool = cfg!(any(target_arch = "x86_64", target_arch = "aarch64"));

/// Files that libraries want to open and can do without: those that glibc reads of itself while it
/// allocates, and the terminal, whose size is asked of what is open then. Nobody needs to hear of that.
const NEEDLESS: [&CStr; 3] = [
    c"/proc/sys/vm/overcommit_memory",
    c"/sys/devices/system/cpu/online",
    c"/dev/tty",
];

/// Calls that were told, by their numbers; one bit stands for all above.
static TOLD: [AtomicU64; 8] = [const { AtomicU64::new(0) }; 8];
/// Those that are to be told by [`tell_rest`].
static UNTOLD: [AtomicU64; 8] = [const { AtomicU64::new(0) }; 8];

/// From now on tells what is refused.
pub(super) fn listen() -> Result<(), SandboxError> {
    let flags = SaFlags::SA_SIGINFO | SaFlags::SA_ONSTACK;
    let action = SigAction::new(SigHandler::SigAction(refused), flags, SigSet::empty());
    // SAFETY: the handler only does what signal-safety(7) allows: it formats into its own frame and writes.
    unsafe { sigaction(Signal::SIGSYS, &action) }
        .map_err(|errno| SandboxError::system("listen for refused system calls", errno))?;
    Ok(())
}

/// Says what was refused while a screen was shown that a line would have torn.
pub fn tell_rest() {
    for (place, bits) in UNTOLD.iter().enumerate() {
        let bits = bits.swap(0, Ordering::Relaxed);
        for bit in (0..64).filter(|bit| bits & 1 << bit != 0) {
            say(format_args!("{REFUSED} {}{ADVICE}", place * 64 + bit));
        }
    }
}

const REFUSED: &str = "the sandbox refused system call";
const ADVICE: &str = ", which fails now; please report it, and see --no-sandbox";

/// Octets of what is said at most.
const LINE: usize = 512;

/// Tells which call was refused, once for each, and lets it fail.
extern "C" fn refused(_signal: c_int, _info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: with SA_SIGINFO the kernel hands over the registers of the interrupted thread (see sigaction(2)).
    let Some(context) = (unsafe { context.cast::<ucontext_t>().as_mut() }) else {
        return;
    };
    let errno = Errno::last_raw();
    let (number, second) = fail(context);
    let file = (number == SYS_openat).then(|| text(second)).flatten();
    let needless = file.is_some_and(|file| NEEDLESS.contains(&file));
    if !needless && is_first(number, &TOLD) {
        if say::holds() {
            is_first(number, &UNTOLD);
        } else {
            tell(number, file);
        }
    }
    Errno::set_raw(errno);
}

/// The text at an address that a call would have handed to the kernel.
fn text<'a>(address: u64) -> Option<&'a CStr> {
    let address = usize::try_from(address).ok()?;
    let text = std::ptr::with_exposed_provenance::<c_char>(address);
    // SAFETY: libc hands over texts, which outlive the call. Whoever else has taken this process over and
    // hands over anything ends it.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) })
}

/// Notes a call; tells whether it was not noted before.
fn is_first(number: i64, noted: &[AtomicU64; 8]) -> bool {
    let place = usize::try_from(number).unwrap_or(usize::MAX);
    let place = place.min(64 * noted.len() - 1);
    let bit = 1 << (place % 64);
    let told = noted.get(place / 64);
    told.is_some_and(|told| told.fetch_or(bit, Ordering::Relaxed) & bit == 0)
}

fn tell(number: i64, file: Option<&CStr>) {
    let mut line = Cursor::new([0; LINE]);
    // What is too long is cut, and there is nobody to tell where standard error is gone.
    let _ = write!(line, "synfin: {REFUSED} {number}{ADVICE}");
    if let Some(file) = file {
        let _ = write!(line, " (it would have opened {file:?})");
    }
    let end = usize::try_from(line.position()).map_or(0, |end| end.min(LINE - 1));
    let mut line = line.into_inner();
    line[end] = b'\n';
    let _ = nix::unistd::write(std::io::stderr(), line.get(..=end).unwrap_or_default());
}

/// Lets the call that was not made fail with EPERM; gives its number, which until here is where the result
/// belongs, and its second argument.
#[cfg(target_arch = "x86_64")]
fn fail(context: &mut ucontext_t) -> (i64, u64) {
    let registers = &mut context.uc_mcontext.gregs;
    let second = registers[nix::libc::REG_RSI as usize].cast_unsigned();
    let result = &mut registers[nix::libc::REG_RAX as usize];
    let number = std::mem::replace(result, -i64::from(nix::libc::EPERM));
    (number, second)
}

/// Lets the call that was not made fail with EPERM; gives its number and its second argument.
#[cfg(target_arch = "aarch64")]
fn fail(context: &mut ucontext_t) -> (i64, u64) {
    let registers = &mut context.uc_mcontext.regs;
    registers[0] = i64::from(-nix::libc::EPERM).cast_unsigned();
    (registers[8].cast_signed(), registers[1])
}

/// Elsewhere no filter is installed.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const fn fail(_: &mut ucontext_t) -> (i64, u64) {
    (-1, 0)
}
