//! A bucket's deliveries into the lake: backfill, and the part of reconciliation that reads.
//!
//! ```text
//! listing, page by page ─▶ in the ledger already, by ETag? ─▶ fetch + decode (several at once, order kept) ─▶ batch ─▶ commit
//! ```
//!
//! In: a [`BucketRequest`]. Out: a [`Summary`] as for folders; progress as it goes. A run that was killed is simply started
//! again: what is in the ledger is passed over without being read.
//!
//! An object that cannot be read is tried again in place, then quarantined with the reason, and the run goes on. Where
//! object after object is refused for want of a permission or a key, the run ends: that is a mistake in the set-up.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt, stream};
use keytrail_model::{Micros, ObjectId};

use super::{Pending, Reading, Store, commit, is_damaged, panicked, quarantined, worker_ended};
use crate::{
    decode::Decoded,
    error::{BucketError, IngestError, IngestErrorKind},
    normalize::Scope,
    objects::{
        ObjectError, ObjectRef, ObjectStore, Response,
        listing::{Wanted, find_deliveries},
    },
    progress::{Progress, Summary},
    settings::{IngestSettings, Window},
};

/// An object is read so often, on top of what the store itself tries; the pause between doubles.
const READS_MAX: u32 = 3;
const READ_PAUSE: Duration = Duration::from_millis(500);
/// So many objects refused in a row end the run.
const REFUSED_MAX: usize = 10;

/// What to read of a bucket.
#[derive(Clone, Debug)]
pub struct BucketRequest {
    pub bucket: String,
    pub prefix: String,
    pub window: Window,
    /// All, where none are named.
    pub accounts: Vec<String>,
    pub regions: Vec<String>,
    pub scope: Scope,
    /// Objects fetched at the same time. Default 32.
    pub fetches: usize,
    /// Objects written at this moment or later are passed over: somebody else may be about to read them.
    pub written_before: Option<Micros>,
    /// Set to end the run after the batch at hand; what was committed stays.
    pub stop: Arc<AtomicBool>,
}

impl BucketRequest {
    /// Everything below the prefix, for the scope `secrets`.
    pub fn new(bucket: impl Into<String>, prefix: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            prefix: prefix.into(),
            window: Window::default(),
            accounts: Vec::new(),
            regions: Vec::new(),
            scope: Scope::Secrets,
            fetches: 32,
            written_before: None,
            stop: Arc::default(),
        }
    }
}

/// Reads what the bucket has and the lake has not.
///
/// # Errors
/// The bucket cannot be listed, refuses object after object, or the lake refuses.
pub async fn ingest_bucket<O: ObjectStore, S: Store>(
    objects: &O,
    store: &S,
    request: &BucketRequest,
    settings: &IngestSettings,
    progress: &dyn Progress,
) -> Result<Summary, BucketError> {
    Ok(read_bucket(objects, store, request, settings, progress, |_| {}).await?.summary)
}

/// What a reading came to, besides its summary.
pub(super) struct BucketRead {
    pub(super) summary: Summary,
    pub(super) too_young: u64,
}

/// `missing` is told of every object that the ledger does not have.
pub(super) async fn read_bucket<O: ObjectStore, S: Store>(
    objects: &O,
    store: &S,
    request: &BucketRequest,
    settings: &IngestSettings,
    progress: &dyn Progress,
    mut missing: impl FnMut(&ObjectRef),
) -> Result<BucketRead, BucketError> {
    let (since, until) = (request.window.since, request.window.until);
    let (accounts, regions) = (request.accounts.clone(), request.regions.clone());
    let wanted = Wanted { since, until, accounts, regions, ..Wanted::default() };
    let mut listing =
        find_deliveries(objects, &request.bucket, &request.prefix, wanted).await.map_err(BucketError::Listing)?;
    let reading = Reading::new(settings, request.scope);
    let mut run =
        Run { store, settings, progress, summary: Summary::default(), pending: Pending::default(), refused: 0 };
    let mut too_young = 0;
    progress.started(&run.summary.counts);
    'pages: while let Some(page) = listing.next().await {
        let page = page.map_err(BucketError::Listing)?;
        let listed = page.objects.len();
        let is_old = |object: &ObjectRef| {
            request.written_before.is_none_or(|before| object.announced_at.is_none_or(|at| at < before))
        };
        let due: Vec<ObjectRef> = page.objects.into_iter().filter(is_old).collect();
        too_young += (listed - due.len()) as u64;
        let counts = &mut run.summary.counts;
        counts.outside += page.outside_count;
        counts.objects_found += page.outside_count + due.len() as u64;
        progress.listed(page.prefixes_done, listing.prefix_count(), counts);
        let known = run.known(&due).await?;
        let count = due.len();
        let new: Vec<ObjectRef> =
            due.into_iter().filter(|object| !id_of(object).is_some_and(|id| known.contains(&id))).collect();
        run.summary.counts.known += (count - new.len()) as u64;
        new.iter().for_each(&mut missing);
        let mut reads = std::pin::pin!(
            stream::iter(new)
                // Tasks of their own, so that they go on while a commit is waited for.
                .map(|object| tokio::spawn(read(objects.clone(), reading.clone(), object)))
                .buffered(request.fetches.max(1))
        );
        while let Some(read) = reads.next().await {
            run.take(read.map_err(worker_ended)?).await?;
            if request.stop.load(Ordering::Relaxed) {
                run.summary.stopped = true;
                break 'pages;
            }
        }
        progress.advanced(&run.summary.counts);
        if request.stop.load(Ordering::Relaxed) {
            run.summary.stopped = true;
            break;
        }
    }
    commit(&mut run.pending, store, &mut run.summary, progress).await?;
    Ok(BucketRead { summary: run.summary, too_young })
}

