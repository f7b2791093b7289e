//! Whatever a record holds, it is rendered: nothing panics, JSON stays JSON, and nothing from
//! outside reaches the terminal as a command.

use std::net::IpAddr;
use std::sync::Arc;

use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use synfin_ebpf::segment::{Flags, Scope};
use synfin_ebpf::seq::Seq;

use super::escape::escaped;
use super::{Counters, Json, Ladder, LiveEnd, LiveStep, Sink, Style, Summary};
use crate::sink;
use crate::timeline::{
    Account, Accounts, Anomaly, Bytes, BytesBasis, Check, Close, CloseKind, Confidence, ConnState,
    Connection, End, FastOpen, Open, OpenKind, OpenOutcome, Previous, Proof, ResetCause,
    ResetProof, Role, Rtt, State, Step, TcpOptions, TunnelEnds, WrongAck, Zeek,
};

/// Numbers near each other and near the wrap meet more often than by chance.
fn seq() -> impl Strategy<Value = Seq> {
    prop_oneof![0..4_u32, u32::MAX - 3..=u32::MAX, any::<u32>()].prop_map(Seq)
}

/// Times and counts at the ends of their range as well.
fn amount() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(u64::MAX), 0..10_000_000_000_u64, any::<u64>()]
}

fn role() -> impl Strategy<Value = Role> {
    select(&[Role::Client, Role::Server])
}

fn state() -> impl Strategy<Value = State> {
    select(&[
        State::Listen,
        State::SynSent,
        State::SynReceived,
        State::Established,
        State::FinWait1,
        State::Closing,
        State::TimeWait,
        State::Closed,
    ])
}

prop_compose! {
    fn check()(
        proof in select(&[
            Proof::AcknowledgesSyn,
            Proof::AcknowledgesFin,
            Proof::ResetAcceptable,
            Proof::Retransmission,
        ]),
        expected in option::of(seq()),
    ) -> Check {
        Check { proof, expected }
    }
}

prop_compose! {
    fn step()(
        (t_ns, from, flags, seq, ack) in
            (amount(), role(), any::<u8>(), seq(), option::of(seq())),
        (len, window, check) in (any::<u32>(), option::of(any::<u16>()), option::of(check())),
        client_state in option::of(state()),
        server_state in option::of(state()),
    ) -> Step {
        let flags = Flags(flags);
        Step { t_ns, from, flags, seq, ack, len, window, check, client_state, server_state }
    }
}

prop_compose! {
    fn tcp_options()(
        mss in any::<Option<u16>>(),
        window_scale in any::<Option<u8>>(),
        [sack, timestamps, fast_open, mptcp, ecn, malformed] in any::<[bool; 6]>(),
    ) -> TcpOptions {
        TcpOptions { mss, window_scale, sack, timestamps, fast_open, mptcp, ecn, malformed }
    }
}

prop_compose! {
    fn bytes()(
        count in amount(),
        modulo in any::<bool>(),
        basis in select(&[BytesBasis::Fin, BytesBasis::Reset, BytesBasis::Acknowledged]),
    ) -> Bytes {
        Bytes { count, modulo, basis }
    }
}

prop_compose! {
    fn end()(
        address in any::<IpAddr>(),
        port in any::<u16>(),
        isn in option::of(seq()),
        bytes in option::of(bytes()),
        options in option::of(tcp_options()),
        state in state(),
    ) -> End {
        End { address, port, isn, bytes, options, state }
    }
}

