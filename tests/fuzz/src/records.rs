//! What comes out of the assembler, rendered by every sink and looked at.

use serde_json::Value;
use synfin::assembler::{Assembler, Live, Output, Settings};
use synfin::sink::{Counters, Json, Ladder, LiveEnd, LiveStep, Sink, Style, Summary};
use synfin::timeline::{Connection, Step, ip};

/// Renders everything, and panics where it is not what it has to be.
pub(crate) struct Records {
    ladders: [Ladder; 2],
    json: Json,
    summary: Summary,
    out: Vec<u8>,
    /// Connections that were handed out.
    pub(crate) count: u64,
}

impl Records {
    pub(crate) fn new() -> Self {
        let narrow = Style {
            colour: false,
            width: 1,
        };
        let ladder = |style| Ladder {
            style,
            follow: true,
        };
        Self {
            ladders: [ladder(Style::default()), ladder(narrow)],
            json: Json { follow: true },
            summary: Summary::new(),
            out: Vec::new(),
            count: 0,
        }
    }

    /// Ends the assembler, and then the records.
    pub(crate) fn finish(mut self, mut assembler: Assembler) {
        assembler.finish(&mut self);
        assert_eq!(assembler.open(), 0, "connections are left after the end");
        let counts = *assembler.counts();
        let told = [("late", counts.late), ("stray", counts.stray)];
        let counters = Counters {
            events: &told,
            ..Counters::default()
        };
        self.out.clear();
        self.summary.render(&counters, &mut self.out);
        let text = text(&self.out);
        assert!(!text.is_empty(), "there is no summary");
    }

    fn render(&mut self, mut render: impl FnMut(&mut dyn Sink, &mut Vec<u8>)) {
        for ladder in &mut self.ladders {
            self.out.clear();
            render(ladder, &mut self.out);
            let lines = text(&self.out);
            assert!(lines.ends_with('\n'), "a ladder ends within a line");
            let commands = |line: &str| line.contains(char::is_control);
            assert!(!lines.lines().any(commands), "the terminal is commanded");
        }
        self.out.clear();
        render(&mut self.json, &mut self.out);
        let line = text(&self.out);
        assert_eq!(line.lines().count(), 1, "an object is not one line");
        let object: Result<Value, _> = serde_json::from_str(line);
        assert!(object.is_ok_and(|object| object.is_object()), "{line}");
    }
}

impl Output for Records {
    fn step(&mut self, live: &Live, step: &Step) {
        let end = |(endpoint, isn)| LiveEnd {
            address: ip(&endpoint),
            port: endpoint.port,
            isn,
        };
        let step = LiveStep {
            unix_ns: live.unix_ns,
            interface: "fuzz0",
            client: end(live.client),
            server: end(live.server),
            step,
        };
        self.render(|sink, out| sink.step(&step, out));
    }

    fn connection(&mut self, connection: Connection) {
        self.count += 1;
        self.summary.record(&connection, true);
        self.render(|sink, out| sink.connection(&connection, out));
    }
}

/// An assembler that is soon full.
pub(crate) fn assembler(max_connections: usize) -> Assembler {
    Assembler::new(Settings {
        handshake_timeout_ns: 35_000_000_000,
        max_connections,
        linger_ns: 1_000_000_000,
        interfaces: std::collections::HashMap::from([(1, "fuzz0".into())]),
    })
}

fn text(octets: &[u8]) -> &str {
    match std::str::from_utf8(octets) {
        Ok(text) => text,
        Err(error) => panic!("what is printed is no text: {error}"),
    }
}
