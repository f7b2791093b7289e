//! Servers for programs: an object a line, the total last.

use std::net::SocketAddr;

use super::{Counts, Servers};
use crate::sink::json::Writer;

/// Appends the lines.
pub(super) fn render(servers: &Servers, out: &mut Vec<u8>) {
    let mut json = Writer(out);
    for (server, counts) in servers.sorted() {
        line(&mut json, "server", Some(server), counts);
    }
    if servers.others.connections() > 0 {
        line(&mut json, "others", None, &servers.others);
    }
    line(&mut json, "total", None, &servers.total());
}

fn line(json: &mut Writer<'_>, of: &'static str, server: Option<SocketAddr>, counts: &Counts) {
    json.raw(r#"{"v":1,"type":"summary","of":"#);
    json.name(of);
    json.raw(r#","server":"#);
    json.maybe(server, |json, server| {
        json.raw(r#"{"addr":"#);
        json.quoted_address(server.ip());
        json.raw(r#","port":"#);
        json.number(server.port());
        json.raw("}");
    });
    for (name, count) in [
        (r#","attempts":"#, counts.attempts()),
        (r#","established":"#, counts.established),
        (r#","refused":"#, counts.refused),
        (r#","no_reply":"#, counts.no_reply),
        (r#","half_open":"#, counts.half_open),
        (r#","rejected":"#, counts.rejected),
        (r#","aborted":"#, counts.aborted),
        (r#","pending":"#, counts.pending),
        (r#","unobserved":"#, counts.unobserved),
        (r#","reset":"#, counts.reset),
        (r#","handshake_ns":{"count":"#, counts.handshakes.count()),
    ] {
        json.raw(name);
        json.number(count);
    }
    for (name, ns) in [
        (r#","p50":"#, counts.handshakes.percentile(50)),
        (r#","p99":"#, counts.handshakes.percentile(99)),
        (r#","max":"#, counts.handshakes.max()),
    ] {
        json.raw(name);
        json.maybe(ns, Writer::number);
    }
    json.raw("}}\n");
}
