//! The names of control bits, in the order in which people say them.

use std::fmt::{Display, Formatter, Result};

use synfin_ebpf::segment::Flags;

static NAMES: [(Flags, &str); 8] = [
    (Flags::SYN, "SYN"),
    (Flags::FIN, "FIN"),
    (Flags::RST, "RST"),
    (Flags::PSH, "PSH"),
    (Flags::ACK, "ACK"),
    (Flags::URG, "URG"),
    (Flags::ECE, "ECE"),
    (Flags::CWR, "CWR"),
];

/// The names of those that are set.
pub(super) fn names(flags: Flags) -> impl Iterator<Item = &'static str> {
    NAMES
        .iter()
        .filter(move |&&(flag, _)| flags.any(flag))
        .map(|&(_, name)| name)
}

/// Flags by their names in JSON: `SYN,ACK`, or `-` for none.
pub(crate) fn parse(text: &str) -> Option<Flags> {
    if text == "-" {
        return Some(Flags(0));
    }
    text.split(',').try_fold(Flags(0), |flags, word| {
        let (flag, _) = NAMES.iter().find(|(_, name)| *name == word)?;
        Some(flags.with(*flag))
    })
}

/// Flags as people read them: `SYN,ACK`, or initials where a scan has set more of them than there is
/// room for.
pub(super) struct Shown(pub(super) Flags);

impl Display for Shown {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        if self.0 == Flags(0) {
            return f.write_str("no flags");
        }
        let short = names(self.0).count() > 4;
        for (index, name) in names(self.0).enumerate() {
            if short {
                f.write_str(name.get(..1).unwrap_or(name))?;
                continue;
            }
            if index > 0 {
                f.write_str(",")?;
            }
            f.write_str(name)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_named_in_order() {
        let fin = Flags::ACK.with(Flags::PSH).with(Flags::FIN);
        assert_eq!(Shown(fin).to_string(), "FIN,PSH,ACK");
        assert!(names(Flags(0xff)).eq(NAMES.map(|(_, name)| name)));
    }

    #[test]
    fn no_flags_and_too_many_flags_are_told_as_such() {
        assert_eq!(Shown(Flags(0)).to_string(), "no flags");
        assert_eq!(Shown(Flags(0xff)).to_string(), "SFRPAUEC");
    }
}
