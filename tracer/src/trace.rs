//! `synfin trace`: attaches, reads events until told to stop, detaches.
//!
//! This is the place where the parts meet; each of them knows nothing of the others.

use std::io;
use std::time::Duration;

use anyhow::{Context as _, anyhow};

use crate::cli::Trace;
use crate::live::{self, Live, Plan, Stop};
use crate::printer::Printer;
use crate::sandbox::Task;
use crate::say::say;
use crate::source::Clock;
use crate::writer::{self, Writer};

/// Traces until a signal, the asked-for end, or the loss of all interfaces.
///
/// # Errors
/// Where tracing cannot begin, or all interfaces went away.
pub fn run(options: &Trace) -> anyhow::Result<()> {
    live::run(options.tracing.netns.as_deref(), trace(options))
}

/// At the end, a reader of the output that reads nothing for so long is not waited for.
const PATIENCE: Duration = Duration::from_secs(5);

async fn trace(options: &Trace) -> anyhow::Result<()> {
    // From here on a signal ends the trace in good order, also while attaching.
    let mut stop = Stop::new()?;
    let tracing = &options.tracing;
    if let Some(warning) = tracing.warning(&options.interfaces) {
        say(warning);
    }
    let task = Task::Trace {
        accounts: tracing.account,
    };
    let max_steps = options.printing.max_steps();
    let plan = Plan::of(tracing, &options.interfaces, max_steps, task)?;
    let mut live = Live::begin(plan, &mut stop, || Ok(())).await?;
    let (mut writer, mut broken) =
        Writer::start(io::stdout(), options.output_queue).context("start the writer")?;
    let mut printer = Printer::new(&options.printing, options.count, Clock::read().unix_ns());
    stop.come_after(tracing.duration);
    let result = loop {
        tokio::select! {
            biased;
            () = stop.requested() => break Ok(()),
            turn = live.turn() => if let Err(error) = turn {
                break Err(error);
            },
            broken = &mut broken => break match broken {
                Ok(error) if writer::is_closed_pipe(&error) => Ok(()),
                Ok(error) => Err(error).context("write to standard output"),
                Err(_) => Err(anyhow!("the writer ended")),
            },
        }
        live.take(writer.dropped(), &mut printer);
        printer.hand_over(&mut writer);
        if printer.is_done() {
            break Ok(());
        }
    };
    live.detach().await;
    while live.take(writer.dropped(), &mut printer) > 0 {
        printer.hand_over(&mut writer);
    }
    printer.hand_over(&mut writer);
    let mut finish = live.finish();
    // Nothing comes any more that waiting could cost.
    writer.wait_for(PATIENCE);
    while finish.some(&mut printer) {
        printer.hand_over(&mut writer);
    }
    printer.end(Clock::read().unix_ns());
    printer.hand_over(&mut writer);
    let dropped = writer.finish();
    printer.sum_up(&finish.told(dropped).counters());
    result
}
