//! Why a connection failed, or what was odd about it, in a line.

use super::fate::Fate;
use crate::diagnosis::Diagnosis;
use crate::sink::Drawing;
use crate::timeline::Connection;

/// What is diagnosed, or for want of that what became of a connection that failed; nothing where nothing was
/// odd.
pub(super) fn of(connection: &Connection, diagnoses: &[Diagnosis]) -> String {
    let texts: Vec<_> = diagnoses.iter().map(|one| one.text.as_str()).collect();
    if !texts.is_empty() || Fate::of(connection) == Fate::Well {
        return texts.join(" · ");
    }
    let verdict = Drawing::from(connection).verdict.into_iter();
    let told = verdict
        .map(|clause| clause.text)
        .find(|text| !text.starts_with("established"));
    told.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::diagnose;
    use crate::sink::fixtures;

    #[test]
    fn whatever_failed_has_a_reason_and_what_is_well_has_none() {
        for (name, connection) in fixtures::all() {
            let reason = of(&connection, &diagnose(&connection));
            if Fate::of(&connection) != Fate::Well {
                assert!(!reason.is_empty(), "{name}");
            }
        }
        let ftp = fixtures::ftp();
        assert_eq!(of(&ftp, &diagnose(&ftp)), "");
    }
}
