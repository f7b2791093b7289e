//! What the two ends negotiated, side by side.

use crate::sink::paint::{Clause, Tone};
use crate::timeline::{Connection, Negotiable, Role, TcpOptions};

/// The options of both SYNs; nothing where neither was seen.
pub(super) fn options(connection: &Connection) -> Vec<Clause> {
    let client = connection.client.options.as_ref();
    let server = connection.server.options.as_ref();
    let mut clauses = Vec::new();
    let mut say = |tone: Tone, text: String| clauses.push(Clause::new(tone, text));

    let mss = |options: &TcpOptions| options.mss.map(|mss| mss.to_string());
    if let Some(both) = side_by_side(client, server, mss) {
        say(Tone::Plain, format!("MSS {both}"));
    }
    let scales = agreed(client, server, Negotiable::WindowScale);
    if let Some(both) = side_by_side(client, server, window_scale).filter(|_| scales) {
        say(Tone::Plain, format!("window scale {both}"));
    }
    for option in Negotiable::ALL {
        if option != Negotiable::WindowScale && agreed(client, server, option) {
            say(Tone::Plain, word(option).to_owned());
        }
    }
    let lists = [
        (
            Tone::Plain,
            one_sided(client, server),
            ["not echoed", "answer not seen"],
            "offered",
        ),
        (
            Tone::Odd,
            one_sided(server, client),
            ["not offered", "offer not seen"],
            "echoed",
        ),
    ];
    for (tone, options, [missing, unseen], sent) in lists {
        let Some(options) = options else { continue };
        let both_seen = client.is_some() && server.is_some();
        let (tone, other) = if both_seen {
            (tone, missing)
        } else {
            (Tone::Plain, unseen)
        };
        say(tone, format!("{options} {sent}, {other}"));
    }
    match (
        client.is_some_and(|options| options.fast_open),
        server.is_some_and(|options| options.fast_open),
    ) {
        (true, true) => say(Tone::Plain, "Fast Open".to_owned()),
        (true, false) => say(Tone::Plain, "Fast Open offered".to_owned()),
        (false, true) => say(Tone::Plain, "Fast Open cookie given".to_owned()),
        (false, false) => {}
    }
    for (role, options) in [(Role::Client, client), (Role::Server, server)] {
        if options.is_some_and(|options| options.malformed) {
            say(
                Tone::Odd,
                format!("malformed options from the {}", role.name()),
            );
        }
    }
    clauses
}

/// A value of each end: `1460 / 1460`, `–` where it sent none, `?` where its SYN was not seen.
fn side_by_side(
    client: Option<&TcpOptions>,
    server: Option<&TcpOptions>,
    value: impl Fn(&TcpOptions) -> Option<String>,
) -> Option<String> {
    let of = |end: Option<&TcpOptions>| match end.map(&value) {
        Some(Some(value)) => (true, value),
        Some(None) => (false, "–".to_owned()),
        None => (false, "?".to_owned()),
    };
    let ((client_sent, client), (server_sent, server)) = (of(client), of(server));
    (client_sent || server_sent).then(|| format!("{client} / {server}"))
}

fn window_scale(options: &TcpOptions) -> Option<String> {
    let shift = options.window_scale?;
    let max = TcpOptions::MAX_WINDOW_SCALE;
    Some(if shift > max {
        format!("{shift} (counts as {max})")
    } else {
        shift.to_string()
    })
}

/// Whether both ends sent the option.
fn agreed(client: Option<&TcpOptions>, server: Option<&TcpOptions>, option: Negotiable) -> bool {
    [client, server]
        .iter()
        .all(|end| end.is_some_and(|options| options.has(option)))
}

/// The options that one end sent and the other did not, or was not seen to.
fn one_sided(sender: Option<&TcpOptions>, other: Option<&TcpOptions>) -> Option<String> {
    let sender = sender?;
    let words: Vec<_> = Negotiable::ALL
        .into_iter()
        .filter(|&option| sender.has(option))
        .filter(|&option| !other.is_some_and(|other| other.has(option)))
        .map(|option| match (option, window_scale(sender)) {
            (Negotiable::WindowScale, Some(shift)) => format!("{} {shift}", word(option)),
            _ => word(option).to_owned(),
        })
        .collect();
    (!words.is_empty()).then(|| words.join(", "))
}

const fn word(option: Negotiable) -> &'static str {
    match option {
        Negotiable::WindowScale => "window scale",
        Negotiable::Sack => "SACK",
        Negotiable::Timestamps => "timestamps",
        Negotiable::Ecn => "ECN",
        Negotiable::Mptcp => "MPTCP",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::fixtures::{LINUX_OPTIONS, ftp, text};

    fn said(client: Option<TcpOptions>, server: Option<TcpOptions>) -> String {
        let mut connection = ftp();
        connection.client.options = client;
        connection.server.options = server;
        text(&options(&connection))
    }

    #[test]
    fn what_both_sent_is_negotiated() {
        assert_eq!(
            said(Some(LINUX_OPTIONS), Some(LINUX_OPTIONS)),
            "MSS 1460 / 1460 · window scale 7 / 7 · SACK · timestamps"
        );
    }

    #[test]
    fn what_was_not_echoed_or_not_offered_is_told() {
        let plain = TcpOptions {
            sack: true,
            ..TcpOptions::default()
        };
        assert_eq!(
            said(Some(LINUX_OPTIONS), Some(plain)),
            "MSS 1460 / – · SACK · window scale 7, timestamps offered, not echoed"
        );
        assert_eq!(
            said(Some(TcpOptions::default()), Some(plain)),
            "SACK echoed, not offered"
        );
    }

    #[test]
    fn a_syn_that_was_not_seen_has_no_options() {
        assert_eq!(said(None, None), "");
        assert_eq!(
            said(Some(LINUX_OPTIONS), None),
            "MSS 1460 / ? · window scale 7, SACK, timestamps offered, answer not seen"
        );
    }

    #[test]
    fn odd_options_are_told() {
        let odd = TcpOptions {
            window_scale: Some(15),
            fast_open: true,
            malformed: true,
            ..TcpOptions::default()
        };
        assert_eq!(
            said(Some(odd), Some(LINUX_OPTIONS)),
            "MSS – / 1460 · window scale 15 (counts as 14) / 7 · \
             SACK, timestamps echoed, not offered · Fast Open offered · \
             malformed options from the client"
        );
    }
}
