//! Rates, handshakes, and what is missing.

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{BarChart, Block, Borders, Paragraph, Sparkline};

use super::super::model::Model;
use super::super::rates::BARS;
use super::super::ui::Ui;
use super::{Scene, fit};
use crate::sink::paint::Tone;
use crate::units::Lasting;

/// Four lines, with small charts in them.
pub(super) fn lines(frame: &mut Frame<'_>, area: Rect, model: &Model, ui: &Ui, scene: &Scene) {
    let [first, second, third, fourth] = Layout::vertical([Constraint::Length(1); 4]).areas(area);
    title(frame, first, model, ui, scene);
    let mut counts = rates(model, scene);
    counts.spans.push(Span::raw("  "));
    counts.spans.extend(totals(model).spans);
    frame.render_widget(counts, second);
    let words = handshakes(model, scene);
    let (left, chart) = beside(third, &words);
    frame.render_widget(words, left);
    medians(frame, chart, model, scene);
    let words = missing(model, scene);
    let (left, rest) = beside(fourth, &words);
    frame.render_widget(words, left);
    small_bars(frame, rest, model, scene);
}

/// With charts beside the words.
pub(super) fn charts(frame: &mut Frame<'_>, area: Rect, model: &Model, ui: &Ui, scene: &Scene) {
    let [first, rest] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    title(frame, first, model, ui, scene);
    let bars = u16::try_from(BARS.len() * 6 + 1).unwrap_or(u16::MAX);
    let [words, middle, right] = Layout::horizontal([
        Constraint::Max(46),
        Constraint::Fill(1),
        Constraint::Max(bars.min(area.width / 2)),
    ])
    .areas(rest);
    let lines = vec![
        Line::default(),
        rates(model, scene),
        totals(model),
        handshakes(model, scene),
        missing(model, scene),
        losses(model, scene, words.width),
    ];
    frame.render_widget(Paragraph::new(lines), words);
    let dim = scene.style(Tone::Dim);
    let block = |title| {
        Block::new()
            .borders(Borders::LEFT)
            .border_style(dim)
            .title(title)
    };
    let about = block(Line::styled(" median handshake, by second ", dim));
    let inside = about.inner(middle);
    frame.render_widget(about, middle);
    medians(frame, inside, model, scene);
    let about = block(Line::styled(" handshakes by time ", dim));
    let data: Vec<_> = BARS
        .iter()
        .zip(model.rates.bars())
        .map(|((_, name), count)| (*name, count))
        .collect();
    let chart = BarChart::default()
        .block(about)
        .data(&data)
        .bar_width(5)
        .bar_style(scene.style(Tone::Good))
        .label_style(dim);
    frame.render_widget(chart, right);
}

fn title(frame: &mut Frame<'_>, area: Rect, model: &Model, ui: &Ui, scene: &Scene) {
    let strong = scene.style(Tone::Strong);
    let since = Lasting(model.now_ns.saturating_sub(model.began_ns));
    let state = if ui.paused {
        Span::styled(" paused ", scene.style(Tone::Bad))
    } else {
        Span::styled(format!("{} ", scene.pace), scene.style(Tone::Good))
    };
    let left = Line::from(vec![
        Span::styled(" synfin top ", strong),
        Span::raw(fit(&scene.title, usize::from(area.width) / 2)),
        Span::styled(format!("  {since}"), scene.style(Tone::Dim)),
    ]);
    frame.render_widget(left, area);
    frame.render_widget(Line::from(state).alignment(Alignment::Right), area);
}

fn rates(model: &Model, scene: &Scene) -> Line<'static> {
    let names = ["opened", "failed", "reset"];
    let mut spans = Vec::new();
    for (tenths, name) in model.rates.tenths().into_iter().zip(names) {
        let bad = tenths > 0 && name != "opened";
        let style = scene.style(if bad { Tone::Bad } else { Tone::Plain });
        let text = format!(" {name} {}.{}/s ", tenths / 10, tenths % 10);
        spans.push(Span::styled(text, style));
    }
    Line::from(spans)
}

