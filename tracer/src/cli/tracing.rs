//! What is traced live, and how: the same for everything that traces.

use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};
use synfin_ebpf::wire::Tunnels;

use super::{Carriers, Confining, Ends, Limits, Sizes, Trace};
use crate::attach::XdpChoice;
use crate::attach::follow::Wishes;

/// Options of everything that traces.
#[derive(Args, Debug)]
pub struct Tracing {
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

    /// End after this time, e.g. 30s or 5m
    #[arg(
        long,
        value_name = "TIME",
        value_parser = humantime::parse_duration,
        help_heading = "When to end"
    )]
    pub duration: Option<Duration>,

    /// How long and how much.
    #[command(flatten)]
    pub limits: Limits,

    /// How much the kernel's side holds.
    #[command(flatten)]
    pub sizes: Sizes,

    /// Say the sizes of what is kept, too, what they cost in memory, and how the process is confined
    #[arg(short, long, action = ArgAction::Count, help_heading = "Output")]
    pub verbose: u8,

    /// How the process is confined.
    #[command(flatten)]
    pub confining: Confining,
}

impl Tracing {
    /// The interfaces of these names to trace, and how.
    #[must_use]
    pub fn wishes(&self, interfaces: &[String]) -> Wishes {
        let mut names: Vec<String> = Vec::new();
        for name in interfaces {
            if name != Trace::ANY && !names.contains(name) {
                names.push(name.clone());
            }
        }
        let any = interfaces.iter().any(|name| name == Trace::ANY);
        let hook = match self.xdp_mode {
            XdpMode::Auto if self.counts_copies(interfaces) => XdpChoice::Tc,
            mode => mode.into(),
        };
        Wishes {
            any,
            names,
            hook,
            egress: self.direction == Directions::Both,
        }
    }

    /// What is to be known before these are traced.
    #[must_use]
    pub fn warning(&self, interfaces: &[String]) -> Option<&'static str> {
        (self.counts_copies(interfaces) && self.xdp_mode == XdpMode::Native).then_some(
            "behind native XDP segments are put together (GRO): retransmissions of a connection that \
             passes two of the interfaces are counted too high; without --xdp-mode they are right",
        )
    }

    /// The tunnels that the kernel looks into.
    ///
    /// # Errors
    /// Where there are more VXLAN ports than there is room for.
    pub fn tunnels(&self) -> Result<Tunnels, String> {
        self.carriers.tunnels_where(self.tunnels)
    }

    /// Whether what is counted may pass several interfaces. Behind XDP segments are put together (GRO),
    /// and of a copy in other pieces nobody could tell that it is none that was sent again.
    fn counts_copies(&self, interfaces: &[String]) -> bool {
        let mut pairs = interfaces.windows(2);
        let several = pairs.any(|pair| pair[0] != pair[1]);
        self.account && (several || interfaces.iter().any(|name| name == Trace::ANY))
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

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::{Cli, Command};
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
    fn any_is_no_name_and_counts_on_several_interfaces_are_taken_behind_gro() {
        let wishes = |arguments: &str| {
            let trace = trace(arguments);
            trace.tracing.wishes(&trace.interfaces)
        };
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
            let trace = trace(arguments);
            let warning = trace.tracing.warning(&trace.interfaces);
            assert_eq!(warning.is_some(), warns, "{arguments}");
        }
    }
}
