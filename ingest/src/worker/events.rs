//! Everything that the worker tells: one function per event, which moves the metric, the status and the log together.
//!
//! In: facts. Out: metrics (crate `metrics`; names in [`METRICS`]), the snapshot in [`WorkerWatch`], and log lines with
//! fields. Failures that may come in heaps are logged at most every ten seconds, with the number held back.

use std::time::Duration;

use keytrail_lake::Committed;
use keytrail_model::{Micros, ObjectEntry, ObjectOutcome, time};
use metrics::{counter, gauge, histogram};

use super::watch::{Misread, QueueDepth, Waiting, WorkerWatch, age_seconds};
use crate::{
    notification::Shape,
    objects::{ObjectErrorKind, Response},
    queue::{Depth, Message},
};

/// What kind of number a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    Counter,
    Gauge,
    Histogram,
}

use MetricKind::{Counter, Gauge, Histogram};

/// Every metric of the worker: name, kind, unit, meaning with its labels. The reference page is made from it.
pub const METRICS: &[(&str, MetricKind, &str, &str)] = &[
    (
        "keytrail_messages_received_total",
        Counter,
        "messages",
        "Deliveries received from the queue, repeated ones included.",
    ),
    (
        "keytrail_messages_deleted_total",
        Counter,
        "messages",
        "Messages deleted after everything they announced was durable.",
    ),
    (
        "keytrail_messages_given_back_total",
        Counter,
        "messages",
        "Messages given back to the queue. Label `why`: object, fault, store, shutdown.",
    ),
    (
        "keytrail_message_faults_total",
        Counter,
        "messages",
        "Deliveries that were not understood in full. Label `shape`.",
    ),
    ("keytrail_notices_total", Counter, "messages", "Deliveries by the shape of their body. Label `shape`."),
    (
        "keytrail_message_deletes_failed_total",
        Counter,
        "messages",
        "Deletions that failed; the ledger makes the redelivery harmless.",
    ),
    ("keytrail_leases_lost_total", Counter, "messages", "Leases that ended before the work did."),
    (
        "keytrail_objects_total",
        Counter,
        "objects",
        "Objects done with. Label `outcome`: committed, skipped, quarantined, known, put_off.",
    ),
    ("keytrail_object_errors_total", Counter, "errors", "Objects that could not be read at one attempt. Label `kind`."),
    (
        "keytrail_objects_read_again_total",
        Counter,
        "objects",
        "Objects whose bytes could not be understood and that were read once more.",
    ),
    ("keytrail_object_bytes_total", Counter, "bytes", "Bytes of committed objects, as delivered."),
    (
        "keytrail_records_total",
        Counter,
        "records",
        "Records of committed objects. Label `outcome`: kept, ignored, quarantined.",
    ),
    ("keytrail_rows_written_total", Counter, "rows", "New rows of access_events."),
    ("keytrail_duplicate_events_total", Counter, "events", "Events that were in the lake already."),
    ("keytrail_commits_total", Counter, "commits", "Commits tried. Label `outcome`: ok, failed."),
    ("keytrail_commit_duration_seconds", Histogram, "seconds", "Time that one commit took."),
    (
        "keytrail_notification_to_row_seconds",
        Histogram,
        "seconds",
        "From the sending of a message to the commit of its last object.",
    ),
    ("keytrail_queue_errors_total", Counter, "errors", "Calls to the queue that failed. Label `call`."),
    ("keytrail_store_errors_total", Counter, "errors", "Calls to the lake that failed. Label `call`: ledger, commit."),
    ("keytrail_messages_in_flight", Gauge, "messages", "Messages held now."),
    ("keytrail_objects_in_flight", Gauge, "objects", "Objects being worked on now."),
    ("keytrail_batch_rows", Gauge, "rows", "Rows that wait for the next commit."),
    ("keytrail_batch_bytes", Gauge, "bytes", "Memory that the rows of the next commit take."),
    ("keytrail_queue_age_seconds", Gauge, "seconds", "Age of the oldest message held; 0 when none is."),
    (
        "keytrail_queue_messages",
        Gauge,
        "messages",
        "Messages in the queue, about. Label `state`: visible, in_flight, delayed.",
    ),
    (
        "keytrail_last_receive_timestamp_seconds",
        Gauge,
        "seconds",
        "Unix time of the last successful call for messages.",
    ),
    ("keytrail_last_commit_timestamp_seconds", Gauge, "seconds", "Unix time of the last commit."),
];

