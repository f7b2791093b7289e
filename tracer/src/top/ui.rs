//! What was pressed and clicked, and what comes of it.
//!
//! In: an event of the terminal, and what is on the screen. Out: how to look at the model from then on,
//! and what is wished for beyond that. No I/O, no clock.

use crossterm::event::{
    Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};
use ratatui::layout::{Position, Rect};

use super::row::{Column, Id};

/// The longest filter that can be typed.
const TYPED: usize = 200;
/// Lines and rows that the wheel moves by.
const WHEEL: isize = 3;
/// Columns that the ladder moves by.
const SHIFT: usize = 16;

/// How the model is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ui {
    pub(super) column: Column,
    /// The order is turned round.
    pub(super) turned: bool,
    /// The filter as it was typed, and whether it is being typed.
    pub(super) typed: String,
    pub(super) typing: bool,
    /// The row that was chosen; else the first one is looked at, whichever that is.
    pub(super) selected: Option<Id>,
    /// The first row on the screen.
    pub(super) first: usize,
    pub(super) pane: Pane,
    /// The first line of the pane; without, its end while a connection is open, and its beginning after.
    pub(super) scroll: Option<usize>,
    /// Columns of the ladder that are left of the screen.
    pub(super) shift: usize,
    pub(super) over: Option<Over>,
    pub(super) paused: bool,
    /// Clicks are taken, which the terminal's own selecting of text cannot be then.
    pub(super) mouse: bool,
}

/// How much room the ladder has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pane {
    Half,
    Whole,
    None,
}

/// What lies over everything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    Help,
    Lines,
}

/// What is wished for beyond another look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Quit,
    Suspend,
    /// Of a capture.
    Faster,
    Slower,
    Skip,
    /// Of the histogram.
    Clear,
}

/// What is where on the screen.
#[derive(Clone, Debug, Default)]
pub(super) struct Drawn {
    /// The heads of the columns.
    pub(super) heads: Vec<(Column, Rect)>,
    /// The rows on the screen.
    pub(super) rows: Rect,
    pub(super) pane: Rect,
    /// All rows in their order, on the screen or not.
    pub(super) order: Vec<Id>,
    pub(super) first: usize,
    /// Lines of the ladder, the first one on the screen, and columns that do not fit onto it.
    pub(super) lines: usize,
    pub(super) scroll: usize,
    pub(super) beyond: usize,
}

impl Default for Ui {
    fn default() -> Self {
        Self {
            column: Column::Age,
            turned: false,
            typed: String::new(),
            typing: false,
            selected: None,
            first: 0,
            pane: Pane::Half,
            scroll: None,
            shift: 0,
            over: None,
            paused: false,
            mouse: true,
        }
    }
}

