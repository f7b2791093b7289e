//! How long and how much: the same for live traces and for captures.

use std::time::Duration;

use clap::Args;

/// Options of everything that follows connections.
#[derive(Args, Clone, Copy, Debug)]
pub struct Limits {
    /// How long an opening waits for its next segment before it counts as failed; the longest usual
    /// gap between two SYNs is 32 s
    #[arg(
        long,
        value_name = "TIME",
        default_value = "35s",
        value_parser = parse_timeout,
        help_heading = "Limits"
    )]
    pub handshake_timeout: Duration,

    /// Connections that are followed at once; past that the oldest opening is given out, or else the
    /// longest idle, as open
    #[arg(
        long,
        value_name = "N",
        default_value = "1048576",
        value_parser = parse_max_connections,
        help_heading = "Limits"
    )]
    pub max_connections: usize,
}

impl Limits {
    /// The handshake timeout in ns.
    #[must_use]
    pub fn handshake_timeout_ns(&self) -> u64 {
        u64::try_from(self.handshake_timeout.as_nanos()).unwrap_or(u64::MAX)
    }
}

fn parse_timeout(text: &str) -> Result<Duration, String> {
    let timeout = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if timeout < Duration::from_millis(1) || timeout > Duration::from_secs(86_400) {
        return Err("a handshake timeout lies between 1ms and 1day".into());
    }
    Ok(timeout)
}

fn parse_max_connections(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("at least one connection has to fit".into()),
        Ok(number) => Ok(number),
        Err(_) => Err("not a number of connections".into()),
    }
}
