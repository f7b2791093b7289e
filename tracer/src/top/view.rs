//! The screen: what the model holds, as it is looked at.
//!
//! In: the model, how it is looked at, and where it comes from. Out: a frame, and what is where in it.

mod header;
mod over;
mod pane;
mod table;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::model::Model;
use super::ui::{Drawn, Over, Pane, Ui};
use crate::sink::paint::Tone;

/// Nothing useful fits into less.
const LEAST: (u16, u16) = (40, 12);
/// From this size on the header has charts.
const CHARTS: (u16, u16) = (110, 36);
/// How long the latest words stay in the last line, in ns.
const SAID_NS: u64 = 8_000_000_000;

/// Where the model comes from.
#[derive(Clone, Debug, Default)]
pub(super) struct Scene {
    /// The interfaces or the files.
    pub(super) title: String,
    /// What is said of time, such as how fast a capture is replayed.
    pub(super) pace: String,
    /// The time of the wall clock less that of events, in ns.
    pub(super) wall_offset_ns: i128,
    /// It is a capture, whose time can be changed.
    pub(super) replay: bool,
    pub(super) colour: bool,
}

impl Scene {
    /// How a tone looks.
    pub(super) fn style(&self, tone: Tone) -> Style {
        let colour = |colour: Color, plain: Modifier| {
            if self.colour {
                Style::new().fg(colour)
            } else {
                Style::new().add_modifier(plain)
            }
        };
        match tone {
            Tone::Plain => Style::new(),
            Tone::Strong => Style::new().add_modifier(Modifier::BOLD),
            Tone::Dim => Style::new().add_modifier(Modifier::DIM),
            Tone::Good => colour(Color::Green, Modifier::empty()),
            Tone::Bad => colour(Color::Red, Modifier::BOLD),
            Tone::Odd => colour(Color::Yellow, Modifier::empty()),
        }
    }
}

/// Draws; tells what is where.
pub(super) fn draw(frame: &mut Frame<'_>, model: &Model, ui: &Ui, scene: &Scene) -> Drawn {
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let words = format!("at least {}x{} is needed", LEAST.0, LEAST.1);
        frame.render_widget(Paragraph::new(words), area);
        return Drawn::default();
    }
    let charts = area.width >= CHARTS.0 && area.height >= CHARTS.1;
    let [header, table, pane, footer] = Layout::vertical([
        Constraint::Length(if charts { 9 } else { 4 }),
        match ui.pane {
            Pane::Half => Constraint::Fill(9),
            Pane::Whole => Constraint::Length(0),
            Pane::None => Constraint::Fill(1),
        },
        match ui.pane {
            Pane::Half => Constraint::Fill(10),
            Pane::Whole => Constraint::Fill(1),
            Pane::None => Constraint::Length(0),
        },
        Constraint::Length(1),
    ])
    .areas(area);
    if charts {
        header::charts(frame, header, model, ui, scene);
    } else {
        header::lines(frame, header, model, ui, scene);
    }
    let mut drawn = table::draw(frame, table, model, ui, scene);
    pane::draw(frame, pane, model, ui, scene, &mut drawn);
    frame.render_widget(self::footer(model, ui, scene), footer);
    match ui.over {
        Some(Over::Help) => over::help(frame, area, scene),
        Some(Over::Lines) => over::lines(frame, area, model, scene),
        None => {}
    }
    drawn
}

/// The filter while it is typed, else the latest words, else the keys.
fn footer<'a>(model: &'a Model, ui: &'a Ui, scene: &Scene) -> Line<'a> {
    if ui.typing {
        return Line::from(vec![
            Span::styled(" filter: ", scene.style(Tone::Strong)),
            Span::raw(ui.typed.as_str()),
            Span::styled(" ", Style::new().add_modifier(Modifier::REVERSED)),
            Span::styled(
                "  port, host, network, outcome, !not · Enter keep · Esc clear",
                scene.style(Tone::Dim),
            ),
        ]);
    }
    let recent = model
        .lines
        .back()
        .filter(|(said_ns, _)| *said_ns > 0 && model.now_ns.saturating_sub(*said_ns) < SAID_NS);
    if let Some((_, words)) = recent {
        return Line::styled(format!(" {words}"), scene.style(Tone::Odd));
    }
    let mut keys = vec![
        ("q", "quit"),
        ("?", "help"),
        ("/", "filter"),
        ("f", "failed"),
        ("s", "sort"),
        ("p", "pause"),
        ("⏎", "ladder"),
        ("l", "log"),
    ];
    if scene.replay {
        keys.extend([("+-", "speed"), ("n", "next")]);
    }
    let spans = keys.into_iter().flat_map(|(key, what)| {
        [
            Span::styled(format!(" {key} "), scene.style(Tone::Strong)),
            Span::styled(format!("{what} "), scene.style(Tone::Dim)),
        ]
    });
    Line::from(spans.collect::<Vec<_>>())
}

/// Text in so many columns; what is cut is told by an ellipsis.
fn fit(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    let kept = text.chars().take(columns.saturating_sub(1));
    kept.chain(['…']).take(columns).collect()
}

/// A line of its own at the top of an area, and what is left of the area.
fn titled(area: Rect) -> (Rect, Rect) {
    let [title, rest] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    (title, rest)
}

/// A rule with words in it.
fn rule<'a>(words: Vec<Span<'a>>, width: u16, scene: &Scene) -> Line<'a> {
    let dim = scene.style(Tone::Dim);
    let mut line = Line::from(vec![Span::styled("── ", dim)]);
    line.spans.extend(words);
    let left = usize::from(width).saturating_sub(line.width() + 1);
    line.spans
        .push(Span::styled(format!(" {}", "─".repeat(left)), dim));
    line
}
