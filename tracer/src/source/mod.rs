//! Where events come from.

mod accounts;
pub mod capture;
mod cell;
mod clock;
mod record;
mod ring;
mod tracker;

pub use accounts::AccountTable;
pub use capture::{CaptureError, Captures, News, Next, Packet};
pub use cell::Cell;
pub use clock::Clock;
pub use record::Record;
pub use ring::{Fill, Ring};
pub use tracker::Tracker;
