//! Options of `synfin top`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, ArgGroup, Args};
use synfin_ebpf::wire::Tunnels;

use super::{Carriers, Confining, Directions, Ends, Limits, Sizes, XdpMode, warning, wishes};
use crate::attach::follow::Wishes;
use crate::top::Speed;

/// Options of `synfin top`.
#[derive(Args, Debug)]
#[command(group(ArgGroup::new("from").required(true).multiple(true).args(["interfaces", "read"])))]
pub struct Top {
    /// Interface to look at; give it again for several. any is every interface that is up, and those
    /// that come up later
    #[arg(
        short = 'i',
        long = "iface",
        visible_alias = "interface",
        value_name = "IFACE",
        help_heading = "What to look at"
    )]
    pub interfaces: Vec<String>,

    /// Replay this capture in its own time instead of looking at interfaces, - for standard input;
    /// several are merged by time
    #[arg(long, value_name = "FILE", num_args = 1.., help_heading = "What to look at")]
    pub read: Vec<PathBuf>,

    /// How many times as fast as it happened a capture is replayed; max is as fast as it can be read
    #[arg(
        long,
        value_name = "N|max",
        default_value = "1",
        requires = "read",
        help_heading = "What to look at"
    )]
    pub speed: Speed,

    /// Look for interfaces in this network namespace: its name, the number of a process in it, or
    /// the path of its file
    #[arg(long, value_name = "NAME|PID|PATH", help_heading = "What to look at")]
    pub netns: Option<String>,

    /// Which connections to look at.
    #[command(flatten)]
    pub ends: Ends,

    /// Look into tunnels (VXLAN, Geneve, GRE, IP in IP, PPPoE, MPLS), too; a capture always is
    #[arg(long, help_heading = "What to look at")]
    pub tunnels: bool,

    /// What else is a tunnel; implies --tunnels.
    #[command(flatten)]
    pub carriers: Carriers,

    /// Which way to look
    #[arg(
        long,
        value_enum,
        default_value_t = Directions::Both,
        help_heading = "What to look at"
    )]
    pub direction: Directions,

    /// Count every segment for its connection, too: octets grow while it is open. Costs a look-up a
    /// segment; a capture always is
    #[arg(long, help_heading = "What to look at")]
    pub account: bool,

    /// Rows that are kept of connections that are open, of those that ended, and of those that failed:
    /// so many of each
    #[arg(
        long,
        value_name = "N",
        default_value = "2000",
        value_parser = parse_rows,
        help_heading = "Limits"
    )]
    pub rows: usize,

    /// How long and how much.
    #[command(flatten)]
    pub limits: Limits,

    /// How much the kernel's side holds.
    #[command(flatten)]
    pub sizes: Sizes,

    /// Hook for what arrives, as of synfin trace
    #[arg(
        long,
        value_enum,
        default_value_t = XdpMode::Auto,
        help_heading = "Limits"
    )]
    pub xdp_mode: XdpMode,

    /// End after this time, e.g. 30s or 5m
    #[arg(
        long,
        value_name = "TIME",
        value_parser = humantime::parse_duration,
        help_heading = "When to end"
    )]
    pub duration: Option<Duration>,

    /// Say the sizes of what is kept, too, what they cost in memory, and how the process is confined;
    /// in the log
    #[arg(short, long, action = ArgAction::Count, help_heading = "Output")]
    pub verbose: u8,

    /// How the process is confined.
    #[command(flatten)]
    pub confining: Confining,
}

impl Top {
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

fn parse_rows(text: &str) -> Result<usize, String> {
    let rows = text.parse().ok();
    rows.filter(|rows| (10..=100_000).contains(rows))
        .ok_or_else(|| "a number of rows is from 10 to 100000".into())
}
