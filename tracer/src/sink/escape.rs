//! Text from outside for formats of one line a record: what would end the line, split the field or
//! be acted upon by a terminal is written as `\x0a` or `\u202e`.

use std::borrow::Cow;
use std::fmt::Write;

use super::paint::acts;

/// The text with everything escaped that is no plain text, and what a spreadsheet would take for the
/// beginning of a formula.
pub(super) fn escaped(text: &str) -> Cow<'_, str> {
    let special = |c: char| c == '\\' || acts(c);
    let formula = text.starts_with(['=', '+', '-', '@']);
    if !formula && !text.contains(special) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for (index, c) in text.char_indices() {
        // A string takes what is written to it.
        let _ = match u32::from(c) {
            _ if c == '\\' => out.write_str("\\\\"),
            code if code < 0x100 && (acts(c) || index == 0 && formula) => {
                write!(out, "\\x{code:02x}")
            }
            code if acts(c) => write!(out, "\\u{code:04x}"),
            _ => out.write_char(c),
        };
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_stays_as_it_is() {
        for text in ["", "too many connections", "Büro – 2", "a=b"] {
            assert!(matches!(escaped(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn what_is_acted_upon_is_escaped() {
        assert_eq!(
            escaped("a\tb\n\u{1b}[2J\u{9b}\u{202e}"),
            "a\\x09b\\x0a\\x1b[2J\\x9b\\u202e"
        );
        assert_eq!(escaped("a\\x09"), "a\\\\x09");
        assert_eq!(escaped("=1+1"), "\\x3d1+1");
        assert_eq!(escaped("-"), "\\x2d");
    }
}
