//! What a bad vantage point does to a capture: frames are lost, seen twice, seen out of order, cut.
//!
//! In: a capture and a seed. Out: the same capture of a worse observer, the same for the same seed.

use fastrand::Rng;

use crate::packets::{Packet, Packets};

/// How far out of order a frame may come, and how far behind its original a copy.
const FARTHEST: usize = 4;

/// How badly a capture is treated. Shares are in thousandths.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mangle {
    /// Frames that are missing.
    pub lost: u16,
    /// Frames that come twice.
    pub doubled: u16,
    /// Frames that come late.
    pub late: u16,
    /// What is left of every frame.
    pub snap_len: Option<usize>,
}

impl Mangle {
    /// A worse capture.
    #[must_use]
    pub fn apply(&self, capture: &Packets, seed: u64) -> Packets {
        let mut random = Rng::with_seed(seed);
        let mut chance = |thousandths: u16| random.u16(0..1000) < thousandths;
        // Each frame behind the place that it is to come to.
        let mut frames: Vec<(usize, &Packet)> = Vec::with_capacity(capture.packets.len());
        let mut far = Rng::with_seed(!seed);
        for (place, packet) in capture.packets.iter().enumerate() {
            if chance(self.lost) {
                continue;
            }
            if chance(self.doubled) {
                frames.push((place + far.usize(0..FARTHEST), packet));
            }
            let late = if chance(self.late) {
                far.usize(2..FARTHEST)
            } else {
                0
            };
            frames.push((place + late, packet));
        }
        frames.sort_by_key(|(place, _)| *place);
        // The observer's clock goes on, whatever the order.
        let mut time_ns = 0;
        let packets = frames.into_iter().map(|(place, packet)| {
            let at_place = capture
                .packets
                .get(place)
                .map_or(0, |packet| packet.time_ns);
            time_ns = packet.time_ns.max(at_place).max(time_ns);
            let kept = self.snap_len.unwrap_or(usize::MAX).min(packet.octets.len());
            Packet {
                time_ns,
                octets: packet.octets.iter().take(kept).copied().collect(),
                wire_len: packet.wire_len,
            }
        });
        Packets {
            link_type: capture.link_type,
            packets: packets.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packets::ETHERNET;

    fn capture() -> Packets {
        let packets = (0..2_000_u16).map(|number| Packet {
            time_ns: u64::from(number) * 10,
            octets: number.to_be_bytes().repeat(40),
            wire_len: 80,
        });
        Packets {
            link_type: ETHERNET,
            packets: packets.collect(),
        }
    }

    fn mangled(mangle: Mangle) -> Packets {
        mangle.apply(&capture(), 7)
    }

    #[test]
    fn without_a_wish_nothing_changes() {
        assert_eq!(mangled(Mangle::default()), capture());
    }

    #[test]
    fn the_same_seed_gives_the_same_capture_and_another_gives_another() {
        let mangle = Mangle {
            lost: 100,
            doubled: 100,
            late: 100,
            snap_len: Some(60),
        };
        assert_eq!(mangle.apply(&capture(), 3), mangle.apply(&capture(), 3));
        assert_ne!(mangle.apply(&capture(), 3), mangle.apply(&capture(), 4));
    }

    #[test]
    fn frames_are_lost_doubled_late_and_cut_as_often_as_was_asked_for() {
        let count = |mangle| mangled(mangle).packets.len();
        let lost = Mangle {
            lost: 100,
            ..Mangle::default()
        };
        assert!((1_700..1_900).contains(&count(lost)), "{}", count(lost));
        let doubled = Mangle {
            doubled: 100,
            ..Mangle::default()
        };
        assert!((2_100..2_300).contains(&count(doubled)));
        let late = mangled(Mangle {
            late: 100,
            ..Mangle::default()
        });
        let pairs = || late.packets.windows(2);
        let swapped = pairs()
            .filter(|pair| pair[0].octets > pair[1].octets)
            .count();
        assert!((100..300).contains(&swapped), "{swapped}");
        assert!(pairs().all(|pair| pair[0].time_ns <= pair[1].time_ns));
        let cut = mangled(Mangle {
            snap_len: Some(60),
            ..Mangle::default()
        });
        assert!(
            cut.packets
                .iter()
                .all(|packet| packet.octets.len() == 60 && packet.wire_len == 80)
        );
    }
}
