//! Where events come from.

mod clock;
mod ring;

pub use clock::Clock;
pub use ring::Ring;
