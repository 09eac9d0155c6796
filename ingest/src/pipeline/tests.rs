//! The loop against a store in memory that can be told to fail.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    sync::{Mutex, atomic::AtomicU64},
};

use keytrail_lake::{Batch, Committed, Lake, LakeSettings};
use keytrail_model::{ObjectEntry, ObjectId, ObjectOutcome};
use serde_json::json;

use super::*;
use crate::{
    progress::{Counts, Silent},
    settings::Window,
    source::Source,
};

/// A lake as the pipeline sees one: like the real one it answers under a lock that its commits need too.
#[derive(Clone, Default)]
pub(super) struct Memory {
    answering: Arc<tokio::sync::Mutex<()>>,
    ledger: Arc<Mutex<HashMap<ObjectId, ObjectEntry>>>,
    events: Arc<Mutex<HashSet<(String, String)>>>,
    keys: Arc<Mutex<Vec<String>>>,
    commits: Arc<AtomicU64>,
    pub(super) refuse_at: Option<u64>,
}

#[derive(Debug, thiserror::Error)]
#[error("the disk is full")]
pub(super) struct Full;

impl Memory {
    pub(super) fn keys(&self) -> Vec<String> {
        self.keys.lock().expect("not poisoned").clone()
    }

    pub(super) fn len(&self) -> usize {
        self.ledger.lock().expect("not poisoned").len()
    }

    pub(super) fn entries(&self) -> Vec<ObjectEntry> {
        self.ledger.lock().expect("not poisoned").values().cloned().collect()
    }

    pub(super) fn entry(&self, id: &ObjectId) -> Option<ObjectEntry> {
        self.ledger.lock().expect("not poisoned").get(id).cloned()
    }
}

impl Store for Memory {
    type Error = Full;

    async fn committed(&self, objects: &[ObjectId]) -> Result<HashSet<ObjectId>, Full> {
        let _answering = self.answering.lock().await;
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        let ledger = self.ledger.lock().expect("not poisoned");
        Ok(objects.iter().filter(|object| ledger.contains_key(object)).cloned().collect())
    }

    async fn commit(&self, batch: Batch) -> Result<Committed, Full> {
        let _answering = self.answering.lock().await;
        let number = self.commits.fetch_add(1, Ordering::Relaxed);
        if self.refuse_at == Some(number) {
            return Err(Full);
        }
        let mut events = self.events.lock().expect("not poisoned");
        let rows = batch.rows.len() as u64;
        let new =
            batch.rows.into_iter().filter(|row| events.insert((row.account_id.clone(), row.event_id.clone()))).count()
                as u64;
        let mut keys = self.keys.lock().expect("not poisoned");
        let mut ledger = self.ledger.lock().expect("not poisoned");
        for entry in batch.objects {
            keys.push(entry.object.key.clone());
            let before = ledger.insert(entry.object.clone(), entry);
            assert!(batch.again || before.is_none(), "an object is committed once");
        }
        Ok(Committed { rows_written: new, duplicate_events: rows - new, ..Committed::default() })
    }
}

fn file(root: &Path, minute: usize, text: &str) {
    let name = format!("111122223333_CloudTrail_us-east-1_20260801T12{minute:02}Z_{minute:016}.json");
    std::fs::write(root.join(name), text).expect("a file");
}

pub(super) fn read_of(id: &str) -> serde_json::Value {
    json!({
        "eventVersion": "1.08",
        "userIdentity": {"type": "IAMUser", "principalId": "AIDAEXAMPLEEXAMPLE000", "accountId": "111122223333",
            "arn": "arn:aws:iam::111122223333:user/u", "accessKeyId": "AKIAEXAMPLEEXAMPLE00", "userName": "u"},
        "eventTime": "2026-08-01T12:00:00Z", "eventSource": "secretsmanager.amazonaws.com", "eventName": "GetSecretValue",
        "awsRegion": "us-east-1", "sourceIPAddress": "198.51.100.7", "userAgent": "x",
        "requestParameters": {"secretId": "arn:aws:secretsmanager:us-east-1:111122223333:secret:s-AbCdEf"},
        "responseElements": null, "requestID": "r", "eventID": id, "readOnly": true, "eventType": "AwsApiCall",
        "managementEvent": true, "recipientAccountId": "111122223333", "eventCategory": "Management"
    })
}

/// Fifty objects of two records, one of which has a bad record, one is no CloudTrail, one is empty.
fn tree() -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a folder");
    for minute in 0..50 {
        let records =
            json!({"Records": [read_of(&format!("{minute}-a")), read_of(&format!("{minute}-b"))]}).to_string();
        let text = match minute {
            10 => records.replacen("GetSecretValue\"", "GetSecretValue", 1),
            20 => "not CloudTrail".to_owned(),
            30 => String::new(),
            _ => records,
        };
        file(root.path(), minute, &text);
    }
    root
}

fn request(root: &Path) -> IngestRequest {
    IngestRequest::new(vec![Source::Path(root.to_path_buf())])
}

