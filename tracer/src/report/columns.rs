//! The list as columns: numbers, and places in tables of texts.
//!
//! A page looks through a hundred thousand connections faster where it has no object for each.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;

use serde::Serialize;

use super::charts::{closed, words};
use super::fate::Fate;
use super::row::Listed;
use crate::sink::{printable, services};
use crate::timeline::{CloseKind, OpenOutcome};

/// All columns, each as long as the list.
#[derive(Default, Serialize)]
pub(super) struct Columns {
    outcomes: Vec<&'static str>,
    closes: Vec<&'static str>,
    addresses: Vec<String>,
    interfaces: Vec<String>,
    reasons: Vec<String>,
    /// Names of services, by port.
    services: Vec<(u16, &'static str)>,
    /// Since the one before, in µs since the Unix epoch; `null` where the time is not known.
    start: Vec<Option<i64>>,
    client: Vec<usize>,
    client_port: Vec<u16>,
    server: Vec<usize>,
    server_port: Vec<u16>,
    interface: Vec<usize>,
    outcome: Vec<u8>,
    close: Vec<u8>,
    /// 1 where it was reset, 2 where it failed.
    fate: Vec<u8>,
    /// In ns; `null` where it is not known.
    handshake: Vec<Option<u64>>,
    duration: Vec<u64>,
    up: Vec<Option<u64>>,
    down: Vec<Option<u64>>,
    reason: Vec<usize>,
}

impl Columns {
    /// Those of a list.
    pub(super) fn of(list: &[Listed]) -> Self {
        let mut columns = Self {
            outcomes: OpenOutcome::ALL.map(words).to_vec(),
            closes: CloseKind::ALL.map(closed).to_vec(),
            ..Self::default()
        };
        let mut addresses = Table::default();
        let mut interfaces: Table<Arc<str>> = Table::default();
        let mut reasons: Table<&str> = Table::default();
        let mut ports = std::collections::BTreeSet::new();
        let mut before_us = 0;
        for Listed { row, .. } in list {
            let start_us = i64::try_from(row.started_unix_ns.div_euclid(1_000)).ok();
            let passed =
                start_us.map(|us| us.saturating_sub(std::mem::replace(&mut before_us, us)));
            columns.start.push(passed);
            columns.client.push(addresses.place(row.client.ip()));
            columns.client_port.push(row.client.port());
            columns.server.push(addresses.place(row.server.ip()));
            columns.server_port.push(row.server.port());
            ports.insert(row.server.port());
            columns
                .interface
                .push(interfaces.place(Arc::clone(&row.interface)));
            columns.outcome.push(row.outcome as u8);
            columns.close.push(row.close as u8);
            columns.fate.push(match row.fate {
                Fate::Well => 0,
                Fate::Reset => 1,
                Fate::Failed => 2,
            });
            columns.handshake.push(row.handshake_ns);
            columns.duration.push(row.duration_ns);
            columns.up.push(row.up);
            columns.down.push(row.down);
            columns.reason.push(reasons.place(&row.reason));
        }
        columns.addresses = addresses.texts(IpAddr::to_string);
        columns.interfaces = interfaces.texts(|name| printable(name));
        columns.reasons = reasons.texts(|reason| (*reason).to_owned());
        let services = ports
            .into_iter()
            .filter_map(|port| Some((port, services::name(port)?)));
        columns.services = services.collect();
        columns
    }
}

/// Different texts, in the order in which they came.
struct Table<T> {
    places: HashMap<T, usize, foldhash::fast::RandomState>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        let places = HashMap::default();
        Self { places }
    }
}

impl<T: Eq + Hash> Table<T> {
    fn place(&mut self, text: T) -> usize {
        let next = self.places.len();
        *self.places.entry(text).or_insert(next)
    }

    fn texts(self, told: impl Fn(&T) -> String) -> Vec<String> {
        let mut texts: Vec<_> = self.places.into_iter().collect();
        texts.sort_unstable_by_key(|(_, place)| *place);
        texts.iter().map(|(text, _)| told(text)).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::diagnosis::diagnose;
    use crate::report::row::Row;
    use crate::sink::fixtures;

    #[test]
    fn columns_are_as_long_as_the_list_and_texts_are_there_once() {
        let rows = fixtures::all().into_iter().map(|(_, connection)| Listed {
            row: Row::new(&connection, &diagnose(&connection)),
            ladder: Box::default(),
        });
        let list: Vec<_> = rows.collect();
        let columns = serde_json::to_value(Columns::of(&list)).unwrap();
        for name in [
            "start",
            "client",
            "server_port",
            "outcome",
            "fate",
            "handshake",
            "reason",
        ] {
            assert_eq!(
                columns[name].as_array().unwrap().len(),
                list.len(),
                "{name}"
            );
        }
        let addresses = columns["addresses"].as_array().unwrap();
        let server = list[0].row.server.ip().to_string();
        assert_eq!(
            addresses
                .iter()
                .filter(|address| **address == json!(server))
                .count(),
            1
        );
        let place = columns["server"][0].as_u64().unwrap();
        assert_eq!(addresses[usize::try_from(place).unwrap()], json!(server));
        assert_eq!(
            columns["outcomes"][usize::from(list[0].row.outcome as u8)],
            "established"
        );
    }
}
