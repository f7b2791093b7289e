//! Records as rows of a table: one header line, then a row for each, quoted as RFC 4180 has it.
//!
//! A field that is not known is empty. Steps have no place in a row.

use std::net::IpAddr;

use ::csv::{Writer, WriterBuilder};

use super::escape::escaped;
use super::paint::put;
use super::{LiveStep, Sink};
use crate::diagnosis::diagnose;
use crate::timeline::{Account, BytesBasis, CommunityId, Connection, ResetCause, ResetProof, Role};
use crate::units::Wall;

/// The columns, in order.
const COLUMNS: [&str; 67] = [
    "start",
    "duration_ns",
    "interface",
    "vlan",
    "inner_vlan",
    "tunnel_kind",
    "tunnel_id",
    "tunnel_client",
    "tunnel_server",
    "client_addr",
    "client_port",
    "server_addr",
    "server_port",
    "community_id",
    "outcome",
    "open_kind",
    "confidence",
    "syn_to_synack_ns",
    "synack_to_ack_ns",
    "handshake_ns",
    "syn_retries",
    "synack_retries",
    "backoff_doubles",
    "fast_open",
    "refused_after_ns",
    "ack_via_data",
    "close_kind",
    "close_by",
    "close_cause",
    "close_proof",
    "close_text",
    "gap_bytes",
    "half_close_ns",
    "last_ack",
    "client_isn",
    "client_bytes",
    "client_bytes_basis",
    "client_bytes_modulo",
    "client_packets",
    "client_payload_bytes",
    "client_retransmitted_bytes",
    "client_retransmissions",
    "client_duplicates",
    "client_out_of_order",
    "client_probes",
    "client_zero_windows",
    "server_isn",
    "server_bytes",
    "server_bytes_basis",
    "server_bytes_modulo",
    "server_packets",
    "server_payload_bytes",
    "server_retransmitted_bytes",
    "server_retransmissions",
    "server_duplicates",
    "server_out_of_order",
    "server_probes",
    "server_zero_windows",
    "accounts_whole",
    "conn_state",
    "history",
    "completeness",
    "asymmetric",
    "observation_gap",
    "anomalies",
    "diagnoses",
    "segments",
];

/// Renders a table.
#[derive(Clone, Copy, Debug, Default)]
pub struct Csv;

impl Sink for Csv {
    fn begin(&mut self, _: i128, out: &mut Vec<u8>) {
        let mut row = Row::new(out);
        for column in COLUMNS {
            row.text(column);
        }
        row.end();
    }

    fn step(&mut self, _: &LiveStep<'_>, _: &mut Vec<u8>) {}

    fn connection(&mut self, connection: &Connection, out: &mut Vec<u8>) {
        let mut row = Row::new(out);
        row.place(connection);
        row.open(connection);
        row.close(connection);
        row.side(connection, Role::Client);
        row.side(connection, Role::Server);
        row.rest(connection);
        row.end();
    }
}

/// Appends the fields of a row. A vector takes what is written to it.
struct Row<'a> {
    fields: Writer<&'a mut Vec<u8>>,
    scratch: Vec<u8>,
}

impl<'a> Row<'a> {
    fn new(out: &'a mut Vec<u8>) -> Self {
        Self {
            // A row takes about 600 octets.
            fields: WriterBuilder::new().buffer_capacity(1_024).from_writer(out),
            scratch: Vec::new(),
        }
    }

    fn place(&mut self, connection: &Connection) {
        self.scratch.clear();
        Wall(connection.started_unix_ns).rfc_3339(&mut self.scratch);
        let _ = self.fields.write_field(&self.scratch);
        self.number(Some(connection.duration_ns));
        self.text(&escaped(&connection.interface));
        let mut vlans = connection.scope.vlans();
        self.number(vlans.next());
        self.number(vlans.next());
        let tunnel = connection.scope.tunnel();
        self.name(tunnel.map(|(kind, _)| kind.name()));
        self.number(tunnel.map(|(_, id)| id));
        let ends = connection.tunnel.filter(|_| tunnel.is_some());
        for address in [ends.map(|ends| ends.client), ends.map(|ends| ends.server)] {
            self.shown(address);
        }
        for end in [&connection.client, &connection.server] {
            self.shown(Some(end.address));
            self.number(Some(end.port));
        }
        self.text(CommunityId::from(connection).as_str());
    }

    fn open(&mut self, connection: &Connection) {
        let open = &connection.open;
        self.text(open.outcome.name());
        self.text(open.kind.name());
        self.text(open.confidence.name());
        self.number(open.rtt.syn_to_synack);
        self.number(open.rtt.synack_to_ack);
        self.number(open.rtt.total);
        self.number(Some(open.syn_retries));
        self.number(Some(open.synack_retries));
        self.truth(open.backoff_doubles);
        self.text(open.fast_open.name());
        self.number(open.refused_after_ns);
        self.truth(Some(open.ack_via_data));
    }

    fn close(&mut self, connection: &Connection) {
        let close = &connection.close;
        self.text(close.kind.name());
        self.name(close.by.map(Role::name));
        self.name(close.cause.map(ResetCause::name));
        self.name(close.proof.map(ResetProof::name));
        self.text(&escaped(close.text.as_deref().unwrap_or_default()));
        self.number(close.gap_bytes);
        self.number(close.half_close_ns);
        self.truth(close.last_ack);
    }