fn totals(model: &Model) -> Line<'static> {
    let [open, listed] = model.open();
    let open = if listed < open {
        format!(" open {open} ({listed} listed)")
    } else {
        format!(" open {open}")
    };
    let total = model.rates.total;
    Line::from(format!(
        "{open}  ended {}  ({} failed, {} reset)",
        model.ended, total.failed, total.reset
    ))
}

fn handshakes(model: &Model, scene: &Scene) -> Line<'static> {
    let words = match model.rates.percentiles_ns() {
        Some([median, most]) => {
            format!(" handshake p50 {}  p99 {} ", Lasting(median), Lasting(most))
        }
        None => " handshake –".to_owned(),
    };
    Line::from(vec![Span::styled(words, scene.style(Tone::Plain))])
}

/// How full the ring was, and what did not get here.
fn missing(model: &Model, scene: &Scene) -> Line<'static> {
    let [rejected, lost] = model.missing();
    let mut spans = Vec::new();
    if let Some(fill) = model.fill {
        let percent = fill.octets * 100 / fill.size.max(1);
        let tone = if percent >= 50 {
            Tone::Bad
        } else {
            Tone::Plain
        };
        let percent = match percent {
            0 if fill.octets > 0 => "<1".to_owned(),
            percent => percent.to_string(),
        };
        let words = format!(" ring {percent} % ");
        spans.push(Span::styled(words, scene.style(tone)));
    }
    let tone = if lost > 0 { Tone::Bad } else { Tone::Plain };
    spans.push(Span::styled(format!(" lost {lost} "), scene.style(tone)));
    let tone = if rejected > 0 { Tone::Odd } else { Tone::Plain };
    spans.push(Span::styled(
        format!(" rejected {rejected} "),
        scene.style(tone),
    ));
    Line::from(spans)
}

/// The causes of what did not get here.
fn losses(model: &Model, scene: &Scene, width: u16) -> Line<'static> {
    let all = model.told.losses.iter().chain(&model.told.rejects);
    let some: Vec<_> = all
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    let words = fit(&format!(" {}", some.join(" · ")), width.into());
    Line::styled(words, scene.style(Tone::Odd))
}

fn medians(frame: &mut Frame<'_>, area: Rect, model: &Model, scene: &Scene) {
    let data = model.rates.medians_us(area.width.into());
    let line = Sparkline::default()
        .data(data)
        .style(scene.style(Tone::Good));
    frame.render_widget(line, area);
}

/// A bar of one column for each range, and what the first and the last are.
fn small_bars(frame: &mut Frame<'_>, area: Rect, model: &Model, scene: &Scene) {
    let dim = scene.style(Tone::Dim);
    let ends = [BARS.first(), BARS.last()].map(|bar| bar.map_or("", |(_, name)| name));
    let bars = u16::try_from(BARS.len()).unwrap_or(0);
    let [name, chart, last] = Layout::horizontal([
        Constraint::Length(7),
        Constraint::Length(bars),
        Constraint::Length(5),
    ])
    .areas(area);
    frame.render_widget(Line::styled(format!(" {} ", ends[0]), dim), name);
    let line = Sparkline::default()
        .data(model.rates.bars())
        .style(scene.style(Tone::Good));
    frame.render_widget(line, chart);
    frame.render_widget(Line::styled(format!(" {}", ends[1]), dim), last);
}

/// The area of a line, and what is left beside it.
fn beside(area: Rect, line: &Line<'_>) -> (Rect, Rect) {
    let width = u16::try_from(line.width() + 1).unwrap_or(u16::MAX);
    let [left, right] =
        Layout::horizontal([Constraint::Length(width), Constraint::Fill(1)]).areas(area);
    (left, right)
}
