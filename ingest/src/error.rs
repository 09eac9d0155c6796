//! Why a run ended early.
//!
//! Only what stops the whole run is an error: a path that is not there, or a lake that does not take the batch. A file
//! that cannot be read is a quarantined object, and the run goes on.

use thiserror::Error;

/// A run that ended early. What was committed before stays.
#[derive(Debug, Error)]
#[error("{place}: {kind}")]
pub struct IngestError {
    /// The path, or what was being done.
    pub place: String,
    #[source]
    pub kind: IngestErrorKind,
}

/// What went wrong.
#[derive(Debug, Error)]
pub enum IngestErrorKind {
    #[error("there is no such file or folder")]
    Missing,
    #[error("only files, folders and `-` can be read so far, not `s3://`")]
    NotLocal,
    #[error("the lake refused: {0}")]
    Store(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("a worker thread ended before its object was read")]
    Worker,
}

impl IngestError {
    pub(crate) fn new(place: impl Into<String>, kind: IngestErrorKind) -> Self {
        Self { place: place.into(), kind }
    }
}
