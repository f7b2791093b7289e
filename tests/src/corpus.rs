//! Captures that others published: not part of this repository, and read where a machine has them.

use std::env;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

/// The variable that names the directory of the corpus.
pub const VARIABLE: &str = "SYNFIN_CORPUS";

/// A list of the captures, one a line behind a line of names.
const INDEX: &str = "INDEX.tsv";

/// One capture of the corpus.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its path inside the corpus: how it is named in messages.
    pub name: String,
    /// Where it lies.
    pub file: PathBuf,
    columns: Vec<(String, String)>,
}

impl Row {
    /// What the index says of it in the column whose name begins like this; `None` for `-`.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&str> {
        let mut columns = self.columns.iter();
        let (_, text) = columns.find(|(column, _)| column.starts_with(name))?;
        (text != "-").then_some(text.as_str())
    }
}

/// Where the corpus is; `None` where this machine has none.
#[must_use]
pub fn directory() -> Option<PathBuf> {
    let directory = PathBuf::from(env::var_os(VARIABLE)?);
    directory.join(INDEX).is_file().then_some(directory)
}

/// All captures of the corpus, in the order of its index.
///
/// # Errors
/// Where there is no corpus, or its index names what is not there.
pub fn rows() -> Result<Vec<Row>> {
    let directory = directory().context("find the corpus")?;
    let index = fs::read_to_string(directory.join(INDEX)).context("read the corpus' index")?;
    let mut lines = index.lines();
    let names: Vec<&str> = lines.next().unwrap_or_default().split('\t').collect();
    let rows = lines.filter_map(|line| {
        let words = line.split('\t');
        let columns = names.iter().zip(words);
        let columns = columns.map(|(name, text)| ((*name).to_owned(), text.to_owned()));
        let columns: Vec<_> = columns.collect();
        let (_, name) = columns.first()?.clone();
        Some(Row {
            file: directory.join(&name),
            name,
            columns,
        })
    });
    let rows: Vec<Row> = rows.collect();
    ensure!(!rows.is_empty(), "the corpus' index is empty");
    for row in &rows {
        ensure!(row.file.is_file(), "there is no {}", row.file.display());
    }
    Ok(rows)
}
