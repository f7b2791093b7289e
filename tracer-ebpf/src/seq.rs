//! Sequence numbers and their arithmetic modulo 2³² (RFC 9293 §3.4).

/// A TCP sequence or acknowledgment number.
///
/// There is no `PartialOrd`: numbers are only before or after one another within half the space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Seq(pub u32);

impl Seq {
    /// The number `octets` further on.
    #[inline(always)]
    #[must_use]
    pub const fn add(self, octets: u32) -> Self {
        Self(self.0.wrapping_add(octets))
    }

    /// How far `self` is past `start`, in octets modulo 2³².
    #[inline(always)]
    #[must_use]
    pub const fn since(self, start: Self) -> u32 {
        self.0.wrapping_sub(start.0)
    }

    /// Whether `self` comes before `other`.
    #[inline(always)]
    #[must_use]
    pub const fn before(self, other: Self) -> bool {
        self.since(other) > u32::MAX / 2
    }

    /// Whether an acknowledgment of `self` covers everything before `end`: SEG.ACK ≥ `end`.
    #[inline(always)]
    #[must_use]
    pub const fn covers(self, end: Self) -> bool {
        !self.before(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addition_wraps_at_two_to_the_thirty_two() {
        assert_eq!(Seq(u32::MAX).add(1), Seq(0));
        assert_eq!(Seq(5).since(Seq(u32::MAX)), 6);
    }

    #[test]
    fn order_holds_across_the_wrap() {
        assert!(Seq(u32::MAX).before(Seq(0)));
        assert!(!Seq(0).before(Seq(u32::MAX)));
        assert!(!Seq(7).before(Seq(7)));
        assert!(Seq(0).covers(Seq(u32::MAX)));
    }
}