prop_compose! {
    fn open()(
        outcome in select(&OpenOutcome::ALL),
        kind in select(&[
            OpenKind::ThreeWay,
            OpenKind::Simultaneous,
            OpenKind::Split,
            OpenKind::FastOpen,
            OpenKind::Partial,
            OpenKind::None,
        ]),
        confidence in select(&[Confidence::Observed, Confidence::Inferred]),
        (syn_to_synack, synack_to_ack, total) in
            (option::of(amount()), option::of(amount()), option::of(amount())),
        (syn_retries, synack_retries) in any::<(u32, u32)>(),
        backoff_ns in prop::collection::vec(amount(), 0..9),
        refused_after_ns in option::of(amount()),
        ack_via_data in any::<bool>(),
        wrong_ack in option::of((seq(), seq())),
        backoff_doubles in any::<Option<bool>>(),
        fast_open in select(&[
            FastOpen::None,
            FastOpen::Requested,
            FastOpen::Accepted,
            FastOpen::Ignored,
        ]),
    ) -> Open {
        let rtt = Rtt { syn_to_synack, synack_to_ack, total };
        let wrong_ack = wrong_ack.map(|(expected, seen)| WrongAck { expected, seen });
        Open {
            outcome, kind, confidence, rtt, syn_retries, synack_retries, backoff_ns,
            refused_after_ns, ack_via_data, wrong_ack, backoff_doubles, fast_open,
        }
    }
}

prop_compose! {
    fn close()(
        kind in select(&CloseKind::ALL),
        by in option::of(role()),
        cause in option::of(select(&[
            ResetCause::InHandshake,
            ResetCause::BeforeData,
            ResetCause::InData,
            ResetCause::AfterOwnFin,
            ResetCause::AfterPeerFin,
        ])),
        half_close_ns in option::of(amount()),
        last_ack in any::<Option<bool>>(),
        proof in option::of(select(&[
            ResetProof::Exact,
            ResetProof::InWindow,
            ResetProof::NotBefore,
            ResetProof::Unchecked,
        ])),
        text in option::of(any::<String>()),
        gap_bytes in option::of(amount()),
    ) -> Close {
        Close { kind, by, cause, proof, text, gap_bytes, half_close_ns, last_ack }
    }
}

prop_compose! {
    fn account()(
        (packets, payload_bytes, retransmitted_bytes, retransmissions) in
            (amount(), amount(), amount(), amount()),
        (duplicates, out_of_order, probes, zero_windows) in
            (amount(), amount(), amount(), amount()),
    ) -> Account {
        Account {
            packets, payload_bytes, retransmitted_bytes, retransmissions, duplicates, out_of_order,
            probes, zero_windows,
        }
    }
}

fn name() -> impl Strategy<Value = Arc<str>> {
    any::<String>().prop_map(Arc::<str>::from)
}

prop_compose! {
    pub(crate) fn connection()(
        started_unix_ns in prop_oneof![
            any::<i128>(),
            any::<i64>().prop_map(i128::from),
            Just(i128::MAX),
        ],
        (interface, seen_also_on) in
            (name().boxed(), prop::collection::vec(name().boxed(), 0..3)),
        scope in any::<u64>().prop_map(Scope),
        (client, server) in (end().boxed(), end().boxed()),
        (open, close) in (open().boxed(), close().boxed()),
        duration_ns in amount(),
        steps in prop::collection::vec(step().boxed(), 0..12),
        steps_omitted in amount(),
        anomaly in option::of((select(&[Anomaly::Duplicate, Anomaly::WrongSynAckAck]), any::<u32>())),
        (observation_gap, asymmetric, completeness) in any::<(bool, bool, u8)>(),
        tunnel in option::of(any::<(IpAddr, IpAddr)>()),
        previous in option::of((option::of(seq()), option::of(seq()))),
        accounts in option::of((account().boxed(), account().boxed(), any::<bool>())),
        (originator, conn_state, history) in
            (role(), select(&[ConnState::S0, ConnState::SF, ConnState::Oth]), any::<String>()),
    ) -> Connection {
        let tunnel = tunnel.map(|(client, server)| TunnelEnds { client, server });
        let previous = previous.map(|(client_isn, server_isn)| Previous {
            client_isn,
            server_isn,
            outcome: open.outcome,
            close: close.kind,
        });
        let accounts = accounts.map(|(client, server, whole)| Accounts { client, server, whole });
        Connection {
            started_unix_ns, started_ns: 0, interface, seen_also_on, scope, client, server, open, close, duration_ns, steps,
            steps_omitted, anomalies: anomaly.into_iter().collect(), observation_gap, asymmetric,
            completeness, tunnel, previous, accounts,
            zeek: Zeek { originator, conn_state, history },
        }
    }
}

