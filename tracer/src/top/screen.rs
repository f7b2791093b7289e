//! The terminal: taken, painted, read, and given back on every way out.
//!
//! A thread paints and another one reads keys: a terminal that is slow, or stops in the middle of a key,
//! holds nobody else up. What is said meanwhile is kept back (see [`say`]).

use std::env;
use std::fs::File;
use std::io::{self, IsTerminal as _, Write};
use std::os::fd::{AsFd as _, OwnedFd};
use std::panic;
use std::process;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail};
use crossterm::event::{self, Event};
use nix::sys::signal::{Signal, raise};
use nix::sys::termios::{self, SetArg, Termios};
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use ratatui::{Frame, Terminal, TerminalOptions, Viewport};
use terminal_size::{Height, Width, terminal_size};
use tokio::sync::mpsc::{Receiver, channel};

use crate::say::{self, Hold};

/// The alternate screen, without a cursor (xterm's control sequences, which others know as well).
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l\x1b[2J";
/// Everything as it was; whatever was begun ends.
const LEAVE: &[u8] = b"\x1b[?2026l\x1b[?1006l\x1b[?1000l\x1b[0m\x1b[?25h\x1b[?1049l";
/// Buttons and the wheel, and no movement, in decimal numbers.
const MOUSE: [&[u8]; 2] = [b"\x1b[?1006l\x1b[?1000l", b"\x1b[?1000h\x1b[?1006h"];
/// A frame is shown as a whole, where the terminal knows of that.
const FRAME: [&[u8]; 2] = [b"\x1b[?2026h", b"\x1b[?2026l"];
/// Events that may wait to be looked at; those after them wait in the terminal.
const EVENTS: usize = 64;
/// At the end, a terminal that takes nothing for so long is not waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// The terminal as it was before; `None` where it is as it was.
static BEFORE: Mutex<Option<Before>> = Mutex::new(None);

struct Before {
    tty: OwnedFd,
    mode: Termios,
    /// Whoever writes to it, once there is somebody.
    painter: Option<Painter>,
}

/// That there is a terminal which can show a screen.
///
/// # Errors
/// Where there is none, with what to do instead.
pub(super) fn check() -> anyhow::Result<()> {
    let term = env::var_os("TERM").unwrap_or_default();
    if !io::stdout().is_terminal() {
        bail!(
            "top needs a terminal, and standard output is none; use `synfin trace` or `synfin read`"
        );
    }
    if term.is_empty() || term == "dumb" {
        let term = term.display();
        bail!(
            "top needs a terminal that can move its cursor, and TERM is \"{term}\"; use `synfin trace` or \
             `synfin read`"
        );
    }
    Ok(())
}

/// A taken terminal.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<Buffer>>,
    buffer: Buffer,
    size: (u16, u16),
    mouse: bool,
    threads: Option<Threads>,
    // What was said is said after the terminal is given back.
    _hold: Hold,
}

/// Whether a frame is being painted. Who waits for that must not sleep, which the sandbox does not allow.
#[derive(Default)]
struct Work {
    busy: Mutex<bool>,
    done: Condvar,
}

#[derive(Clone)]
struct Painter {
    frames: SyncSender<Vec<u8>>,
    work: Arc<Work>,
}

struct Threads {
    painter: Painter,
    events: Receiver<Event>,
}

impl Screen {
    /// Takes the terminal. Everything that has to be opened is opened.
    pub(super) fn open() -> anyhow::Result<Self> {
        let hold = Hold::new();
        let tty = if io::stdin().is_terminal() {
            io::stdin().as_fd().try_clone_to_owned()
        } else {
            File::options()
                .read(true)
                .write(true)
                .open("/dev/tty")
                .map(Into::into)
        };
        let tty = tty.context("open the terminal to read keys from")?;
        let mode = termios::tcgetattr(&tty).context("ask the terminal how it takes keys")?;
        *before() = Some(Before {
            tty,
            mode,
            painter: None,
        });
        give_back_on_panic();
        let buffer = Buffer::default();
        let size = size();
        let area = Rect::new(0, 0, size.0, size.1);
        let backend = CrosstermBackend::new(buffer.clone());
        let viewport = Viewport::Fixed(area);
        let terminal = Terminal::with_options(backend, TerminalOptions { viewport });
        let screen = Self {
            terminal: terminal.context("make a screen")?,
            buffer,
            size,
            mouse: false,
            threads: None,
            _hold: hold,
        };
        screen.take()?;
        // What reads keys opens what it needs for that with the first look.
        event::poll(Duration::ZERO).context("read keys")?;
        Ok(screen)
    }

