//! `synfin detach`: removes what a synfin that was killed has left on interfaces.

use crate::attach::{AttachError, Device, Swept};
use crate::cli::Detach;
use crate::say::say;

/// Removes it, and says what it was.
///
/// # Errors
/// Where there is no such interface, or the right to remove filters is missing.
pub fn run(options: &Detach) -> Result<(), AttachError> {
    let devices = devices(&options.interfaces)?;
    let mut none = true;
    for device in &devices {
        let swept = device.sweep()?;
        let Swept { in_use, .. } = swept;
        if swept.is_some() {
            say(format_args!("{}: {swept}", device.name));
        }
        if in_use > 0 {
            let name = &device.name;
            say(format_args!(
                "{name}: {in_use} of the filters there belong to a synfin that runs, and stay"
            ));
        }
        none &= swept == Swept::default();
    }
    if none {
        say("nothing is left of a synfin that was killed");
    }
    Ok(())
}

fn devices(names: &[String]) -> Result<Vec<Device>, AttachError> {
    if names.is_empty() {
        return Device::all();
    }
    names.iter().map(|name| Device::find(name)).collect()
}
