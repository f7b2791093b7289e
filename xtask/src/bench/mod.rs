//! What synfin costs, section by section: the programs in the kernel segment by segment, on live
//! connections, under floods, user space by itself (see `user`), and how fast captures are read.
//!
//! Everything is measured beside what it is compared with, in the same run and round by round in turns.

mod contest;
mod load;
mod measure;
mod packet;
mod page;
mod pcap;
mod programs;
mod read;
mod report;
mod scan;
mod talk;
mod user;

use std::{ffi::OsString, path::PathBuf};

use anyhow::{Context, Result, ensure};
use clap::{Args, Subcommand, ValueEnum};

use crate::{build, exec::say, workspace::Workspace};

/// What to measure, and how.
#[derive(Args)]
pub(crate) struct Options {
    /// What to measure; everything where nothing is named
    #[arg(value_enum)]
    sections: Vec<Section>,
    /// For `read`: measure slow programs of others as well; what is missing of them is installed where
    /// it can be
    #[arg(long)]
    peers: bool,
    /// How often each is run (slow programs of others three times at most, the page five)
    #[arg(long, value_name = "N", default_value = "9", value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// The synfin to measure, instead of building it
    #[arg(long, value_name = "PATH")]
    synfin: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Section {
    /// The programs in the kernel, by BPF_PROG_TEST_RUN; needs root
    Kernel,
    /// Connections and throughput between network namespaces; needs root
    Live,
    /// Floods between network namespaces; needs root
    Flood,
    /// From events to records, and memory
    User,
    /// Reading captures
    Read,
    /// A page of 200,000 connections, made and opened in a browser
    Report,
}

/// What the program that was built with optimizations does of a bench.
#[derive(Subcommand)]
pub(crate) enum Part {
    /// Writes the captures into a folder
    Generate {
        /// The folder
        folder: PathBuf,
    },
    /// Counts packets and connections of a capture
    Scan {
        /// The capture
        capture: PathBuf,
    },
    /// Runs a command and says what it cost
    Measure {
        /// The command
        #[arg(last = true)]
        words: Vec<OsString>,
    },
}

/// Measures section by section. One that fails, or finds a promise broken, does not stop the others,
/// and is an error at the end.
pub(crate) fn all(workspace: &Workspace, options: &Options) -> Result<()> {
    let sections = match options.sections.as_slice() {
        [] => Section::value_variants(),
        named => named,
    };
    let mut failed = Vec::new();
    for section in sections {
        let name = section.name();
        say(format_args!("bench {name}"));
        if let Err(error) = section.measure(workspace, options) {
            say(format_args!("bench {name}: {error:#}"));
            failed.push(name);
        }
    }
    ensure!(
        failed.is_empty(),
        "not as it should be: {}",
        failed.join(", ")
    );
    Ok(())
}

impl Options {
    /// The synfin to measure.
    fn synfin(&self, workspace: &Workspace) -> Result<PathBuf> {
        match &self.synfin {
            // Benches run elsewhere.
            Some(synfin) => (synfin.canonicalize())
                .with_context(|| format!("look for the synfin to measure, {}", synfin.display())),
            None => build::all(workspace),
        }
    }
}

impl Section {
    const fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Live => "live",
            Self::Flood => "flood",
            Self::User => "user",
            Self::Read => "read",
            Self::Report => "report",
        }
    }

    fn measure(self, workspace: &Workspace, options: &Options) -> Result<()> {
        match self {
            Self::Kernel => programs::segments(workspace, options),
            Self::Live | Self::Flood => programs::on_the_wire(self.name(), workspace, options),
            Self::User => user::measure(workspace, options.runs),
            Self::Read => read::measure(workspace, options),
            Self::Report => page::measure(workspace, options),
        }
    }
}

/// One part of a bench.
pub(crate) fn part(part: &Part) -> Result<()> {
    match part {
        Part::Generate { folder } => read::generate(folder),
        Part::Scan { capture } => {
            let scanned = scan::file(capture)?;
            println!("{} {}", scanned.packets, scanned.connections);
            Ok(())
        }
        Part::Measure { words } => measure::as_parent(words),
    }
}
