//! `synfin top`: what `synfin trace` would tell, on a screen; or what a capture does, in its own time.
//!
//! This is a place where the parts meet: the live trace or the capture, the model that takes what comes
//! of it, the view of that, and the terminal. The terminal is painted a few times a second, and between
//! that events are taken: whoever paints never holds the tracing up.

mod ansi;
mod filter;
mod model;
mod pace;
mod rates;
mod replay;
mod row;
mod rows;
mod screen;
mod ui;
mod view;

#[cfg(test)]
mod tests;

use std::io::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use crossterm::event::Event;
use nix::libc::SIGTSTP;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use crate::assembler::USUAL_MAX_STEPS;
use crate::cli::Top;
use crate::confine::confine;
use crate::live::{self, Live, Plan, Stop};
use crate::printer::refuses_colour;
use crate::sandbox::{self, Task};
use crate::say;
use crate::source::{Captures, Clock};
use crate::totals::Told;
use crate::units::Wall;
use model::Model;
pub use pace::{BadSpeed, Speed};
use replay::Replay;
use screen::Screen;
use ui::{Drawn, Ui, Wish};
use view::Scene;

/// Between two frames where nothing is pressed, and the least where something is.
const FRAME: Duration = Duration::from_millis(200);
const SOON: Duration = Duration::from_millis(33);

/// Shows until it is ended by a key, a signal, or the loss of all interfaces.
///
/// # Errors
/// Where there is no terminal, tracing cannot begin, or all interfaces went away.
pub fn run(options: &Top) -> anyhow::Result<()> {
    screen::check()?;
    if options.read.is_empty() {
        live::run(options.tracing.netns.as_deref(), watch(options))
    } else {
        live::run(None, play(options))
    }
}

async fn watch(options: &Top) -> anyhow::Result<()> {
    let mut stop = Stop::of_terminal()?;
    let mut suspend = signal(SignalKind::from_raw(SIGTSTP)).context("listen for SIGTSTP")?;
    let tracing = &options.tracing;
    let mut screen = None;
    if let Some(warning) = tracing.warning(&options.interfaces) {
        say::say(warning);
    }
    let task = Task::Top {
        accounts: tracing.account,
    };
    let plan = Plan::of(tracing, &options.interfaces, USUAL_MAX_STEPS, task)?;
    let mut live = Live::begin(plan, &mut stop, || {
        screen = Some(Screen::open()?);
        Ok(())
    })
    .await?;
    let screen = screen.context("take the terminal")?;
    let mut show = Show::new(screen, options, options.interfaces.join(" "))?;
    stop.come_after(options.tracing.duration);
    let result = loop {
        let mut wish = None;
        tokio::select! {
            biased;
            () = stop.requested() => break Ok(()),
            event = show.screen.event() => match event {
                Ok(event) => wish = show.take(&event),
                Err(error) => break Err(error),
            },
            _ = suspend.recv() => wish = Some(Wish::Suspend),
            turn = live.turn() => if let Err(error) = turn {
                break Err(error);
            },
            () = sleep_until(show.due) => {}
        }
        live.take(0, &mut show.model);
        match wish {
            Some(Wish::Quit) => break Ok(()),
            Some(Wish::Suspend) => show.screen.suspend()?,
            _ => {}
        }
        if show.is_due() {
            let clock = Clock::read();
            show.scene.wall_offset_ns = clock.wall_offset_ns;
            show.model.told = live.told(0);
            show.model.fill = Some(live.fill());
            show.model.followed = live.followed();
            show.stir();
            show.model.refresh(clock.now_ns, |key| live.record(key));
            if let Err(error) = show.paint() {
                break Err(error);
            }
        }
    };
    let mut model = show.end();
    live.detach().await;
    while live.take(0, &mut model) > 0 {}
    let mut finish = live.finish();
    while finish.some(&mut model) {}
    sum_up(&model, &finish.told(0));
    result
}

