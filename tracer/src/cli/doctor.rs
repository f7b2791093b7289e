//! Options of `synfin doctor`.

use clap::Args;

use super::XdpMode;

/// Options of `synfin doctor`.
#[derive(Args, Debug)]
pub struct Doctor {
    /// Interface to look at; give it again for several. All of them where none is given, or any
    #[arg(
        short = 'i',
        long = "iface",
        visible_alias = "interface",
        value_name = "IFACE"
    )]
    pub interfaces: Vec<String>,

    /// Look for interfaces in this network namespace: its name, the number of a process in it, or
    /// the path of its file
    #[arg(long, value_name = "NAME|PID|PATH")]
    pub netns: Option<String>,

    /// The hook that would be asked for
    #[arg(long, value_enum, default_value_t = XdpMode::Auto)]
    pub xdp_mode: XdpMode,
}