fn id_of(object: &ObjectRef) -> Option<ObjectId> {
    object.etag.as_deref().map(|etag| object.ledger_id(etag))
}

/// One object, read or not, for the batch.
pub(super) struct ReadObject {
    pub(super) decoded: Box<Decoded>,
    /// Why it could not be read.
    pub(super) error: Option<ObjectError>,
}

/// Fetches and decodes one object; tries again where that may help.
pub(super) async fn read<O: ObjectStore>(objects: O, reading: Reading, object: ObjectRef) -> ReadObject {
    let mut attempt = 0;
    let mut is_second_look = false;
    let error = loop {
        attempt += 1;
        match reading.fetch(&objects, &object).await {
            Ok((read, room)) => {
                let id = object.ledger_id(&read.etag);
                let decoded_id = id.clone();
                let decode =
                    reading.decode(read.bytes, room, move |decoding, bytes| decoding.decode(&decoded_id, bytes));
                // The room is let go of with the answer: `buffered` bounds how many wait.
                let (decoded, _room) = decode.await;
                if !is_second_look && decoded.as_deref().is_some_and(is_damaged) {
                    is_second_look = true;
                    continue;
                }
                return ReadObject { decoded: decoded.unwrap_or_else(|| Box::new(panicked(&id))), error: None };
            }
            Err(error) if error.kind.response() == Response::Retry && attempt < READS_MAX => {
                tokio::time::sleep(READ_PAUSE * attempt).await;
            }
            Err(error) => break error,
        }
    };
    let id = object.ledger_id(object.etag.as_deref().unwrap_or_default());
    let reason = format!("{}: {}", error.kind.as_str(), error.kind);
    ReadObject { decoded: Box::new(quarantined(&id, object.size_bytes, reason)), error: Some(error) }
}

/// What a run over a bucket has gathered so far.
pub(super) struct Run<'a, S> {
    pub(super) store: &'a S,
    pub(super) settings: &'a IngestSettings,
    pub(super) progress: &'a dyn Progress,
    pub(super) summary: Summary,
    pub(super) pending: Pending,
    /// Objects refused in a row.
    pub(super) refused: usize,
}

impl<S: Store> Run<'_, S> {
    async fn known(&self, objects: &[ObjectRef]) -> Result<HashSet<ObjectId>, BucketError> {
        let ids: Vec<ObjectId> = objects.iter().filter_map(id_of).collect();
        let refused = |error| IngestError::new("asking what the lake has", IngestErrorKind::Store(Box::new(error)));
        Ok(self.store.committed(&ids).await.map_err(refused)?)
    }

    /// Into the batch, which is committed when it is due.
    pub(super) async fn take(&mut self, read: ReadObject) -> Result<(), BucketError> {
        match read.error {
            Some(error) if error.kind.response() == Response::Wait => {
                self.refused += 1;
                if self.refused >= REFUSED_MAX {
                    return Err(BucketError::Refused { count: self.refused, last: error });
                }
            }
            _ => self.refused = 0,
        }
        self.add(*read.decoded).await
    }

    pub(super) async fn add(&mut self, decoded: Decoded) -> Result<(), BucketError> {
        self.summary.add(&decoded.entry);
        self.pending.add(decoded);
        if self.pending.is_due(self.settings) {
            commit(&mut self.pending, self.store, &mut self.summary, self.progress).await?;
            self.progress.advanced(&self.summary.counts);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