/// All that a sink says of a connection.
fn told(sink: &mut impl Sink, connection: &Connection) -> String {
    let mut out = Vec::new();
    for step in &connection.steps {
        let live = LiveStep {
            unix_ns: connection.started_unix_ns,
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

pub(crate) fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn text_holds_no_control_characters(
        connection in connection(),
        follow in any::<bool>(),
        width in 0..200_usize,
    ) {
        let style = Style { colour: false, width };
        let text = told(&mut Ladder { style, follow }, &connection);
        prop_assert!(text.ends_with('\n'));
        prop_assert!(text.lines().all(|line| !line.contains(char::is_control)), "{}", text);
    }

    #[test]
    fn json_is_an_object_a_line_and_can_be_shown(connection in connection()) {
        let text = told(&mut Json { follow: true }, &connection);
        prop_assert_eq!(text.lines().count(), connection.steps.len() + 1);
        for line in text.lines() {
            prop_assert!(!line.contains(char::is_control));
            let object: serde_json::Value = serde_json::from_str(line).unwrap();
            prop_assert!(object.is_object());
        }
        let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        prop_assert_eq!(&last["interface"], &*connection.interface);
        prop_assert_eq!(&last["client"]["addr"], &connection.client.address.to_string());
        prop_assert_eq!(&last["duration_ns"], connection.duration_ns);
        prop_assert_eq!(last["segments"].as_array().unwrap().len(), connection.steps.len());
    }

    #[test]
    fn zeek_has_as_many_fields_in_a_line_as_its_header_names(connection in connection()) {
        let mut sink = sink::Zeek;
        let mut out = Vec::new();
        sink.begin(connection.started_unix_ns, &mut out);
        out.extend_from_slice(told(&mut sink, &connection).as_bytes());
        let text = String::from_utf8(out).unwrap();
        let names = text.lines().find(|line| line.starts_with("#fields")).unwrap();
        let records: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        prop_assert_eq!(records.len(), 1);
        for record in records {
            let fields: Vec<_> = record.split('\t').collect();
            prop_assert_eq!(fields.len() + 1, names.split('\t').count());
            prop_assert!(fields.iter().all(|field| !field.is_empty()));
            prop_assert!(!fields.iter().any(|field| field.contains(char::is_control)));
        }
    }

    #[test]
    fn a_row_has_as_many_fields_as_the_header(connection in connection()) {
        let mut sink = sink::Csv;
        let mut out = Vec::new();
        sink.begin(connection.started_unix_ns, &mut out);
        out.extend_from_slice(told(&mut sink, &connection).as_bytes());
        prop_assert_eq!(String::from_utf8(out.clone()).unwrap().lines().count(), 2);
        // The reader fails where a row is longer or shorter than the header.
        let mut reader = csv::Reader::from_reader(out.as_slice());
        let interface = reader.headers().unwrap().iter().position(|name| name == "interface");
        let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
        prop_assert_eq!(rows.len(), 1);
        let expected = escaped(&connection.interface);
        prop_assert_eq!(rows[0].get(interface.unwrap()), Some(expected.as_ref()));
    }

    #[test]
    fn a_summary_takes_every_record(connections in prop::collection::vec(connection().boxed(), 0..4)) {
        let mut summary = Summary::new();
        connections.iter().for_each(|connection| summary.record(connection, true));
        let mut out = Vec::new();
        summary.render(&Counters::default(), &mut out);
        let text = String::from_utf8(out).unwrap();
        prop_assert!(text.starts_with("synfin: "));
        prop_assert!(text.contains("nothing lost"));
    }
}
