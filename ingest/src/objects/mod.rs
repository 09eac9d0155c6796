//! Where announced objects are read from, and how reading can fail.
//!
//! In: an [`ObjectRef`] (what a notification or a listing told). Out: its bytes, whole and capped, with the ETag they were
//! read under; or an [`ObjectError`] whose [`Response`] says what helps. Transient faults are retried inside, with backoff
//! and jitter, as long as the settings allow: an error that comes out has outlived them.
//!
//! Invariant: bytes are returned whole or not at all; a body that ends early, or changes while it is read, is an error.
//!
//! Three of them, held to one contract (`contract.rs`): S3, a folder, and one in memory. [`listing`] finds the deliveries of
//! a time window in any of them.

#[cfg(all(feature = "aws", any(test, feature = "contract")))]
pub mod contract;
#[cfg(feature = "aws")]
pub mod folder;
#[cfg(feature = "aws")]
pub mod listing;
#[cfg(feature = "aws")]
pub mod memory;
#[cfg(feature = "aws")]
pub mod s3;

use std::future::Future;

use keytrail_model::{Micros, ObjectId};
use thiserror::Error;

/// One object that somebody told of and nobody has read yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ObjectRef {
    pub bucket: String,
    /// As it stands in the bucket: decoded, where the notification had it encoded.
    pub key: String,
    pub version_id: Option<String>,
    /// Without quotes.
    pub etag: Option<String>,
    pub size_bytes: Option<u64>,
    /// The bucket's region, where it was told.
    pub region: Option<String>,
    /// When it was created or announced.
    pub announced_at: Option<Micros>,
}

impl ObjectRef {
    /// `s3://bucket/key`: how the ledger, the rows and the alerts name it.
    pub fn ledger_key(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.key)
    }

    /// The ledger's identity, once the ETag is known.
    pub fn ledger_id(&self, etag: &str) -> ObjectId {
        ObjectId { key: self.ledger_key(), version: etag.to_owned() }
    }
}

/// An object's bytes as delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectBytes {
    /// Without quotes; for a folder, or a store that names none, a SHA-256 of the bytes.
    pub etag: String,
    pub bytes: Vec<u8>,
}

/// Buckets, or what stands for them. A clone is the same store.
pub trait ObjectStore: Clone + Send + Sync + 'static {
    /// Reads one object whole; more than `max_bytes` is [`ObjectErrorKind::TooLarge`]. Where `version_id` is set, that version
    /// is read. An ETag that differs from the announced one is not an error here: the caller compares.
    fn get(
        &self,
        object: &ObjectRef,
        max_bytes: usize,
    ) -> impl Future<Output = Result<ObjectBytes, ObjectError>> + Send;

    /// One page of the keys under a prefix, in key order, after `after` (exclusive).
    fn list(
        &self,
        bucket: &str,
        prefix: &str,
        after: Option<&str>,
    ) -> impl Future<Output = Result<Page, ObjectError>> + Send;

    /// The "folders" directly below a prefix that ends in `/` (or is empty), each ending in `/`.
    fn folders(&self, bucket: &str, prefix: &str) -> impl Future<Output = Result<Vec<String>, ObjectError>> + Send;
}

/// Part of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    pub objects: Vec<ObjectRef>,
    /// Whether more follows after the last object.
    pub more: bool,
}

/// An object that was not read.
#[derive(Debug, Error)]
#[error("{place}: {kind}")]
pub struct ObjectError {
    /// `s3://bucket/key`, or the prefix.
    pub place: String,
    #[source]
    pub kind: ObjectErrorKind,
}

impl ObjectError {
    pub fn new(place: impl Into<String>, kind: ObjectErrorKind) -> Self {
        Self { place: place.into(), kind }
    }
}

/// Why an object was not read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ObjectErrorKind {
    #[error("it is not there (deleted, or never written)")]
    Missing,
    #[error("this version of it was deleted")]
    MissingVersion,
    #[error("the bucket is not there")]
    NoSuchBucket,
    #[error(
        "access is denied ({code}): the worker's role needs s3:GetObject and s3:ListBucket (without the latter, S3 says this \
         of an object that is not there, too)"
    )]
    Forbidden { code: String },
    #[error("its KMS key may not be used ({code}): grant kms:Decrypt on the trail's key to the worker's role")]
    KeyDenied { code: String },
    #[error("the bucket is in {region}")]
    WrongRegion { region: String },
    #[error("it is archived ({class}): restore it first")]
    Archived { class: String },
    #[error("S3 asks to slow down")]
    Throttled,
    #[error("S3 cannot be reached or failed: {0}")]
    Unavailable(String),
    #[error("the body ended after {got} of {expected} bytes")]
    Truncated { expected: u64, got: u64 },
    #[error("it has {size} bytes, more than max_object_bytes ({max})")]
    TooLarge { size: u64, max: u64 },
    #[error("it was overwritten while it was read")]
    Overwritten,
    #[error("S3 refuses the request ({code}): {message}")]
    Refused { code: String, message: String },
}

/// What helps against an [`ObjectError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Response {
    /// Time alone: try again soon.
    Retry,
    /// A person must act first (permissions, keys, restore): alarm, try again seldom, quarantine in the end.
    Wait,
    /// Nothing: quarantine with the reason.
    Quarantine,
}

impl ObjectErrorKind {
    pub fn response(&self) -> Response {
        match self {
            Self::Throttled | Self::Unavailable(_) | Self::Truncated { .. } | Self::Overwritten => Response::Retry,
            Self::NoSuchBucket
            | Self::Forbidden { .. }
            | Self::KeyDenied { .. }
            | Self::WrongRegion { .. }
            | Self::Archived { .. }
            | Self::Refused { .. } => Response::Wait,
            Self::Missing | Self::MissingVersion | Self::TooLarge { .. } => Response::Quarantine,
        }
    }

    /// A short word for metrics and for the ledger's reason: `missing`, `forbidden`, …
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::MissingVersion => "missing_version",
            Self::NoSuchBucket => "no_such_bucket",
            Self::Forbidden { .. } => "forbidden",
            Self::KeyDenied { .. } => "kms_denied",
            Self::WrongRegion { .. } => "wrong_region",
            Self::Archived { .. } => "archived",
            Self::Throttled => "throttled",
            Self::Unavailable(_) => "unavailable",
            Self::Truncated { .. } => "truncated",
            Self::TooLarge { .. } => "too_large",
            Self::Overwritten => "overwritten",
            Self::Refused { .. } => "refused",
        }
    }
}

/// Keys of one page of a listing.
#[cfg(feature = "aws")]
const PAGE_KEYS: usize = 1_000;

#[cfg(feature = "aws")]
fn sha256_hex(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