    /// Begins to paint and to read keys.
    pub(super) fn start(&mut self) -> anyhow::Result<()> {
        let (frames, received) = sync_channel::<Vec<u8>>(1);
        let work = Arc::new(Work::default());
        let painter = Painter { frames, work };
        let work = Arc::clone(&painter.work);
        let paint = move || {
            while let Ok(frame) = received.recv() {
                let written = write(&frame);
                work.end();
                if written.is_err() {
                    // Whoever sends the next frame finds out.
                    return;
                }
            }
        };
        let (sender, events) = channel(EVENTS);
        let read = move || {
            while let Ok(event) = event::read() {
                if sender.blocking_send(event).is_err() {
                    return;
                }
            }
        };
        let start = |name: &str, work: Box<dyn FnOnce() + Send>| {
            let thread = thread::Builder::new().name(name.into()).spawn(work);
            thread.map(drop).context("start a thread")
        };
        start("painter", Box::new(paint))?;
        start("keys", Box::new(read))?;
        if let Some(before) = &mut *before() {
            before.painter = Some(painter.clone());
        }
        self.threads = Some(Threads { painter, events });
        Ok(())
    }

    /// Waits for a key, a click or another size. May be cancelled.
    pub(super) async fn event(&mut self) -> anyhow::Result<Event> {
        let event = match &mut self.threads {
            Some(threads) => threads.events.recv().await,
            None => std::future::pending().await,
        };
        event.context("the terminal cannot be read any more")
    }

    /// Paints a frame, unless the one before is not through yet; tells whether it did.
    pub(super) fn paint(
        &mut self,
        mouse: bool,
        draw: impl FnOnce(&mut Frame<'_>),
    ) -> anyhow::Result<bool> {
        let Some(threads) = &self.threads else {
            return Ok(false);
        };
        if before().is_none() || *threads.painter.work.busy() {
            return Ok(false);
        }
        self.buffer.append(FRAME[0]);
        if mouse != self.mouse {
            self.mouse = mouse;
            self.buffer.append(MOUSE[usize::from(mouse)]);
        }
        let size = size();
        if size != self.size {
            self.size = size;
            self.terminal.resize(Rect::new(0, 0, size.0, size.1))?;
        }
        self.terminal.draw(draw)?;
        self.buffer.append(FRAME[1]);
        threads.painter.work.begin();
        let sent = threads.painter.frames.send(self.buffer.taken());
        sent.context("the terminal is gone")?;
        Ok(true)
    }

    /// Gives the terminal back, stops the process until it is continued, and takes the terminal again.
    pub(super) fn suspend(&mut self) -> anyhow::Result<()> {
        if !give_back(false) {
            return Ok(());
        }
        // Whoever started it sees that it stopped.
        raise(Signal::SIGSTOP).context("stop")?;
        self.take()?;
        self.mouse = false;
        // As after a change of size everything is painted.
        self.size = (0, 0);
        Ok(())
    }

    fn take(&self) -> anyhow::Result<()> {
        {
            let before = before();
            let before = before.as_ref().context("the terminal was given back")?;
            let mut raw = before.mode.clone();
            termios::cfmakeraw(&mut raw);
            termios::tcsetattr(&before.tty, SetArg::TCSANOW, &raw)
                .context("tell the terminal to hand keys over as they are")?;
        }
        write(ENTER).context("write to the terminal")
    }
}

impl Painter {
    /// Paints octets, where those before are painted in time; tells whether they were as well.
    fn paints(&self, octets: &[u8]) -> bool {
        if !self.work.is_done() {
            return false;
        }
        self.work.begin();
        self.frames.send(octets.to_owned()).is_ok() && self.work.is_done()
    }
}

impl Work {
    /// Begins, where it is done with what was before.
    fn begin(&self) {
        *self.busy() = true;
    }

