//! Who is asked, in one window of time: SYNs and completed handshakes of each server.
//!
//! Only what the programs report is seen here, which is a sample of the SYNs. Who gets a share worth
//! naming is among the first few hundred of any window, so that a table of fixed size does.

use std::collections::HashMap;
use std::net::SocketAddr;

use foldhash::fast::RandomState;
use synfin_ebpf::segment::Endpoint;

use crate::timeline;

/// Servers that are told apart.
const MOST: usize = 1_024;

/// What was asked of each.
#[derive(Clone, Debug)]
pub(super) struct Servers {
    tallies: HashMap<Endpoint, Tally, RandomState>,
    syns: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    syns: u64,
    completed: u64,
}

impl Servers {
    pub(super) fn new() -> Self {
        Self {
            tallies: HashMap::with_capacity_and_hasher(MOST, RandomState::default()),
            syns: 0,
        }
    }

    /// Takes a SYN to this server.
    pub(super) fn asked(&mut self, server: Endpoint) {
        self.syns += 1;
        if let Some(tally) = self.tallies.get_mut(&server) {
            tally.syns += 1;
        } else if self.tallies.len() < MOST {
            let tally = Tally {
                syns: 1,
                completed: 0,
            };
            self.tallies.insert(server, tally);
        }
    }

    /// Takes a completed handshake with it.
    pub(super) fn completed(&mut self, server: &Endpoint) {
        if let Some(tally) = self.tallies.get_mut(server) {
            tally.completed += 1;
        }
    }

    /// Those that get at least a 20th of the SYNs, and complete less than a tenth of them.
    pub(super) fn flooded(&self) -> impl Iterator<Item = Endpoint> {
        let flooded = |tally: &Tally| {
            tally.syns.saturating_mul(20) >= self.syns
                && tally.completed.saturating_mul(10) < tally.syns
        };
        let all = self.tallies.iter();
        all.filter(move |(_, tally)| flooded(tally))
            .map(|(server, _)| *server)
    }

    /// Whom the SYNs go to, for a person; `None` where none was seen.
    pub(super) fn told(&self) -> Option<String> {
        let most = self.tallies.iter();
        let (server, tally) =
            most.max_by_key(|(server, tally)| (tally.syns, server.address, server.port))?;
        let server = SocketAddr::new(timeline::ip(server), server.port);
        let tenths = tally.syns.saturating_mul(10);
        Some(if tenths >= self.syns.saturating_mul(9) {
            server.to_string()
        } else if tenths >= self.syns.saturating_mul(5) {
            format!("mostly {server}")
        } else if self.tallies.len() < MOST {
            format!("{} servers", self.tallies.len())
        } else {
            format!("{MOST} servers and more")
        })
    }

    /// Begins another window.
    pub(super) fn clear(&mut self) {
        self.tallies.clear();
        self.syns = 0;
    }
}

#[cfg(test)]
mod tests {
    use synfin_ebpf::segment::Address;

    use super::*;

    fn server(last: u8, port: u16) -> Endpoint {
        Endpoint {
            address: Address::v4([10, 0, 0, last]),
            port,
        }
    }

    fn asked(counts: &[(Endpoint, u64)]) -> Servers {
        let mut servers = Servers::new();
        for (server, count) in counts {
            (0..*count).for_each(|_| servers.asked(*server));
        }
        servers
    }

    #[test]
    fn who_gets_nine_of_ten_is_told_alone_and_who_gets_half_as_well() {
        let (a, b, c) = (server(2, 443), server(3, 443), server(4, 80));
        for (counts, told) in [
            (vec![], None),
            (vec![(a, 9), (b, 1)], Some("10.0.0.2:443")),
            (vec![(a, 8), (b, 2)], Some("mostly 10.0.0.2:443")),
            (vec![(a, 4), (b, 3), (c, 3)], Some("3 servers")),
        ] {
            assert_eq!(asked(&counts).told().as_deref(), told);
        }
        let v6 = Endpoint {
            address: Address::v6([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
            port: 443,
        };
        assert_eq!(
            asked(&[(v6, 1)]).told().as_deref(),
            Some("[2001:db8::1]:443")
        );
    }

    #[test]
    fn flooded_is_who_gets_a_share_and_does_not_complete_it() {
        let (a, b, c) = (server(2, 443), server(3, 443), server(4, 80));
        let mut servers = asked(&[(a, 900), (b, 96), (c, 4)]);
        (0..10).for_each(|_| servers.completed(&b));
        assert_eq!(servers.flooded().collect::<Vec<_>>(), [a]);
    }

    #[test]
    fn memory_is_bounded_and_a_heavy_one_is_found_among_thousands() {
        let mut servers = Servers::new();
        let room = servers.tallies.capacity();
        for number in 0..100_000_u32 {
            let [_, last, high, low] = number.to_be_bytes();
            let port = u16::from_be_bytes([high, low]);
            servers.asked(server(last, port));
            if number % 10 == 0 {
                servers.asked(server(99, 443));
            }
        }
        assert_eq!(servers.tallies.len(), MOST);
        assert_eq!(servers.tallies.capacity(), room);
        assert_eq!(servers.flooded().collect::<Vec<_>>(), [server(99, 443)]);
        assert_eq!(servers.told().as_deref(), Some("1024 servers and more"));
        servers.clear();
        assert_eq!(servers.told(), None);
    }
}
