//! Where a connection was seen, what it was carried in, and whose place it took.

use synfin_ebpf::segment::Tunnel;

use crate::sink::paint::printable;
use crate::timeline::{CloseKind, Connection, OpenOutcome, Previous};

/// The interface, VLAN tags, the tunnel and the incarnation before.
pub(super) fn place(connection: &Connection) -> Vec<String> {
    let interfaces: Vec<_> = connection.seen_on().map(printable).collect();
    let mut place = vec![interfaces.join(", ")];
    let vlans: Vec<_> = connection.scope.vlans().collect();
    match *vlans.as_slice() {
        [] => {}
        [outer] => place.push(format!("VLAN {outer}")),
        [outer, inner, ..] => place.push(format!("VLAN {inner} inside VLAN {outer}")),
    }
    place.extend(tunnel(connection));
    let previous = connection.previous.as_ref();
    // The place of a lone segment is nobody's.
    let previous = previous.filter(|previous| previous.outcome.is_connection());
    place.extend(previous.map(self::previous));
    place
}

/// `VXLAN 4096 (192.0.2.7 → 192.0.2.9)`. A GRE key or an IP-in-IP identifier may be a hash, which
/// says nothing to people.
fn tunnel(connection: &Connection) -> Option<String> {
    let (kind, id) = connection.scope.tunnel()?;
    let name = match kind {
        Tunnel::Vxlan => format!("VXLAN {id}"),
        Tunnel::Geneve => format!("Geneve {id}"),
        Tunnel::Gre => "GRE".to_owned(),
        Tunnel::IpInIp => "IP in IP".to_owned(),
        Tunnel::Pppoe => format!("PPPoE session {id}"),
    };
    Some(match connection.tunnel {
        Some(ends) => format!("{name} ({} → {})", ends.client, ends.server),
        None => name,
    })
}

/// `takes the place of X = 2452000000, refused`.
fn previous(previous: &Previous) -> String {
    let number = match (previous.client_isn, previous.server_isn) {
        (Some(isn), _) => format!("X = {}", isn.0),
        (None, Some(isn)) => format!("Y = {}", isn.0),
        (None, None) => "one before".to_owned(),
    };
    let fate = match previous.outcome {
        OpenOutcome::Established | OpenOutcome::Unobserved => match previous.close {
            CloseKind::FourWay | CloseKind::ThreeWay | CloseKind::Simultaneous => "closed",
            CloseKind::Half => "half closed",
            CloseKind::Reset => "reset",
            CloseKind::None => "still open",
        },
        OpenOutcome::NoReply => "not answered",
        OpenOutcome::Refused => "refused",
        OpenOutcome::HalfOpen => "half open",
        OpenOutcome::Rejected => "rejected",
        OpenOutcome::Aborted => "aborted",
        OpenOutcome::Pending => "not yet open",
        OpenOutcome::Backscatter | OpenOutcome::Probe => "no connection",
    };
    format!("takes the place of {number}, {fate}")
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use synfin_ebpf::segment::Scope;

    use super::*;
    use crate::sink::fixtures::{ftp, overlay, reused};
    use crate::timeline::TunnelEnds;

    fn said(connection: &Connection) -> String {
        place(connection).join(" · ")
    }

    #[test]
    fn a_tunnel_is_named_with_its_ends_where_they_are_known() {
        let mut connection = overlay();
        let ends = |last| IpAddr::from([192, 0, 2, last]);
        let ends = Some(TunnelEnds {
            client: ends(7),
            server: ends(9),
        });
        for (tunnel, ends, words) in [
            (Tunnel::Vxlan, ends, "VXLAN 5 (192.0.2.7 → 192.0.2.9)"),
            (Tunnel::Geneve, ends, "Geneve 5 (192.0.2.7 → 192.0.2.9)"),
            (Tunnel::Gre, ends, "GRE (192.0.2.7 → 192.0.2.9)"),
            (Tunnel::IpInIp, ends, "IP in IP (192.0.2.7 → 192.0.2.9)"),
            (Tunnel::Pppoe, None, "PPPoE session 5"),
        ] {
            connection.scope = Scope::default().within(tunnel, 5);
            connection.tunnel = ends;
            assert_eq!(said(&connection), format!("veth0 · {words}"));
        }
        connection.scope = Scope::default();
        assert_eq!(said(&connection), "veth0");
    }

    #[test]
    fn whose_place_it_took_is_told_by_its_number_and_its_fate() {
        let told = |outcome, close| {
            let mut connection = reused();
            let previous = connection.previous.as_mut().unwrap();
            (previous.outcome, previous.close) = (outcome, close);
            said(&connection)
        };
        let number = "veth0 · takes the place of X = 2452000000";
        assert_eq!(
            told(OpenOutcome::Refused, CloseKind::Reset),
            format!("{number}, refused")
        );
        assert_eq!(
            told(OpenOutcome::Established, CloseKind::FourWay),
            format!("{number}, closed")
        );
        assert_eq!(
            told(OpenOutcome::Established, CloseKind::None),
            format!("{number}, still open")
        );
        assert_eq!(told(OpenOutcome::Probe, CloseKind::None), "veth0");
        assert_eq!(said(&ftp()), "veth0");
    }
}
