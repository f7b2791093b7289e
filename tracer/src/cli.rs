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
mod tunnels;
mod version;
mod words;

use std::time::Duration;

use clap::error::ErrorKind;
use clap::{
    ArgAction, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum,
};

use synfin_ebpf::wire::Tunnels;

use crate::attach::XdpChoice;
use crate::attach::follow::Wishes;

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
            Command::Trace(trace) => (&trace.ends, &trace.carriers, Some(&trace.printing)),
            Command::Read(Read { reading, printing }) => {
                (&reading.ends, &reading.carriers, Some(printing))
            }
            Command::Report(Report { reading, .. }) => (&reading.ends, &reading.carriers, None),
            Command::Top(top) => (&top.ends, &top.carriers, None),
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

    /// Look for interfaces in this network namespace: its name, the number of a process in it, or
    /// the path of its file
    #[arg(long, value_name = "NAME|PID|PATH", help_heading = "What to trace")]
    pub netns: Option<String>,

    /// Which connections to look at.
    #[command(flatten)]
    pub ends: Ends,

    /// Look into tunnels (VXLAN, Geneve, GRE, IP in IP, PPPoE, MPLS), too, and trace the connections
    /// in them
    #[arg(long, help_heading = "What to trace")]
    pub tunnels: bool,

    /// What else is a tunnel; implies --tunnels.
    #[command(flatten)]
    pub carriers: Carriers,

    /// Which way to look
    #[arg(
        long,
        value_enum,
        default_value_t = Directions::Both,
        help_heading = "What to trace"
    )]
    pub direction: Directions,

    /// What is printed, and how.
    #[command(flatten)]
    pub printing: Printing,

    /// Say the sizes of what is kept, too, what they cost in memory, and how the process is confined
    #[arg(short, long, action = ArgAction::Count, help_heading = "Output")]
    pub verbose: u8,

    /// End after this time, e.g. 30s or 5m
    #[arg(
        long,
        value_name = "TIME",
        value_parser = humantime::parse_duration,
        help_heading = "When to end"
    )]
    pub duration: Option<Duration>,

    /// End after this many connections
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u64).range(1..),
        help_heading = "When to end"
    )]
    pub count: Option<u64>,

    /// How long and how much.
    #[command(flatten)]
    pub limits: Limits,

    /// How much the kernel's side holds.
    #[command(flatten)]
    pub sizes: Sizes,

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

    /// Count every segment for its connection, too: packets, payload, retransmissions, duplicates,
    /// out-of-order segments and closed windows. Costs a look-up a segment
    #[arg(long, help_heading = "What to trace")]
    pub account: bool,

    /// Hook for what arrives; tcx and clsact are for what leaves, too. auto takes native XDP on a
    /// NIC, and TCX on software devices, which native XDP would slow down, and where a driver refuses
    /// XDP; clsact where the kernel has no TCX
    #[arg(
        long,
        value_enum,
        default_value_t = XdpMode::Auto,
        help_heading = "Limits"
    )]
    pub xdp_mode: XdpMode,

    /// How the process is confined.
    #[command(flatten)]
    pub confining: Confining,
}

impl Trace {
    /// What stands for every interface.
    pub const ANY: &str = "any";

    /// The interfaces to trace.
    #[must_use]
    pub fn wishes(&self) -> Wishes {
        wishes(
            &self.interfaces,
            self.xdp_mode,
            self.direction,
            self.account,
        )
    }

    /// What is to be known of these options before they are followed.
    #[must_use]
    pub fn warning(&self) -> Option<&'static str> {
        warning(&self.interfaces, self.xdp_mode, self.account)
    }

    /// The tunnels that the kernel looks into.
    ///
    /// # Errors
    /// Where there are more VXLAN ports than there is room for.
    pub fn tunnels(&self) -> Result<Tunnels, String> {
        self.carriers.tunnels_where(self.tunnels)
    }
}

/// Which way to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Directions {
    /// What arrives and what leaves
    Both,
    /// What arrives
    Ingress,
}

/// Hook for what arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum XdpMode {
    /// The better one for the interface
    Auto,
    /// XDP in the driver
    Native,
    /// XDP after the driver; switches GRO off for the interface
    Generic,
    /// TC, after the driver, by a TCX link (Linux 6.6)
    Tcx,
    /// TC by a filter, as kernels before 6.6 have it
    Clsact,
}

