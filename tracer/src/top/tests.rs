//! Screens as they are drawn.

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;
use synfin_ebpf::event::Event as Segment;

use super::model::Model;
use super::ui::{Drawn, Ui};
use super::view::{self, Scene};
use crate::assembler::fixtures::{self, Say as _};
use crate::assembler::{Assembler, LIVE_LINGER_NS, Settings};
use crate::sink::fixtures as records;
use crate::source::Fill;

use crossterm::event::{Event, KeyCode};

const SECOND: u64 = 1_000_000_000;
/// 2026-11-22 18:00:00 UTC less the time of events.
const WALL_NS: i128 = 1_795_370_400_000_000_000;

/// A live scene of a minute: what went well, what failed and what is open.
fn lively() -> (Model, Scene) {
    let mut assembler = Assembler::new(Settings {
        handshake_timeout_ns: 35 * SECOND,
        linger_ns: LIVE_LINGER_NS,
        max_steps: 64,
        max_connections: 100,
        shares: 1,
        interfaces: [(1, "veth0".into())].into(),
    });
    assembler.set_wall_offset(WALL_NS);
    let mut model = Model::new(100);
    let (client, server) = (fixtures::client, fixtures::server);
    let us = |seconds: u64| 1_000_000 * seconds;
    let mut play = |model: &mut Model, port: u16, segments: &[Segment]| {
        for segment in segments {
            let mut segment = *segment;
            for end in [&mut segment.source_port, &mut segment.destination_port] {
                if *end == 52_144 {
                    *end = port;
                }
            }
            assembler.observe(&segment, model);
            assembler.advance(segment.time_ns, model);
            model.refresh(segment.time_ns, |key| assembler.record(key, || None));
        }
    };
    let opened = |at: u64| {
        [
            client().at(at).seq(1_000).syn(),
            server().at(at + 200).seq(3_000).ack(1_001).syn(),
            client().at(at + 410).seq(1_001).ack(3_001),
        ]
    };
    play(&mut model, 40_001, &opened(us(1)));
    play(
        &mut model,
        40_001,
        &[
            client().at(us(3)).seq(1_027).ack(3_095).fin(),
            server().at(us(3) + 100).seq(3_095).ack(1_028).fin(),
            client().at(us(3) + 300).seq(1_028).ack(3_096),
        ],
    );
    let refused = [
        client().at(us(10)).seq(500).syn(),
        server().at(us(10) + 150).seq(0).ack(501).rst(),
    ];
    play(&mut model, 40_002, &refused);
    play(&mut model, 40_003, &[client().at(us(12)).seq(700).syn()]);
    play(&mut model, 40_003, &[client().at(us(13)).seq(700).syn()]);
    play(&mut model, 40_004, &opened(us(40)));
    play(
        &mut model,
        40_004,
        &[server().at(us(41)).seq(3_001).ack(1_001).rst()],
    );
    play(&mut model, 40_005, &opened(us(50)));
    play(&mut model, 40_006, &[client().at(us(59)).seq(1_000).syn()]);
    model.refresh(60 * SECOND, |key| assembler.record(key, || None));
    model.followed = assembler.open();
    model.fill = Some(Fill {
        octets: 4_096,
        size: 32 << 20,
    });
    model.told.losses = vec![("ring_full", 0), ("held_syn", 3)];
    model.told.rejects = vec![("bad_data_offset", 2)];
    model.say("tracing veth0: TCX ingress, TCX egress (auto)".to_owned());
    let scene = Scene {
        title: "veth0".to_owned(),
        pace: "live".to_owned(),
        wall_offset_ns: WALL_NS,
        replay: false,
        colour: true,
    };
    // Words are shown for a while only.
    model.refresh(70 * SECOND, |key| assembler.record(key, || None));
    (model, scene)
}

fn terminal(width: u16, height: u16) -> Terminal<TestBackend> {
    Terminal::new(TestBackend::new(width, height)).unwrap()
}

