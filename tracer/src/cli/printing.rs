//! What is printed and how: the same for live traces and for captures.

use std::time::Duration;

use clap::Args;
use clap::ValueEnum;

use crate::assembler::USUAL_MAX_STEPS;
use crate::selection::{Only, Selection};

/// A handshake that takes longer is slow, where nobody said otherwise.
const SLOW: Duration = Duration::from_millis(100);

/// Options of everything that prints records.
#[derive(Args, Clone, Debug)]
pub struct Printing {
    /// How records are written
    #[arg(long, value_enum, default_value_t = Format::Ladder, help_heading = "Output")]
    pub format: Format,

    /// Print each step as it happens, too
    #[arg(
        long,
        conflicts_with_all = ["only", "slow", "summary"],
        help_heading = "Output"
    )]
    pub follow: bool,

    /// Print only these connections; give it again for several, any of which will do
    #[arg(
        long,
        value_enum,
        value_name = "WHAT",
        value_delimiter = ',',
        help_heading = "Output"
    )]
    pub only: Vec<Only>,

    /// Print only connections whose handshake took longer than this, e.g. 100ms; beside --only, these
    /// as well
    #[arg(
        long,
        value_name = "TIME",
        value_parser = humantime::parse_duration,
        help_heading = "Output"
    )]
    pub slow: Option<Duration>,

    /// Print no connections, but a table of the servers at the end; with --format json an object for
    /// each
    #[arg(long, help_heading = "Output")]
    pub summary: bool,
}

/// How records are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A drawing of each connection, for people
    Ladder,
    /// An object a line
    Json,
    /// A conn.log as Zeek writes it
    Zeek,
    /// A table with one header line
    Csv,
}

/// Segments that are kept of a connection where only its opening is asked for.
const OPENING_STEPS: usize = 4;

impl Printing {
    /// Segments to keep of a connection.
    #[must_use]
    pub const fn max_steps(&self) -> usize {
        if self.summary {
            OPENING_STEPS
        } else {
            USUAL_MAX_STEPS
        }
    }

    /// Whether the options go together.
    ///
    /// # Errors
    /// Where they do not, the reason.
    pub fn check(&self) -> Result<(), String> {
        match self.format {
            Format::Zeek | Format::Csv if self.follow => {
                Err("--follow needs --format ladder or json: a table has no room for steps".into())
            }
            Format::Zeek | Format::Csv if self.summary => {
                Err("--summary needs --format ladder or json".into())
            }
            _ => Ok(()),
        }
    }

    /// Which connections are printed.
    #[must_use]
    pub fn selection(&self) -> Selection {
        let mut only = self.only.clone();
        if self.slow.is_some() {
            only.push(Only::Slow);
        }
        let slow = self.slow.unwrap_or(SLOW);
        Selection::new(only, u64::try_from(slow.as_nanos()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        printing: Printing,
    }

    fn printing(arguments: &[&str]) -> Result<Printing, clap::Error> {
        let all = [&["synfin"], arguments].concat();
        Line::try_parse_from(all).map(|line| line.printing)
    }

    fn selection(arguments: &[&str]) -> Selection {
        printing(arguments).unwrap().selection()
    }

    #[test]
    fn everything_is_printed_where_nothing_is_asked_for() {
        assert!(selection(&[]).is_everything());
        assert!(selection(&["--summary"]).is_everything());
    }

    #[test]
    fn wishes_add_up() {
        let expected = Selection::new(vec![Only::Refused, Only::NoReply, Only::Reset], 100_000_000);
        let several = ["--only", "refused,no_reply", "--only", "reset"];
        assert_eq!(selection(&several), expected);
        let hyphens = ["--only=refused,no-reply,reset"];
        assert_eq!(selection(&hyphens), expected);
    }

    #[test]
    fn a_limit_alone_asks_for_slow_ones() {
        let slow = |ns| Selection::new(vec![Only::Slow], ns);
        assert_eq!(selection(&["--slow", "20ms"]), slow(20_000_000));
        assert_eq!(selection(&["--only", "slow"]), slow(100_000_000));
        assert!(printing(&["--slow", "soon"]).is_err());
        assert!(printing(&["--only", "nice"]).is_err());
    }

    #[test]
    fn a_table_has_no_room_for_steps_and_servers() {
        for (format, fits) in [
            ("ladder", true),
            ("json", true),
            ("zeek", false),
            ("csv", false),
        ] {
            for flag in ["--follow", "--summary"] {
                let printing = printing(&[flag, "--format", format]).unwrap();
                assert_eq!(printing.check().is_ok(), fits, "{flag} {format}");
            }
        }
    }

    #[test]
    fn what_follows_cannot_wait_for_the_end() {
        for wish in ["--only=failed", "--slow=1s", "--summary"] {
            assert!(printing(&["--follow", wish]).is_err(), "{wish}");
        }
    }
}