impl From<XdpMode> for XdpChoice {
    fn from(mode: XdpMode) -> Self {
        match mode {
            XdpMode::Auto => Self::Auto,
            XdpMode::Native => Self::Native,
            XdpMode::Generic => Self::Generic,
            XdpMode::Tcx => Self::Tcx,
            XdpMode::Clsact => Self::Clsact,
        }
    }
}

/// The interfaces to trace, and how.
fn wishes(
    interfaces: &[String],
    xdp_mode: XdpMode,
    direction: Directions,
    account: bool,
) -> Wishes {
    let mut names: Vec<String> = Vec::new();
    for name in interfaces {
        if name != Trace::ANY && !names.contains(name) {
            names.push(name.clone());
        }
    }
    let any = interfaces.iter().any(|name| name == Trace::ANY);
    let hook = match xdp_mode {
        XdpMode::Auto if counts_copies(interfaces, account) => XdpChoice::Tc,
        mode => mode.into(),
    };
    Wishes {
        any,
        names,
        hook,
        egress: direction == Directions::Both,
    }
}

/// What is to be known before these are traced.
fn warning(interfaces: &[String], xdp_mode: XdpMode, account: bool) -> Option<&'static str> {
    (counts_copies(interfaces, account) && xdp_mode == XdpMode::Native).then_some(
        "behind native XDP segments are put together (GRO): retransmissions of a connection that \
         passes two of the interfaces are counted too high; without --xdp-mode they are right",
    )
}

/// Whether what is counted may pass several interfaces. Behind XDP segments are put together (GRO),
/// and of a copy in other pieces nobody could tell that it is none that was sent again.
fn counts_copies(interfaces: &[String], account: bool) -> bool {
    let mut pairs = interfaces.windows(2);
    let several = pairs.any(|pair| pair[0] != pair[1]);
    account && (several || interfaces.iter().any(|name| name == Trace::ANY))
}

/// What is said where a flag was given more often than there is room for.
fn too_many(flag: &str, most: usize, given: usize) -> String {
    format!("{flag} takes at most {most} values, and {given} were given")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(arguments: &str) -> Trace {
        let words = format!("synfin trace {arguments}");
        let cli = Cli::try_parse_from(words.split_whitespace()).unwrap();
        match cli.command {
            Command::Trace(trace) => trace,
            _ => panic!("another command"),
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn any_is_no_name_and_counts_on_several_interfaces_are_taken_behind_gro() {
        let wishes = |arguments: &str| trace(arguments).wishes();
        let both = wishes("-i any -i eth0");
        assert!(both.any && both.names == ["eth0"] && both.egress);
        assert!(!wishes("-i eth0").any);
        for (arguments, hook) in [
            ("-i any", XdpChoice::Auto),
            ("-i eth0 --account", XdpChoice::Auto),
            ("-i eth0 -i eth0 --account", XdpChoice::Auto),
            // Also where the kernel has no TCX.
            ("-i any --account", XdpChoice::Tc),
            ("-i eth0 -i eth1 --account", XdpChoice::Tc),
            ("-i any --account --xdp-mode native", XdpChoice::Native),
        ] {
            assert_eq!(wishes(arguments).hook, hook, "{arguments}");
        }
    }

    #[test]
    fn counts_that_will_be_too_high_are_warned_of() {
        for (arguments, warns) in [
            ("-i any --account --xdp-mode native", true),
            ("-i eth0 -i eth1 --account --xdp-mode native", true),
            ("-i eth0 --account --xdp-mode native", false),
            ("-i any --xdp-mode native", false),
            ("-i any --account --xdp-mode generic", false),
            ("-i any --account", false),
        ] {
            assert_eq!(trace(arguments).warning().is_some(), warns, "{arguments}");
        }
    }

    #[test]
    fn tunnels_are_looked_into_when_asked_for() {
        let tunnels = |arguments: &[&str]| {
            let all = [&["synfin", "trace", "-i", "eth0"], arguments].concat();
            match Cli::try_parse_from(all).unwrap().command {
                Command::Trace(trace) => trace.tunnels(),
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
