//! Backfill, reconciliation and retry over a bucket and a lake in memory.

use std::{path::PathBuf, sync::Mutex};

use keytrail_model::{ObjectOutcome, time};

use super::*;
use crate::{
    RetryRequest,
    objects::{
        ObjectErrorKind,
        memory::{Fault, MemoryStore},
    },
    pipeline::{
        ReconcileRequest, reconcile, retry,
        tests::{Memory, adds_up, read_of},
    },
    progress::{Counts, Silent},
};

const BUCKET: &str = "trail";

fn key(day: usize, number: usize) -> String {
    format!(
        "AWSLogs/111122223333/CloudTrail/us-east-1/2026/08/{day:02}/\
         111122223333_CloudTrail_us-east-1_202608{day:02}T1205Z_{number:016}.json"
    )
}

/// Three days of ten objects, each of one record.
fn bucket() -> MemoryStore {
    let objects = MemoryStore::new();
    for (day, number) in (1..4).flat_map(|day| (0..10).map(move |number| (day, number))) {
        objects.put(BUCKET, &key(day, number), read_of(&format!("{day}-{number}")).to_string());
    }
    objects
}

fn settings() -> IngestSettings {
    IngestSettings { batch_objects: 7, ..IngestSettings::default() }
}

#[derive(Default)]
struct Seen(Mutex<Vec<(usize, usize, u64)>>);

