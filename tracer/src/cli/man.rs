//! Options of `synfin man`, and the pages that it prints.

use std::io;

use clap::{Args, Command, CommandFactory as _};
use clap_mangen::Man as Page;

use super::Cli;

/// Options of `synfin man`.
#[derive(Args, Debug)]
pub struct Man {
    /// The command whose page is printed; that of synfin itself where none is given
    #[arg(value_name = "COMMAND")]
    pub command: Option<String>,
}

impl Man {
    /// The page, in roff.
    ///
    /// # Errors
    /// Where there is no such command.
    pub fn page(&self) -> io::Result<Vec<u8>> {
        let mut page = Vec::new();
        Page::new(command(self.command.as_deref())?).render(&mut page)?;
        Ok(page)
    }
}

fn command(name: Option<&str>) -> io::Result<Command> {
    let mut all = Cli::command();
    all.build();
    let Some(name) = name else {
        return Ok(all);
    };
    // Named so by what built it: its page is synfin-trace(1).
    all.find_subcommand(name).cloned().ok_or_else(|| {
        let names: Vec<_> = all.get_subcommands().map(Command::get_name).collect();
        let names = names.join(", ");
        let words = format!("synfin has no command {name}; there are {names}");
        io::Error::new(io::ErrorKind::InvalidInput, words)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(name: Option<&str>) -> String {
        let command = name.map(str::to_owned);
        String::from_utf8(Man { command }.page().unwrap()).unwrap()
    }

    #[test]
    fn every_command_has_a_page_with_its_options() {
        let commands = Cli::command();
        for command in commands.get_subcommands() {
            let page = page(Some(command.get_name()));
            for option in command.get_arguments().filter_map(clap::Arg::get_long) {
                let shown = option.replace('-', "\\-");
                assert!(page.contains(&shown), "{}: {option}", command.get_name());
            }
        }
        assert!(page(None).contains("synfin\\-trace"), "{}", page(None));
    }

    #[test]
    fn a_command_that_is_not_there_is_told_with_those_that_are() {
        let error = command(Some("sniff")).unwrap_err().to_string();
        assert!(
            error.contains("sniff") && error.contains("trace, read"),
            "{error}"
        );
    }
}
