//! The desk's batch: gathered, committed, tried again, given up.
//!
//! A commit is due by rows, bytes or objects; `commit_after` its first object; or at once when nothing else is under way
//! and the last commit is `commit_after` ago, so that little traffic waits for nothing and much makes few commits. One
//! commit runs at a time; the next batch gathers meanwhile, until it is full.
//!
//! A refused commit is tried again, with pauses, for `commit_retry_for`: the same batch may be committed again after any
//! error. Then its messages are given back; after `failed_batches_max` in a row the worker ends.

use std::{collections::HashSet, sync::Arc, sync::atomic::Ordering, time::Duration};

use keytrail_lake::{Batch, Committed};
use keytrail_model::{ObjectEntry, ObjectId};
use tokio::{task::AbortHandle, time::Instant};

use super::{
    Desk,
    objects::WorkNo,
    step::{Step, StoreError, guarded},
};
use crate::{
    decode::Decoded,
    objects::ObjectStore,
    pipeline::{Pending, Store},
    queue::Queue,
    settings::IngestSettings,
    worker::{
        WorkError,
        backoff::Backoff,
        events::{self, Why},
        settings::WorkerSettings,
        watch::WorkerWatch,
    },
};

/// What gathers for the next commit.
#[derive(Default)]
pub(super) struct Gathering {
    pub(super) pending: Pending,
    ids: HashSet<ObjectId>,
    works: Vec<WorkNo>,
    since: Option<Instant>,
}

/// The batch that is being committed.
pub(super) struct InCommit {
    ids: HashSet<ObjectId>,
    works: Vec<WorkNo>,
    task: AbortHandle,
}

impl Gathering {
    pub(super) fn is_full(&self, settings: &IngestSettings) -> bool {
        self.pending.is_due(settings)
    }

    /// When a commit is due by age.
    pub(super) fn due_at(&self, settings: &WorkerSettings) -> Option<Instant> {
        self.since.map(|since| since + settings.commit_after)
    }

    fn add(&mut self, decoded: Decoded) {
        // Twice in one batch: the first to come is the same.
        if self.ids.insert(decoded.entry.object.clone()) {
            self.pending.add(decoded);
        }
    }
}

impl<Q: Queue, O: ObjectStore, S: Store> Desk<Q, O, S> {
    /// Adds what is known of an object to the batch.
    pub(super) fn add_to_batch(
        &mut self,
        no: WorkNo,
        decoded: Option<Box<Decoded>>,
        overwritten: Option<Box<Decoded>>,
    ) {
        let Some(work) = self.works.get_mut(&no) else {
            return;
        };
        work.batched = true;
        for decoded in [decoded, overwritten].into_iter().flatten() {
            self.gathering.add(*decoded);
        }
        self.gathering.works.push(no);
        self.gathering.since.get_or_insert_with(Instant::now);
    }

    /// The object is in a batch already, through another announcement: this work shares that batch's fate. False where it
    /// needs a batch of its own.
    pub(super) fn join_batch(&mut self, no: WorkNo) -> bool {
        let Some(work) = self.works.get_mut(&no) else {
            return true;
        };
        let Some(id) = &work.id else {
            return false;
        };
        if self.gathering.ids.contains(id) {
            work.bytes = None;
            let overwritten = work.overwritten.take();
            self.add_to_batch(no, None, overwritten);
            return true;
        }
        match &mut self.in_commit {
            // With a line of its own to write it would hang on two commits: then it is decoded again, and the lake drops
            // what it has.
            Some(batch) if batch.ids.contains(id) && work.overwritten.is_none() => {
                work.bytes = None;
                work.batched = true;
                batch.works.push(no);
                true
            }
            _ => false,
        }
    }

    /// True when nothing is on its way into the batch.
    fn is_quiet(&self) -> bool {
        let batched = self.gathering.works.len() + self.in_commit.as_ref().map_or(0, |batch| batch.works.len());
        self.works.len() <= batched && self.tools.arriving.load(Ordering::Relaxed) == 0
    }

