//! The table of connections.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::super::filter::Filter;
use super::super::model::Model;
use super::super::row::{Column, Row};
use super::super::ui::{Drawn, Ui};
use super::{Scene, fit, rule, titled};
use crate::sink::paint::Tone;
use crate::timeline::{CloseKind, OpenOutcome};
use crate::units::{Lasting, Octets};

/// Columns of the screen that an endpoint takes at the most, in a narrow screen and in a wide one.
const ENDPOINT: [usize; 2] = [21, 47];
const WIDE: u16 = 130;
/// A verdict in fewer columns is a word or two.
const SENTENCE: usize = 24;

pub(super) fn draw(
    frame: &mut Frame<'_>,
    area: Rect,
    model: &Model,
    ui: &Ui,
    scene: &Scene,
) -> Drawn {
    let rows = model.sorted(&Filter::new(&ui.typed), ui.column, ui.turned);
    let mut drawn = Drawn {
        order: rows.iter().map(|row| row.id).collect(),
        ..Drawn::default()
    };
    if area.height < 3 {
        return drawn;
    }
    let (title, rest) = titled(area);
    let (heads, body) = titled(rest);
    drawn.rows = body;
    frame.render_widget(about(model, ui, scene, rows.len(), area.width), title);
    if rows.is_empty() {
        frame.render_widget(Paragraph::new(nothing(model, ui, scene)), body);
    }
    let page = usize::from(body.height);
    let chosen = ui
        .selected
        .and_then(|id| rows.iter().position(|row| row.id == id));
    drawn.first = first(ui.first, chosen, page, rows.len());
    let shown = rows.get(drawn.first..).unwrap_or_default();
    let shown = shown.get(..page.min(shown.len())).unwrap_or_default();
    let widths = widths(shown, area.width);
    let mut x = area.x + 1;
    for (column, width) in Column::ALL.into_iter().zip(widths) {
        let width = u16::try_from(width).unwrap_or(u16::MAX);
        let head = Rect { x, width, ..heads }.intersection(heads);
        frame.render_widget(self::head(column, ui, scene), head);
        drawn.heads.push((column, head));
        x = x.saturating_add(width + 1);
    }
    for (place, row) in shown.iter().enumerate() {
        let y = body.y + u16::try_from(place).unwrap_or(u16::MAX);
        let at = Rect {
            y,
            height: 1,
            ..body
        };
        let looked_at = chosen.unwrap_or(0) == drawn.first + place;
        let style = if looked_at {
            Style::new().add_modifier(Modifier::REVERSED)
        } else {
            Style::new()
        };
        let line = line(row, &widths, model.now_ns, scene);
        frame.render_widget(Paragraph::new(line).style(style), at);
    }
    drawn
}

/// The first row on the screen: the one that was, unless the chosen one would not be seen.
fn first(before: usize, chosen: Option<usize>, page: usize, rows: usize) -> usize {
    let first = before.min(rows.saturating_sub(page));
    match chosen {
        Some(chosen) if chosen < first => chosen,
        Some(chosen) if chosen >= first + page => chosen + 1 - page,
        Some(_) => first,
        None => 0,
    }
}

fn about<'a>(model: &Model, ui: &'a Ui, scene: &Scene, shown: usize, width: u16) -> Line<'a> {
    let all = model.rows.iter().count();
    let count = if ui.typed.is_empty() {
        format!("{all} connections")
    } else {
        format!("{shown} of {all} connections")
    };
    let mut words = vec![Span::styled(count, scene.style(Tone::Strong))];
    if model.rows.dropped > 0 {
        let text = format!(", {} older ones dropped", model.rows.dropped);
        words.push(Span::styled(text, scene.style(Tone::Dim)));
    }
    if !ui.typed.is_empty() {
        words.push(Span::styled(" · filter: ", scene.style(Tone::Dim)));
        words.push(Span::styled(ui.typed.as_str(), scene.style(Tone::Odd)));
    }
    rule(words, width, scene)
}

/// What stands where there is no row.
fn nothing(model: &Model, ui: &Ui, scene: &Scene) -> Vec<Line<'static>> {
    let all = model.rows.iter().count();
    let words = if all > 0 {
        format!(
            " none of {all} connections matches \"{}\"; Esc clears the filter",
            ui.typed
        )
    } else if scene.replay {
        " no connection in the capture so far".to_owned()
    } else {
        " no connection yet: it appears with its first segment".to_owned()
    };
    vec![Line::default(), Line::styled(words, scene.style(Tone::Dim))]
}

