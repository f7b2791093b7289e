//! The page: one file that asks for nothing else.
//!
//! In: what was collected. Out: HTML. The template, its style and its script are the files beside this one.
//! What comes from a record is escaped, or lies in letters and digits that only the script reads.

use std::fmt::Write as _;
use std::io::{self, Write};

use super::charts::{self, Grouped};
use super::collection::Collection;
use super::columns::Columns;
use super::inputs::Inputs;
use super::markup::Text;
use super::packed;
use super::row::{Listed, Row};
use super::svg;
use super::totals::Totals;
use crate::diagnosis;
use crate::sink::Drawing;
use crate::timeline::{Connection, OpenOutcome};
use crate::units::{Lasting, Octets, Wall};

const TEMPLATE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
/// Ladders in a block, which is unpacked as a whole; the script knows the same number.
const EACH: usize = 512;
/// Servers that are listed with their failures.
const SERVERS: usize = 20;

/// Writes the page; gives how many connections it lists.
///
/// # Errors
/// Where it cannot be written.
pub(super) fn write(
    inputs: &Inputs,
    collection: Collection,
    out: &mut impl Write,
) -> io::Result<u64> {
    let Collection {
        totals,
        list,
        slowest,
        failed,
        ..
    } = collection;
    let mut list = list.into_sorted();
    list.sort_unstable_by(|one, other| {
        let time = |listed: &Listed| {
            (
                listed.row.started_unix_ns,
                listed.row.client,
                listed.row.server,
            )
        };
        time(one).cmp(&time(other)).then_with(|| one.cmp(other))
    });
    let mut rest = TEMPLATE;
    while let Some((before, (name, after))) = placeholder(rest) {
        out.write_all(before.as_bytes())?;
        let mut text = String::new();
        match name {
            "script-hash" => text.push_str(&packed::hash(SCRIPT)),
            "style-hash" => text.push_str(&packed::hash(STYLE)),
            "style" => text.push_str(STYLE),
            "script" => text.push_str(SCRIPT),
            "title" => put(
                &mut text,
                format_args!("TCP connections: {}", Text(inputs.names())),
            ),
            "source" => source(inputs, &totals, &mut text),
            "totals" => self::totals(inputs, &totals, &mut text),
            "charts" => {
                charts::outcomes(&totals, &mut text);
                charts::handshakes(&totals, &mut text);
                charts::time(&totals.time, &mut text);
            }
            "diagnoses" => diagnoses(&totals, &mut text),
            "failing" => failing(&totals, &mut text),
            "failed" => {
                let shown = failed.sorted().map(|shown| &shown.connection);
                table(
                    shown,
                    totals.failed + totals.reset,
                    "No connection failed or was reset.",
                    &mut text,
                );
            }
            "slowest" => {
                let shown = slowest.sorted().map(|shown| &shown.connection);
                table(
                    shown,
                    totals.handshakes.len(),
                    "No handshake was seen whole.",
                    &mut text,
                );
            }
            "listed" => listed(&totals, &list, &mut text),
            "footer" => put(
                &mut text,
                format_args!(
                    "Made by synfin {} from what passed one vantage point: states are inferred, and what was not \
                     seen is not told. Bars of failures are hatched, and failures in lists carry a ✗.",
                    env!("CARGO_PKG_VERSION")
                ),
            ),
            "data" => data(&list, out)?,
            _ => {}
        }
        out.write_all(text.as_bytes())?;
        rest = after;
    }
    out.write_all(rest.as_bytes())?;
    Ok(list.len() as u64)
}

/// What comes before the next placeholder, its name, and what comes after it.
fn placeholder(text: &str) -> Option<(&str, (&str, &str))> {
    let (before, rest) = text.split_once("{{")?;
    Some((before, rest.split_once("}}")?))
}

fn source(inputs: &Inputs, totals: &Totals, out: &mut String) {
    put(out, Text(inputs.names()));
    if let Some((first_ns, last_ns)) = totals.time.span() {
        put(
            out,
            format_args!(" · {} to {}", Wall(first_ns), Wall(last_ns)),
        );
    }
}

