//! What comes out of the assembler, rendered by every sink and looked at.

use serde_json::Value;
use synfin::assembler::{Assembler, Live, Output, Settings};
use synfin::sink::{
    Counters, Csv, Json, Ladder, LiveEnd, LiveStep, Servers, Sink, Style, Summary, Zeek,
};
use synfin::timeline::{Connection, Step, ip};
use synfin_ebpf::account::Accounts;
use synfin_ebpf::flow::Key;

/// Renders everything, and panics where it is not what it has to be.
pub(crate) struct Records<F> {
    ladders: [Ladder; 2],
    json: Json,
    /// What is summed up at the end. To begin that costs more than all the rest.
    sums: Option<(Servers, Summary)>,
    /// Fields in a line of each.
    zeek_fields: usize,
    csv_fields: usize,
    out: Vec<u8>,
    /// Takes what was counted of a connection.
    forget: F,
}

impl<F: FnMut(&Key) -> Option<Accounts>> Records<F> {
    pub(crate) fn new(summed: bool, forget: F) -> Self {
        let narrow = Style {
            colour: false,
            width: 1,
        };
        let ladder = |style| Ladder {
            style,
            follow: true,
        };
        let mut records = Self {
            ladders: [ladder(Style::default()), ladder(narrow)],
            json: Json { follow: true },
            sums: summed.then(|| (Servers::json(), Summary::new())),
            zeek_fields: 0,
            csv_fields: 0,
            out: Vec::new(),
            forget,
        };
        let header = records.said(|_, out| Zeek.begin(0, out));
        let names = header.lines().find(|line| line.starts_with("#fields"));
        // The line begins with a word that is none of them.
        records.zeek_fields = names.map_or(0, |names| names.split('\t').count() - 1);
        let header = records.said(|_, out| Csv.begin(0, out));
        records.csv_fields = header.split(',').count();
        records
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
        if let Some((mut servers, summary)) = self.sums.take() {
            let summary = self.said(|_, out| summary.render(&counters, out));
            assert!(!summary.is_empty(), "there is no summary");
            let servers = self.said(|_, out| servers.end(0, out));
            servers.lines().for_each(is_object);
        }
    }

    /// What is printed by this.
    fn said(&mut self, print: impl FnOnce(&mut Self, &mut Vec<u8>)) -> String {
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        print(self, &mut out);
        let text = match std::str::from_utf8(&out) {
            Ok(text) => text.to_owned(),
            Err(error) => panic!("what is printed is no text: {error}"),
        };
        self.out = out;
        text
    }

    /// Lets those print that people and programs follow connections with.
    fn follow(&mut self, print: impl Fn(&mut dyn Sink, &mut Vec<u8>)) {
        for which in 0..self.ladders.len() {
            let ladder = self.said(|records, out| print(&mut records.ladders[which], out));
            assert!(ladder.ends_with('\n'), "a ladder ends within a line");
            let commands = |line: &str| line.contains(char::is_control);
            assert!(!ladder.lines().any(commands), "the terminal is commanded");
        }
        let line = self.said(|records, out| print(&mut records.json, out));
        assert_eq!(line.lines().count(), 1, "an object is not one line");
        is_object(&line);
    }
}

impl<F: FnMut(&Key) -> Option<Accounts>> Output for Records<F> {
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
        self.follow(|sink, out| sink.step(&step, out));
    }

    fn connection(&mut self, connection: Connection, _at_ns: u64) {
        self.follow(|sink, out| sink.connection(&connection, out));
        if let Some((servers, summary)) = &mut self.sums {
            summary.record(&connection, true);
            servers.connection(&connection, &mut self.out);
        }
        let line = self.said(|_, out| Zeek.connection(&connection, out));
        // What a lone segment tells of is no connection in Zeek's words, either.
        if !line.is_empty() {
            assert_eq!(
                line.lines().count(),
                1,
                "a record is not one line of Zeek's"
            );
            assert_eq!(line.split('\t').count(), self.zeek_fields, "{line}");
        }
        let row = self.said(|_, out| Csv.connection(&connection, out));
        let outside = row.split('"').step_by(2);
        let commas: usize = outside.map(|text| text.matches(',').count()).sum();
        assert_eq!(commas + 1, self.csv_fields, "{row}");
    }

    fn forget(&mut self, key: &Key) -> Option<Accounts> {
        (self.forget)(key)
    }
}

fn is_object(line: &str) {
    let object: Result<Value, _> = serde_json::from_str(line);
    assert!(object.is_ok_and(|object| object.is_object()), "{line}");
}

/// An assembler that is soon full.
pub(crate) fn assembler(max_connections: usize) -> Assembler {
    Assembler::new(Settings {
        handshake_timeout_ns: 35_000_000_000,
        max_connections,
        shares: 1,
        max_steps: 64,
        linger_ns: 1_000_000_000,
        interfaces: std::collections::HashMap::from([(1, "fuzz0".into())]),
    })
}