fn widths(shown: &[&Row], width: u16) -> [usize; Column::ALL.len()] {
    let most = ENDPOINT[usize::from(width >= WIDE)];
    let longest = |end: fn(&Row) -> String| {
        let lengths = shown.iter().map(|row| end(row).len());
        lengths.max().unwrap_or(0).clamp(9, most)
    };
    let [client, server] = [longest(client), longest(server)];
    let state = longest(|row| row.state().to_owned()).min(12);
    let others = [client, server, state, 7, 7, 7];
    // A column stands before the first one and after each.
    let used: usize = others.iter().map(|width| width + 1).sum::<usize>() + 1;
    let verdict = usize::from(width).saturating_sub(used);
    [client, server, state, 7, 7, 7, verdict]
}

fn head(column: Column, ui: &Ui, scene: &Scene) -> Line<'static> {
    let mark = match (ui.column == column, ui.turned) {
        (true, false) => "▼",
        (true, true) => "▲",
        (false, _) => "",
    };
    let style = if mark.is_empty() {
        scene.style(Tone::Dim)
    } else {
        scene.style(Tone::Strong)
    };
    Line::styled(format!("{}{mark}", column.name()), style)
}

fn line(
    row: &Row,
    widths: &[usize; Column::ALL.len()],
    now_ns: u64,
    scene: &Scene,
) -> Line<'static> {
    let tone = match row.tone {
        Tone::Bad | Tone::Odd => row.tone,
        _ if !row.over() => Tone::Plain,
        _ => Tone::Dim,
    };
    let style = scene.style(tone);
    let mut text = String::from(" ");
    for (column, &width) in Column::ALL.into_iter().zip(widths) {
        let (cell, right) = match column {
            Column::Client => (client(row), false),
            Column::Server => (server(row), false),
            Column::State => (row.state().to_owned(), false),
            Column::Age => (short(row.age_ns(now_ns)), true),
            Column::Handshake => (
                row.connection.open.rtt.total.map_or("–".to_owned(), short),
                true,
            ),
            Column::Bytes => (
                row.octets()
                    .map_or("–".to_owned(), |count| Octets(count).to_string()),
                true,
            ),
            Column::Verdict if width < SENTENCE => (brief(row), false),
            Column::Verdict => (row.gist.to_string(), false),
        };
        let cell = fit(&cell, width);
        let cell = if right {
            format!("{cell:>width$}")
        } else {
            format!("{cell:<width$}")
        };
        text.push_str(&cell);
        text.push(' ');
    }
    Line::styled(text, style)
}

fn client(row: &Row) -> String {
    row.connection.client.socket().to_string()
}

fn server(row: &Row) -> String {
    row.connection.server.socket().to_string()
}

/// A span in seven columns.
fn short(ns: u64) -> String {
    let seconds = ns.saturating_add(50_000_000) / 1_000_000_000;
    match seconds {
        0..60 => Lasting(ns).to_string(),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// The verdict in a word or two.
fn brief(row: &Row) -> String {
    let connection = &row.connection;
    let by = connection.close.by.map_or("", |role| role.name());
    match (connection.open.outcome, connection.close.kind) {
        (OpenOutcome::Established | OpenOutcome::Unobserved, CloseKind::Reset) => {
            format!("RST by {by}")
        }
        (OpenOutcome::Established | OpenOutcome::Unobserved, CloseKind::Half) => {
            "half closed".to_owned()
        }
        (OpenOutcome::Established, CloseKind::None) => "open".to_owned(),
        (OpenOutcome::Established, _) => "closed".to_owned(),
        (outcome, _) => outcome.name().replace('_', " "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chosen_row_is_seen_and_the_others_move_only_for_it() {
        assert_eq!(first(0, None, 10, 100), 0);
        assert_eq!(first(30, Some(35), 10, 100), 30);
        assert_eq!(first(30, Some(12), 10, 100), 12);
        assert_eq!(first(30, Some(55), 10, 100), 46);
        assert_eq!(first(95, Some(99), 10, 100), 90);
        assert_eq!(first(5, Some(0), 10, 3), 0);
    }

    #[test]
    fn a_span_fits_into_its_column() {
        for (ns, text) in [
            (0, "0 s"),
            (412_000, "0.41 ms"),
            (59_900_000_000, "59.9 s"),
            (59_950_000_000, "1m00s"),
            (61_000_000_000, "1m01s"),
            (3_599_900_000_000, "59m59s"),
            (90_000_000_000_000, "1d01h"),
        ] {
            assert_eq!(short(ns), text);
        }
    }
}