pub(super) fn adds_up(counts: &Counts, found: u64) {
    assert_eq!(counts.objects_found, found);
    assert_eq!(counts.objects_done(), found, "{counts:?}");
    assert_eq!(counts.records, counts.kept + counts.ignored + counts.quarantined_records, "{counts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_once_in_order_with_what_went_wrong() {
    let root = tree();
    let store = Memory::default();
    let settings = IngestSettings { batch_objects: 7, ..IngestSettings::default() };
    let summary = ingest(&store, &request(root.path()), &settings, &Silent).await.expect("it runs");
    adds_up(&summary.counts, 50);
    let counts = &summary.counts;
    assert_eq!((counts.committed, counts.skipped, counts.quarantined), (48, 1, 1));
    assert_eq!((counts.records, counts.rows_written, counts.quarantined_records), (96, 95, 1));
    assert_eq!(counts.commits, 8);
    let keys = store.keys.lock().expect("not poisoned").clone();
    assert!(keys.is_sorted(), "delivery order is kept: {keys:?}");
    let troubles: Vec<_> = summary.troubles.iter().map(|trouble| trouble.record_index).collect();
    assert_eq!(troubles, [Some(0), None]);
    assert_eq!(summary.skipped.values().sum::<u64>(), 1);

    let again = ingest(&store, &request(root.path()), &settings, &Silent).await.expect("it runs");
    adds_up(&again.counts, 50);
    assert_eq!((again.counts.known, again.counts.commits, again.counts.records), (50, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_commit_ends_the_run_and_the_next_run_finishes_it() {
    let root = tree();
    let mut store = Memory { refuse_at: Some(3), ..Memory::default() };
    let settings = IngestSettings { batch_objects: 5, ..IngestSettings::default() };
    let error = ingest(&store, &request(root.path()), &settings, &Silent).await.expect_err("the disk is full");
    assert_eq!(error.to_string(), "committing 5 objects: the lake refused: the disk is full");
    assert_eq!(store.ledger.lock().expect("not poisoned").len(), 15);
    store.refuse_at = None;
    let summary = ingest(&store, &request(root.path()), &settings, &Silent).await.expect("it runs");
    adds_up(&summary.counts, 50);
    assert_eq!(summary.counts.known, 15);
    assert_eq!(store.events.lock().expect("not poisoned").len(), 95);
}

#[tokio::test]
async fn the_same_object_in_two_folders_is_one() {
    let (one, two) = (tree(), tree());
    let sources = [&one, &two].map(|root| Source::Path(root.path().to_path_buf())).to_vec();
    let summary = ingest(&Memory::default(), &IngestRequest::new(sources), &IngestSettings::default(), &Silent).await;
    let counts = summary.expect("it runs").counts;
    adds_up(&counts, 100);
    assert_eq!((counts.known, counts.rows_written, counts.duplicate_events), (50, 95, 0));
}

#[tokio::test]
async fn the_window_and_the_batch_limits() {
    let root = tree();
    let at = |minute: i64| keytrail_model::time::parse_human(&format!("2026-08-01T12:{minute:02}"));
    let window = Window { since: at(40), until: at(45) };
    let store = Memory::default();
    let request = IngestRequest { window, ..request(root.path()) };
    let settings = IngestSettings { batch_rows: 4, workers: 1, ..IngestSettings::default() };
    let summary = ingest(&store, &request, &settings, &Silent).await.expect("it runs");
    adds_up(&summary.counts, 50);
    assert_eq!((summary.counts.outside, summary.counts.committed, summary.counts.commits), (45, 5, 3));
    let stopped = IngestRequest { window: Window::default(), ..request.clone() };
    stopped.stop.store(true, Ordering::Relaxed);
    let summary = ingest(&Memory::default(), &stopped, &settings, &Silent).await.expect("it runs");
    assert!(summary.stopped && summary.counts.objects_done() < 50);
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_that_cannot_be_read_is_quarantined_and_the_run_goes_on() {
    let root = tree();
    std::os::unix::fs::symlink("/nowhere/at/all", root.path().join("dangling.json")).expect("a link");
    file(root.path(), 51, &format!("{}\n", read_of("big")).repeat(3_000));
    let store = Memory::default();
    let decode = crate::decode::DecodeSettings { max_object_bytes: 1 << 20, ..Default::default() };
    let settings = IngestSettings { decode, ..IngestSettings::default() };
    let summary = ingest(&store, &request(root.path()), &settings, &Silent).await.expect("it runs");
    adds_up(&summary.counts, 52);
    assert_eq!(summary.counts.quarantined, 3);
    let ledger = store.ledger.lock().expect("not poisoned");
    let reason = |part: &str| {
        ledger
            .values()
            .find(|entry| entry.object.key.contains(part))
            .and_then(|entry| entry.outcome.reason().map(str::to_owned))
    };
    assert!(reason("dangling").is_some_and(|reason| reason.contains("cannot be")), "{:?}", reason("dangling"));
    assert!(reason("1251Z").is_some_and(|reason| reason.contains("max_object_bytes")));
    assert!(
        ledger.values().all(|entry| !matches!(&entry.outcome, ObjectOutcome::Quarantined(reason) if reason.is_empty()))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_lake_takes_it_once() {
    let (root, folder) = (tree(), tempfile::tempdir().expect("a folder"));
    let settings = IngestSettings { batch_objects: 20, ..IngestSettings::default() };
    let lake = Lake::open(folder.path(), LakeSettings::default()).await.expect("a lake");
    let summary = ingest(&lake, &request(root.path()), &settings, &Silent).await.expect("it runs");
    adds_up(&summary.counts, 50);
    assert_eq!((summary.counts.rows_written, summary.counts.duplicate_events, summary.counts.commits), (95, 0, 3));

    // A copy of one object under another key: its events are there already.
    std::fs::create_dir(root.path().join("copy")).expect("a folder");
    file(&root.path().join("copy"), 5, &json!({"Records": [read_of("5-a"), read_of("new")]}).to_string());
    let lake = Lake::open(folder.path(), LakeSettings::default()).await.expect("the same lake");
    let again = ingest(&lake, &request(root.path()), &settings, &Silent).await.expect("it runs");
    adds_up(&again.counts, 51);
    assert_eq!((again.counts.known, again.counts.rows_written, again.counts.duplicate_events), (50, 1, 1));
}