/// Messages that are not understood are told one by one, each with its reason; a flood of them is cut.
const MISREAD_LOGGED: u64 = 200;

/// Why messages are given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Why {
    /// An object could not be read.
    Object,
    /// Not understood in full.
    Fault,
    /// The lake does not take it.
    Store,
    Shutdown,
}

impl Why {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Fault => "fault",
            Self::Store => "store",
            Self::Shutdown => "shutdown",
        }
    }
}

fn unix_seconds(at: Micros) -> f64 {
    at as f64 / 1e6
}

pub(super) fn started(watch: &WorkerWatch) {
    let mut status = watch.lock();
    status.started_at = Some(time::now());
    (status.stopping, status.ended_at) = (false, None);
    drop(status);
    tracing::info!("worker started");
}

pub(super) fn stopping(watch: &WorkerWatch, messages: usize) {
    watch.lock().stopping = true;
    tracing::info!(messages, "worker stopping: finishing what is in flight");
}

pub(super) fn ended(watch: &WorkerWatch) {
    let mut status = watch.lock();
    status.ended_at = Some(time::now());
    status.in_flight = super::watch::InFlight { messages_max: status.in_flight.messages_max, ..Default::default() };
    let (deleted, given_back) = (status.messages.deleted, status.messages.given_back);
    drop(status);
    tracing::info!(deleted, given_back, "worker ended");
}

pub(super) fn received(watch: &WorkerWatch, messages: &[Message]) {
    let now = time::now();
    let count = messages.len() as u64;
    let mut status = watch.lock();
    status.messages.received += count;
    status.messages.redelivered += messages.iter().filter(|message| message.receive_count > 1).count() as u64;
    status.last_receive_at = Some(now);
    status.worked("receive");
    drop(status);
    counter!("keytrail_messages_received_total").increment(count);
    gauge!("keytrail_last_receive_timestamp_seconds").set(unix_seconds(now));
}

/// A call to the queue failed. `needs_action` where trying again does not help.
pub(super) fn queue_failed(watch: &WorkerWatch, call: &'static str, error: &str, needs_action: bool) {
    watch.lock().failed(call, error, needs_action);
    counter!("keytrail_queue_errors_total", "call" => call).increment(1);
    if let Some(held_back) = watch.may_log(call) {
        if needs_action {
            tracing::error!(call, error, held_back, "the queue refuses; somebody must act");
        } else {
            tracing::warn!(call, error, held_back, "the queue failed; trying again");
        }
    }
}

pub(super) fn queue_looked_at(watch: &WorkerWatch, depth: Depth) {
    let Depth { visible, in_flight, delayed } = depth;
    let mut status = watch.lock();
    status.depth = Some(QueueDepth { visible, in_flight, delayed, at: time::now() });
    status.worked("queue");
    drop(status);
    for (state, count) in [("visible", visible), ("in_flight", in_flight), ("delayed", delayed)] {
        gauge!("keytrail_queue_messages", "state" => state).set(count as f64);
    }
}

pub(super) fn noticed(watch: &WorkerWatch, shape: Shape) {
    let shape = shape.as_str();
    *watch.lock().shapes.entry(shape).or_default() += 1;
    counter!("keytrail_notices_total", "shape" => shape).increment(1);
}

pub(super) fn misread(watch: &WorkerWatch, message_id: &str, shape: Shape, deliveries: u32, faults: &[String]) {
    let shape = shape.as_str();
    let mut status = watch.lock();
    status.messages.with_faults += 1;
    let message_id = message_id.to_owned();
    let first = faults.first().cloned().unwrap_or_default();
    status.misread(Misread {
        message_id: message_id.clone(),
        shape: shape.to_owned(),
        reasons: faults.to_vec(),
        deliveries,
        at: time::now(),
    });
    drop(status);
    counter!("keytrail_message_faults_total", "shape" => shape).increment(1);
    if let Some(held_back) = watch.may_log_up_to(MISREAD_LOGGED, "fault") {
        let faults = faults.len();
        tracing::warn!(
            message_id,
            shape,
            deliveries,
            faults,
            first,
            held_back,
            "message not understood; it is left to the queue"
        );
    }
}

