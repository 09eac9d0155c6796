//! What can go wrong in the lake, where, and what the caller should do about it.
//!
//! Messages are lowercase fragments that read after "failed to …: ".

use std::{fmt::Display, path::Path};

use deltalake::{
    DeltaTableError, ObjectStoreError, arrow::error::ArrowError, datafusion::error::DataFusionError,
    parquet::errors::ParquetError,
};
use thiserror::Error;

/// An error of the lake: the place (a table, a file, a folder) and the kind.
#[derive(Debug, Error)]
#[error("{place}: {kind}")]
pub struct LakeError {
    /// The table, file or folder.
    pub place: String,
    /// What happened there.
    #[source]
    pub kind: LakeErrorKind,
}

/// What happened.
#[derive(Debug, Error)]
pub enum LakeErrorKind {
    /// The table was written by a newer Keytrail.
    #[error(
        "the table has format version {found}, this program knows up to {known}; use a newer keytrail (nothing was changed)"
    )]
    NewerFormat {
        /// The version that the table states.
        found: u32,
        /// The newest version that this program knows.
        known: u32,
    },
    /// The folder holds a table that Keytrail did not make.
    #[error("not a table of keytrail: {0}")]
    Foreign(String),
    /// Other writers were faster, again and again.
    #[error("other writers committed first, {attempts} times in a row")]
    Contended {
        /// How often it was tried.
        attempts: u32,
    },
    /// Commits that were asked for are no longer in the log.
    #[error("the log reaches back to version {oldest}, version {wanted} is gone; rebuild from the tables instead")]
    LogGone {
        /// The first version that was asked for.
        wanted: u64,
        /// The oldest one still there.
        oldest: u64,
    },
    /// Something in the lake does not read as it was written.
    #[error("damaged: {0}")]
    Damaged(String),
    /// The ledger would forget objects that may still be delivered again.
    #[error("a retention of {days} days is too short; CloudTrail redelivers for 30 days, keep at least {least}")]
    RetentionTooShort {
        /// What was asked for.
        days: u32,
        /// What is safe.
        least: u32,
    },
    /// A name that may not become a file's name.
    #[error("`{0}` cannot be a name here; use letters, digits, `-`, `_` and `.`")]
    BadName(String),
    /// A text that tells no place for a lake.
    #[error("not a place for a lake: {0}")]
    BadLocation(String),
    /// The Delta table could not be read or written.
    #[error("{0}")]
    Delta(#[source] Box<DeltaTableError>),
    /// A scan of the lake's own failed.
    #[error("{0}")]
    Scan(#[source] Box<DataFusionError>),
    /// Columns did not fit together.
    #[error("{0}")]
    Columns(#[source] Box<ArrowError>),
    /// A Parquet file could not be read or written.
    #[error("{0}")]
    Parquet(#[source] Box<ParquetError>),
    /// The store under the lake failed.
    #[error("{0}")]
    Store(#[source] Box<ObjectStoreError>),
    /// The file system failed.
    #[error("{0}")]
    Io(#[source] std::io::Error),
    /// A session for SQL could not be made.
    #[error("{0}")]
    Session(#[source] Box<crate::session::SessionError>),
    /// Work on another thread ended early.
    #[error("interrupted: {0}")]
    Interrupted(String),
}

/// What the caller should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Response {
    /// The same call may work later.
    Retry,
    /// A person must act first.
    Stop,
}

impl LakeError {
    /// An error at a place.
    pub fn new(place: impl Display, kind: impl Into<LakeErrorKind>) -> Self {
        Self { place: place.to_string(), kind: kind.into() }
    }

    /// What the caller should do.
    pub fn response(&self) -> Response {
        match &self.kind {
            LakeErrorKind::Contended { .. }
            | LakeErrorKind::Store(_)
            | LakeErrorKind::Io(_)
            | LakeErrorKind::Interrupted(_)
            | LakeErrorKind::Delta(_) => Response::Retry,
            LakeErrorKind::NewerFormat { .. }
            | LakeErrorKind::Foreign(_)
            | LakeErrorKind::LogGone { .. }
            | LakeErrorKind::Damaged(_)
            | LakeErrorKind::BadName(_)
            | LakeErrorKind::BadLocation(_)
            | LakeErrorKind::RetentionTooShort { .. }
            | LakeErrorKind::Scan(_)
            | LakeErrorKind::Session(_)
            | LakeErrorKind::Columns(_)
            | LakeErrorKind::Parquet(_) => Response::Stop,
        }
    }
}

macro_rules! kinds {
    ($($error:ty => $kind:ident),+ $(,)?) => {
        $(impl From<$error> for LakeErrorKind {
            fn from(error: $error) -> Self {
                Self::$kind(Box::new(error))
            }
        })+
    };
}

kinds! {
    DeltaTableError => Delta,
    DataFusionError => Scan,
    ArrowError => Columns,
    ParquetError => Parquet,
    ObjectStoreError => Store,
}

impl From<std::io::Error> for LakeErrorKind {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<tokio::task::JoinError> for LakeErrorKind {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::Interrupted(error.to_string())
    }
}

/// Adds the place to an error.
pub(crate) trait At<T> {
    /// The error, told with where it happened.
    fn at(self, place: impl Display) -> Result<T, LakeError>;
}

impl<T, E: Into<LakeErrorKind>> At<T> for Result<T, E> {
    fn at(self, place: impl Display) -> Result<T, LakeError> {
        self.map_err(|error| LakeError::new(place, error))
    }
}

/// A path as an error's place.
pub(crate) fn shown(path: &Path) -> String {
    path.display().to_string()
}
