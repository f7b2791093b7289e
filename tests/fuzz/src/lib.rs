//! What fuzzing runs, as ordinary functions: input in, and a panic where a promise is broken.
//!
//! cargo-fuzz makes up inputs (`cargo xtask fuzz`); the tests here run the seeds in `corpus`, so the
//! targets stay whole on machines without a fuzzer. The seeds come from the generators of the
//! project's own tests. Each function is called very often: it opens no file and starts no thread.

mod captures;
mod events;
mod frames;
mod input;
mod lines;
mod records;

pub use captures::captures;
pub use events::{events, octets as octets_of_event};
pub use frames::{frames, octets as octets_of_frame};
pub use lines::lines;

/// Runs a target on the files that the command line names.
///
/// # Errors
/// Where one of them cannot be read.
pub fn replay(target: fn(&[u8])) -> std::io::Result<()> {
    for path in std::env::args_os().skip(1) {
        target(&std::fs::read(path)?);
    }
    Ok(())
}
