//! Options of `synfin detach`.

use clap::Args;

/// Options of `synfin detach`.
#[derive(Args, Debug)]
pub struct Detach {
    /// Interface to clean; give it again for several. All of them where none is given
    #[arg(
        short = 'i',
        long = "iface",
        visible_alias = "interface",
        value_name = "IFACE"
    )]
    pub interfaces: Vec<String>,
}
