//! Any octets as lines of JSON.
//!
//! The first octet of an input tells how its octets arrive: all at once, or so many at a time.

use std::io;

use synfin::report::record::{Line as Read, parse};
use synfin::sink::{Drawing, Json, Ladder, Sink as _};
use synfin::source::Captures;
use synfin::source::capture::lines::{Line, MAX_LINE};

use crate::captures::Trickle;

/// Reads lines to their end, and holds every record against what it says when it is written and read again.
pub fn lines(input: &[u8]) {
    let Some((at_once, octets)) = input.split_first() else {
        return;
    };
    let source = Trickle::new(octets, *at_once);
    let Ok(mut captures) = Captures::of("input", source) else {
        return;
    };
    let lines = loop {
        match captures.take_lines() {
            Ok(Some(lines)) => break lines,
            Ok(None) => {}
            Err(_) => return,
        }
    };
    for mut lines in lines {
        loop {
            match lines.next_line() {
                Ok(Line::Whole(line) | Line::Last(line)) => {
                    assert!(line.len() <= MAX_LINE, "a line of any length");
                    look(line);
                }
                Ok(Line::TooLong | Line::Pause) => {}
                Ok(Line::End) => break,
                Err(error) => return told(&error),
            }
        }
    }
}

fn told(error: &io::Error) {
    assert!(!error.to_string().is_empty(), "an error without words");
}

fn look(line: &[u8]) {
    let connection = match parse(line) {
        Ok(Read::Connection(connection)) => connection,
        Ok(Read::Other) => return,
        Err(reason) => {
            assert!(!reason.is_empty(), "an error without words");
            return;
        }
    };
    let written = |connection: &_| {
        let mut out = Vec::new();
        Json::default().connection(connection, &mut out);
        out
    };
    let once = written(&connection);
    // What was written by synfin has no line end but its own.
    let line = once.strip_suffix(b"\n").unwrap_or(&once);
    match parse(line) {
        Ok(Read::Connection(again)) => assert_eq!(written(&again), once, "it changes"),
        other => panic!("what was written is no record: {other:?}"),
    }
    let mut ladder = Vec::new();
    Ladder::default().connection(&connection, &mut ladder);
    assert!(Drawing::from(&*connection).rungs.len() >= connection.steps.len());
}
