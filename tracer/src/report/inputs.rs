//! What a report was made of.

use std::path::PathBuf;

/// Mistakes that are told one by one.
const TOLD: usize = 5;
/// Characters of what is told of a mistake.
const LONGEST: usize = 240;

/// Files, and what was wrong with them.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    files: Vec<String>,
    /// Lines that were read of JSON, and those that are no records, by the rules of the format.
    pub(super) lines: u64,
    pub(super) others: u64,
    /// Lines that could not be read.
    wrong: u64,
    told: Vec<String>,
    notes: Vec<String>,
}

impl Inputs {
    pub(super) fn new(files: &[PathBuf]) -> Self {
        let name = |file: &PathBuf| match file.as_os_str() {
            path if path == "-" => "standard input".to_owned(),
            _ => file
                .file_name()
                .unwrap_or(file.as_os_str())
                .to_string_lossy()
                .into_owned(),
        };
        Self {
            files: files.iter().map(name).collect(),
            ..Self::default()
        }
    }

    /// The names of the files, without the ways to them.
    pub(super) fn names(&self) -> String {
        self.files.join(", ")
    }

    /// Counts a line that could not be read; gives the words for it where it is one of the first.
    pub(super) fn mistake(&mut self, file: &str, line: u64, reason: &str) -> Option<&str> {
        self.wrong += 1;
        if self.told.len() >= TOLD {
            return None;
        }
        let words = format!("{file}, line {line}: {reason}");
        self.told.push(words.chars().take(LONGEST).collect());
        self.told.last().map(String::as_str)
    }

    /// Whether not one line could be read.
    pub(super) const fn is_all_wrong(&self) -> bool {
        self.wrong == self.lines
    }

    /// Notes what else is to be known.
    pub(super) fn note(&mut self, words: impl Into<String>) {
        self.notes.push(words.into());
    }

    /// What could not be read, in a sentence; nothing where all could.
    pub(super) fn wrong(&self) -> Option<String> {
        let lines = if self.wrong == 1 { "line" } else { "lines" };
        (self.wrong > 0)
            .then(|| format!("{} {lines} could not be read and are left out", self.wrong))
    }

    /// What has to be known beside the totals.
    pub(super) fn notes(&self) -> impl Iterator<Item = String> {
        let more = self.wrong > self.told.len() as u64;
        let first = self.wrong().map(|wrong| {
            let first = if more { " Among them: " } else { " " };
            format!("{wrong}.{first}{}", self.told.join("; "))
        });
        first.into_iter().chain(self.notes.iter().cloned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_called_by_their_names() {
        let files = ["/a/b/c.pcap", "-", "d.jsonl"].map(PathBuf::from);
        assert_eq!(
            Inputs::new(&files).names(),
            "c.pcap, standard input, d.jsonl"
        );
    }

    #[test]
    fn mistakes_are_counted_and_the_first_ones_told() {
        let mut inputs = Inputs::default();
        assert_eq!(inputs.notes().count(), 0);
        let told = (1..=7)
            .filter(|line| inputs.mistake("x", *line, "no record").is_some())
            .count();
        assert_eq!(told, TOLD);
        let note = inputs.notes().next().unwrap();
        assert!(
            note.starts_with(
                "7 lines could not be read and are left out. Among them: x, line 1: no record"
            ),
            "{note}"
        );
        inputs.note("something else");
        assert_eq!(inputs.notes().count(), 2);
        assert!(inputs.mistake("x", 8, &"y".repeat(1_000)).is_none());
    }
}
