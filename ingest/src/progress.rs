//! What a run has done so far, and what it came to.
//!
//! Out: [`Counts`] while it runs (for a progress bar) and a [`Summary`] at the end. Invariant: objects found = committed +
//! skipped + quarantined + known + outside, once the run is complete.

use std::collections::BTreeMap;

use keytrail_model::{Micros, ObjectEntry, ObjectOutcome};

/// Objects named one by one in a summary; the counts are always whole.
const TROUBLES_MAX: usize = 20;

/// Running totals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Objects in the sources.
    pub objects_found: u64,
    pub committed: u64,
    pub skipped: u64,
    pub quarantined: u64,
    /// Already in the lake: nothing was done.
    pub known: u64,
    /// Delivered outside the window asked for.
    pub outside: u64,
    /// As delivered, and after decompression.
    pub bytes: u64,
    pub json_bytes: u64,
    pub records: u64,
    pub kept: u64,
    pub ignored: u64,
    pub quarantined_records: u64,
    /// Rows written; rows the lake had already; older rows that new evidence completed.
    pub rows_written: u64,
    pub duplicate_events: u64,
    pub rows_changed: u64,
    pub commits: u64,
}

impl Counts {
    /// Objects that are done with, one way or another.
    pub fn objects_done(&self) -> u64 {
        self.committed + self.skipped + self.quarantined + self.known + self.outside
    }

    pub(crate) fn count(&mut self, entry: &ObjectEntry) {
        match entry.outcome {
            ObjectOutcome::Committed => self.committed += 1,
            ObjectOutcome::Skipped(_) => self.skipped += 1,
            ObjectOutcome::Quarantined(_) => self.quarantined += 1,
        }
        self.bytes += entry.size_bytes.unsigned_abs();
        self.json_bytes += entry.json_bytes.unsigned_abs();
        self.records += entry.record_count.unsigned_abs();
        self.kept += entry.kept_count.unsigned_abs();
        self.ignored += entry.ignored_count.unsigned_abs();
        self.quarantined_records += entry.quarantined.len() as u64;
    }
}

/// Told as a run goes on; every method has a default that does nothing.
pub trait Progress: Send + Sync {
    /// The objects have been found and counted.
    fn started(&self, _counts: &Counts) {}
    /// More of a bucket is listed: prefixes done, and in all. Called before the objects of these prefixes are read.
    fn listed(&self, _prefixes_done: usize, _prefixes: usize, _counts: &Counts) {}
    /// One or more objects are done with, though perhaps not committed yet.
    fn advanced(&self, _counts: &Counts) {}
    /// A batch has been committed.
    fn committed(&self, _counts: &Counts) {}
}

/// A progress that nobody watches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {}

/// One thing that a person should look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    pub object_key: String,
    /// Absent where the whole object is meant.
    pub record_index: Option<i64>,
    pub reason: String,
}

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub counts: Counts,
    /// Why objects were skipped, and how many.
    pub skipped: BTreeMap<String, u64>,
    /// The first quarantined objects and records; `counts` has the true numbers.
    pub troubles: Vec<Trouble>,
    pub first_event_at: Option<Micros>,
    pub last_event_at: Option<Micros>,
    /// The newest delivery among the objects read.
    pub last_delivered_at: Option<Micros>,
    /// True when it was asked to stop before the end.
    pub stopped: bool,
}

impl Summary {
    pub(crate) fn add(&mut self, entry: &ObjectEntry) {
        self.counts.count(entry);
        let object_key = || entry.object.key.clone();
        match &entry.outcome {
            ObjectOutcome::Skipped(reason) => *self.skipped.entry(reason.clone()).or_default() += 1,
            ObjectOutcome::Quarantined(reason) => {
                self.trouble(Trouble { object_key: object_key(), record_index: None, reason: reason.clone() });
            }
            ObjectOutcome::Committed => {}
        }
        for bad in entry.quarantined.iter().take(TROUBLES_MAX) {
            let (record_index, reason) = (Some(bad.record_index), bad.reason.clone());
            self.trouble(Trouble { object_key: object_key(), record_index, reason });
        }
        self.first_event_at = self.first_event_at.into_iter().chain(entry.first_event_at).min();
        self.last_event_at = self.last_event_at.max(entry.last_event_at);
        self.last_delivered_at = self.last_delivered_at.max(entry.delivered_at);
    }

    fn trouble(&mut self, trouble: Trouble) {
        if self.troubles.len() < TROUBLES_MAX {
            self.troubles.push(trouble);
        }
    }
}