/// The screen after these keys.
fn shown((model, scene): &(Model, Scene), size: (u16, u16), keys: &str) -> String {
    let mut terminal = terminal(size.0, size.1);
    let mut ui = Ui::default();
    let mut drawn = Drawn::default();
    for key in keys.chars().map(Some).chain([None]) {
        let draw = terminal.draw(|frame| drawn = view::draw(frame, model, &ui, scene));
        draw.unwrap();
        ui.first = drawn.first;
        let code = match key {
            Some('⏎') => KeyCode::Enter,
            Some('⇥') => KeyCode::Tab,
            Some('↓') => KeyCode::Down,
            Some('→') => KeyCode::Right,
            Some(key) => KeyCode::Char(key),
            None => continue,
        };
        ui = ui.after(&Event::Key(code.into()), &drawn).0;
    }
    terminal.backend().to_string()
}

macro_rules! snapshot {
    ($name:literal, $screen:expr) => {
        insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!($name, $screen);
        });
    };
}

#[test]
fn small_screens() {
    let lively = lively();
    let small = (80, 24);
    snapshot!("small", shown(&lively, small, ""));
    snapshot!("small_chosen", shown(&lively, small, "↓↓"));
    snapshot!("small_whole_ladder", shown(&lively, small, "G⏎"));
    snapshot!("small_moved_ladder", shown(&lively, small, "G⏎→→"));
    snapshot!("small_whole_table", shown(&lively, small, "⇥7"));
    snapshot!("small_filtered", shown(&lively, small, "/failed"));
    snapshot!("small_filtered_away", shown(&lively, small, "/nowhere⏎"));
    snapshot!("small_help", shown(&lively, small, "?"));
    snapshot!("small_lines", shown(&lively, small, "l"));
    snapshot!("small_paused", shown(&lively, small, "p"));
}

#[test]
fn a_large_screen() {
    snapshot!("large", shown(&lively(), (160, 50), "G"));
}

#[test]
fn an_empty_screen() {
    let (_, scene) = lively();
    let empty = (Model::new(10), scene);
    snapshot!("empty", shown(&empty, (80, 24), ""));
    snapshot!("too_small", shown(&empty, (30, 3), ""));
}

#[test]
fn a_replay_says_its_time_and_its_keys() {
    let (model, scene) = lively();
    let scene = Scene {
        title: "evening.pcapng".to_owned(),
        pace: "2× 18:01:10 UTC".to_owned(),
        replay: true,
        ..scene
    };
    snapshot!("replay", shown(&(model, scene), (80, 24), ""));
}

#[test]
fn failures_are_red_and_in_bold_where_there_is_no_colour() {
    let (model, mut scene) = lively();
    for colour in [true, false] {
        scene.colour = colour;
        let mut terminal = terminal(80, 24);
        let ui = Ui::default();
        terminal
            .draw(|frame| drop(view::draw(frame, &model, &ui, &scene)))
            .unwrap();
        let buffer = terminal.backend().buffer();
        let lines: Vec<String> = (0..24)
            .map(|y| (0..80).map(|x| buffer[(x, y)].symbol()).collect())
            .collect();
        let line = lines
            .iter()
            .position(|line| line.contains(":40002"))
            .unwrap();
        let cell = &buffer[(2, u16::try_from(line).unwrap())];
        let red = cell.fg == Color::Red;
        let bold = cell.modifier.contains(ratatui::style::Modifier::BOLD);
        assert_eq!((red, bold), (colour, !colour), "{lines:#?}");
    }
}

#[test]
fn no_size_and_no_record_makes_it_panic() {
    let (mut model, scene) = lively();
    for (_, record) in records::all() {
        crate::assembler::Output::connection(&mut model, record, 0);
    }
    for width in [1, 39, 40, 41, 79, 80, 109, 110, 130, 200] {
        for height in [1, 11, 12, 13, 24, 36, 60] {
            for keys in ["", "G", "⏎", "⇥", "?", "l", "/x"] {
                shown(&(model.clone(), scene.clone()), (width, height), keys);
            }
        }
    }
}