impl Progress for Seen {
    fn listed(&self, done: usize, total: usize, counts: &Counts) {
        self.0.lock().expect("not poisoned").push((done, total, counts.objects_found));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_is_read_once_and_a_second_run_reads_nothing() {
    let (objects, store, seen) = (bucket(), Memory::default(), Seen::default());
    let request = BucketRequest::new(BUCKET, "");
    let summary = ingest_bucket(&objects, &store, &request, &settings(), &seen).await.expect("it runs");
    adds_up(&summary.counts, 30);
    assert_eq!((summary.counts.committed, summary.counts.rows_written, summary.counts.commits), (30, 30, 5));
    let progress = seen.0.lock().expect("not poisoned").clone();
    assert!(progress.last().is_some_and(|(_, total, found)| *total >= 3 && *found == 30), "{progress:?}");
    assert!(store.keys().is_sorted(), "in the order of the listing");
    let again = ingest_bucket(&objects, &store, &request, &settings(), &Silent).await.expect("it runs");
    adds_up(&again.counts, 30);
    assert_eq!((again.counts.known, again.counts.commits), (30, 0));
    assert!((0..10).all(|number| objects.reads(BUCKET, &key(1, number)) == 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_window_and_a_run_that_ended_half_way() {
    let objects = bucket();
    let at = |day: usize| time::parse_human(&format!("2026-08-{day:02}"));
    let window = Window { since: at(2), until: at(3) };
    let request = BucketRequest { window, ..BucketRequest::new(BUCKET, "") };
    let store = Memory::default();
    let summary = ingest_bucket(&objects, &store, &request, &settings(), &Silent).await.expect("it runs");
    assert_eq!((summary.counts.committed, store.len()), (10, 10));

    let mut store = Memory::default();
    store.refuse_at = Some(2);
    let all = BucketRequest::new(BUCKET, "");
    let error = ingest_bucket(&objects, &store, &all, &settings(), &Silent).await.expect_err("refused");
    assert!(matches!(error, BucketError::Ingest(_)), "{error}");
    assert_eq!(store.len(), 14);
    store.refuse_at = None;
    let summary = ingest_bucket(&objects, &store, &all, &settings(), &Silent).await.expect("it runs");
    adds_up(&summary.counts, 30);
    assert_eq!((summary.counts.known, store.len()), (14, 30));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_bad_object_is_quarantined_and_read_again_later() {
    let (objects, store) = (bucket(), Memory::default());
    let code = "AccessDenied".to_owned();
    objects.deny(BUCKET, &key(2, 5), ObjectErrorKind::Forbidden { code });
    // This one is mended in place.
    objects.fault(BUCKET, &key(1, 1), Fault::Error(ObjectErrorKind::Throttled));
    let request = BucketRequest::new(BUCKET, "");
    let summary = ingest_bucket(&objects, &store, &request, &settings(), &Silent).await.expect("it runs");
    adds_up(&summary.counts, 30);
    assert_eq!((summary.counts.committed, summary.counts.quarantined), (29, 1));
    assert!(summary.troubles[0].reason.starts_with("forbidden: "), "{:?}", summary.troubles);

    let bad = store.entries().into_iter().find(|entry| matches!(entry.outcome, ObjectOutcome::Quarantined(_)));
    let id = bad.expect("a quarantined line").object;
    let elsewhere = ObjectId { key: "eventbridge://1/r/x".to_owned(), version: "inline".to_owned() };
    let asked = RetryRequest::new(vec![id.clone(), elsewhere]);
    let still = retry(&objects, &store, &asked, &settings(), &Silent).await.expect("it runs");
    assert_eq!((still.mended, still.still_bad, still.out_of_reach.len()), (0, 1, 1));
    objects.allow(BUCKET, &key(2, 5));
    let mended = retry(&objects, &store, &asked, &settings(), &Silent).await.expect("it runs");
    assert_eq!((mended.mended, mended.still_bad), (1, 0));
    assert_eq!((store.entry(&id).map(|entry| entry.outcome), store.len()), (Some(ObjectOutcome::Committed), 30));
    assert_eq!(mended.summary.counts.rows_written, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_refuses_everything_ends_the_run() {
    let (objects, store) = (bucket(), Memory::default());
    for (day, number) in (1..4).flat_map(|day| (0..10).map(move |number| (day, number))) {
        let code = "KMS.AccessDenied".to_owned();
        objects.deny(BUCKET, &key(day, number), ObjectErrorKind::KeyDenied { code });
    }
    let settings = IngestSettings::default();
    let run = ingest_bucket(&objects, &store, &BucketRequest::new(BUCKET, ""), &settings, &Silent).await;
    let error = run.expect_err("refused");
    assert!(matches!(error, BucketError::Refused { count: REFUSED_MAX, .. }), "{error}");
    assert_eq!(store.len(), 0, "thousands of quarantined lines would help nobody");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reconciliation_takes_in_what_nobody_announced() {
    let (objects, store) = (bucket(), Memory::default());
    let prefix = "AWSLogs/111122223333/CloudTrail/us-east-1/2026/08/02/";
    ingest_bucket(&objects, &store, &BucketRequest::new(BUCKET, prefix), &settings(), &Silent).await.expect("it runs");
    let look_back = Duration::from_secs(100 * 365 * 86_400);
    let request = ReconcileRequest { look_back, grace: Duration::ZERO, ..ReconcileRequest::new(BUCKET, "") };
    let found = reconcile(&objects, &store, &request, &settings(), &Silent).await.expect("it runs");
    assert_eq!((found.listed, found.known, found.missing, found.too_young), (30, 10, 20, 0));
    assert_eq!((found.summary.counts.committed, found.missing_keys.len(), store.len()), (20, 20, 30));
    let again = reconcile(&objects, &store, &request, &settings(), &Silent).await.expect("it runs");
    assert_eq!((again.listed, again.known, again.missing), (30, 30, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_local_file_is_read_again_from_its_root() {
    let store = Memory::default();
    let root = tempfile::tempdir().expect("a folder");
    std::fs::write(root.path().join("x.json"), "not CloudTrail").expect("a file");
    let request = crate::IngestRequest::new(vec![crate::Source::Path(root.path().to_path_buf())]);
    crate::ingest(&store, &request, &settings(), &Silent).await.expect("it runs");
    let id = store.entries()[0].object.clone();
    std::fs::write(root.path().join("x.json"), read_of("new").to_string()).expect("a file");
    let asked = |root: Option<PathBuf>| RetryRequest { root, ..RetryRequest::new(vec![id.clone()]) };
    let nowhere = retry(&MemoryStore::new(), &store, &asked(None), &settings(), &Silent).await.expect("it runs");
    assert_eq!((nowhere.out_of_reach.len(), nowhere.mended), (1, 0));
    let root = Some(root.path().to_path_buf());
    let mended = retry(&MemoryStore::new(), &store, &asked(root), &settings(), &Silent).await.expect("it runs");
    assert_eq!((mended.mended, mended.still_bad), (1, 0));
    let old = store.entry(&id).map(|entry| entry.outcome);
    assert!(matches!(old, Some(ObjectOutcome::Skipped(reason)) if reason.starts_with("superseded: ")));
    assert_eq!(store.len(), 2);
}