/// What was read could not be understood; it is read once more before it is quarantined.
pub(super) fn read_again(watch: &WorkerWatch, object_key: &str) {
    counter!("keytrail_objects_read_again_total").increment(1);
    if let Some(held_back) = watch.may_log("read_again") {
        tracing::warn!(object_key, held_back, "the bytes could not be understood; the object is read once more");
    }
}

pub(super) fn lease_lost(watch: &WorkerWatch, code: &str) {
    watch.lock().messages.leases_lost += 1;
    counter!("keytrail_leases_lost_total").increment(1);
    if let Some(held_back) = watch.may_log("lease") {
        tracing::warn!(code, held_back, "a lease ended before its work did; the message may come again");
    }
}

pub(super) fn leases_extended(watch: &WorkerWatch) {
    watch.lock().worked("extend");
}

pub(super) fn deleted(watch: &WorkerWatch, count: usize) {
    let mut status = watch.lock();
    status.messages.deleted += count as u64;
    status.worked("delete");
    drop(status);
    counter!("keytrail_messages_deleted_total").increment(count as u64);
}

pub(super) fn delete_failed(watch: &WorkerWatch, code: &str) {
    watch.lock().messages.deletes_failed += 1;
    counter!("keytrail_message_deletes_failed_total").increment(1);
    if let Some(held_back) = watch.may_log("delete_entry") {
        tracing::warn!(code, held_back, "a message was not deleted; it may come again, the ledger knows its objects");
    }
}

pub(super) fn given_back(watch: &WorkerWatch, why: Why, count: usize) {
    watch.lock().messages.given_back += count as u64;
    counter!("keytrail_messages_given_back_total", "why" => why.as_str()).increment(count as u64);
    tracing::debug!(count, why = why.as_str(), "messages given back");
}

pub(super) fn known(watch: &WorkerWatch, object_key: &str) {
    let mut status = watch.lock();
    status.objects.known += 1;
    status.waits_no_more(object_key);
    drop(status);
    counter!("keytrail_objects_total", "outcome" => "known").increment(1);
}

/// One attempt at an object failed. `put_off` where its messages are given back.
pub(super) fn object_failed(
    watch: &WorkerWatch,
    object_key: &str,
    kind: &ObjectErrorKind,
    deliveries: u32,
    put_off: bool,
) {
    let needs_action = kind.response() == Response::Wait;
    let (word, now) = (kind.as_str(), time::now());
    counter!("keytrail_object_errors_total", "kind" => word).increment(1);
    if put_off {
        let mut status = watch.lock();
        status.objects.put_off += 1;
        let (object_key, reason) = (object_key.to_owned(), kind.to_string());
        status.waits(Waiting { object_key, kind: word, reason, needs_action, deliveries, since: now, at: now });
        drop(status);
        counter!("keytrail_objects_total", "outcome" => "put_off").increment(1);
    }
    if let Some(held_back) = watch.may_log(word) {
        let error = kind.to_string();
        if needs_action {
            tracing::error!(
                object_key,
                error,
                deliveries,
                put_off,
                held_back,
                "an object may not be read; somebody must act"
            );
        } else {
            tracing::warn!(object_key, error, deliveries, put_off, held_back, "an object was not read");
        }
    }
}

/// The ledger could not be asked, or a commit was refused once.
pub(super) fn store_failed(watch: &WorkerWatch, call: &'static str, error: &str, attempt: u32) {
    let mut status = watch.lock();
    status.failed(call, error, false);
    if call == "commit" {
        status.commits_failed += 1;
    }
    drop(status);
    counter!("keytrail_store_errors_total", "call" => call).increment(1);
    if call == "commit" {
        counter!("keytrail_commits_total", "outcome" => "failed").increment(1);
    }
    if let Some(held_back) = watch.may_log(call) {
        tracing::error!(call, error, attempt, held_back, "the lake refused; trying again");
    }
}

pub(super) fn ledger_answered(watch: &WorkerWatch) {
    watch.lock().worked("ledger");
}