    fn side(&mut self, connection: &Connection, role: Role) {
        let end = connection.end(role);
        self.number(end.isn.map(|isn| isn.0));
        self.number(end.bytes.map(|bytes| bytes.count));
        let basis = end.bytes.map(|bytes| bytes.basis);
        self.name(basis.map(BytesBasis::name));
        self.truth(end.bytes.map(|bytes| bytes.modulo));
        let account = connection.accounts.map(|both| match role {
            Role::Client => both.client,
            Role::Server => both.server,
        });
        let counts: [fn(Account) -> u64; 8] = [
            |account| account.packets,
            |account| account.payload_bytes,
            |account| account.retransmitted_bytes,
            |account| account.retransmissions,
            |account| account.duplicates,
            |account| account.out_of_order,
            |account| account.probes,
            |account| account.zero_windows,
        ];
        for count in counts {
            self.number(account.map(count));
        }
    }

    fn rest(&mut self, connection: &Connection) {
        self.truth(connection.accounts.map(|both| both.whole));
        self.text(connection.zeek.conn_state.name());
        self.text(&escaped(&connection.zeek.history));
        self.number(Some(connection.completeness));
        self.truth(Some(connection.asymmetric));
        self.truth(Some(connection.observation_gap));
        self.scratch.clear();
        for (index, (anomaly, count)) in connection.anomalies.iter().enumerate() {
            if index > 0 {
                self.scratch.push(b';');
            }
            self.scratch.extend_from_slice(anomaly.name().as_bytes());
            self.scratch.push(b'=');
            let mut digits = itoa::Buffer::new();
            self.scratch
                .extend_from_slice(digits.format(*count).as_bytes());
        }
        let _ = self.fields.write_field(&self.scratch);
        let diagnoses = diagnose(connection);
        let codes: Vec<_> = diagnoses.iter().map(|diagnosis| diagnosis.code).collect();
        self.text(&codes.join(";"));
        self.number(Some(connection.steps.len()));
    }

    fn text(&mut self, text: &str) {
        let _ = self.fields.write_field(text);
    }

    fn name(&mut self, name: Option<&'static str>) {
        self.text(name.unwrap_or_default());
    }

    fn number(&mut self, number: Option<impl itoa::Integer>) {
        match number {
            Some(number) => self.text(itoa::Buffer::new().format(number)),
            None => self.text(""),
        }
    }

    fn truth(&mut self, truth: Option<bool>) {
        self.name(truth.map(|truth| if truth { "true" } else { "false" }));
    }

    fn shown(&mut self, address: Option<IpAddr>) {
        self.scratch.clear();
        if let Some(address) = address {
            put(&mut self.scratch, address);
        }
        let _ = self.fields.write_field(&self.scratch);
    }

    fn end(mut self) {
        let _ = self.fields.write_record(None::<&[u8]>);
        let _ = self.fields.flush();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::sink::fixtures::{START, all, counted, ftp, overlay, reset_with_text};

    /// A table read back by somebody else's reader.
    fn read(connections: &[Connection]) -> Vec<HashMap<String, String>> {
        let mut out = Vec::new();
        Csv.begin(START, &mut out);
        for connection in connections {
            Csv.connection(connection, &mut out);
        }
        Csv.end(START, &mut out);
        let mut reader = ::csv::Reader::from_reader(out.as_slice());
        reader.deserialize().map(Result::unwrap).collect()
    }

    #[test]
    fn every_row_has_every_column() {
        let all: Vec<_> = all()
            .into_iter()
            .map(|(_, connection)| connection)
            .collect();
        let rows = read(&all);
        assert_eq!(rows.len(), all.len());
        assert!(rows.iter().all(|row| row.len() == COLUMNS.len()));
    }

    #[test]
    fn a_row_reads_back_by_the_names_of_its_columns() {
        let [ftp, counted, overlay] = read(&[ftp(), counted(), overlay()]).try_into().unwrap();
        for (row, column, value) in [
            (&ftp, "start", "2026-11-22T18:00:00.123456789Z"),
            (&ftp, "client_port", "52144"),
            (&ftp, "outcome", "established"),
            (&ftp, "handshake_ns", "412000"),
            (&ftp, "close_by", "server"),
            (&ftp, "client_bytes", "26"),
            (&ftp, "server_bytes_basis", "fin"),
            (&ftp, "server_packets", ""),
            (&ftp, "tunnel_kind", ""),
            (&counted, "client_packets", "9"),
            (&counted, "server_retransmitted_bytes", "4344"),
            (&counted, "server_zero_windows", "1"),
            (&counted, "accounts_whole", "true"),
            (&overlay, "tunnel_id", "4096"),
            (&overlay, "tunnel_server", "192.0.2.9"),
            (&overlay, "vlan", "100"),
        ] {
            assert_eq!(row[column], value, "{column}");
        }
    }

    #[test]
    fn text_from_outside_is_quoted_and_escaped() {
        let mut connection = reset_with_text();
        connection.close.text = Some("=1, \"no\"\r\nmore".to_owned());
        let [row] = read(&[connection.clone()]).try_into().unwrap();
        assert_eq!(row["close_text"], r#"\x3d1, "no"\x0d\x0amore"#);
        connection.close.text = None;
        let [row] = read(&[connection]).try_into().unwrap();
        assert_eq!(row["close_text"], "");
    }
}
