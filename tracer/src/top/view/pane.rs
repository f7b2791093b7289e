//! The ladder of the connection that is looked at.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::super::ansi;
use super::super::model::Model;
use super::super::row::Row;
use super::super::ui::{Drawn, Ui};
use super::{Scene, rule, titled};
use crate::sink::paint::Tone;
use crate::sink::{Ladder, Sink as _, Style};

pub(super) fn draw(
    frame: &mut Frame<'_>,
    area: Rect,
    model: &Model,
    ui: &Ui,
    scene: &Scene,
    drawn: &mut Drawn,
) {
    if area.height < 2 {
        return;
    }
    let (title, body) = titled(area);
    drawn.pane = body;
    let chosen = ui.selected.filter(|id| drawn.order.contains(id));
    let looked_at = chosen.or_else(|| drawn.order.first().copied());
    let row = looked_at.and_then(|id| model.row(id));
    let Some(row) = row else {
        let words = vec![Span::styled("ladder", scene.style(Tone::Dim))];
        frame.render_widget(rule(words, area.width, scene), title);
        return;
    };
    let lines = ladder(row, body.width, scene);
    let height = usize::from(body.height);
    let last = lines.len().saturating_sub(height);
    let scroll = match ui.scroll {
        Some(scroll) => scroll.min(last),
        // It grows at its end.
        None if !row.over() => last,
        None => 0,
    };
    let columns = lines.iter().map(Line::width).max().unwrap_or(0);
    drawn.lines = lines.len();
    drawn.scroll = scroll;
    drawn.beyond = columns.saturating_sub(body.width.into());
    let shift = ui.shift.min(drawn.beyond);
    let mut words = vec![Span::styled(
        if row.over() {
            "ladder"
        } else {
            "ladder, growing"
        },
        scene.style(Tone::Strong),
    )];
    if last > 0 {
        let text = format!(
            " · lines {}–{} of {}, [ ] move",
            scroll + 1,
            (scroll + height).min(lines.len()),
            lines.len()
        );
        words.push(Span::styled(text, scene.style(Tone::Dim)));
    }
    if drawn.beyond > 0 {
        let beyond = drawn.beyond - shift;
        let text = format!(" · ← → {beyond} columns more");
        words.push(Span::styled(text, scene.style(Tone::Dim)));
    }
    frame.render_widget(rule(words, area.width, scene), title);
    let shown: Vec<_> = lines.into_iter().skip(scroll).take(height).collect();
    let shift = u16::try_from(shift).unwrap_or(u16::MAX);
    frame.render_widget(Paragraph::new(shown).scroll((0, shift)), body);
}

fn ladder(row: &Row, width: u16, scene: &Scene) -> Vec<Line<'static>> {
    let mut ladder = Ladder {
        style: Style {
            colour: scene.colour,
            width: width.into(),
        },
        follow: false,
    };
    let mut out = Vec::new();
    ladder.connection(&row.connection, &mut out);
    let mut lines = ansi::lines(&String::from_utf8_lossy(&out));
    while lines.last().is_some_and(|line| line.width() == 0) {
        lines.pop();
    }
    lines
}