async fn play(options: &Top) -> anyhow::Result<()> {
    let captures = Captures::open(&options.read)?;
    let mut stop = Stop::of_terminal()?;
    let mut suspend = signal(SignalKind::from_raw(SIGTSTP)).context("listen for SIGTSTP")?;
    let screen = Screen::open()?;
    confine(
        &options.tracing.confining,
        Task::Replay,
        || Ok(Vec::new()),
        false,
    )?;
    let names = options.read.iter().map(|file| file.display().to_string());
    let names: Vec<_> = names.collect();
    let mut show = Show::new(screen, options, names.join(" "))?;
    show.scene.replay = true;
    let mut replay = Replay::new(captures, options)?;
    stop.come_after(options.tracing.duration);
    let result = loop {
        let mut wish = None;
        tokio::select! {
            biased;
            () = stop.requested() => break Ok(()),
            event = show.screen.event() => match event {
                Ok(event) => wish = show.take(&event),
                Err(error) => break Err(error),
            },
            _ = suspend.recv() => wish = Some(Wish::Suspend),
            () = sleep_until(show.due) => {}
            () = replay.turn() => {}
        }
        let now = Instant::now();
        let time_ns = replay.now_ns(now);
        replay.pace.pause(show.ui.paused, now, time_ns);
        match wish {
            Some(Wish::Quit) => break Ok(()),
            Some(Wish::Suspend) => {
                replay.pace.pause(true, now, time_ns);
                show.screen.suspend()?;
                replay.pace.pause(show.ui.paused, Instant::now(), time_ns);
            }
            Some(Wish::Faster) => replay.pace.change(true, now, time_ns),
            Some(Wish::Slower) => replay.pace.change(false, now, time_ns),
            Some(Wish::Skip) => replay.skip(now),
            _ => {}
        }
        if let Err(error) = replay.take(now, &mut show.model) {
            break Err(error);
        }
        if show.is_due() {
            let now_ns = replay.now_ns(now);
            let time = Wall(now_ns.into()).time_of_day().unwrap_or_default();
            let time = time.split('.').next().unwrap_or_default();
            show.scene.pace = if replay.ended() {
                "at its end".to_owned()
            } else {
                format!("{} {time} UTC", replay.pace.speed())
            };
            show.model.told = replay.told();
            show.model.followed = replay.followed();
            show.stir();
            show.model.refresh(now_ns, |key| replay.record(key));
            if let Err(error) = show.paint() {
                break Err(error);
            }
        }
    };
    let mut model = show.end();
    replay.finish(&mut model);
    sum_up(&model, &replay.told());
    result
}

/// Writes the summary to standard error, as a trace does.
fn sum_up(model: &Model, told: &Told) {
    let mut text = Vec::new();
    model.summary.render(&told.counters(), &mut text);
    // There is nobody to tell where standard error is gone.
    let _ = std::io::stderr().write_all(&text);
}

/// What is shown, and how it is looked at.
struct Show {
    screen: Screen,
    scene: Scene,
    model: Model,
    /// The model as it was when it was paused; what is live goes on meanwhile.
    frozen: Option<Box<Model>>,
    ui: Ui,
    drawn: Drawn,
    /// When to paint next, and when that was done last.
    due: Instant,
    painted: Instant,
}

impl Show {
    fn new(mut screen: Screen, options: &Top, title: String) -> anyhow::Result<Self> {
        screen.start()?;
        let now = Instant::now();
        Ok(Self {
            screen,
            scene: Scene {
                title,
                pace: "live".to_owned(),
                colour: !refuses_colour(),
                ..Scene::default()
            },
            model: Model::new(options.rows),
            frozen: None,
            ui: Ui::default(),
            drawn: Drawn::default(),
            due: now,
            painted: now,
        })
    }

    /// Takes an event of the terminal in; gives what is to be done beside looking.
    fn take(&mut self, event: &Event) -> Option<Wish> {
        let (ui, wish) = self.ui.clone().after(event, &self.drawn);
        self.ui = ui;
        if self.ui.paused != self.frozen.is_some() {
            self.frozen = self.ui.paused.then(|| Box::new(self.model.clone()));
        }
        if wish == Some(Wish::Clear) {
            self.model.rates.clear_handshakes();
        }
        self.due = self.due.min(self.painted + SOON);
        wish
    }

    fn is_due(&self) -> bool {
        Instant::now() >= self.due
    }

    /// Sees to it that the open connections on the screen are looked at again.
    fn stir(&mut self) {
        let shown = self.drawn.order.iter().skip(self.drawn.first);
        let shown = shown.take(self.drawn.rows.height.into());
        self.model.rows.stir_open(shown.chain(&self.ui.selected));
        self.model.rows.held = self.ui.selected;
    }

    /// Paints, unless the terminal is not through with the frame before.
    fn paint(&mut self) -> anyhow::Result<()> {
        sandbox::tell_rest();
        say::news()
            .into_iter()
            .for_each(|line| self.model.say(line));
        let Self {
            screen,
            scene,
            model,
            frozen,
            ui,
            drawn,
            ..
        } = self;
        let shown = frozen.as_deref().unwrap_or(model);
        screen.paint(ui.mouse, |frame| {
            *drawn = view::draw(frame, shown, ui, scene)
        })?;
        ui.first = drawn.first;
        self.painted = Instant::now();
        self.due = self.painted + FRAME;
        Ok(())
    }

    /// Gives the terminal back.
    fn end(self) -> Model {
        drop(self.screen);
        self.model
    }
}