fn totals(inputs: &Inputs, totals: &Totals, out: &mut String) {
    let mut card = |name: &str, bad: bool, value: &dyn std::fmt::Display| {
        let class = if bad { " class=\"bad\"" } else { "" };
        put(
            out,
            format_args!("<div><dt>{name}</dt><dd{class}>{value}</dd></div>"),
        );
    };
    let opened = |outcome: OpenOutcome| totals.opened.get(outcome as usize).copied().unwrap_or(0);
    let percentile = |percent: f64| match totals.handshakes.is_empty() {
        true => "–".to_owned(),
        false => Lasting(totals.handshakes.value_at_quantile(percent / 100.0)).to_string(),
    };
    let octets = |count: u128| Octets(u64::try_from(count).unwrap_or(u64::MAX)).to_string();
    card("connections", false, &Grouped(totals.connections));
    card(
        "established",
        false,
        &Grouped(opened(OpenOutcome::Established)),
    );
    card("failed to open", totals.failed > 0, &Grouped(totals.failed));
    card(
        "reset after opening",
        totals.reset > 0,
        &Grouped(totals.reset),
    );
    card("handshake, median", false, &percentile(50.0));
    card("handshake, p90", false, &percentile(90.0));
    card("handshake, p99", false, &percentile(99.0));
    card(
        "slowest handshake",
        false,
        &match totals.handshakes.is_empty() {
            true => "–".to_owned(),
            false => Lasting(totals.longest_ns).to_string(),
        },
    );
    card("payload of clients", false, &octets(totals.up));
    card("payload of servers", false, &octets(totals.down));
    if totals.lone > 0 {
        card("lone segments", false, &Grouped(totals.lone));
    }
    let cards = std::mem::take(out);
    put(out, format_args!("<dl class=\"cards\">{cards}</dl>"));
    if totals.gaps > 0 {
        put(
            out,
            format_args!(
                "<p class=\"note\">Events were lost while {} of these were there: some of their steps may be \
                 missing.</p>",
                Grouped(totals.gaps)
            ),
        );
    }
    for note in inputs.notes() {
        put(out, format_args!("<p class=\"note\">{}</p>", Text(note)));
    }
}

fn diagnoses(totals: &Totals, out: &mut String) {
    if totals.diagnoses.is_empty() {
        out.push_str("<p>None.</p>");
        return;
    }
    out.push_str(
        "<div class=\"scroll\" tabindex=\"0\"><table><thead><tr>\
         <th scope=\"col\" class=\"number\">connections</th><th scope=\"col\">diagnosis</th>\
         <th scope=\"col\">usually</th></tr></thead><tbody>",
    );
    // The weightiest first, as the rules are.
    for rule in diagnosis::rules() {
        let Some(count) = totals.diagnoses.get(rule.code) else {
            continue;
        };
        put(
            out,
            format_args!(
                "<tr><td class=\"number\">{}</td><td>{} <code>{}</code></td><td>{}</td></tr>",
                Grouped(count),
                Text(rule.headline),
                rule.code,
                Text(rule.causes.first().copied().unwrap_or_default()),
            ),
        );
    }
    out.push_str(
        "</tbody></table></div><p><code>synfin explain</code> and a diagnosis tells more of it.</p>",
    );
}

fn failing(totals: &Totals, out: &mut String) {
    let worst = totals.worst(SERVERS);
    if worst.is_empty() {
        out.push_str("<p>None.</p>");
        return;
    }
    out.push_str(
        "<div class=\"scroll\" tabindex=\"0\"><table><thead><tr><th scope=\"col\">server</th>\
         <th scope=\"col\" class=\"number\">failed</th><th scope=\"col\" class=\"number\">reset</th>\
         <th scope=\"col\">how they opened</th></tr></thead><tbody>",
    );
    for (server, failing) in &worst {
        let ways = OpenOutcome::ALL
            .iter()
            .zip(failing.opened)
            .filter(|(_, count)| *count > 0);
        let ways =
            ways.map(|(outcome, count)| format!("{} {}", Grouped(count), charts::words(*outcome)));
        put(
            out,
            format_args!(
                "<tr><td class=\"mono\">{server}</td><td class=\"number\">{}</td><td class=\"number\">{}</td>\
                 <td>{}</td></tr>",
                Grouped(failing.failed),
                Grouped(failing.reset),
                ways.collect::<Vec<_>>().join(" · ")
            ),
        );
    }
    out.push_str("</tbody></table></div>");
    let others = totals.failing().saturating_sub(worst.len());
    if others > 0 {
        let servers = if others == 1 { "server" } else { "servers" };
        put(
            out,
            format_args!("<p>and {} more {servers}.</p>", Grouped(others)),
        );
    }
    if totals.failing_elsewhere > 0 {
        put(
            out,
            format_args!(
                "<p>{} more failures were at servers that there was no room for.</p>",
                Grouped(totals.failing_elsewhere)
            ),
        );
    }
}

