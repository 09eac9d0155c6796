//! What the worker is doing, for whoever looks: the health page, `doctor`, the alerts of class *system*.
//!
//! In: what `events.rs` tells. Out: [`WorkerStatus`], a snapshot that serialises. Lists in it are short and bounded, the
//! counts are always whole. A watch outlives the worker: a new run goes on counting in the same one.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use keytrail_model::{Micros, time};
use serde::Serialize;
use tokio::sync::watch;

/// Things named one by one.
const NAMED_MAX: usize = 20;
/// Objects that wait, named one by one.
const WAITING_MAX: usize = 50;
/// The longest reason that is kept.
const REASON_CHARS: usize = 400;

/// Messages by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MessageCounts {
    /// Deliveries, repeated ones included.
    pub received: u64,
    /// Deliveries of messages that had been delivered before.
    pub redelivered: u64,
    pub deleted: u64,
    /// Given back, to be delivered again.
    pub given_back: u64,
    /// Deliveries of messages that were not understood in full; they stay until the redrive policy takes them.
    pub with_faults: u64,
    pub deletes_failed: u64,
    pub leases_lost: u64,
}

/// Objects by what became of them. Each delivery of a notification counts once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ObjectCounts {
    pub committed: u64,
    pub skipped: u64,
    pub quarantined: u64,
    /// In the ledger already.
    pub known: u64,
    /// Not read this time; their messages were given back.
    pub put_off: u64,
}

/// Records and rows of what was committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RecordCounts {
    pub seen: u64,
    pub kept: u64,
    pub ignored: u64,
    pub quarantined: u64,
    pub rows_written: u64,
    pub duplicate_events: u64,
    pub rows_changed: u64,
}

impl MessageCounts {
    /// What has been counted since an earlier look.
    pub(super) fn since(&self, before: &Self) -> Self {
        Self {
            received: self.received - before.received,
            redelivered: self.redelivered - before.redelivered,
            deleted: self.deleted - before.deleted,
            given_back: self.given_back - before.given_back,
            with_faults: self.with_faults - before.with_faults,
            deletes_failed: self.deletes_failed - before.deletes_failed,
            leases_lost: self.leases_lost - before.leases_lost,
        }
    }
}

impl ObjectCounts {
    /// What has been counted since an earlier look.
    pub(super) fn since(&self, before: &Self) -> Self {
        Self {
            committed: self.committed - before.committed,
            skipped: self.skipped - before.skipped,
            quarantined: self.quarantined - before.quarantined,
            known: self.known - before.known,
            put_off: self.put_off - before.put_off,
        }
    }
}

impl RecordCounts {
    /// What has been counted since an earlier look.
    pub(super) fn since(&self, before: &Self) -> Self {
        Self {
            seen: self.seen - before.seen,
            kept: self.kept - before.kept,
            ignored: self.ignored - before.ignored,
            quarantined: self.quarantined - before.quarantined,
            rows_written: self.rows_written - before.rows_written,
            duplicate_events: self.duplicate_events - before.duplicate_events,
            rows_changed: self.rows_changed - before.rows_changed,
        }
    }
}

/// What is held right now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct InFlight {
    pub messages: u64,
    pub objects: u64,
    pub batch_rows: u64,
    pub batch_bytes: u64,
    /// The most messages ever held at once.
    pub messages_max: u64,
    /// When the oldest message held was sent.
    pub oldest_sent_at: Option<Micros>,
}

/// How full the queue said it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct QueueDepth {
    pub visible: u64,
    pub in_flight: u64,
    pub delayed: u64,
    pub at: Micros,
}

/// The newest failure of one kind of call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Incident {
    pub text: String,
    pub at: Micros,
    /// How often it has failed in a row; 0 once it works again.
    pub in_a_row: u64,
    /// True where a person must act.
    pub needs_action: bool,
}

