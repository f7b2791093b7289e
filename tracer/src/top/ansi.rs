//! Text with the colours that the sinks use, as lines for the screen.

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

/// Lines of text in which styles are written as SGR sequences (ECMA-48 §8.3.117). Other sequences are not
/// written by sinks, and not shown.
pub(super) fn lines(text: &str) -> Vec<Line<'static>> {
    let mut style = Style::new();
    text.lines()
        .map(|line| self::line(line, &mut style))
        .collect()
}

fn line(line: &str, style: &mut Style) -> Line<'static> {
    let mut spans = Vec::new();
    let mut pieces = line.split('\x1b');
    let mut push = |text: &str, style: Style| {
        if !text.is_empty() {
            spans.push(Span::styled(text.to_owned(), style));
        }
    };
    push(pieces.next().unwrap_or_default(), *style);
    for piece in pieces {
        let Some((codes, text)) = piece
            .strip_prefix('[')
            .and_then(|rest| rest.split_once('m'))
        else {
            continue;
        };
        for code in codes.split(';') {
            *style = with(*style, code);
        }
        push(text, *style);
    }
    Line::from(spans)
}

fn with(style: Style, code: &str) -> Style {
    match code {
        "" | "0" => Style::new(),
        "1" => style.add_modifier(Modifier::BOLD),
        "2" => style.add_modifier(Modifier::DIM),
        "31" => style.fg(Color::Red),
        "32" => style.fg(Color::Green),
        "33" => style.fg(Color::Yellow),
        _ => style,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::fixtures::ftp;
    use crate::sink::{Ladder, Sink as _, Style as Laid};

    fn ladder(colour: bool) -> String {
        let style = Laid { colour, width: 80 };
        let mut ladder = Ladder {
            style,
            follow: false,
        };
        let mut out = Vec::new();
        ladder.connection(&ftp(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_ladder_keeps_its_words_and_gets_its_colours() {
        let shown = lines(&ladder(true));
        let words: Vec<_> = shown.iter().map(Line::to_string).collect();
        assert_eq!(words, ladder(false).lines().collect::<Vec<_>>());
        let spans: Vec<_> = shown.iter().flat_map(|line| &line.spans).collect();
        for style in [
            Style::new().add_modifier(Modifier::BOLD),
            Style::new().add_modifier(Modifier::DIM),
            Style::new().fg(Color::Green),
        ] {
            assert!(spans.iter().any(|span| span.style == style), "{style:?}");
        }
    }

    #[test]
    fn other_sequences_are_not_shown() {
        let shown = lines("a\x1b[2Jb\x1b[31mc\x1b[0md");
        assert_eq!(
            shown[0].spans.last().map(|span| span.style),
            Some(Style::new())
        );
        assert!(!shown[0].to_string().contains('\x1b'));
    }
}
