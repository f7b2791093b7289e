//! Options of `synfin explain`.

use clap::Args;

/// Options of `synfin explain`.
#[derive(Args, Debug)]
pub struct Explain {
    /// The diagnosis, as JSON and CSV name it. All of them, a line each, where none is given
    #[arg(value_name = "NAME")]
    pub code: Option<String>,
}