/// A message that was not understood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Misread {
    pub message_id: String,
    pub shape: String,
    pub reasons: Vec<String>,
    pub deliveries: u32,
    pub at: Micros,
}

/// An object that cannot be read now, and is tried again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Waiting {
    pub object_key: String,
    /// `forbidden`, `kms_denied`, `throttled`, …
    pub kind: &'static str,
    pub reason: String,
    /// True where a person must act.
    pub needs_action: bool,
    pub deliveries: u32,
    pub since: Micros,
    pub at: Micros,
}

/// Everything that is known of the worker.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct WorkerStatus {
    pub started_at: Option<Micros>,
    pub stopping: bool,
    pub ended_at: Option<Micros>,
    pub messages: MessageCounts,
    pub objects: ObjectCounts,
    pub records: RecordCounts,
    pub commits: u64,
    pub commits_failed: u64,
    pub last_commit_seconds: Option<f64>,
    pub in_flight: InFlight,
    /// Messages by the shape of their notice.
    pub shapes: BTreeMap<&'static str, u64>,
    pub depth: Option<QueueDepth>,
    /// Age of the oldest message held, in seconds; 0 when nothing is held.
    pub queue_age_seconds: f64,
    pub last_receive_at: Option<Micros>,
    pub last_commit_at: Option<Micros>,
    /// By what was being done: `receive`, `extend`, `delete`, `give_back`, `queue`, `ledger`, `commit`.
    pub incidents: BTreeMap<&'static str, Incident>,
    /// The newest messages that were not understood.
    pub misread: VecDeque<Misread>,
    /// Objects that could not be read so far and are tried again.
    pub waiting: Vec<Waiting>,
}

/// Where the worker tells what it does. Share it in an `Arc`.
#[derive(Debug, Default)]
pub struct WorkerWatch {
    status: Mutex<WorkerStatus>,
    quiet: Mutex<BTreeMap<&'static str, Quiet>>,
    commits: watch::Sender<u64>,
}

/// How much was logged of one kind of line lately.
#[derive(Debug)]
struct Quiet {
    since: Micros,
    logged: u64,
    held_back: u64,
}

/// A hot failure is logged at most this often; the rest is counted.
const LOG_EVERY: Micros = 10 * time::SECOND;

impl WorkerWatch {
    /// A snapshot; the age of the queue is reckoned as of now.
    pub fn status(&self) -> WorkerStatus {
        let mut status = self.lock().clone();
        let held = status.in_flight.oldest_sent_at.filter(|_| status.in_flight.messages > 0);
        status.queue_age_seconds = held.map_or(0.0, age_seconds);
        status
    }