/// Connections with their ladders, and of how many they are the ones that matter most.
fn table<'a>(
    connections: impl Iterator<Item = &'a Connection>,
    all: u64,
    none: &str,
    out: &mut String,
) {
    let connections: Vec<_> = connections.collect();
    if connections.is_empty() {
        put(out, format_args!("<p>{none}</p>"));
        return;
    }
    let shown = connections.len() as u64;
    if shown < all {
        put(
            out,
            format_args!("<p>The first {shown} of {}.</p>", Grouped(all)),
        );
    }
    out.push_str(
        "<div class=\"scroll\" tabindex=\"0\"><table><thead><tr><th scope=\"col\">time</th>\
         <th scope=\"col\">connection</th><th scope=\"col\">opened</th>\
         <th scope=\"col\" class=\"number\">handshake</th><th scope=\"col\">why</th></tr></thead><tbody>",
    );
    for connection in connections {
        let row = Row::new(connection, &diagnosis::diagnose(connection));
        let drawing = Drawing::from(connection);
        put(
            out,
            format_args!(
                "<tr><td class=\"mono\">{}</td><td class=\"mono\">{}</td><td>{}</td>\
                 <td class=\"number\">{}</td><td>{}</td></tr>\
                 <tr class=\"story\"><td colspan=\"5\"><details><summary>Ladder</summary>",
                Wall(row.started_unix_ns),
                Text(&drawing.route),
                charts::words(row.outcome),
                row.handshake_ns
                    .map(|ns| Lasting(ns).to_string())
                    .unwrap_or_default(),
                Text(&row.reason),
            ),
        );
        story(&drawing, out);
        out.push_str("</details></td></tr>");
    }
    out.push_str("</tbody></table></div>");
}

/// All that a ladder says.
fn story(drawing: &Drawing, out: &mut String) {
    let paragraph = |clauses: &[_], out: &mut String| {
        if !clauses.is_empty() {
            out.push_str("<p class=\"words\">");
            svg::clauses(clauses, "span", out);
            out.push_str("</p>");
        }
    };
    paragraph(&drawing.verdict, out);
    for reason in &drawing.reasons {
        paragraph(std::slice::from_ref(reason), out);
    }
    paragraph(&drawing.circumstances, out);
    if !drawing.rungs.is_empty() {
        out.push_str("<div class=\"drawn\" tabindex=\"0\">");
        svg::ladder(drawing, out);
        out.push_str("</div>");
    }
    for note in &drawing.notes {
        paragraph(std::slice::from_ref(note), out);
    }
}

fn listed(totals: &Totals, list: &[Listed], out: &mut String) {
    let (shown, all) = (list.len() as u64, totals.connections + totals.lone);
    if shown < all {
        put(
            out,
            format_args!(
                "{} of {} are listed: those that failed or were reset, then the slowest. The totals and charts \
                 are of all. More are listed with --list.",
                Grouped(shown),
                Grouped(all)
            ),
        );
    } else {
        put(out, format_args!("All {} are listed.", Grouped(all)));
    }
}

fn data(list: &[Listed], out: &mut impl Write) -> io::Result<()> {
    begin_data("columns", out)?;
    packed::write(&serde_json::to_vec(&Columns::of(list))?, out)?;
    end_data(out)?;
    let mut block = Vec::new();
    for (place, listed) in list.chunks(EACH).enumerate() {
        block.clear();
        block.push(b'[');
        for (index, Listed { ladder, .. }) in listed.iter().enumerate() {
            if index > 0 {
                block.push(b',');
            }
            block.extend_from_slice(ladder);
        }
        block.push(b']');
        begin_data(&format!("ladders-{place}"), out)?;
        packed::write(&block, out)?;
        end_data(out)?;
    }
    Ok(())
}

/// A script that is none: browsers leave it alone.
fn begin_data(name: &str, out: &mut impl Write) -> io::Result<()> {
    write!(out, "<script type=\"application/gzip\" id=\"{name}\">")
}

fn end_data(out: &mut impl Write) -> io::Result<()> {
    out.write_all(b"</script>\n")
}

fn put(out: &mut String, text: impl std::fmt::Display) {
    // A string takes what is written to it.
    let _ = write!(out, "{text}");
}
