//! Where events come from.

mod clock;
mod ring;
mod tracker;

pub use clock::Clock;
pub use ring::Ring;
pub use tracker::Tracker;
