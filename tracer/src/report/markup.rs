//! Text inside of markup.

use std::fmt::{Display, Formatter, Result, Write as _};

use crate::sink::acts;

/// A text that is nothing but text, between tags and in quotes. What would act on a reader, such as what
/// turns the direction of writing, is replaced.
pub(super) struct Text<T>(pub(super) T);

impl<T: Display> Display for Text<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(Escaping(f), "{}", self.0)
    }
}

struct Escaping<'a, 'b>(&'a mut Formatter<'b>);

impl std::fmt::Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> Result {
        for c in text.chars() {
            match c {
                '&' => self.0.write_str("&amp;")?,
                '<' => self.0.write_str("&lt;")?,
                '>' => self.0.write_str("&gt;")?,
                '"' => self.0.write_str("&quot;")?,
                '\'' => self.0.write_str("&#39;")?,
                c if acts(c) => self.0.write_char(char::REPLACEMENT_CHARACTER)?,
                c => self.0.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_markup() {
        let hostile = "</script><img src=x onerror='a(\"b\")'>&\u{202e}\n";
        let text = Text(hostile).to_string();
        assert!(
            !text.contains(['<', '>', '"', '\'', '\n', '\u{202e}']),
            "{text}"
        );
        assert_eq!(Text("a & b").to_string(), "a &amp; b");
    }
}
