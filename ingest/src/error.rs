//! Why a run ended early.
//!
//! Only what stops the whole run is an error: a path that is not there, or a lake that does not take the batch. A file
//! that cannot be read is a quarantined object, and the run goes on.

use thiserror::Error;

use crate::objects::ObjectError;

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
    #[error("it is in a bucket; only files, folders and `-` are read here")]
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

/// A reading of a bucket that ended early. What was committed before stays, and the next run goes on from there.
#[derive(Debug, Error)]
pub enum BucketError {
    /// The bucket cannot be listed.
    #[error("listing {0}")]
    Listing(#[source] ObjectError),
    /// Object after object may not be read: a person must act, and thousands of quarantined objects would help nobody.
    #[error("{count} objects in a row could not be read, the last one {last}")]
    Refused { count: usize, last: ObjectError },
    #[error(transparent)]
    Ingest(#[from] IngestError),
}
