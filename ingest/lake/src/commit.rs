//! One batch into the lake: its rows and the ledger lines of its objects are one atomic commit.
//!
//! ```text
//! Batch ─▶ objects already in the ledger dropped ─▶ names resolved ─▶ neighbours found ─▶ settled
//!       ─▶ files written ─▶ commit at snapshot + 1 ── lost ──▶ newer snapshot, from the start
//!                                    │ landed
//!                                    └─▶ objects, quarantine projected (repaired later if that fails)
//! ```
//!
//! Invariants: what is in the ledger has its rows in the table; no row is there twice. A crash anywhere leaves at most
//! data files that no commit names (`vacuum` removes them) and a projection that the next opening completes. Rows of
//! `events` (scope = all) are committed first, each event once, so that the ledger line never precedes them.

use std::collections::{HashMap, HashSet};

use deltalake::{
    DeltaTable,
    kernel::{Action, Add},
    protocol::DeltaOperation,
};
use keytrail_model::{AccessEvent, Micros, ObjectEntry, ObjectId, TrailEvent, time};
use uuid::Uuid;

use crate::{
    encode::{encode_stored, encode_trail_events},
    error::{LakeError, LakeErrorKind},
    lake::Lake,
    ledger::{CommitLine, commit_line},
    project::append,
    schema::TableName,
    settle::EventKey,
    table::{Draft, Landed, transaction, transaction_version, version_of},
    write::Purpose,
};

mod plan;

use plan::Plan;

/// The application id of ingest's commits: a counter that grows by one with each.
const APP: &str = "keytrail-ingest";
/// Texts of this size together go into one batch of columns; Arrow's own limit is 2 GiB.
const CHUNK_BYTES: usize = 128 * 1024 * 1024;

/// What was read from some objects.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Rows of `access_events`. Rows of one record stand next to each other.
    pub rows: Vec<AccessEvent>,
    /// Rows of `events`, with `scope = "all"`.
    pub events: Vec<TrailEvent>,
    /// What became of each object; every row's object has its line here.
    pub objects: Vec<ObjectEntry>,
    /// Reads again what ended badly: an object that the ledger has in quarantine, wholly or in part, is written once more
    /// and its new line takes the place of the old one. Rows that were there already stay as they are.
    pub again: bool,
}

/// What a commit did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// The version of `access_events` that holds the batch.
    pub version: u64,
    /// New rows of `access_events`.
    pub rows_written: u64,
    /// Events of the batch that gave no rows because they were there already, corrected, or another account's copy.
    pub duplicate_events: u64,
    /// Rows of earlier commits that the batch's events changed or replaced.
    pub rows_changed: u64,
    /// Objects that were not in the ledger before, or whose line there was replaced.
    pub objects_written: u64,
}

impl Lake {
    /// Commits a batch. Objects that the ledger already has are left out with their rows, so a batch may be committed
    /// again after any error. With [`Batch::again`], objects in trouble do not count as being there.
    ///
    /// # Errors
    /// The tables cannot be read or written, or other workers were faster too often; nothing of the batch is in the
    /// lake then, or all of it is and the next try finds it.
    pub async fn commit(&self, batch: Batch) -> Result<Committed, LakeError> {
        let _writing = self.inner.writing.lock().await;
        let name = TableName::AccessEvents;
        let table = self.inner.tables.get(name);
        let now = time::now();
        let batch_id = new_batch_id(now);
        let Batch { mut rows, events, objects, again } = batch;
        let objects = distinct(objects);
        let mut looked_at = None;
        for attempt in 0..self.inner.settings.commit_attempts {
            let snapshot = table.latest().await?;
            if let Some(looked_at) = looked_at
                && let Some(committed) = self.own_commit(&snapshot, looked_at, &batch_id).await?
            {
                return Ok(committed);
            }
            let ids: Vec<ObjectId> = objects.iter().map(|entry| entry.object.clone()).collect();
            let done = self.committed_at(&snapshot, &ids, again).await?;
            let fresh: Vec<ObjectEntry> =
                objects.iter().filter(|entry| !done.contains(&entry.object)).cloned().collect();
            let skip = keys_done(&objects, &fresh);
            rows.retain(|row| !skip.contains(row.object_key.as_str()));
            if looked_at.is_none() {
                let wanted: Vec<&TrailEvent> =
                    events.iter().filter(|event| !skip.contains(event.object_key.as_str())).collect();
                self.commit_events(wanted, now, &batch_id).await?;
                self.resolve(&mut rows).await?;
            }
            if fresh.is_empty() && rows.is_empty() {
                return Ok(Committed { version: version_of(&snapshot), ..Committed::default() });
            }
            let plan = self.plan(&snapshot, &rows, now).await?;
            let line = CommitLine {
                batch_id: Some(batch_id.clone()),
                committed_at: Some(now),
                rows_written: plan.rows_written,
                rows_changed: plan.rows_changed,
                duplicate_events: plan.duplicate_events,
                again,
                ledger: fresh,
            };
            let adds = self.write_plan(&snapshot, &plan, &batch_id).await?;
            let counter = transaction_version(&snapshot, APP, name).await?.unwrap_or_default() + 1;
            let draft = Draft {
                operation: if plan.removes.is_empty() {
                    append(name)
                } else {
                    DeltaOperation::Update { predicate: None }
                },
                actions: actions(&plan, &adds),
                metadata: line.to_metadata(),
                transactions: vec![transaction(APP, counter)],
            };
            match table.land(&snapshot, draft).await? {
                Landed::At(version) => {
                    self.note_committed(version, &line.ledger).await;
                    if let Err(error) = self.project().await {
                        tracing::warn!(%error, version, "objects and quarantine lag; the next commit projects them");
                    }
                    return Ok(committed(version, &line));
                }
                Landed::Lost => self.discard(&snapshot, &adds).await,
                Landed::Unknown => {}
            }
            looked_at = Some(version_of(&snapshot));
            self.pause(attempt).await;
        }
        Err(LakeError::new(name, LakeErrorKind::Contended { attempts: self.inner.settings.commit_attempts }))
    }

