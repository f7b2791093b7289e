//! What records look like: snapshots to be read by people.

use super::fixtures::{self, Case};
use super::paint::columns;
use super::{Counters, Csv, Json, Ladder, LiveEnd, LiveStep, Servers, Sink, Style, Summary, Zeek};
use crate::timeline::{Connection, OpenOutcome};

/// A snapshot of its own for each case, under the case's name.
fn snapshot(kind: &str, cases: &[Case], mut render: impl FnMut(&Connection) -> String) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for (name, connection) in cases {
            insta::assert_snapshot!(format!("{kind}_{name}"), render(connection));
        }
    });
}

fn rendered(sink: &mut impl Sink, connection: &Connection) -> String {
    let mut out = Vec::new();
    sink.connection(connection, &mut out);
    String::from_utf8(out).unwrap()
}

/// The steps of a connection as if they happened now, and then its record.
fn followed(sink: &mut impl Sink, connection: &Connection) -> String {
    let mut out = Vec::new();
    for step in &connection.steps {
        let live = LiveStep {
            unix_ns: connection
                .started_unix_ns
                .saturating_add(i128::from(step.t_ns)),
            interface: &connection.interface,
            client: LiveEnd::from(&connection.client),
            server: LiveEnd::from(&connection.server),
            step,
        };
        sink.step(&live, &mut out);
    }
    sink.connection(connection, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn every_ladder_fits_into_120_columns() {
    snapshot("ladder", &fixtures::all(), |connection| {
        let ladder = rendered(&mut Ladder::default(), connection);
        for line in ladder.lines() {
            assert!(columns(line) <= 120, "{line}");
            assert_eq!(line.trim_end(), line);
        }
        ladder
    });
}

#[test]
fn a_narrow_terminal_breaks_proofs_into_lines() {
    let style = Style {
        width: 100,
        ..Style::default()
    };
    let cases = [("ftp", fixtures::ftp()), ("rejected", fixtures::rejected())];
    snapshot("narrow", &cases, |connection| {
        let ladder = rendered(
            &mut Ladder {
                style,
                follow: false,
            },
            connection,
        );
        assert!(ladder.lines().all(|line| columns(line) <= 100), "{ladder}");
        ladder
    });
}

#[test]
fn colour_adds_nothing_but_colour() {
    let colour = Style {
        colour: true,
        ..Style::default()
    };
    let mut coloured = Ladder {
        style: colour,
        follow: false,
    };
    snapshot(
        "colour",
        &[("rejected", fixtures::rejected())],
        |connection| rendered(&mut coloured, connection),
    );
    for (name, connection) in fixtures::all() {
        let plain = rendered(&mut Ladder::default(), &connection);
        let stripped = strip(&rendered(&mut coloured, &connection));
        assert_eq!(stripped, plain, "{name}");
    }
}

/// Text without its colour sequences.
fn strip(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let (_, rest) = part.split_once('m').unwrap();
        text + rest
    })
}

#[test]
fn a_followed_connection_is_a_line_a_step_and_a_verdict() {
    let mut ladder = Ladder {
        follow: true,
        ..Ladder::default()
    };
    let cases = [
        ("ftp", fixtures::ftp()),
        ("rejected", fixtures::rejected()),
        ("no_reply", fixtures::no_reply()),
        ("gap", fixtures::gap()),
    ];
    snapshot("follow", &cases, |connection| {
        followed(&mut ladder, connection)
    });
}

#[test]
fn json_is_what_the_contract_says() {
    let mut json = Json { follow: true };
    let cases = [
        ("ftp", fixtures::ftp()),
        ("sparse", fixtures::lone_fin()),
        ("reset", fixtures::reset_out_of_window()),
        ("counted", fixtures::counted()),
        ("overlay", fixtures::overlay()),
        ("backscatter", fixtures::backscatter()),
        ("healed", fixtures::healed()),
    ];
    snapshot("json", &cases, |connection| followed(&mut json, connection));
}

/// Everything that a sink writes of these connections.
fn whole(sink: &mut impl Sink, cases: &[Case]) -> String {
    let mut out = Vec::new();
    sink.begin(fixtures::START, &mut out);
    for (_, connection) in cases {
        sink.connection(connection, &mut out);
    }
    sink.end(fixtures::START, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn tables_are_what_others_read() {
    let cases = [
        ("ftp", fixtures::ftp()),
        ("overlay", fixtures::overlay()),
        ("counted", fixtures::counted()),
        ("reset_with_text", fixtures::reset_with_text()),
        ("ipv6", fixtures::ipv6()),
        ("sparse", fixtures::lone_fin()),
    ];
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("zeek", whole(&mut Zeek, &cases));
        insta::assert_snapshot!("csv", whole(&mut Csv, &cases));
    });
}

#[test]
fn servers_are_told_in_a_table_or_an_object_each() {
    let ipv6 = fixtures::ipv6();
    let mut cases = fixtures::all();
    cases.extend(std::iter::repeat_n(("ipv6", ipv6), 12_000));
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        let style = Style::default();
        insta::assert_snapshot!("servers", whole(&mut Servers::table(style), &cases));
        insta::assert_snapshot!("servers_few", whole(&mut Servers::table(style), &cases[..1]));
        insta::assert_snapshot!("servers_json", whole(&mut Servers::json(), &cases[..6]));
    });
}

#[test]
fn a_sink_that_does_not_follow_says_nothing_of_steps() {
    let connection = fixtures::ftp();
    assert_eq!(
        followed(&mut Ladder::default(), &connection),
        rendered(&mut Ladder::default(), &connection)
    );
    assert_eq!(
        followed(&mut Json::default(), &connection),
        rendered(&mut Json::default(), &connection)
    );
}

#[test]
fn the_summary_counts_what_the_records_say() {
    let mut summary = Summary::new();
    for (_, connection) in fixtures::all() {
        let shown = connection.open.outcome != OpenOutcome::Established;
        summary.record(&connection, shown);
    }
    let counters = Counters {
        events: &[("segments", 1_204_331), ("events", 812)],
        rejects: &[("truncated", 3), ("bad_data_offset", 0)],
        flood: &[
            ("floods", 1),
            ("unlisted_syn", 90_210),
            ("unlisted_other", 0),
        ],
        losses: &[("ring full", 12), ("slow reader", 0)],
    };
    let mut out = Vec::new();
    summary.render(&counters, &mut out);
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("summary", String::from_utf8(out).unwrap());
    });
}
