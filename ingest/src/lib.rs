//! Objects in, access events out: find, decode, normalise, commit.
//!
//! ```text
//! source ── object ──▶ decode ── records ──▶ normalize ── rows ──▶ pipeline ── batch ──▶ lake (rows + ledger, one commit)
//! (files,   bytes +    gunzip,               secrets,              known objects left     │
//!  stdin)   its key    items                 principals            out, order kept        └──▶ progress, summary
//! ```
//!
//! [`decode`] and [`normalize`] are pure: bytes to rows, no I/O, no async, and built without the engine; so is [`notification`].
//! With the feature `pipeline`, [`ingest()`] reads files into a lake, [`ingest_bucket`] a bucket, [`worker::work`] what a queue
//! announces; [`reconcile`] finds what nobody announced, and [`retry`] reads quarantined objects again.
//!
//! Invariants: every object ends committed, skipped(reason) or quarantined(reason), and the three add up; an object's
//! rows and its ledger line are one commit; a bad record never loses its file; memory is bounded by [`IngestSettings`].

#[cfg(feature = "aws")]
pub mod aws;
pub mod decode;
pub mod normalize;
pub mod notification;
pub mod objects;
pub mod queue;

#[cfg(feature = "pipeline")]
mod error;
#[cfg(feature = "pipeline")]
mod pipeline;
#[cfg(feature = "pipeline")]
mod progress;
#[cfg(feature = "pipeline")]
mod settings;
#[cfg(feature = "pipeline")]
mod source;
#[cfg(feature = "pipeline")]
pub mod worker;

#[cfg(feature = "pipeline")]
pub use self::{
    error::{BucketError, IngestError, IngestErrorKind},
    pipeline::{
        BucketRequest, ReconcileRequest, Reconciled, Retried, RetryRequest, Store, ingest, ingest_bucket, reconcile,
        retry,
    },
    progress::{Counts, Progress, Silent, Summary, Trouble},
    settings::{IngestRequest, IngestSettings, Window},
    source::Source,
};
