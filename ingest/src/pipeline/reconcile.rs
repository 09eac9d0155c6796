//! What the bucket holds against what the ledger has.
//!
//! In: a bucket, a prefix, how far to look back. Out: counts, after what was missing has been taken in. It is a backfill with
//! a window and a grace: objects younger than the grace are left to the notification that may still be on its way.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use keytrail_model::{Micros, time};

use super::{
    Store,
    bucket::{BucketRequest, read_bucket},
};
use crate::{
    error::BucketError,
    normalize::Scope,
    objects::ObjectStore,
    progress::{Progress, Summary},
    settings::{IngestSettings, Window},
};

/// Missing objects named one by one.
const NAMED_MAX: usize = 20;

/// What to compare.
#[derive(Clone, Debug)]
pub struct ReconcileRequest {
    pub bucket: String,
    pub prefix: String,
    /// Deliveries of this long before now. Default 3 days.
    pub look_back: Duration,
    /// Objects written within this time are left alone. Default 1 hour.
    pub grace: Duration,
    pub scope: Scope,
    /// Objects fetched at the same time. Default 8: the worker has the first claim.
    pub fetches: usize,
    pub stop: Arc<AtomicBool>,
}

impl ReconcileRequest {
    pub fn new(bucket: impl Into<String>, prefix: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            prefix: prefix.into(),
            look_back: Duration::from_secs(3 * 86_400),
            grace: Duration::from_secs(3_600),
            scope: Scope::Secrets,
            fetches: 8,
            stop: Arc::default(),
        }
    }
}

/// What a comparison found. Listed = known + missing + too young.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Objects of the window that the bucket has.
    pub listed: u64,
    /// In the ledger already.
    pub known: u64,
    /// Left alone: a notification may be on its way.
    pub too_young: u64,
    /// No notification had led to them. They have been taken in; the summary tells how they ended.
    pub missing: u64,
    /// The first of these, by their ledger keys.
    pub missing_keys: Vec<String>,
    pub summary: Summary,
}

/// Compares, and takes in what is missing.
///
/// # Errors
/// The bucket cannot be listed, refuses object after object, or the lake refuses. What was taken in before stays.
pub async fn reconcile<O: ObjectStore, S: Store>(
    objects: &O,
    store: &S,
    request: &ReconcileRequest,
    settings: &IngestSettings,
    progress: &dyn Progress,
) -> Result<Reconciled, BucketError> {
    let now = time::now();
    let before = |span: Duration| now.saturating_sub(Micros::try_from(span.as_micros()).unwrap_or(Micros::MAX));
    let wanted = BucketRequest {
        window: Window { since: Some(before(request.look_back)), until: None },
        scope: request.scope,
        fetches: request.fetches,
        written_before: Some(before(request.grace)),
        stop: Arc::clone(&request.stop),
        ..BucketRequest::new(&request.bucket, &request.prefix)
    };
    let (mut missing, mut missing_keys) = (0, Vec::new());
    let read = read_bucket(objects, store, &wanted, settings, progress, |object| {
        missing += 1;
        if missing_keys.len() < NAMED_MAX {
            missing_keys.push(object.ledger_key());
        }
    })
    .await?;
    let counts = &read.summary.counts;
    let listed = counts.objects_found - counts.outside + read.too_young;
    let (known, too_young) = (counts.known, read.too_young);
    if missing > 0 {
        let (bucket, first) = (&request.bucket, missing_keys.first());
        tracing::warn!(bucket, missing, first, "objects had never been announced; they have been taken in");
    }
    Ok(Reconciled { listed, known, too_young, missing, missing_keys, summary: read.summary })
}
