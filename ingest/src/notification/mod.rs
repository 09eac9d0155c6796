//! Message body -> the objects that it announces.
//!
//! In: the body of one queue message, as anybody may have written it. Out: a [`Notice`], always: what could not be
//! understood is in `faults`, and a message with faults is never deleted (the queue's redrive policy moves it to the DLQ).
//! The shape is told from the body itself; envelopes (SNS, and what Lambda is handed) are opened to depth 3; unknown
//! members are passed over. Nothing is fetched: the URL of a subscription confirmation is never followed. It does no I/O
//! and never panics.
//!
//! ```text
//! body ── read ──▶ SNS, Lambda's SNS and SQS records ── opened, at most three deep
//!                  Records[].s3 ─────────────────────── s3           keys form-url-decoded
//!                  s3Bucket + s3ObjectKey ───────────── read         CloudTrail's own SNS: keys as they stand
//!                  detail-type or source + detail ───── event_bridge keys as they stand; records inline
//! ```
//!
//! Bounds: a body of [`MAX_BODY_BYTES`], [`MAX_PARTS`] parts, [`MAX_WORDS`] faults (the others are counted), keys of 1,024
//! bytes. What goes beyond is a fault, and what was read before it is kept.

mod event_bridge;
mod keys;
mod members;
mod read;
mod s3;
#[cfg(test)]
mod tests;

pub use self::{
    keys::{decode_key, encode_key},
    read::read,
};
use crate::objects::ObjectRef;

/// The longest body that is read: the most that SQS takes (1 MiB since 2025).
pub const MAX_BODY_BYTES: usize = 1024 * 1024;
/// Records and keys of one body that are looked at, those of the messages inside it included.
pub const MAX_PARTS: usize = 10_000;
/// Faults, and ignored parts, of one body that are put in words; the others are counted in one more line.
pub const MAX_WORDS: usize = 100;
/// Envelopes around a message that are opened.
pub const MAX_ENVELOPES: usize = 3;

/// What a body turned out to be. One word each for counts and logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Shape {
    S3,
    CloudTrailSns,
    EventBridgeObject,
    EventBridgeRecord,
    SecretLabelUpdated,
    SecurityLake,
    S3Test,
    CloudTrailValidation,
    SubscriptionConfirmation,
    /// An EventBridge event about something else: its rule is wider than need be.
    EventBridgeOther,
    Unknown,
}

impl Shape {
    /// The word for metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::CloudTrailSns => "cloudtrail_sns",
            Self::EventBridgeObject => "eventbridge_object",
            Self::EventBridgeRecord => "eventbridge_record",
            Self::SecretLabelUpdated => "secret_label_updated",
            Self::SecurityLake => "security_lake",
            Self::S3Test => "s3_test",
            Self::CloudTrailValidation => "cloudtrail_validation",
            Self::SubscriptionConfirmation => "subscription_confirmation",
            Self::EventBridgeOther => "eventbridge_other",
            Self::Unknown => "unknown",
        }
    }
}

/// An event that came in the message itself (EventBridge): it is read like an object of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InlineEvent {
    /// What the ledger calls it: `eventbridge://ACCOUNT/REGION/ID`, the same at every redelivery.
    pub ledger_key: String,
    /// The EventBridge envelope as JSON, for `decode_object`.
    pub json: String,
}

/// Everything that one body says.
///
/// A notice without objects, inline event, left-alone objects and faults asks for nothing: its message may be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The first shape that was recognised in it.
    pub shape: Shape,
    /// Objects to read, in the body's order, each once.
    pub objects: Vec<ObjectRef>,
    /// Objects that are recognised and left alone, with the reason (Security Lake's Parquet): they get a ledger line.
    pub left_alone: Vec<(ObjectRef, String)>,
    pub inline: Option<InlineEvent>,
    /// Parts that need nothing, in words (an object was removed, a test message).
    pub ignored: Vec<String>,
    /// Parts that could not be understood, in words, with their place (`Records[2].s3.object.key is missing`).
    pub faults: Vec<String>,
}
