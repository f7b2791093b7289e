//! JSON lines among the files: what begins with an opening brace is no capture.
//!
//! In: the octets of a file, decompressed. Out: its lines. Absent on purpose: what they say.

use std::io;

use super::input::Input;

/// Octets of a line at most; the records of synfin are far shorter.
pub const MAX_LINE: usize = 64 << 10;

/// A file of lines.
pub struct Lines {
    name: String,
    input: Input,
    /// Octets of the line that was given last.
    given: usize,
    /// Octets that are there and hold no end of a line.
    searched: usize,
    /// What is there belongs to a line that is too long.
    too_long: bool,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A line, without its end.
    Whole(&'a [u8]),
    /// The last line, which has no end.
    Last(&'a [u8]),
    /// A line of more than [`MAX_LINE`] octets, which is left out.
    TooLong,
    /// None yet: reading on may have to wait for a moment.
    Pause,
    /// No more.
    End,
}

impl Lines {
    pub(super) const fn new(name: String, input: Input) -> Self {
        Self {
            name,
            input,
            given: 0,
            searched: 0,
            too_long: false,
        }
    }

    /// The name of the file.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The next line.
    ///
    /// # Errors
    /// Where the file cannot be read on.
    pub fn next_line(&mut self) -> io::Result<Line<'_>> {
        self.input.consume(std::mem::take(&mut self.given));
        let octets = self.input.octets();
        let rest = octets.get(self.searched..).unwrap_or_default();
        if let Some(len) = rest.iter().position(|octet| *octet == b'\n') {
            let len = self.searched + len;
            self.given = len + 1;
            self.searched = 0;
            if std::mem::take(&mut self.too_long) || len > MAX_LINE {
                return Ok(Line::TooLong);
            }
            return Ok(Line::Whole(
                self.input.octets().get(..len).unwrap_or_default(),
            ));
        }
        self.searched = octets.len();
        if self.searched > MAX_LINE {
            self.input.consume(std::mem::take(&mut self.searched));
            self.too_long = true;
        }
        if !self.input.ended() {
            self.input.fill(self.searched + 1)?;
            return Ok(Line::Pause);
        }
        let left = std::mem::take(&mut self.searched);
        self.given = left;
        Ok(match (std::mem::take(&mut self.too_long), left) {
            (true, _) => Line::TooLong,
            (false, 0) => Line::End,
            (false, _) => Line::Last(self.input.octets()),
        })
    }
}

/// Whether these are lines of JSON; `None` where nothing but space is there yet.
pub(super) fn are_lines(octets: &[u8]) -> Option<bool> {
    let first = octets.iter().find(|octet| !octet.is_ascii_whitespace());
    first.map(|octet| *octet == b'{')
}

#[cfg(test)]
mod tests {
    use super::super::source::Source;
    use super::*;

    /// Each line, or what else came, of a file that gives so many octets at once.
    fn lines(text: &str, at_once: usize) -> Vec<String> {
        let reader = super::super::fixtures::Trickle::new(text.as_bytes().to_vec(), at_once);
        let source = Source::of(Box::new(reader));
        let mut lines = Lines::new("x".into(), Input::new(source));
        let mut all = Vec::new();
        loop {
            let line = match lines.next_line().unwrap() {
                Line::Whole(line) => String::from_utf8(line.to_vec()).unwrap(),
                Line::Last(line) => format!("last {}", String::from_utf8(line.to_vec()).unwrap()),
                Line::TooLong => "too long".to_owned(),
                Line::Pause => continue,
                Line::End => return all,
            };
            all.push(line);
        }
    }

    #[test]
    fn lines_come_one_by_one_however_their_octets_come() {
        for at_once in [1, 2, 5, usize::MAX] {
            assert_eq!(lines("{1}\n\n{2}\n", at_once), ["{1}", "", "{2}"]);
            assert_eq!(lines("{1}\n{2", at_once), ["{1}", "last {2"]);
            assert!(lines("", at_once).is_empty());
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_left_out_and_what_follows_is_not() {
        let long = "x".repeat(3 * MAX_LINE);
        let just = "y".repeat(MAX_LINE);
        for at_once in [1_000, usize::MAX] {
            let text = format!("{{1}}\n{long}\n{{2}}\n{just}\n{just}z\n");
            let expected = ["{1}", "too long", "{2}", &just, "too long"];
            assert_eq!(lines(&text, at_once), expected);
            assert_eq!(
                lines(&format!("{{1}}\n{long}"), at_once),
                ["{1}", "too long"]
            );
        }
    }

    #[test]
    fn what_begins_with_a_brace_is_lines() {
        assert_eq!(are_lines(b"{"), Some(true));
        assert_eq!(are_lines(b" \n{\"v\":1"), Some(true));
        assert_eq!(are_lines(b"  "), None);
        assert_eq!(are_lines(&[0xd4, 0xc3, 0xb2, 0xa1]), Some(false));
    }
}
