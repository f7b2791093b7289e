//! Options from the environment: `SYNFIN_` and the option's long name.

use clap::builder::BoolishValueParser;
use clap::{Arg, ArgAction, Command};

/// What the names begin with.
const PREFIX: &str = "SYNFIN_";

/// Lets every option of every command be given by the environment, too; what the command line says comes
/// first.
#[must_use]
pub(super) fn with_environment(command: Command) -> Command {
    command.mut_subcommands(|command| command.mut_args(from_environment))
}

fn from_environment(argument: Arg) -> Arg {
    let Some(long) = argument.get_long() else {
        return argument;
    };
    let name = variable(long);
    let argument = match argument.get_action() {
        ArgAction::Set | ArgAction::Append | ArgAction::Count => argument,
        ArgAction::SetTrue => argument.value_parser(BoolishValueParser::new()),
        // --help and --version do something, and set nothing.
        _ => return argument,
    };
    argument.env(name).hide_env(true)
}

fn variable(long: &str) -> String {
    format!("{PREFIX}{}", long.replace('-', "_").to_uppercase())
}
