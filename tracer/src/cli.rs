//! The command line.

mod completions;
mod confining;
mod detach;
mod doctor;
mod ends;
mod environment;
mod explain;
mod limits;
mod man;
mod printing;
mod read;
mod reading;
mod report;
mod sizes;
mod top;
mod tracing;
mod tunnels;
mod version;
mod words;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

pub use completions::Completions;
pub use confining::Confining;
pub use detach::Detach;
pub use doctor::Doctor;
pub use ends::Ends;
pub use explain::Explain;
pub use limits::Limits;
pub use man::Man;
pub use printing::{Format, Printing};
pub use read::Read;
pub use reading::Reading;
pub use report::Report;
pub use sizes::Sizes;
pub use top::Top;
pub use tracing::{Directions, Tracing, XdpMode};
pub use tunnels::Carriers;

/// Traces TCP connections from the first SYN to the last ACK.
#[derive(Debug, Parser)]
#[command(version = version::version(), about, after_help = words::EXAMPLES, after_long_help = words::ALL, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Reads the command line; a wrong one ends the process with status 2 and says what is wrong.
    #[must_use]
    pub fn parse_checked() -> Self {
        let matches = environment::with_environment(Self::command()).get_matches();
        let cli = Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        let (ends, carriers, printing) = match &cli.command {
            Command::Trace(trace) => (
                &trace.tracing.ends,
                &trace.tracing.carriers,
                Some(&trace.printing),
            ),
            Command::Read(Read { reading, printing }) => {
                (&reading.ends, &reading.carriers, Some(printing))
            }
            Command::Report(Report { reading, .. }) => (&reading.ends, &reading.carriers, None),
            Command::Top(top) => (&top.tracing.ends, &top.tracing.carriers, None),
            Command::Detach(_)
            | Command::Doctor(_)
            | Command::Explain(_)
            | Command::Completions(_)
            | Command::Man(_) => {
                return cli;
            }
        };
        let wrong = |kind, error| -> ! { Self::command().error(kind, error).exit() };
        if let Some(error) = ends.filter().err().or_else(|| carriers.tunnels().err()) {
            wrong(ErrorKind::TooManyValues, error);
        }
        if let Some(Err(error)) = printing.map(Printing::check) {
            wrong(ErrorKind::ArgumentConflict, error);
        }
        cli
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Trace connections on network interfaces, live. Needs root, or CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON.
    #[command(after_help = words::TRACE)]
    Trace(Trace),
    /// Read connections from captures: pcap and pcapng.
    #[command(after_help = words::READ)]
    Read(Read),
    /// Make one page for a browser from records (lines of JSON) or captures: totals, charts, and every
    /// connection with its ladder.
    #[command(after_help = words::REPORT)]
    Report(Report),
    /// Watch connections on a screen as they open, fail and close; live, or from a capture in its own time.
    #[command(after_help = words::TOP)]
    Top(Top),
    /// Remove filters that a synfin that was killed has left, which kernels before 6.6 keep. What runs
    /// and what others attached stays.
    Detach(Detach),
    /// Tell whether tracing would work here, what it would attach and what that costs. Changes nothing.
    Doctor(Doctor),
    /// Tell what a diagnosis means: when it is said, what is usually behind it, where to look next
    Explain(Explain),
    /// Print the completions of a shell
    Completions(Completions),
    /// Print a manual page, in roff: synfin man trace | man -l -
    Man(Man),
}

/// Options of `synfin trace`.
#[derive(Args, Debug)]
pub struct Trace {
    /// Interface to trace; give it again for several. any traces every interface that is up, and
    /// those that come up later
    #[arg(
        short = 'i',
        long = "iface",
        visible_alias = "interface",
        value_name = "IFACE",
        required = true,
        help_heading = "What to trace"
    )]
    pub interfaces: Vec<String>,

    /// What is traced, and how.
    #[command(flatten)]
    pub tracing: Tracing,

    /// What is printed, and how.
    #[command(flatten)]
    pub printing: Printing,

    /// End after this many connections
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u64).range(1..),
        help_heading = "When to end"
    )]
    pub count: Option<u64>,

    /// Records that wait for a slow reader of the output, in octets; what is beyond is dropped and
    /// counted
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "64M",
        value_parser = sizes::parse_output_queue,
        help_heading = "Limits"
    )]
    pub output_queue: usize,
}

impl Trace {
    /// What stands for every interface.
    pub const ANY: &str = "any";
}

/// What is said where a flag was given more often than there is room for.
fn too_many(flag: &str, most: usize, given: usize) -> String {
    format!("{flag} takes at most {most} values, and {given} were given")
}

#[cfg(test)]
mod tests {
    use synfin_ebpf::wire::Tunnels;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn tunnels_are_looked_into_when_asked_for() {
        let tunnels = |arguments: &[&str]| {
            let all = [&["synfin", "trace", "-i", "eth0"], arguments].concat();
            match Cli::try_parse_from(all).unwrap().command {
                Command::Trace(trace) => trace.tracing.tunnels(),
                Command::Read(read) => read.reading.carriers.tunnels(),
                _ => unreachable!("it was not asked for"),
            }
        };
        assert_eq!(tunnels(&[]), Ok(Tunnels::OFF));
        assert_eq!(tunnels(&["--tunnels"]), Ok(Tunnels::ON));
        let ports = tunnels(&["--vxlan-port", "8472"]);
        assert_eq!(ports.ok(), Tunnels::with_vxlan_ports(&[8472]));
        assert!(tunnels(&["--vxlan-port", "1,2,3,4,5"]).is_err());
    }
}