pub(super) fn committed(watch: &WorkerWatch, entries: &[ObjectEntry], committed: &Committed, took: Duration) {
    let now = time::now();
    watch.one_more_commit();
    let mut status = watch.lock();
    status.commits += 1;
    status.last_commit_at = Some(now);
    status.last_commit_seconds = Some(took.as_secs_f64());
    status.worked("commit");
    let mut bytes = 0;
    let before = (status.objects, status.records);
    for entry in entries {
        match entry.outcome {
            ObjectOutcome::Committed => status.objects.committed += 1,
            ObjectOutcome::Skipped(_) => status.objects.skipped += 1,
            ObjectOutcome::Quarantined(_) => status.objects.quarantined += 1,
        }
        bytes += entry.size_bytes.unsigned_abs();
        status.records.seen += entry.record_count.unsigned_abs();
        status.records.kept += entry.kept_count.unsigned_abs();
        status.records.ignored += entry.ignored_count.unsigned_abs();
        status.records.quarantined += entry.quarantined.len() as u64;
        status.waits_no_more(&entry.object.key);
    }
    status.records.rows_written += committed.rows_written;
    status.records.duplicate_events += committed.duplicate_events;
    status.records.rows_changed += committed.rows_changed;
    let after = (status.objects, status.records);
    drop(status);
    counter!("keytrail_commits_total", "outcome" => "ok").increment(1);
    histogram!("keytrail_commit_duration_seconds").record(took.as_secs_f64());
    gauge!("keytrail_last_commit_timestamp_seconds").set(unix_seconds(now));
    counter!("keytrail_object_bytes_total").increment(bytes);
    counter!("keytrail_rows_written_total").increment(committed.rows_written);
    counter!("keytrail_duplicate_events_total").increment(committed.duplicate_events);
    for (outcome, count) in [
        ("committed", after.0.committed - before.0.committed),
        ("skipped", after.0.skipped - before.0.skipped),
        ("quarantined", after.0.quarantined - before.0.quarantined),
    ] {
        counter!("keytrail_objects_total", "outcome" => outcome).increment(count);
    }
    for (outcome, count) in [
        ("kept", after.1.kept - before.1.kept),
        ("ignored", after.1.ignored - before.1.ignored),
        ("quarantined", after.1.quarantined - before.1.quarantined),
    ] {
        counter!("keytrail_records_total", "outcome" => outcome).increment(count);
    }
    let (objects, rows, ms) = (entries.len(), committed.rows_written, took.as_millis() as u64);
    tracing::info!(objects, rows, ms, version = committed.version, "committed");
}

/// A message's last part is durable.
pub(super) fn durable(sent_at: Option<Micros>) {
    if let Some(sent_at) = sent_at {
        histogram!("keytrail_notification_to_row_seconds").record(age_seconds(sent_at));
    }
}

/// What is held, as of now.
pub(super) fn held(watch: &WorkerWatch, now: super::watch::InFlight) {
    let mut status = watch.lock();
    let messages_max = status.in_flight.messages_max.max(now.messages);
    status.in_flight = super::watch::InFlight { messages_max, ..now };
    drop(status);
    let age = now.oldest_sent_at.filter(|_| now.messages > 0).map_or(0.0, age_seconds);
    gauge!("keytrail_queue_age_seconds").set(age);
    for (name, count) in [
        ("keytrail_messages_in_flight", now.messages as f64),
        ("keytrail_objects_in_flight", now.objects as f64),
        ("keytrail_batch_rows", now.batch_rows as f64),
        ("keytrail_batch_bytes", now.batch_bytes as f64),
    ] {
        gauge!(name).set(count);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::METRICS;

    #[test]
    fn the_table_has_every_metric_that_is_emitted_and_no_other() {
        let source = include_str!("events.rs");
        let named: Vec<&str> =
            source.split('"').filter(|part| part.len() > 9 && part.starts_with("keytrail_")).collect();
        let listed: BTreeSet<&str> = METRICS.iter().map(|(name, ..)| *name).collect();
        assert_eq!(listed.len(), METRICS.len(), "each once");
        assert_eq!(named.iter().copied().collect::<BTreeSet<_>>(), listed);
        for name in listed {
            assert!(named.iter().filter(|other| **other == name).count() > 1, "{name} is never emitted");
        }
    }
}
