//! A terminal of tmux: a program runs in it, keys are pressed, and what it shows is read.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::evidence;
use crate::process::{self, Background};
use crate::scratch::Scratch;
use crate::wait;

/// What is shown when the program has ended.
const GIVEN_BACK: &str = "the terminal is given back";

/// A terminal. Its server is killed when dropped, and the program with it.
#[derive(Debug)]
pub struct Tmux {
    // Dropped before the directory that its socket is in.
    _server: Background,
    scratch: Scratch,
}

/// How a program left its terminal.
#[derive(Debug)]
pub struct Left {
    /// Its exit status, as a shell has it.
    pub status: i32,
    /// What it said on standard error.
    pub said: String,
}

impl Tmux {
    /// Runs a command in a terminal of so many columns and lines; its standard error goes aside.
    ///
    /// # Errors
    /// Where there is no tmux, or it does not start.
    pub fn start(size: (u16, u16), command: &Command) -> Result<Self> {
        let scratch = Scratch::new()?;
        let words = [command.get_program()]
            .into_iter()
            .chain(command.get_args());
        let quoted =
            words.map(|word| format!("'{}'", word.to_string_lossy().replace('\'', r"'\''")));
        let program = quoted.collect::<Vec<_>>().join(" ");
        scratch.write(
            "program",
            format!("echo $$ > pid; exec {program} 2> said\n"),
        )?;
        let script = format!(
            "cd '{}'; stty -g > before; sh program; echo $? > status; stty -g > after; echo {GIVEN_BACK}\n\
             exec sleep 1000\n",
            scratch.path().display()
        );
        let script = scratch.write("script", script)?;
        let tmux = Self::server(scratch)?;
        let (width, height) = (size.0.to_string(), size.1.to_string());
        let mut session = vec!["new-session", "-d", "-x", &width, "-y", &height, "sh"];
        let script = script.display().to_string();
        session.push(&script);
        tmux.tell(&session)?;
        Ok(tmux)
    }

    /// The same with an interactive shell in it.
    ///
    /// # Errors
    /// Where there is no tmux, or it does not start.
    pub fn shell(size: (u16, u16)) -> Result<Self> {
        let tmux = Self::server(Scratch::new()?)?;
        let (width, height) = (size.0.to_string(), size.1.to_string());
        tmux.tell(&["new-session", "-d", "-x", &width, "-y", &height, "sh"])?;
        Ok(tmux)
    }

    fn server(scratch: Scratch) -> Result<Self> {
        let settings = "set -g exit-empty off\nset -g status off\nset -g escape-time 0\n";
        let settings = scratch.write("tmux.conf", settings)?;
        let mut command = tmux(scratch.path());
        command.arg("-f").arg(settings).arg("-D");
        let server = Background::start(&mut command)?;
        let tmux = Self {
            _server: server,
            scratch,
        };
        wait::until("the socket of tmux", || {
            Ok(tmux.tell(&["show-options", "-g"]).ok())
        })?;
        Ok(tmux)
    }

    /// Presses keys, by tmux's names for them.
    ///
    /// # Errors
    /// Where tmux is gone.
    pub fn press(&self, keys: &[&str]) -> Result<()> {
        self.tell(&[&["send-keys"], keys].concat()).map(drop)
    }

    /// Sends octets, as a terminal would for a click.
    ///
    /// # Errors
    /// Where tmux is gone.
    pub fn send(&self, octets: &[u8]) -> Result<()> {
        let octets: Vec<_> = octets.iter().map(|octet| format!("{octet:02x}")).collect();
        let octets: Vec<_> = octets.iter().map(String::as_str).collect();
        self.tell(&[&["send-keys", "-H"], &octets[..]].concat())
            .map(drop)
    }

    /// Makes it another size.
    ///
    /// # Errors
    /// Where tmux is gone.
    pub fn resize(&self, width: u16, height: u16) -> Result<()> {
        let (width, height) = (width.to_string(), height.to_string());
        self.tell(&["resize-window", "-x", &width, "-y", &height])
            .map(drop)
    }

    /// What it shows.
    ///
    /// # Errors
    /// Where tmux is gone.
    pub fn shown(&self) -> Result<String> {
        self.tell(&["capture-pane", "-p"])
    }

    /// Waits until it shows something; gives all that it shows then.
    ///
    /// # Errors
    /// Where that does not happen.
    pub fn await_shown(&self, what: &str, is_so: impl Fn(&str) -> bool) -> Result<String> {
        let found = wait::until(
            what,
            || Ok(Some(self.shown()?).filter(|shown| is_so(shown))),
        );
        if found.is_err() {
            evidence::note("the terminal", &self.shown().unwrap_or_default());
        }
        found
    }

    /// Whether it shows the program's screen, and not the one that was there before. What stands there
    /// does not tell: where the size has changed, tmux may leave lines of the one on the other.
    ///
    /// # Errors
    /// Where tmux is gone.
    pub fn is_taken(&self) -> Result<bool> {
        Ok(self.ask("#{alternate_on}")? == "1")
    }

    /// The number of the program's process.
    ///
    /// # Errors
    /// Where it was not started.
    pub fn pid(&self) -> Result<i32> {
        wait::until("the number of a process", || Ok(self.number("pid")))
    }

    /// Waits for the end of the program, and that the terminal is as it was before.
    ///
    /// # Errors
    /// Where it does not end, or the terminal is another one.
    pub fn left(&self) -> Result<Left> {
        let shown = self.await_shown("a terminal that is given back", |shown| {
            shown.contains(GIVEN_BACK)
        });
        let said = self.file("said")?;
        evidence::note("standard error", &said);
        let shown = shown?;
        let [before, after] = ["before", "after"].map(|name| self.file(name));
        ensure!(
            before? == after?,
            "the terminal takes keys in another way now"
        );
        let flags =
            self.ask("#{alternate_on} #{cursor_flag} #{mouse_any_flag} #{mouse_sgr_flag}")?;
        ensure!(
            flags == "0 1 0 0",
            "the terminal is left as {flags:?}: {shown}"
        );
        let status = self.number("status").context("read a status")?;
        Ok(Left { status, said })
    }

    fn number(&self, name: &str) -> Option<i32> {
        self.file(name).ok()?.trim().parse().ok()
    }

    fn file(&self, name: &str) -> Result<String> {
        fs::read_to_string(self.scratch.file(name)).with_context(|| format!("read {name}"))
    }

    /// What tmux makes of a format (tmux(1), FORMATS).
    fn ask(&self, format: &str) -> Result<String> {
        let answer = self.tell(&["display-message", "-p", format])?;
        Ok(answer.trim().to_owned())
    }

    fn tell(&self, words: &[&str]) -> Result<String> {
        process::succeed(tmux(self.scratch.path()).args(words))
    }
}

fn tmux(scratch: &Path) -> Command {
    let mut command = Command::new("tmux");
    command.arg("-S").arg(scratch.join("tmux"));
    // One inside of another one asks questions.
    command
        .env_remove("TMUX")
        .env("TERM", "xterm-256color")
        .env("LC_ALL", "C.UTF-8");
    command
}