impl Ui {
    /// How to look after an event, and what is wished for beside.
    pub(super) fn after(mut self, event: &Event, drawn: &Drawn) -> (Self, Option<Wish>) {
        let wish = match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => self.key(key, drawn),
            Event::Mouse(mouse) if self.mouse => {
                self.mouse(mouse, drawn);
                None
            }
            _ => None,
        };
        (self, wish)
    }

    fn key(&mut self, key: &KeyEvent, drawn: &Drawn) -> Option<Wish> {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            match key.code {
                KeyCode::Char('c') => return Some(Wish::Quit),
                KeyCode::Char('z') => return Some(Wish::Suspend),
                KeyCode::Char('u') if self.typing => self.typed.clear(),
                _ => {}
            }
            return None;
        }
        if self.over.is_some() {
            self.over = None;
            return None;
        }
        if self.moved(key.code, drawn) {
            return None;
        }
        if self.typing {
            self.type_on(key.code);
            return None;
        }
        match key.code {
            KeyCode::Char('q') => return Some(Wish::Quit),
            KeyCode::Char('+' | '=') => return Some(Wish::Faster),
            KeyCode::Char('-') => return Some(Wish::Slower),
            KeyCode::Char('n') => return Some(Wish::Skip),
            KeyCode::Char('c') => return Some(Wish::Clear),
            KeyCode::Char('?' | 'h') | KeyCode::F(1) => self.over = Some(Over::Help),
            KeyCode::Char('l') => self.over = Some(Over::Lines),
            KeyCode::Char('/') => self.typing = true,
            KeyCode::Char('f') => self.toggle_failed(),
            KeyCode::Char('p' | ' ') => self.paused = !self.paused,
            KeyCode::Char('s') => self.sort_by(self.column.next()),
            KeyCode::Char('r') => self.turned = !self.turned,
            KeyCode::Char('m') => self.mouse = !self.mouse,
            KeyCode::Char(digit @ '1'..='7') => {
                let place = digit.to_digit(10).map_or(0, |digit| digit as usize - 1);
                if let Some(&column) = Column::ALL.get(place) {
                    self.sort_by(column);
                }
            }
            KeyCode::Char('j') => self.step(1, drawn),
            KeyCode::Char('k') => self.step(-1, drawn),
            KeyCode::Char('g') => self.choose(0, drawn),
            KeyCode::Char('G') => self.choose(usize::MAX, drawn),
            KeyCode::Char('J' | ']') => self.scroll_by(1, drawn),
            KeyCode::Char('K' | '[') => self.scroll_by(-1, drawn),
            KeyCode::Enter => {
                self.pane = match self.pane {
                    Pane::Whole => Pane::Half,
                    Pane::Half | Pane::None => Pane::Whole,
                };
            }
            KeyCode::Tab => {
                self.pane = match self.pane {
                    Pane::None => Pane::Half,
                    Pane::Half | Pane::Whole => Pane::None,
                };
            }
            KeyCode::Esc => self.step_back(),
            _ => {}
        }
        None
    }

    /// Keys that move also while a filter is typed.
    fn moved(&mut self, code: KeyCode, drawn: &Drawn) -> bool {
        let page = isize::try_from(drawn.rows.height.max(2) - 1).unwrap_or(1);
        match code {
            KeyCode::Down => self.step(1, drawn),
            KeyCode::Up => self.step(-1, drawn),
            KeyCode::PageDown if self.pane == Pane::Whole => self.scroll_by(WHEEL * 3, drawn),
            KeyCode::PageUp if self.pane == Pane::Whole => self.scroll_by(-WHEEL * 3, drawn),
            KeyCode::PageDown => self.step(page, drawn),
            KeyCode::PageUp => self.step(-page, drawn),
            KeyCode::Right => self.shift = (self.shift + SHIFT).min(drawn.beyond),
            KeyCode::Left => self.shift = self.shift.saturating_sub(SHIFT),
            KeyCode::Home => self.choose(0, drawn),
            KeyCode::End => self.choose(usize::MAX, drawn),
            _ => return false,
        }
        true
    }

    fn type_on(&mut self, code: KeyCode) {
        match code {
            KeyCode::Char(letter) if !letter.is_control() && self.typed.len() < TYPED => {
                self.typed.push(letter);
            }
            KeyCode::Backspace => {
                self.typed.pop();
            }
            KeyCode::Enter => self.typing = false,
            KeyCode::Esc => {
                self.typing = false;
                self.typed.clear();
            }
            _ => {}
        }
        self.first = 0;
    }

    /// One step back: from the whole pane, the filter, the chosen row.
    fn step_back(&mut self) {
        if self.pane == Pane::Whole {
            self.pane = Pane::Half;
        } else if !self.typed.is_empty() {
            self.typed.clear();
        } else {
            self.selected = None;
            self.scroll = None;
            self.first = 0;
        }
    }

    fn toggle_failed(&mut self) {
        const FAILED: &str = "failed";
        let mut words: Vec<&str> = self.typed.split_whitespace().collect();
        match words.iter().position(|word| *word == FAILED) {
            Some(place) => {
                words.remove(place);
            }
            None => words.push(FAILED),
        }
        self.typed = words.join(" ");
        self.first = 0;
    }

    fn sort_by(&mut self, column: Column) {
        self.turned = column == self.column && !self.turned;
        self.column = column;
        self.first = 0;
    }

    fn step(&mut self, by: isize, drawn: &Drawn) {
        let at = (self.selected).and_then(|id| drawn.order.iter().position(|other| *other == id));
        // The first row is the one that is looked at where none was chosen.
        self.choose(at.unwrap_or(0).saturating_add_signed(by), drawn);
    }

    fn choose(&mut self, place: usize, drawn: &Drawn) {
        let last = drawn.order.len().saturating_sub(1);
        self.selected = drawn.order.get(place.min(last)).copied();
        self.scroll = None;
    }

    fn scroll_by(&mut self, by: isize, drawn: &Drawn) {
        let last = drawn.lines.saturating_sub(drawn.pane.height.into());
        self.scroll = Some(drawn.scroll.saturating_add_signed(by).min(last));
    }

    fn mouse(&mut self, mouse: &MouseEvent, drawn: &Drawn) {
        let at = Position::new(mouse.column, mouse.row);
        let wheel = match mouse.kind {
            MouseEventKind::ScrollDown => WHEEL,
            MouseEventKind::ScrollUp => -WHEEL,
            MouseEventKind::Down(MouseButton::Left) if self.over.is_some() => {
                self.over = None;
                return;
            }
            MouseEventKind::Down(MouseButton::Left) => return self.click(at, drawn),
            _ => return,
        };
        if drawn.pane.contains(at) {
            self.scroll_by(wheel, drawn);
        } else {
            self.step(wheel, drawn);
        }
    }

    fn click(&mut self, at: Position, drawn: &Drawn) {
        let head = drawn.heads.iter().find(|(_, area)| area.contains(at));
        if let Some((column, _)) = head {
            self.sort_by(*column);
        } else if drawn.rows.contains(at) {
            let place = drawn.first + usize::from(at.y - drawn.rows.y);
            if place < drawn.order.len() {
                self.choose(place, drawn);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn() -> Drawn {
        Drawn {
            heads: vec![
                (Column::Client, Rect::new(0, 4, 10, 1)),
                (Column::Verdict, Rect::new(10, 4, 10, 1)),
            ],
            rows: Rect::new(0, 5, 20, 3),
            pane: Rect::new(0, 9, 20, 10),
            order: vec![50, 40, 30, 20, 10],
            first: 1,
            lines: 25,
            scroll: 0,
            beyond: 20,
        }
    }

    fn press(ui: Ui, keys: &str) -> Ui {
        keys.chars().fold(ui, |ui, key| {
            let code = match key {
                '⏎' => KeyCode::Enter,
                '⎋' => KeyCode::Esc,
                '⌫' => KeyCode::Backspace,
                '↓' => KeyCode::Down,
                '⇥' => KeyCode::Tab,
                '→' => KeyCode::Right,
                '←' => KeyCode::Left,
                key => KeyCode::Char(key),
            };
            ui.after(&Event::Key(code.into()), &drawn()).0
        })
    }

    fn mouse(ui: Ui, kind: MouseEventKind, column: u16, row: u16) -> Ui {
        let modifiers = KeyModifiers::NONE;
        let event = MouseEvent {
            kind,
            column,
            row,
            modifiers,
        };
        ui.after(&Event::Mouse(event), &drawn()).0
    }

    const CLICK: MouseEventKind = MouseEventKind::Down(MouseButton::Left);

    #[test]
    fn a_filter_is_typed_and_cleared() {
        let ui = press(Ui::default(), "/44q⌫3");
        assert_eq!((ui.typed.as_str(), ui.typing), ("443", true));
        let ui = press(ui, "⏎f");
        assert_eq!((ui.typed.as_str(), ui.typing), ("443 failed", false));
        assert_eq!(press(ui.clone(), "f").typed, "443");
        assert_eq!(press(ui, "⎋").typed, "");
    }

    #[test]
    fn rows_are_chosen_by_keys_and_stay_chosen() {
        let ui = press(Ui::default(), "↓↓");
        assert_eq!(ui.selected, Some(30));
        assert_eq!(press(ui.clone(), "G").selected, Some(10));
        assert_eq!(press(ui.clone(), "Gj").selected, Some(10));
        assert_eq!(press(ui.clone(), "g").selected, Some(50));
        assert_eq!(press(ui, "⎋").selected, None);
    }

    #[test]
    fn columns_are_sorted_by_and_turned() {
        let ui = press(Ui::default(), "7");
        assert_eq!((ui.column, ui.turned), (Column::Verdict, false));
        assert!(press(ui.clone(), "7").turned && press(ui.clone(), "r").turned);
        assert_eq!(press(ui, "s").column, Column::Client);
    }

    #[test]
    fn clicks_choose_rows_and_columns_and_the_wheel_moves() {
        let ui = mouse(Ui::default(), CLICK, 3, 6);
        assert_eq!(ui.selected, Some(30));
        assert_eq!(mouse(ui.clone(), CLICK, 12, 4).column, Column::Verdict);
        let down = MouseEventKind::ScrollDown;
        assert_eq!(mouse(ui.clone(), down, 3, 6).selected, Some(10));
        assert_eq!(mouse(ui.clone(), down, 3, 12).scroll, Some(3));
        let deaf = press(ui, "m");
        assert_eq!(mouse(deaf.clone(), CLICK, 3, 5), deaf);
    }

    #[test]
    fn the_end_is_wished_for_also_while_typing_and_under_the_help() {
        let stop = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        for keys in ["", "/x", "?"] {
            let ui = press(Ui::default(), keys);
            assert_eq!(ui.after(&Event::Key(stop), &drawn()).1, Some(Wish::Quit));
        }
        let q = Event::Key(KeyCode::Char('q').into());
        assert_eq!(Ui::default().after(&q, &drawn()).1, Some(Wish::Quit));
        let helped = press(Ui::default(), "?");
        let (closed, wish) = helped.after(&q, &drawn());
        assert_eq!((closed.over, wish), (None, None));
    }

    #[test]
    fn panes_change_and_scroll_within_their_lines() {
        let ui = press(Ui::default(), "⏎");
        assert_eq!(ui.pane, Pane::Whole);
        assert_eq!(press(ui.clone(), "]").scroll, Some(1));
        assert_eq!(press(ui.clone(), "⎋").pane, Pane::Half);
        assert_eq!(press(ui, "⇥").pane, Pane::None);
        let ui = press(Ui::default(), "→→→");
        assert_eq!((ui.shift, press(ui, "←").shift), (20, 4));
        let mut far = drawn();
        far.scroll = 15;
        let (ui, _) = Ui::default().after(&Event::Key(KeyCode::Char(']').into()), &far);
        assert_eq!(ui.scroll, Some(15));
    }
}
