//! An object that was built from another version is told as such, and nothing of it is loaded.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use object::{File, Object as _, ObjectSection as _};
use synfin::attach::{AttachError, LoadOptions, Programs};
use synfin_ebpf::event::{ABI_SECTION, ABI_VERSION};
use synfin_tests::cases;
use synfin_tests::frames::patch;
use synfin_tests::requirement::{
    self,
    Requirement::{BpfObject, Root},
};
use synfin_tests::suite::Case;

pub(crate) fn cases() -> Vec<Case> {
    cases![[Root, BpfObject];
        an_object_of_another_version_is_refused,
        an_object_without_a_version_is_refused,
    ]
}

fn object() -> Result<Vec<u8>> {
    fs::read(requirement::bpf_object()).context("read the BPF object")
}

fn refusal(object: &[u8]) -> Result<AttachError> {
    let loaded = Programs::load_object(object, &LoadOptions::default());
    loaded.err().context("it was loaded")
}

fn an_object_of_another_version_is_refused() -> Result<()> {
    let mut octets = object()?;
    let file = File::parse(&*octets)?;
    let section = file.section_by_name(ABI_SECTION).context("its version")?;
    let (start, _) = section.file_range().context("where it is")?;
    let other = ABI_VERSION + 1;
    patch(&mut octets, usize::try_from(start)?, &other.to_ne_bytes());
    let error = refusal(&octets)?;
    ensure!(
        matches!(error, AttachError::OtherAbi { object, ours } if (object, ours) == (other, ABI_VERSION)),
        "{error}"
    );
    ensure!(error.to_string().contains("cargo xtask build"), "{error}");
    Ok(())
}

fn an_object_without_a_version_is_refused() -> Result<()> {
    let mut octets = object()?;
    let name = ABI_SECTION.as_bytes();
    // What the table of names calls otherwise is not found.
    let places: Vec<usize> = (0..octets.len())
        .filter(|place| octets[*place..].starts_with(name))
        .collect();
    ensure!(!places.is_empty(), "the section has another name");
    for place in places {
        patch(&mut octets, place, b"nothing");
    }
    let error = refusal(&octets)?;
    ensure!(error.to_string().contains("another version"), "{error}");
    Ok(())
}
