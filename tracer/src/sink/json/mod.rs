//! Records and steps for programs: one JSON object a line.
//!
//! The objects are written field by field into the buffer, because a flood asks for hundreds of
//! thousands of them a second; nothing is allocated on the way. A number that was not seen is
//! `null`.

mod writer;

use synfin_ebpf::segment::Tunnel;

use super::flags::names;
use super::{LiveEnd, LiveStep, Sink};
use crate::diagnosis::{Diagnosis, diagnose};
use crate::timeline::{
    Account, BytesBasis, Check, Close, CommunityId, Connection, End, Negotiable, Negotiated, Open,
    Previous, ResetCause, ResetProof, Role, State, Step, TcpOptions, TunnelEnds,
};
pub(in crate::sink) use writer::Writer;

/// Renders for programs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Json {
    /// Whether steps are told as they happen.
    pub follow: bool,
}

impl Sink for Json {
    fn step(&mut self, live: &LiveStep<'_>, out: &mut Vec<u8>) {
        if !self.follow {
            return;
        }
        let mut json = Writer(out);
        json.raw(r#"{"v":1,"type":"step","time":"#);
        json.instant(live.unix_ns);
        json.raw(r#","client":{"#);
        json.endpoint(&live.client);
        json.raw(r#"},"server":{"#);
        json.endpoint(&live.server);
        json.raw(r#"},"segment":"#);
        json.step(live.step);
        json.raw("}\n");
    }

    fn connection(&mut self, connection: &Connection, out: &mut Vec<u8>) {
        // A connection of seven steps takes about 2 kB.
        out.reserve(1_024 + 192 * connection.steps.len());
        Writer(out).connection(connection);
    }
}

impl Writer<'_> {
    fn connection(&mut self, connection: &Connection) {
        self.raw(r#"{"v":1,"type":"#);
        let outcome = connection.open.outcome;
        self.name(if outcome.is_connection() {
            "connection"
        } else {
            outcome.name()
        });
        self.raw(r#","start":"#);
        self.instant(connection.started_unix_ns);
        self.raw(r#","interface":"#);
        self.text(&connection.interface);
        self.raw(r#","seen_on":"#);
        self.array(connection.seen_on(), Self::text);
        self.raw(r#","vlans":"#);
        self.array(connection.scope.vlans(), Self::number);
        self.raw(r#","tunnel":"#);
        self.maybe(connection.scope.tunnel(), |json, tunnel| {
            json.tunnel(tunnel, connection.tunnel);
        });
        self.raw(r#","community_id":""#);
        self.raw(CommunityId::from(connection).as_str());
        self.raw(r#"","previous":"#);
        self.maybe(connection.previous.as_ref(), Self::previous);
        let accounts = connection.accounts.as_ref();
        self.raw(r#","client":"#);
        self.end(&connection.client, accounts.map(|both| &both.client));
        self.raw(r#","server":"#);
        self.end(&connection.server, accounts.map(|both| &both.server));
        self.raw(r#","accounts_whole":"#);
        self.maybe(accounts.map(|both| both.whole), Self::truth);
        self.raw(r#","options":"#);
        self.maybe(connection.negotiated(), Self::negotiated);
        self.raw(r#","open":"#);
        self.open(&connection.open);
        self.raw(r#","close":"#);
        self.close(&connection.close);
        self.raw(r#","duration_ns":"#);
        self.number(connection.duration_ns);
        self.raw(r#","originator":"#);
        self.name(connection.zeek.originator.name());
        self.raw(r#","conn_state":"#);
        self.name(connection.zeek.conn_state.name());
        self.raw(r#","history":"#);
        self.text(&connection.zeek.history);
        self.raw(r#","completeness":"#);
        self.number(connection.completeness);
        self.raw(r#","asymmetric":"#);
        self.truth(connection.asymmetric);
        self.raw(r#","observation_gap":"#);
        self.truth(connection.observation_gap);
        self.raw(r#","anomalies":{"#);
        for (index, &(anomaly, count)) in connection.anomalies.iter().enumerate() {
            self.comma(index);
            self.name(anomaly.name());
            self.raw(":");
            self.number(count);
        }
        self.raw(r#"},"diagnoses":"#);
        self.array(&diagnose(connection), Self::diagnosis);
        self.raw(r#","segments":"#);
        self.array(&connection.steps, Self::step);
        self.raw(r#","segments_omitted":"#);
        self.number(connection.steps_omitted);
        self.raw("}\n");
    }

    fn diagnosis(&mut self, diagnosis: &Diagnosis) {
        self.raw(r#"{"code":"#);
        self.name(diagnosis.code);
        self.raw(r#","text":"#);
        self.text(&diagnosis.text);
        self.raw("}");
    }

    fn tunnel(&mut self, (kind, id): (Tunnel, u32), ends: Option<TunnelEnds>) {
        self.raw(r#"{"kind":"#);
        self.name(kind.name());
        self.raw(r#","id":"#);
        self.number(id);
        self.raw(r#","client":"#);
        self.maybe(ends.map(|ends| ends.client), Self::quoted_address);
        self.raw(r#","server":"#);
        self.maybe(ends.map(|ends| ends.server), Self::quoted_address);
        self.raw("}");
    }

    fn previous(&mut self, previous: &Previous) {
        self.raw(r#"{"client_isn":"#);
        self.maybe(previous.client_isn.map(|isn| isn.0), Self::number);
        self.raw(r#","server_isn":"#);
        self.maybe(previous.server_isn.map(|isn| isn.0), Self::number);
        self.raw(r#","outcome":"#);
        self.name(previous.outcome.name());
        self.raw(r#","close":"#);
        self.name(previous.close.name());
        self.raw("}");
    }

    fn end(&mut self, end: &End, account: Option<&Account>) {
        self.raw("{");
        self.endpoint(&LiveEnd::from(end));
        self.raw(r#","isn":"#);
        self.maybe(end.isn.map(|isn| isn.0), Self::number);
        self.raw(r#","bytes":"#);
        self.maybe(end.bytes.map(|bytes| bytes.count), Self::number);
        self.raw(r#","bytes_basis":"#);
        let basis = end.bytes.map(|bytes| bytes.basis);
        self.maybe(basis.map(BytesBasis::name), Self::name);
        self.raw(r#","bytes_modulo":"#);
        self.maybe(end.bytes.map(|bytes| bytes.modulo), Self::truth);
        self.raw(r#","state":"#);
        self.name(end.state.name());
        self.raw(r#","account":"#);
        self.maybe(account, Self::account);
        self.raw(r#","options":"#);
        self.maybe(end.options.as_ref(), Self::options);
        self.raw("}");
    }

    fn account(&mut self, account: &Account) {
        self.raw(r#"{"packets":"#);
        self.number(account.packets);
        self.raw(r#","payload_bytes":"#);
        self.number(account.payload_bytes);
        self.raw(r#","retransmitted_bytes":"#);
        self.number(account.retransmitted_bytes);
        self.raw(r#","retransmissions":"#);
        self.number(account.retransmissions);
        self.raw(r#","duplicates":"#);
        self.number(account.duplicates);
        self.raw(r#","out_of_order":"#);
        self.number(account.out_of_order);
        self.raw(r#","probes":"#);
        self.number(account.probes);
        self.raw(r#","zero_windows":"#);
        self.number(account.zero_windows);
        self.raw("}");
    }

    fn negotiated(&mut self, both: Negotiated<'_>) {
        let name = |json: &mut Self, option: Negotiable| json.name(option.name());
        self.raw(r#"{"in_effect":"#);
        self.array(both.in_effect(), name);
        self.raw(r#","not_echoed":"#);
        self.array(both.not_echoed(), name);
        self.raw(r#","not_offered":"#);
        self.array(both.not_offered(), name);
        self.raw("}");
    }

    fn options(&mut self, options: &TcpOptions) {
        self.raw(r#"{"mss":"#);
        self.maybe(options.mss, Self::number);
        self.raw(r#","window_scale":"#);
        self.maybe(options.window_scale, Self::number);
        self.raw(r#","sack":"#);
        self.truth(options.sack);
        self.raw(r#","timestamps":"#);
        self.truth(options.timestamps);
        self.raw(r#","ecn":"#);
        self.truth(options.ecn);
        self.raw(r#","fast_open":"#);
        self.truth(options.fast_open);
        self.raw(r#","mptcp":"#);
        self.truth(options.mptcp);
        self.raw(r#","malformed":"#);
        self.truth(options.malformed);
        self.raw("}");
    }

    fn open(&mut self, open: &Open) {
        self.raw(r#"{"outcome":"#);
        self.name(open.outcome.name());
        self.raw(r#","kind":"#);
        self.name(open.kind.name());
        self.raw(r#","confidence":"#);
        self.name(open.confidence.name());
        self.raw(r#","rtt_ns":{"syn_to_synack":"#);
        self.maybe(open.rtt.syn_to_synack, Self::number);
        self.raw(r#","synack_to_ack":"#);
        self.maybe(open.rtt.synack_to_ack, Self::number);
        self.raw(r#","total":"#);
        self.maybe(open.rtt.total, Self::number);
        self.raw(r#"},"syn_retries":"#);
        self.number(open.syn_retries);
        self.raw(r#","synack_retries":"#);
        self.number(open.synack_retries);
        self.raw(r#","backoff_ns":"#);
        self.array(&open.backoff_ns, |json, &ns| json.number(ns));
        self.raw(r#","backoff_doubles":"#);
        self.maybe(open.backoff_doubles, Self::truth);
        self.raw(r#","fast_open":"#);
        self.name(open.fast_open.name());
        self.raw(r#","refused_after_ns":"#);
        self.maybe(open.refused_after_ns, Self::number);
        self.raw(r#","ack_via_data":"#);
        self.truth(open.ack_via_data);
        self.raw(r#","wrong_ack":"#);
        self.maybe(open.wrong_ack, |json, wrong| {
            json.raw(r#"{"expected":"#);
            json.number(wrong.expected.0);
            json.raw(r#","seen":"#);
            json.number(wrong.seen.0);
            json.raw("}");
        });
        self.raw("}");
    }

    fn close(&mut self, close: &Close) {
        self.raw(r#"{"kind":"#);
        self.name(close.kind.name());
        self.raw(r#","by":"#);
        self.maybe(close.by.map(Role::name), Self::name);
        self.raw(r#","cause":"#);
        self.maybe(close.cause.map(ResetCause::name), Self::name);
        self.raw(r#","proof":"#);
        self.maybe(close.proof.map(ResetProof::name), Self::name);
        self.raw(r#","text":"#);
        self.maybe(close.text.as_deref(), Self::text);
        self.raw(r#","gap_bytes":"#);
        self.maybe(close.gap_bytes, Self::number);
        self.raw(r#","half_close_ns":"#);
        self.maybe(close.half_close_ns, Self::number);
        self.raw(r#","last_ack":"#);
        self.maybe(close.last_ack, Self::truth);
        self.raw("}");
    }

    fn step(&mut self, step: &Step) {
        self.raw(r#"{"t_ns":"#);
        self.number(step.t_ns);
        self.raw(r#","from":"#);
        self.name(step.from.name());
        self.raw(r#","flags":""#);
        if step.flags.0 == 0 {
            self.raw("-");
        }
        for (index, name) in names(step.flags).enumerate() {
            self.comma(index);
            self.raw(name);
        }
        self.raw(r#"","seq":"#);
        self.number(step.seq.0);
        self.raw(r#","ack":"#);
        self.maybe(step.ack.map(|ack| ack.0), Self::number);
        self.raw(r#","len":"#);
        self.maybe((!step.is_learnt()).then_some(step.len), Self::number);
        self.raw(r#","window":"#);
        self.maybe(step.window, Self::number);
        self.raw(r#","check":"#);
        self.maybe(step.check, Self::check);
        self.raw(r#","client_state":"#);
        self.maybe(step.client_state.map(State::name), Self::name);
        self.raw(r#","server_state":"#);
        self.maybe(step.server_state.map(State::name), Self::name);
        self.raw("}");
    }

    fn check(&mut self, check: Check) {
        self.raw(r#"{"proof":"#);
        self.name(check.proof.name());
        self.raw(r#","ok":"#);
        self.truth(check.ok());
        if let Some(expected) = check.expected {
            self.raw(r#","expected":"#);
            self.number(expected.0);
        }
        self.raw("}");
    }

    fn endpoint(&mut self, end: &LiveEnd) {
        self.raw(r#""addr":"#);
        self.quoted_address(end.address);
        self.raw(r#","port":"#);
        self.number(end.port);
    }
}

#[cfg(test)]
mod tests {

    use serde_json::{Value, json};

    use super::*;
    use crate::sink::fixtures::{
        START, backscatter, counted, ftp, ipv6, lone_fin, overlay, probe, rejected,
        reset_with_text, reused, vlan,
    };

    fn line(connection: &Connection) -> String {
        let mut out = Vec::new();
        Json::default().connection(connection, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn parsed(connection: &Connection) -> Value {
        serde_json::from_str(&line(connection)).unwrap()
    }

    fn keys(object: &Value) -> Vec<&str> {
        let object = object.as_object().unwrap();
        object.keys().map(String::as_str).collect()
    }

    #[test]
    fn a_record_is_one_line() {
        for connection in [ftp(), lone_fin()] {
            let line = line(&connection);
            assert_eq!(line.find('\n'), Some(line.len() - 1));
        }
    }

    /// The keys come sorted from the parser.
    #[test]
    fn every_record_has_every_key() {
        for connection in [ftp(), lone_fin(), rejected(), counted(), backscatter()] {
            let record = parsed(&connection);
            let names = "accounts_whole anomalies asymmetric client close community_id \
                         completeness conn_state diagnoses duration_ns history interface observation_gap \
                         open options originator previous seen_on segments segments_omitted server start \
                         tunnel type v vlans";
            assert_eq!(keys(&record).join(" "), names);
            let names = "account addr bytes bytes_basis bytes_modulo isn options port state";
            assert_eq!(keys(&record["client"]).join(" "), names);
            assert_eq!(keys(&record["server"]).join(" "), names);
            let names = "ack_via_data backoff_doubles backoff_ns confidence fast_open kind outcome \
                         refused_after_ns rtt_ns syn_retries synack_retries wrong_ack";
            assert_eq!(keys(&record["open"]).join(" "), names);
            let names = "by cause gap_bytes half_close_ns kind last_ack proof text";
            assert_eq!(keys(&record["close"]).join(" "), names);
            let names = "ack check client_state flags from len seq server_state t_ns window";
            for segment in record["segments"].as_array().unwrap() {
                assert_eq!(keys(segment).join(" "), names);
            }
        }
    }

    #[test]
    fn a_check_says_what_was_expected_only_where_it_failed() {
        let record = parsed(&rejected());
        let checks = [0, 1, 2].map(|index| record["segments"][index]["check"].clone());
        let [syn, syn_ack, reset] = checks;
        assert_eq!(syn, Value::Null);
        let proof = "acknowledges_syn";
        let expected = 2_452_765_131_u32;
        assert_eq!(
            syn_ack,
            json!({"proof": proof, "ok": false, "expected": expected})
        );
        assert_eq!(reset, json!({"proof": "reset_acceptable", "ok": true}));
        let wrong = json!({"expected": expected, "seen": 1001});
        assert_eq!(record["open"]["wrong_ack"], wrong);
    }

    #[test]
    fn what_is_no_connection_has_a_type_of_its_own() {
        for (connection, name) in [
            (ftp(), "connection"),
            (backscatter(), "backscatter"),
            (probe(), "probe"),
        ] {
            assert_eq!(parsed(&connection)["type"], name);
        }
    }

    #[test]
    fn options_are_told_by_what_came_of_them() {
        let expected = json!({
            "in_effect": ["window_scale", "sack", "timestamps"],
            "not_echoed": ["ecn", "mptcp"],
            "not_offered": [],
        });
        assert_eq!(parsed(&vlan())["options"], expected);
        assert_eq!(parsed(&lone_fin())["options"], Value::Null);
    }

    #[test]
    fn a_tunnel_and_an_incarnation_before_are_told() {
        let expected = json!({
            "kind": "vxlan",
            "id": 4096,
            "client": "192.0.2.7",
            "server": "192.0.2.9",
        });
        assert_eq!(parsed(&overlay())["tunnel"], expected);
        let mut pppoe = overlay();
        pppoe.tunnel = None;
        let expected = json!({"kind": "vxlan", "id": 4096, "client": null, "server": null});
        assert_eq!(parsed(&pppoe)["tunnel"], expected);
        let expected = json!({
            "client_isn": 2_452_000_000_u32,
            "server_isn": null,
            "outcome": "refused",
            "close": "reset",
        });
        assert_eq!(parsed(&reused())["previous"], expected);
    }

    #[test]
    fn what_each_side_sent_is_told_where_it_was_counted() {
        let record = parsed(&counted());
        assert_eq!(record["accounts_whole"], true);
        assert_eq!(record["server"]["account"]["retransmissions"], 3);
        assert_eq!(record["client"]["account"]["packets"], 9);
        let record = parsed(&ftp());
        assert_eq!(record["client"]["account"], Value::Null);
        assert_eq!(record["accounts_whole"], Value::Null);
    }

    #[test]
    fn a_step_is_a_line_of_its_own() {
        let connection = ipv6();
        let mut out = Vec::new();
        let live = LiveStep {
            unix_ns: START,
            interface: "veth0",
            client: LiveEnd::from(&connection.client),
            server: LiveEnd::from(&connection.server),
            step: connection.steps.first().unwrap(),
        };
        Json { follow: true }.step(&live, &mut out);
        let step: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(keys(&step).join(" "), "client segment server time type v");
        assert_eq!(step["time"], "2026-11-22T18:00:00.123456789Z");
        let address = "2001:db8:1234:5678:9abc:def0:1234:fffe";
        assert_eq!(step["client"], json!({"addr": address, "port": 52144}));
        assert_eq!(step["segment"], parsed(&connection)["segments"][0]);
    }

    #[test]
    fn text_from_outside_is_escaped() {
        let mut connection = reset_with_text();
        connection.close.text = Some("\"no\" \u{202e}\r\n\u{1b}[2J".to_owned());
        let text = r#""text":"\"no\" \u202e\u000d\u000a\u001b[2J""#;
        assert!(line(&connection).contains(text), "{}", line(&connection));
        connection.interface = "a\"\\\n\u{7f}\u{9b}é".into();
        let line = line(&connection);
        assert!(
            line.contains(r#""interface":"a\"\\\u000a\u007f\u009bé""#),
            "{line}"
        );
        assert_eq!(parsed(&connection)["interface"], *connection.interface);
    }
}
