//! What iperf3 brings across a wire.

use std::path::Path;

use anyhow::{Context as _, Result};
use synfin_tests::netns::{Link, NEAR_V4};
use synfin_tests::process::{Background, succeed};
use synfin_tests::{requirement, services};

use crate::place;

const PORT: u16 = 5_201;
/// Seconds of each run.
const SECONDS: &str = "1";

/// Whether it can be measured here.
pub(crate) fn is_present() -> bool {
    requirement::tool("iperf3").is_some()
}

/// Gbit/s from the far end to the near one over so many connections.
pub(crate) fn gigabits(link: &Link, streams: u16) -> Result<f64> {
    let iperf = Path::new("iperf3");
    let port = PORT.to_string();
    let mut server = place::command(&link.near, place::SERVER, iperf);
    let server = Background::start_muted(server.args(["-s", "-1", "-p", &port]))?;
    services::await_listener(&link.near, PORT)?;
    let mut client = place::command(&link.far, place::CLIENT, iperf);
    client
        .args(["-c", &NEAR_V4.to_string(), "-p", &port, "-J"])
        .args(["-t", SECONDS, "-P", &streams.to_string()]);
    let said = succeed(&mut client)?;
    server.wait()?;
    let said: serde_json::Value = serde_json::from_str(&said).context("read what iperf3 says")?;
    let bits = said.pointer("/end/sum_received/bits_per_second");
    let bits = bits.and_then(serde_json::Value::as_f64);
    Ok(bits.context("iperf3 does not say how fast it was")? / 1e9)
}

/// Connections that a run takes: one for its control.
pub(crate) fn connections(streams: u16) -> u64 {
    u64::from(streams) + 1
}
