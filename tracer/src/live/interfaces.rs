//! Says what becomes of the interfaces, and keeps their names for the records.

use crate::assembler::Assembler;
use crate::attach::follow::Change;
use crate::say::say;

/// How many interfaces are traced.
#[derive(Debug, Default)]
pub(super) struct Traced(usize);

impl Traced {
    /// Takes a change in.
    pub(super) fn hear(&mut self, change: Change, assembler: &mut Assembler) {
        match change {
            Change::Attached(attachment) => {
                self.0 += 1;
                let device = &attachment.device;
                assembler.name_interface(device.index, device.name.as_str().into());
                say(format_args!("tracing {attachment}"));
            }
            Change::Refused { name, reason } => say(format_args!("not tracing {name}: {reason}")),
            Change::Down { name } => {
                say(format_args!(
                    "the interface {name} is down; it is traced again when it comes up"
                ));
            }
            Change::Up { name } => say(format_args!("the interface {name} is up again")),
            Change::Renamed { index, from, to } => {
                say(format_args!("the interface {from} is called {to} now"));
                assembler.name_interface(index, to.into());
            }
            Change::Gone { index, name, moved } => {
                self.0 = self.0.saturating_sub(1);
                assembler.drop_interface(index);
                say(if moved {
                    format!("the interface {name} is gone (moved to another namespace)")
                } else {
                    format!("the interface {name} is gone")
                });
            }
            Change::Ready => {
                if self.0 == 0 {
                    say("no interface is up yet; waiting for one");
                }
            }
        }
    }
}
