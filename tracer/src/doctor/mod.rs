//! `synfin doctor`: whether tracing would work here, told before anything is attached.
//!
//! In: what the kernel tells when it is asked. Out: a line for each thing that matters, and whether one of
//! them is in the way. Absent on purpose: trying it. Nothing is attached, made or changed.

mod device;
mod finding;
mod host;

use anyhow::bail;

use crate::attach::Device;
use crate::cli::{Doctor, Trace};
use crate::netns;
use crate::writer::print;
use finding::{Finding, Mark};

/// Looks at the host and its interfaces, and prints what it found.
///
/// # Errors
/// Where something is in the way of tracing, or there is no such interface.
pub fn run(options: &Doctor) -> anyhow::Result<()> {
    if let Some(wanted) = &options.netns {
        netns::enter(wanted)?;
    }
    let devices = match options.interfaces.as_slice() {
        [] => Device::all()?,
        names if names.iter().any(|name| name == Trace::ANY) => Device::all()?,
        names => names
            .iter()
            .map(|name| Device::find(name))
            .collect::<Result<_, _>>()?,
    };
    let mut parts = vec![("this host".to_owned(), host::findings())];
    for device in &devices {
        let findings = device::findings(device, options.xdp_mode.into())?;
        parts.push((device.name.clone(), findings));
    }
    let mut text = String::new();
    for (title, findings) in &parts {
        finding::write(title, findings, &mut text);
    }
    print(text.as_bytes())?;
    let in_the_way = |(_, findings): &&(String, Vec<Finding>)| {
        findings.iter().any(|finding| finding.mark == Mark::Wrong)
    };
    let wrong: Vec<_> = parts
        .iter()
        .filter(in_the_way)
        .map(|(title, _)| title.as_str())
        .collect();
    if !wrong.is_empty() {
        bail!("tracing would not work: see ✗ under {}", wrong.join(", "));
    }
    Ok(())
}