    fn end(&self) {
        *self.busy() = false;
        self.done.notify_all();
    }

    /// Whether it is done within a while.
    fn is_done(&self) -> bool {
        let busy = self.busy();
        let done = (self.done).wait_timeout_while(busy, PATIENCE, |busy| *busy);
        done.is_ok_and(|(busy, _)| !*busy)
    }

    fn busy(&self) -> MutexGuard<'_, bool> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back(true);
    }
}

/// Gives the terminal back as it was; for good, or so that it can be taken again. Tells whether it is.
fn give_back(for_good: bool) -> bool {
    let mut before = before();
    let Some(Before { tty, mode, painter }) = before.as_ref() else {
        return true;
    };
    let written = match painter {
        Some(painter) => painter.paints(LEAVE),
        None => write(LEAVE).is_ok(),
    };
    if written || for_good {
        // There is nobody to tell where the terminal is gone.
        let _ = termios::tcsetattr(tty, SetArg::TCSANOW, mode);
    }
    if for_good {
        *before = None;
    }
    drop(before);
    if !written && for_good && io::stderr().is_terminal() {
        // It takes nothing: whatever would be said there now would wait for ever.
        process::exit(1);
    }
    written
}

/// What a panic says is said on the terminal as it was.
fn give_back_on_panic() {
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        give_back(true);
        say::release();
        tell(panic);
    }));
}

fn before() -> MutexGuard<'static, Option<Before>> {
    BEFORE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write(octets: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(octets)?;
    stdout.flush()
}

/// Columns and lines.
fn size() -> (u16, u16) {
    terminal_size().map_or((80, 24), |(Width(width), Height(height))| (width, height))
}

/// What a frame comes to.
#[derive(Clone, Debug, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    fn append(&self, octets: &[u8]) {
        self.octets().extend_from_slice(octets);
    }

    fn taken(&self) -> Vec<u8> {
        std::mem::take(&mut *self.octets())
    }

    fn octets(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Buffer {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.append(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::process::{Command, Stdio};

    use nix::pty::openpty;

    use super::*;

    /// Set where this program is to panic with a screen.
    const PANICS: &str = "SYNFIN_TEST_PANICS";

    #[test]
    fn a_panic_is_told_on_the_terminal_as_it_was() {
        if env::var_os(PANICS).is_some() {
            let mut screen = Screen::open().unwrap();
            screen.start().unwrap();
            say::say("said before");
            screen.paint(true, |_| ()).unwrap();
            panic!("as was wished for");
        }
        let pty = openpty(None, None).unwrap();
        let before = termios::tcgetattr(&pty.slave).unwrap();
        let end = || Stdio::from(pty.slave.try_clone().unwrap());
        let name = "top::screen::tests::a_panic_is_told_on_the_terminal_as_it_was";
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(PANICS, "1")
            .env("TERM", "xterm")
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .unwrap();
        let mut master = File::from(pty.master);
        let reader = thread::spawn(move || {
            let mut shown = Vec::new();
            let mut piece = [0; 4_096];
            // Once nobody can write to it any more, reading fails.
            while let Ok(len @ 1..) = master.read(&mut piece) {
                shown.extend_from_slice(piece.get(..len).unwrap_or_default());
            }
            String::from_utf8_lossy(&shown).into_owned()
        });
        assert!(!child.wait().unwrap().success());
        let after = termios::tcgetattr(&pty.slave).unwrap();
        assert_eq!(before, after);
        drop(pty.slave);
        let shown = reader.join().unwrap();
        let at = |what: &[u8]| shown.find(&*String::from_utf8_lossy(what));
        let [entered, left] = [ENTER, LEAVE].map(at);
        let [said, told] = [&b"synfin: said before"[..], b"as was wished for"].map(at);
        assert!(
            entered.is_some() && entered < left && left < said && said < told,
            "{shown:?}"
        );
    }
}