    /// Changes with every commit: what waits for new rows need not ask the lake again and again.
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.commits.subscribe()
    }

    pub(super) fn one_more_commit(&self) {
        self.commits.send_modify(|count| *count += 1);
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, WorkerStatus> {
        // Nothing that can panic happens under the lock; a snapshot is never half written in a way that matters.
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a line about this may be logged now, and how many were held back since the last one.
    pub(super) fn may_log(&self, what: &'static str) -> Option<u64> {
        self.may_log_up_to(1, what)
    }

    /// The same for what is to be told one by one, up to a number in ten seconds.
    pub(super) fn may_log_up_to(&self, most: u64, what: &'static str) -> Option<u64> {
        let mut quiet = self.quiet.lock().unwrap_or_else(PoisonError::into_inner);
        let now = time::now();
        let seen = quiet.entry(what).or_insert(Quiet { since: now, logged: 0, held_back: 0 });
        if now - seen.since >= LOG_EVERY {
            (seen.since, seen.logged) = (now, 0);
        }
        if seen.logged >= most {
            seen.held_back += 1;
            return None;
        }
        seen.logged += 1;
        Some(std::mem::take(&mut seen.held_back))
    }
}

impl WorkerStatus {
    pub(super) fn failed(&mut self, doing: &'static str, text: &str, needs_action: bool) {
        let in_a_row = self.incidents.get(doing).map_or(0, |last| last.in_a_row) + 1;
        let incident = Incident { text: shortened(text), at: time::now(), in_a_row, needs_action };
        self.incidents.insert(doing, incident);
    }

    pub(super) fn worked(&mut self, doing: &'static str) {
        if let Some(incident) = self.incidents.get_mut(doing) {
            incident.in_a_row = 0;
        }
    }

    pub(super) fn misread(&mut self, misread: Misread) {
        self.misread.retain(|seen| seen.message_id != misread.message_id);
        self.misread.truncate(NAMED_MAX - 1);
        let reasons = misread.reasons.iter().take(NAMED_MAX).map(|reason| shortened(reason)).collect();
        self.misread.push_front(Misread { reasons, ..misread });
    }

    pub(super) fn waits(&mut self, waiting: Waiting) {
        let waiting = Waiting { reason: shortened(&waiting.reason), ..waiting };
        match self.waiting.iter_mut().find(|seen| seen.object_key == waiting.object_key) {
            Some(seen) => *seen = Waiting { since: seen.since, ..waiting },
            None => {
                if self.waiting.len() >= WAITING_MAX {
                    self.waiting.remove(0);
                }
                self.waiting.push(waiting);
            }
        }
    }

    /// The object is done with, one way or another.
    pub(super) fn waits_no_more(&mut self, object_key: &str) {
        self.waiting.retain(|seen| seen.object_key != object_key);
    }
}

/// Seconds since a moment, never negative: clocks of others may be ahead.
pub(super) fn age_seconds(at: Micros) -> f64 {
    let age = time::now().saturating_sub(at).max(0) as f64;
    age / 1e6
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(REASON_CHARS) {
        None => text.to_owned(),
        Some(_) => text.chars().take(REASON_CHARS).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(key: usize, at: Micros) -> Waiting {
        Waiting {
            object_key: key.to_string(),
            kind: "forbidden",
            reason: "é".repeat(1_000),
            needs_action: true,
            deliveries: 1,
            since: at,
            at,
        }
    }

    #[test]
    fn lists_stay_short_and_keep_the_first_time() {
        let mut status = WorkerStatus::default();
        for key in 0..200 {
            status.waits(waiting(key, 1));
            let message_id = key.to_string();
            let reasons = vec!["r".to_owned(); 100];
            status.misread(Misread { message_id, shape: String::new(), reasons, deliveries: 1, at: 0 });
        }
        assert_eq!((status.waiting.len(), status.misread.len()), (WAITING_MAX, NAMED_MAX));
        assert_eq!(status.misread.front().map(|seen| seen.reasons.len()), Some(NAMED_MAX));
        status.waits(waiting(199, 9));
        let last = status.waiting.last().expect("one");
        assert_eq!((last.since, last.at, last.reason.chars().count()), (1, 9, REASON_CHARS + 1));
        status.waits_no_more("199");
        assert_eq!(status.waiting.len(), WAITING_MAX - 1);
    }

    #[test]
    fn incidents_count_until_it_works() {
        let mut status = WorkerStatus::default();
        status.failed("commit", "full", false);
        status.failed("commit", "full", true);
        assert_eq!(status.incidents["commit"].in_a_row, 2);
        status.worked("commit");
        assert_eq!((status.incidents["commit"].in_a_row, status.incidents["commit"].text.as_str()), (0, "full"));
    }

    #[test]
    fn hot_failures_are_held_back_and_counted() {
        let watch = WorkerWatch::default();
        assert_eq!(watch.may_log("receive"), Some(0));
        assert_eq!(watch.may_log("receive"), None);
        assert_eq!(watch.may_log("commit"), Some(0));
        let logged = (0..9).filter(|_| watch.may_log_up_to(4, "fault").is_some()).count();
        assert_eq!(logged, 4);
    }
}
