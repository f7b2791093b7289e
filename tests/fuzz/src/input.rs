//! The octets of an input, taken from the front.

/// What is left of an input. Past its end there are zeros, so that every input means something.
pub(crate) struct Input<'a>(pub(crate) &'a [u8]);

impl<'a> Input<'a> {
    /// Whether nothing is left.
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next octets, as many of them as there are.
    pub(crate) fn octets(&mut self, len: usize) -> &'a [u8] {
        let (octets, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        octets
    }

    /// The next octets, zeros where they are missing.
    pub(crate) fn array<const N: usize>(&mut self) -> [u8; N] {
        let octets = self.octets(N);
        let mut array = [0; N];
        for (to, from) in array.iter_mut().zip(octets) {
            *to = *from;
        }
        array
    }

    pub(crate) fn u8(&mut self) -> u8 {
        let [octet] = self.array();
        octet
    }

    pub(crate) fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.array())
    }

    pub(crate) fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    /// A time between two things in ns, from one octet: none, or a power of two up to nine minutes.
    pub(crate) fn pause_ns(&mut self) -> u64 {
        match self.u8() % 40 {
            0 => 0,
            power => 1 << power,
        }
    }
}

/// The octet that stands for a pause of about this length.
pub(crate) fn power(pause_ns: u64) -> u8 {
    let power = pause_ns.checked_ilog2().unwrap_or_default();
    u8::try_from(power).unwrap_or(u8::MAX).min(39)
}
