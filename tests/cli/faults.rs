//! The README's table of faults names the test of each, and the tests are there.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use synfin_tests::cases;
use synfin_tests::suite::Case;

pub(crate) fn cases() -> Vec<Case> {
    cases![&[]; every_fault_of_the_readme_names_tests_that_are_there]
}

/// The faults that have to be in the table, by a word of each.
const FAULTS: [&str; 18] = [
    "ring",
    "deleted",
    "not read",
    "closes",
    "disk",
    "clock",
    "time namespace",
    "memory",
    "two synfin",
    "another version",
    "SIGTERM",
    "connections",
    "goes down, and comes up",
    "renamed",
    "moves to another network namespace",
    "comes back under its name",
    "refuses the programs",
    "faster than the kernel can tell",
];

fn every_fault_of_the_readme_names_tests_that_are_there() -> Result<()> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let workspace = workspace.context("find the workspace")?;
    let readme = fs::read_to_string(workspace.join("README.md"))?;
    let rows = table(&readme);
    for word in FAULTS {
        let told = rows.iter().any(|[fault, ..]| fault.contains(word));
        ensure!(told, "no fault in the README is about {word:?}");
    }
    for [fault, outcome, tests] in rows {
        ensure!(
            !outcome.is_empty(),
            "{fault}: nothing is said of what happens"
        );
        let mut names = tests.split('`').skip(1).step_by(2).peekable();
        ensure!(names.peek().is_some(), "{fault}: no test is named");
        for name in names {
            is_there(workspace, name).with_context(|| format!("{fault}: {name}"))?;
        }
    }
    Ok(())
}

/// The rows of the table of faults: fault, what synfin does, tests.
fn table(readme: &str) -> Vec<[&str; 3]> {
    let lines = readme
        .lines()
        .skip_while(|line| !line.starts_with("| fault |"));
    let rows = lines.skip(2).take_while(|line| line.starts_with('|'));
    rows.filter_map(|line| {
        let mut cells = line.trim_matches('|').split('|').map(str::trim);
        Some([cells.next()?, cells.next()?, cells.next()?])
    })
    .collect()
}

/// Whether a test is there: one that nobody lists would not compile.
fn is_there(workspace: &Path, name: &str) -> Result<()> {
    let mut modules: Vec<&str> = name.split("::").collect();
    let function = modules.pop().context("a name")?;
    let file: PathBuf = modules.iter().collect();
    // Tests of the suites lie below `tests`, those of the crate's own parts in its sources.
    let places = ["tests", "tracer/src"].map(|place| workspace.join(place).join(&file));
    let sources = places
        .iter()
        .map(|place| fs::read_to_string(place.with_extension("rs")));
    let declared = format!("fn {function}(");
    ensure!(
        sources.flatten().any(|source| source.contains(&declared)),
        "there is no such test"
    );
    Ok(())
}
