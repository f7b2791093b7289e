//! Why a file cannot be read as a capture.

use std::io;

use thiserror::Error;

/// Nothing of a file can be read.
#[derive(Debug, Error)]
pub enum CaptureError {
    /// It is not there, or may not be read.
    #[error("open {name}")]
    Open {
        /// The file.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// It can be read only once.
    #[error("the standard input was given twice")]
    Twice,
    /// It is a directory.
    #[error("{name} is a directory")]
    Directory {
        /// The file.
        name: String,
    },
    /// It cannot be read from its beginning on.
    #[error("read {name}")]
    Read {
        /// The file.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// There is nothing in it.
    #[error("{name} is empty: no capture")]
    Empty {
        /// The file.
        name: String,
    },
    /// It is something else.
    #[error("{name} is no capture: {looks}")]
    NoCapture {
        /// The file.
        name: String,
        /// What it looks like.
        looks: &'static str,
    },
}
