//! The doubles, and one worker over them.

use std::{
    collections::{HashMap, HashSet},
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::FutureExt;
use keytrail_lake::{Batch, Committed};
use keytrail_model::{ObjectEntry, ObjectId};
use serde_json::{Value, json};
use tokio::{task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    objects::{ObjectRef, memory::MemoryStore},
    pipeline::Store,
    queue::{
        Depth, Failed, Message, Queue, QueueError, QueueErrorKind, Receipt, Redrive,
        memory::{MemoryQueue, MemoryQueueSettings},
    },
    worker::{WorkError, WorkSummary, WorkerSettings, WorkerWatch, work},
};

pub(super) const BUCKET: &str = "trail";

/// Polls until it is so; a test that waits in vain says for what.
pub(super) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// A lake as the worker sees one.
#[derive(Clone, Default)]
pub(super) struct MemoryLake {
    pub(super) inner: Arc<LakeState>,
}

#[derive(Default)]
pub(super) struct LakeState {
    pub(super) ledger: Mutex<HashMap<ObjectId, ObjectEntry>>,
    pub(super) rows: Mutex<HashMap<(String, String), u64>>,
    pub(super) commits: AtomicU64,
    /// The next commits that fail.
    pub(super) refuse: AtomicU64,
    /// Commits wait while this is set.
    pub(super) blocked: AtomicBool,
    /// Commits that land, and whose answer is lost.
    pub(super) lose: AtomicU64,
    pub(super) committing: AtomicBool,
    pub(super) refuse_asks: AtomicU64,
    /// Every call may fail.
    pub(super) chance: Mutex<Option<Chance>>,
}

#[derive(Debug, thiserror::Error)]
#[error("the disk is full")]
pub(super) struct Full;

fn take_one(count: &AtomicU64) -> bool {
    count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

impl MemoryLake {
    pub(super) fn entries(&self) -> Vec<ObjectEntry> {
        self.inner.ledger.lock().expect("not poisoned").values().cloned().collect()
    }

    pub(super) fn entry(&self, part: &str) -> ObjectEntry {
        self.entries().into_iter().find(|entry| entry.object.key.contains(part)).expect("a ledger line")
    }

    pub(super) fn rows(&self) -> usize {
        self.inner.rows.lock().expect("not poisoned").len()
    }
}

impl LakeState {
    fn by_chance(&self) -> bool {
        self.chance.lock().expect("not poisoned").as_mut().is_some_and(|chance| chance.below(10) == 0)
    }
}

impl Store for MemoryLake {
    type Error = Full;

    async fn committed(&self, objects: &[ObjectId]) -> Result<HashSet<ObjectId>, Full> {
        if take_one(&self.inner.refuse_asks) || self.inner.by_chance() {
            return Err(Full);
        }
        let ledger = self.inner.ledger.lock().expect("not poisoned");
        Ok(objects.iter().filter(|object| ledger.contains_key(object)).cloned().collect())
    }

    async fn commit(&self, batch: Batch) -> Result<Committed, Full> {
        self.inner.committing.store(true, Ordering::SeqCst);
        while self.inner.blocked.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        self.inner.committing.store(false, Ordering::SeqCst);
        if take_one(&self.inner.refuse) || self.inner.by_chance() {
            return Err(Full);
        }
        let mut ledger = self.inner.ledger.lock().expect("not poisoned");
        let mut rows = self.inner.rows.lock().expect("not poisoned");
        let fresh: Vec<ObjectEntry> =
            batch.objects.into_iter().filter(|entry| !ledger.contains_key(&entry.object)).collect();
        let keys: HashSet<&str> = fresh.iter().map(|entry| entry.object.key.as_str()).collect();
        let mut committed = Committed { objects_written: fresh.len() as u64, ..Committed::default() };
        for row in batch.rows.iter().filter(|row| keys.contains(row.object_key.as_str())) {
            let count = rows.entry((row.account_id.clone(), row.event_id.clone())).or_default();
            *count += 1;
            committed.rows_written += u64::from(*count == 1);
            committed.duplicate_events += u64::from(*count > 1);
        }
        for entry in fresh {
            ledger.insert(entry.object.clone(), entry);
        }
        self.inner.commits.fetch_add(1, Ordering::SeqCst);
        if take_one(&self.inner.lose) || self.inner.by_chance() { Err(Full) } else { Ok(committed) }
    }
}

/// The queue in memory, behind a network that fails.
#[derive(Clone, Default)]
pub(super) struct ShakyQueue {
    pub(super) inner: MemoryQueue,
    pub(super) state: Arc<Mutex<Shakes>>,
}

#[derive(Default)]
pub(super) struct Shakes {
    sent: usize,
    /// The next calls that fail, by name.
    pub(super) fail: HashMap<&'static str, u64>,
    pub(super) missing: bool,
    /// Entries of deletions that fail, and may be tried again.
    pub(super) fail_entries: u64,
    /// Extensions say that the receipt is gone, and do nothing.
    pub(super) forget_receipts: bool,
    pub(super) extended: usize,
    /// Pauses with which messages were given back, or leases they were given.
    pub(super) pauses: Vec<Duration>,
    pub(super) in_flight_max: u64,
    /// Every call may fail, before or after it did its work.
    pub(super) chance: Option<Chance>,
}

/// Numbers that a seed decides.
#[derive(Clone, Debug)]
pub(super) struct Chance(pub(super) u64);

impl Chance {
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        // Splitmix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit.max(1)
    }
}

impl ShakyQueue {
    pub(super) fn with_redrive(max_receive_count: u32) -> Self {
        let settings = MemoryQueueSettings { max_receive_count: Some(max_receive_count), ..Default::default() };
        Self { inner: MemoryQueue::new(settings), ..Self::default() }
    }

    pub(super) fn state<T>(&self, look: impl FnOnce(&mut Shakes) -> T) -> T {
        look(&mut self.state.lock().expect("not poisoned"))
    }

    pub(super) fn send(&self, body: impl Into<String>) -> String {
        self.state(|state| state.sent += 1);
        self.inner.send(body)
    }

    pub(super) fn left(&self) -> usize {
        self.inner.len()
    }

    pub(super) fn deleted(&self) -> usize {
        self.state(|state| state.sent) - self.left() - self.inner.dead_letters().len()
    }

    pub(super) fn visible(&self) -> u64 {
        self.inner.depth().now_or_never().and_then(Result::ok).expect("it answers at once").visible
    }

    fn failing(&self, call: &'static str) -> Result<(), QueueError> {
        let error = |kind| Err(QueueError { place: format!("queue: {call}"), kind });
        self.state(|state| {
            if state.missing {
                return error(QueueErrorKind::Missing);
            }
            let by_chance = state.chance.as_mut().is_some_and(|chance| chance.below(12) == 0);
            match state.fail.get_mut(call) {
                Some(left) if *left > 0 => *left -= 1,
                _ if by_chance => {}
                _ => return Ok(()),
            }
            error(QueueErrorKind::Unavailable("reset".to_owned()))
        })
    }
}

impl Queue for ShakyQueue {
    async fn receive(&self, most: usize, wait: Duration, lease: Duration) -> Result<Vec<Message>, QueueError> {
        assert!((1..=10).contains(&most), "SQS gives 1 to 10");
        self.failing("receive")?;
        let got = self.inner.receive(most, wait, lease).await;
        let in_flight = self.inner.depth().await?.in_flight;
        self.state(|state| state.in_flight_max = state.in_flight_max.max(in_flight));
        // The answer may be lost; the messages are leased all the same.
        self.failing("receive answer")?;
        got
    }

    async fn extend(&self, receipts: &[Receipt], lease: Duration) -> Result<Vec<Failed>, QueueError> {
        self.failing("extend")?;
        let gone = |receipt: &Receipt| Failed { receipt: receipt.clone(), code: "gone".into(), is_final: true };
        let forget = self.state(|state| {
            state.extended += receipts.len();
            state.pauses.extend(receipts.iter().map(|_| lease));
            state.forget_receipts
        });
        if forget { Ok(receipts.iter().map(gone).collect()) } else { self.inner.extend(receipts, lease).await }
    }

    async fn delete(&self, receipts: &[Receipt]) -> Result<Vec<Failed>, QueueError> {
        self.failing("delete")?;
        let fail = self.state(|state| {
            let fail = state.fail_entries.min(receipts.len() as u64);
            state.fail_entries -= fail;
            usize::try_from(fail).expect("a few")
        });
        let (bad, good) = receipts.split_at(fail);
        let mut failed = self.inner.delete(good).await?;
        let error = |receipt: &Receipt| Failed { receipt: receipt.clone(), code: "Internal".into(), is_final: false };
        failed.extend(bad.iter().map(error));
        self.failing("delete answer")?;
        Ok(failed)
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        self.failing("depth")?;
        self.inner.depth().await
    }

    async fn redrive(&self) -> Result<Redrive, QueueError> {
        self.failing("redrive")?;
        self.inner.redrive().await
    }
}

/// A record of a read of one secret.
pub(super) fn read_of(id: &str) -> Value {
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

pub(super) fn key(number: usize) -> String {
    format!(
        "AWSLogs/111122223333/CloudTrail/us-east-1/2026/08/01/\
         111122223333_CloudTrail_us-east-1_20260801T1205Z_{number:016}.json"
    )
}

/// One S3 notification for these objects.
pub(super) fn notification(objects: &[&ObjectRef]) -> String {
    let records: Vec<Value> = objects
        .iter()
        .map(|object| {
            json!({"eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "us-east-1",
                "eventTime": "2026-08-01T12:06:00.000Z", "eventName": "ObjectCreated:Put",
                "s3": {"s3SchemaVersion": "1.0", "bucket": {"name": object.bucket, "arn": "arn:aws:s3:::trail"},
                    "object": {"key": object.key, "size": object.size_bytes, "eTag": object.etag, "sequencer": "00"}}})
        })
        .collect();
    json!({ "Records": records }).to_string()
}

/// CloudTrail's own notification: keys, and nothing else.
pub(super) fn cloudtrail_notification(keys: &[&str]) -> String {
    json!({"s3Bucket": BUCKET, "s3ObjectKey": keys}).to_string()
}

/// Everything that one test needs.
pub(super) struct World {
    pub(super) queue: ShakyQueue,
    pub(super) objects: MemoryStore,
    pub(super) lake: MemoryLake,
    pub(super) watch: Arc<WorkerWatch>,
    pub(super) settings: WorkerSettings,
    pub(super) stop: CancellationToken,
}

impl World {
    pub(super) fn new() -> Self {
        let ms = Duration::from_millis;
        let settings = WorkerSettings {
            wait: ms(50),
            commit_after: ms(20),
            pause: ms(2),
            pause_max: ms(20),
            refused_pause: ms(20),
            retry_delay: ms(10),
            retry_delay_max: ms(40),
            wait_delay: ms(20),
            wait_delay_max: ms(80),
            shutdown_within: Duration::from_secs(3),
            ..WorkerSettings::default()
        };
        Self {
            queue: ShakyQueue::default(),
            objects: MemoryStore::new(),
            lake: MemoryLake::default(),
            watch: Arc::default(),
            settings,
            stop: CancellationToken::new(),
        }
    }

    /// An object of two records; the answer is as a notification without versions tells it.
    pub(super) fn put(&self, number: usize) -> ObjectRef {
        let records = json!({"Records": [read_of(&format!("{number}-a")), read_of(&format!("{number}-b"))]});
        let object = self.objects.put(BUCKET, &key(number), records.to_string());
        ObjectRef { version_id: None, ..object }
    }

    /// Objects `from..to`, each with a message of its own.
    pub(super) fn announce(&self, numbers: std::ops::Range<usize>) {
        for number in numbers {
            let object = self.put(number);
            self.queue.send(notification(&[&object]));
        }
    }

    pub(super) fn start(&self) -> JoinHandle<Result<WorkSummary, WorkError>> {
        tokio::spawn(self.working())
    }

    pub(super) fn working(&self) -> impl Future<Output = Result<WorkSummary, WorkError>> + Send + 'static {
        let (queue, objects, lake) = (self.queue.clone(), self.objects.clone(), self.lake.clone());
        let (settings, watch, stop) = (self.settings.clone(), Arc::clone(&self.watch), self.stop.clone());
        async move { work(queue, objects, lake, &settings, &watch, stop).await }
    }

    /// The same world for the next worker.
    pub(super) fn again(self) -> Self {
        Self { stop: CancellationToken::new(), ..self }
    }

    /// Works until the queue is empty, then stops.
    pub(super) async fn drain(&self) -> WorkSummary {
        let worker = self.start();
        until("an empty queue", || self.queue.left() == 0 || worker.is_finished()).await;
        self.end(worker).await
    }

    pub(super) async fn end(&self, worker: JoinHandle<Result<WorkSummary, WorkError>>) -> WorkSummary {
        self.stop.cancel();
        worker.await.expect("no panic").expect("it ends well")
    }

    /// Every row once, as the objects `0..count` have them.
    pub(super) fn rows_are(&self, count: usize) {
        assert_eq!(self.lake.rows(), 2 * count);
        let rows = self.lake.inner.rows.lock().expect("not poisoned");
        assert!(rows.values().all(|count| *count == 1), "a row came twice");
    }
}