    /// This batch's commit, if it landed after all although the store's answer was lost.
    async fn own_commit(
        &self,
        snapshot: &DeltaTable,
        after: u64,
        batch_id: &str,
    ) -> Result<Option<Committed>, LakeError> {
        let log = snapshot.log_store();
        for version in after + 1..=version_of(snapshot) {
            let line = commit_line(log.as_ref(), version).await?;
            if let Some(line) = line.filter(|line| line.batch_id.as_deref() == Some(batch_id)) {
                return Ok(Some(committed(version, &line)));
            }
        }
        Ok(None)
    }

    async fn write_plan(&self, snapshot: &DeltaTable, plan: &Plan<'_>, batch_id: &str) -> Result<Vec<Add>, LakeError> {
        let mut adds = plan.kept_files.clone();
        let rows: Vec<(&AccessEvent, Micros)> = plan.rows.iter().map(|(row, at)| (row.as_ref(), *at)).collect();
        for chunk in chunks(&rows, |(row, _)| row.raw.len()) {
            let batch = encode_stored(chunk, batch_id)?;
            adds.extend(self.write_rows(snapshot, TableName::AccessEvents, batch, Purpose::Fresh).await?);
        }
        Ok(adds)
    }

    /// Commits the rows of `events` that are not there yet.
    async fn commit_events(&self, events: Vec<&TrailEvent>, now: Micros, batch_id: &str) -> Result<(), LakeError> {
        if events.is_empty() {
            return Ok(());
        }
        let name = TableName::Events;
        let table = self.inner.tables.get(name);
        let key = |event: &TrailEvent| -> EventKey { (event.account_id.clone(), event.event_id.clone()) };
        let times: HashMap<EventKey, Micros> = events.iter().map(|event| (key(event), event.event_at)).collect();
        for attempt in 0..self.inner.settings.commit_attempts {
            let snapshot = table.latest().await?;
            let mut known = self.known_events(&snapshot, &times).await?;
            let fresh: Vec<&TrailEvent> = events.iter().copied().filter(|event| known.insert(key(event))).collect();
            if fresh.is_empty() {
                return Ok(());
            }
            let mut adds = Vec::new();
            for chunk in chunks(&fresh, |event| event.raw.len()) {
                let batch = encode_trail_events(chunk, now, batch_id)?;
                adds.extend(self.write_rows(&snapshot, name, batch, Purpose::Fresh).await?);
            }
            let draft = Draft {
                actions: adds.iter().cloned().map(Action::Add).collect(),
                metadata: HashMap::from([("keytrail.batchId".to_owned(), batch_id.into())]),
                transactions: Vec::new(),
                operation: append(name),
            };
            match table.land(&snapshot, draft).await? {
                Landed::At(_) => return Ok(()),
                Landed::Lost => self.discard(&snapshot, &adds).await,
                // If it landed, the next round finds every event known.
                Landed::Unknown => {}
            }
            self.pause(attempt).await;
        }
        Err(LakeError::new(name, LakeErrorKind::Contended { attempts: self.inner.settings.commit_attempts }))
    }
}

fn committed(version: u64, line: &CommitLine) -> Committed {
    Committed {
        version,
        rows_written: line.rows_written,
        duplicate_events: line.duplicate_events,
        rows_changed: line.rows_changed,
        objects_written: line.ledger.len() as u64,
    }
}

fn actions(plan: &Plan<'_>, adds: &[Add]) -> Vec<Action> {
    let removes = plan.removes.iter().cloned().map(Action::Remove);
    removes.chain(adds.iter().cloned().map(Action::Add)).collect()
}

/// Unique, and sorted by time, so that a file's smallest and largest batch tell which commits it can hold.
fn new_batch_id(now: Micros) -> String {
    format!("{:016x}-{}", now.max(0), Uuid::new_v4().simple())
}

fn distinct(objects: Vec<ObjectEntry>) -> Vec<ObjectEntry> {
    let mut seen = HashSet::with_capacity(objects.len());
    objects.into_iter().filter(|entry| seen.insert(entry.object.clone())).collect()
}

/// The keys of which every version in the batch is already in the ledger.
fn keys_done<'a>(objects: &'a [ObjectEntry], fresh: &[ObjectEntry]) -> HashSet<&'a str> {
    let open: HashSet<&str> = fresh.iter().map(|entry| entry.object.key.as_str()).collect();
    objects.iter().map(|entry| entry.object.key.as_str()).filter(|key| !open.contains(key)).collect()
}

/// Splits rows so that each part's texts fit one batch of columns.
fn chunks<T>(rows: &[T], size: impl Fn(&T) -> usize) -> Vec<&[T]> {
    let mut parts = Vec::new();
    let mut rest = rows;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = rest.iter().take_while(|row| {
            bytes += size(row);
            bytes <= CHUNK_BYTES
        });
        let (part, more) = rest.split_at(fits.count().max(1));
        parts.push(part);
        rest = more;
    }
    parts
}

#[cfg(test)]
mod tests;
