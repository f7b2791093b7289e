//! What lies over everything else: the keys, and what was said.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Clear, Paragraph, Wrap};

use super::super::model::Model;
use super::Scene;
use crate::sink::paint::Tone;
use crate::units::Wall;

const KEYS: &[(&str, &str)] = &[
    ("q, Ctrl-C", "end"),
    (
        "↑ ↓ j k, PgUp PgDn",
        "choose a connection; Home g, End G: the first, the last",
    ),
    ("Enter", "its ladder on the whole screen, and back"),
    ("[ ] ← →", "move the ladder"),
    ("Tab", "the table on the whole screen, and back"),
    ("/", "filter: all words have to be true of a row"),
    (
        "",
        "  443 a port that begins so · :443 this port · 10.0.0.0/8",
    ),
    ("", "  any text of address, service, interface, verdict"),
    (
        "",
        "  failed, refused, no_reply, reset, open … · ! turns round",
    ),
    ("f", "failed ones only, and back"),
    (
        "s, 1…7",
        "sort by the next column, by this one; again: turned",
    ),
    ("r", "turn the order round"),
    (
        "p, Space",
        "pause: tracing goes on, the screen stands still",
    ),
    ("l", "what was said: interfaces, floods, losses"),
    ("c", "forget the handshakes of the histogram"),
    ("m", "leave the mouse to the terminal, and back"),
    ("Esc", "one step back: ladder, filter, chosen row"),
    ("Ctrl-Z", "suspend"),
];

const REPLAY: &[(&str, &str)] = &[
    ("+ -", "twice as fast, half as fast"),
    ("n", "go on with the next packet now"),
];

pub(super) fn help(frame: &mut Frame<'_>, area: Rect, scene: &Scene) {
    let more = if scene.replay { REPLAY } else { &[] };
    let lines = KEYS.iter().chain(more).map(|(key, what)| {
        Line::from(vec![
            Span::styled(format!(" {key:<19}"), scene.style(Tone::Strong)),
            Span::raw(*what),
        ])
    });
    let lines: Vec<_> = lines.collect();
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX);
    over(
        frame,
        centred(area, 80, height),
        " keys (any key closes) ",
        lines,
        scene,
    );
}

pub(super) fn lines(frame: &mut Frame<'_>, area: Rect, model: &Model, scene: &Scene) {
    let inside = centred(area, area.width, area.height);
    let room = usize::from(inside.height.saturating_sub(2));
    let skipped = model.lines.len().saturating_sub(room);
    let lines = model.lines.iter().skip(skipped).map(|(said_ns, words)| {
        let wall = Wall(i128::from(*said_ns).saturating_add(scene.wall_offset_ns));
        let time = wall.time_of_day().unwrap_or_default();
        let time = time.split('.').next().unwrap_or_default().to_owned();
        Line::from(vec![
            Span::styled(format!("{time} "), scene.style(Tone::Dim)),
            Span::raw(words.clone()),
        ])
    });
    let mut lines: Vec<_> = lines.collect();
    if lines.is_empty() {
        lines.push(Line::styled("nothing was said", scene.style(Tone::Dim)));
    }
    over(
        frame,
        inside,
        " what was said (any key closes) ",
        lines,
        scene,
    );
}

fn over(frame: &mut Frame<'_>, area: Rect, title: &str, lines: Vec<Line<'_>>, scene: &Scene) {
    let block = Block::new()
        .borders(Borders::ALL)
        .border_style(scene.style(Tone::Dim))
        .title(Span::styled(title.to_owned(), scene.style(Tone::Strong)));
    frame.render_widget(Clear, area);
    frame.render_widget(
        Paragraph::new(lines)
            .block(block)
            .wrap(Wrap { trim: false }),
        area,
    );
}

fn centred(area: Rect, width: u16, height: u16) -> Rect {
    let width = width.min(area.width);
    let height = height.min(area.height);
    Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    }
}
