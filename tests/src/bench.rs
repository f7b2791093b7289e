//! The command line of the benches, which `cargo xtask bench` writes.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

/// Rounds where nothing is said of them.
const ROUNDS: usize = 9;

/// What the command line says: options, each with a value.
#[derive(Clone, Debug)]
pub struct Options(HashMap<String, String>);

impl Options {
    /// Reads the command line of this process, which knows these options.
    ///
    /// # Errors
    /// Where there is another one, or one lacks its value.
    pub fn parse(known: &[&str]) -> Result<Self> {
        let mut values = HashMap::new();
        // Cargo says `--bench` to every bench.
        let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
        while let Some(word) = words.next() {
            ensure!(known.contains(&word.as_str()), "what is {word}?");
            let value = words.next();
            let value = value.with_context(|| format!("{word} lacks a value"))?;
            values.insert(word, value);
        }
        Ok(Self(values))
    }

    /// The value of an option.
    ///
    /// # Errors
    /// Where it is missing.
    pub fn text(&self, name: &str) -> Result<&str> {
        let value = self.0.get(name).map(String::as_str);
        value.with_context(|| format!("{name} is missing"))
    }

    /// The path that is the value of an option.
    ///
    /// # Errors
    /// Where it is missing.
    pub fn path(&self, name: &str) -> Result<&Path> {
        self.text(name).map(Path::new)
    }

    /// How often each is measured: `--rounds`.
    ///
    /// # Errors
    /// Where that is no number.
    pub fn rounds(&self) -> Result<usize> {
        let Ok(rounds) = self.text("--rounds") else {
            return Ok(ROUNDS);
        };
        rounds.parse().context("read the number of rounds")
    }
}
