//! The commands that the README shows.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result};
use synfin_tests::cases;
use synfin_tests::requirement;
use synfin_tests::suite::Case;

use crate::commands::{CHECKED, TRACED, WALKED};

/// What a line that is a command begins with.
const PROGRAMS: [&str; 7] = [
    "cargo ", "synfin ", "sudo ", "curl ", "tcpdump ", "source ", "strace ",
];

pub(crate) fn cases() -> Vec<Case> {
    cases![[]; every_command_of_the_readme_is_walked_and_no_other]
}

fn every_command_of_the_readme_is_walked_and_no_other() -> Result<()> {
    let text =
        fs::read_to_string(requirement::workspace().join("README.md")).context("read README.md")?;
    let lists = [WALKED, TRACED, CHECKED].into_iter().flatten();
    let known: BTreeSet<_> = lists.map(|(command, _)| *command).collect();
    assert_eq!(shown(&text), known);
    Ok(())
}

/// Lines of blocks, and what is set in backquotes, that begin as commands do, without their comments.
fn shown(text: &str) -> BTreeSet<&str> {
    let mut commands = BTreeSet::new();
    let mut in_block = false;
    for line in text.lines() {
        if line.starts_with("```") {
            in_block = !in_block;
        } else if in_block {
            commands.insert(line);
        } else {
            commands.extend(line.split('`').skip(1).step_by(2));
        }
    }
    let commands = commands.into_iter().filter_map(|command| {
        let command = command.split("  #").next()?.trim();
        let is_one = PROGRAMS.iter().any(|program| command.starts_with(program));
        // What synfin says begins with its name, too.
        (is_one && !command.starts_with("synfin: ")).then_some(command)
    });
    commands.collect()
}
