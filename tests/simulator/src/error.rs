//! What can go wrong while a folder is written: one type, with the path it happened at.
//!
//! Every message is a lowercase fragment that follows "failed to simulate:". Nothing here is worth retrying; the caller
//! shows it and stops.

use std::{io, path::PathBuf};

/// The outcome of everything public in this crate.
pub type Result<T> = std::result::Result<T, SimulateError>;

/// A folder could not be written.
#[derive(Debug, thiserror::Error)]
#[error("{}: {kind}", path.display())]
pub struct SimulateError {
    /// The file or folder at fault.
    pub path: PathBuf,
    /// What was wrong with it.
    #[source]
    pub kind: SimulateErrorKind,
}

/// Why a folder could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimulateErrorKind {
    /// The file system said no.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The folder holds something that these options did not make.
    #[error("the folder is not empty and was not made by the same options; choose another or empty it")]
    ForeignFolder,
    /// An option is out of its range.
    #[error("option {name} must be {expected}")]
    Option {
        /// The option's name.
        name: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// Labels or the marker could not be written as JSON.
    #[error("json: {0}")]
    Json(#[from] serde_json::Error),
}

impl SimulateError {
    pub(crate) fn new(path: impl Into<PathBuf>, kind: impl Into<SimulateErrorKind>) -> Self {
        Self { path: path.into(), kind: kind.into() }
    }
}
