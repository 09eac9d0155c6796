//! Objects to commits: the loop.
//!
//! ```text
//! found, in order ─▶ groups ─▶ read + hash ─▶ in the lake already? ─▶ decode ─▶ (order restored) ─▶ batch ─▶ commit
//!                    (small    worker          one question each       worker                         due by rows,
//!                     ones)                                                                           bytes, objects
//! ```
//!
//! In: an [`IngestRequest`] and a [`Store`]. Out: a [`Summary`]; progress as it goes. Workers run on the blocking pool, as
//! many as the settings say; at most that many groups are under way, and together they hold at most `reading_bytes`.
//!
//! Invariants: objects are committed in the order in which they were found; an object's rows and its ledger line are in one
//! batch; the store is asked before an object is decoded, and judges again at commit. A file that cannot be read is
//! quarantined and the run goes on; a store that refuses ends the run, and what was committed stays.

mod bucket;
mod decoding;
mod fetch;
mod group;
mod pending;
mod permits;
mod reading;
mod reconcile;
mod retry;
mod store;

use std::{
    collections::HashSet,
    sync::{Arc, atomic::Ordering},
};

use futures::{StreamExt, stream};

use self::group::{GroupReader, Outcome, groups};
pub use self::{
    bucket::{BucketRequest, ingest_bucket},
    reconcile::{ReconcileRequest, Reconciled, reconcile},
    retry::{Retried, RetryRequest, retry},
    store::Store,
};
pub(crate) use self::{
    decoding::{Decoding, is_damaged, panicked, quarantined},
    pending::Pending,
    permits::{Permits, Room},
    reading::Reading,
};
use crate::{
    error::{IngestError, IngestErrorKind},
    progress::{Progress, Summary},
    settings::{IngestRequest, IngestSettings},
    source,
};

/// Reads everything that the request names into the store.
pub async fn ingest<S: Store>(
    store: &S,
    request: &IngestRequest,
    settings: &IngestSettings,
    progress: &dyn Progress,
) -> Result<Summary, IngestError> {
    let mut summary = Summary::default();
    let sources = request.sources.clone();
    let found = tokio::task::spawn_blocking(move || source::find(&sources)).await.map_err(worker_ended)??;
    summary.counts.objects_found = found.len() as u64;
    let inside: Vec<_> = found.into_iter().filter(|object| request.window.holds(object.delivered_at)).collect();
    summary.counts.outside = summary.counts.objects_found - inside.len() as u64;
    progress.started(&summary.counts);

    let reader = Arc::new(GroupReader::new(settings.clone(), request.scope));
    let mut read = std::pin::pin!(
        stream::iter(groups(inside))
            // Tasks of their own: a reader that waits inside the store while nobody polls it, because a commit is under way,
            // could hold what that commit waits for.
            .map(|group| tokio::spawn(Arc::clone(&reader).read(store.clone(), group)))
            .buffered(settings.workers.max(1))
    );
    let mut pending = Pending::default();
    // The same bytes under the same key may come from two folders; the store cannot know the first before it is committed.
    let mut seen = HashSet::new();
    while let Some(outcomes) = read.next().await {
        for outcome in outcomes.map_err(worker_ended)?? {
            match outcome {
                Outcome::Known => summary.counts.known += 1,
                Outcome::Decoded(decoded) if !seen.insert(decoded.entry.object.digest()) => summary.counts.known += 1,
                Outcome::Decoded(decoded) => {
                    summary.add(&decoded.entry);
                    pending.add(*decoded);
                }
            }
            if pending.is_due(settings) {
                commit(&mut pending, store, &mut summary, progress).await?;
            }
        }
        progress.advanced(&summary.counts);
        if request.stop.load(Ordering::Relaxed) {
            summary.stopped = true;
            break;
        }
    }
    commit(&mut pending, store, &mut summary, progress).await?;
    Ok(summary)
}

/// Commits what has gathered, if anything has.
async fn commit<S: Store>(
    pending: &mut Pending,
    store: &S,
    summary: &mut Summary,
    progress: &dyn Progress,
) -> Result<(), IngestError> {
    let Some(batch) = pending.take() else {
        return Ok(());
    };
    let place = format!("committing {} objects", batch.objects.len());
    let committed =
        store.commit(batch).await.map_err(|error| IngestError::new(place, IngestErrorKind::Store(Box::new(error))))?;
    let counts = &mut summary.counts;
    counts.rows_written += committed.rows_written;
    counts.duplicate_events += committed.duplicate_events;
    counts.rows_changed += committed.rows_changed;
    counts.commits += 1;
    progress.committed(counts);
    Ok(())
}

fn worker_ended(_: tokio::task::JoinError) -> IngestError {
    IngestError::new("reading", IngestErrorKind::Worker)
}

#[cfg(test)]
mod tests;