    /// When a quiet batch may be committed before its time.
    pub(super) fn early_commit_at(&self) -> Option<Instant> {
        let may = self.in_commit.is_none() && self.gathering.since.is_some() && self.is_quiet();
        let last = self.last_commit.map(|last| last + self.tools.settings.commit_after);
        self.gathering.since.filter(|_| may).map(|since| last.map_or(since, |last| last.max(since)))
    }

    pub(super) fn start_commit(&mut self) {
        if self.in_commit.is_some() {
            return;
        }
        let now = Instant::now();
        let settings = &self.tools.settings;
        let is_due = self.gathering.is_full(&settings.ingest)
            || self.gathering.due_at(settings).is_some_and(|due| due <= now)
            || self.early_commit_at().is_some_and(|at| at <= now)
            || (self.closing.is_some() && self.is_quiet());
        if !is_due {
            return;
        }
        let Gathering { mut pending, ids, works, .. } = std::mem::take(&mut self.gathering);
        let Some(batch) = pending.take() else {
            // Works that only waited for others' lines.
            works.into_iter().for_each(|work| self.durable(work));
            return;
        };
        let (store, settings, watch) = (self.tools.store.clone(), Arc::clone(settings), Arc::clone(&self.tools.watch));
        let task = self.steps.spawn(async move {
            let entries = batch.objects.clone();
            let result = commit(&store, batch, &settings, &watch).await;
            Step::Committed { result, entries }
        });
        self.in_commit = Some(InCommit { ids, works, task });
    }

    pub(super) fn committed(&mut self, result: Result<(Committed, Duration), StoreError>, entries: &[ObjectEntry]) {
        let Some(batch) = self.in_commit.take() else {
            return;
        };
        self.last_commit = Some(Instant::now());
        match result {
            Ok((committed, took)) => {
                self.failed_batches = 0;
                events::committed(&self.tools.watch, entries, &committed, took);
                for work in batch.works {
                    self.durable(work);
                }
            }
            Err(error) => {
                for work in batch.works {
                    self.put_off(work, Why::Store);
                }
                self.batch_given_up("committing a batch", error);
            }
        }
    }

    /// The lake has refused for too long. The messages have been given back already.
    pub(super) fn batch_given_up(&mut self, doing: &'static str, error: StoreError) {
        self.failed_batches += 1;
        if self.failed_batches >= self.tools.settings.failed_batches_max.max(1) && self.failure.is_none() {
            self.failure = Some(WorkError::Store { doing, source: error });
        }
    }

    /// At the end of a shutdown: what is not committed is left to the next worker.
    pub(super) fn abandon_batches(&mut self) {
        if let Some(batch) = self.in_commit.take() {
            batch.task.abort();
            batch.works.into_iter().for_each(|work| self.abandon(work));
        }
        let gathering = std::mem::take(&mut self.gathering);
        gathering.works.into_iter().for_each(|work| self.abandon(work));
    }
}

/// Commits one batch, again and again for as long as the settings allow.
async fn commit<S: Store>(
    store: &S,
    batch: Batch,
    settings: &WorkerSettings,
    watch: &WorkerWatch,
) -> Result<(Committed, Duration), StoreError> {
    let began = Instant::now();
    let mut backoff = Backoff::new(settings.pause, settings.pause_max);
    let mut attempt = 0;
    loop {
        attempt += 1;
        let started = Instant::now();
        let error = match guarded(store.commit(batch.clone())).await {
            Ok(Ok(committed)) => return Ok((committed, started.elapsed())),
            Ok(Err(error)) => StoreError::from(error),
            Err(panicked) => StoreError::from(panicked),
        };
        events::store_failed(watch, "commit", &error.to_string(), attempt);
        let pause = backoff.pause();
        if began.elapsed() + pause >= settings.commit_retry_for {
            return Err(error);
        }
        tokio::time::sleep(pause).await;
    }
}
