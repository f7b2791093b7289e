//! Where events come from.

pub mod capture;
mod clock;
mod ring;
mod tracker;

pub use capture::{CaptureError, Captures, News, Next, Packet};
pub use clock::Clock;
pub use ring::Ring;
pub use tracker::Tracker;
