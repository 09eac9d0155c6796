//! One contract for the whole worker, over three worlds: SQS and S3 on the emulator, a folder that announces itself, and the
//! doubles in memory. The same objects go in; the same rows and ledger lines must come out.

use std::{
    fs,
    time::{Duration, SystemTime},
};

use keytrail_ingest::{
    objects::{
        ObjectStore,
        folder::{FOLDER_BUCKET, FolderStore},
        memory::MemoryStore,
        s3::{ReadSettings, S3Store},
    },
    queue::{
        Queue,
        directory::{DirectoryQueue, DirectoryQueueSettings},
        memory::MemoryQueue,
        sqs::SqsQueue,
    },
    worker::WorkerStatus,
};

use super::{
    contract::connect,
    in_process::{InProcess, quick},
    outcome::{Ledger, assert_equal, text},
    stage::{BUCKET, Stage},
};
use crate::harness::{
    World,
    corpus::{Corpus, Shape, gzip},
    s3_message,
    wait::{PATIENCE, block_on},
};

/// A queue and its objects.
trait Scene {
    type Queue: Queue;
    type Store: ObjectStore;

    fn world(&self) -> &World;
    /// As a worker that starts finds it.
    fn queue(&self) -> Self::Queue;
    fn store(&self) -> Self::Store;
    fn bucket(&self) -> &str;
    /// Whether a worker with this status has nothing left to do.
    fn is_done(&self, _: &WorkerStatus) -> bool {
        let depth = block_on(self.queue().depth()).expect("a depth");
        depth.visible + depth.in_flight + depth.delayed == 0
    }
    /// Puts one object and announces it so often; where that cannot be chosen, once.
    fn put(&self, key: &str, bytes: &[u8], times: usize);
}

/// Every promise of the worker that each scene can show.
fn check<S: Scene>(scene: &S) {
    let corpus = Corpus::made(121, &Shape { objects: 60, prefix: "a b+c/ü=%20/".to_owned(), ..Shape::default() });
    for (number, object) in corpus.objects.iter().enumerate() {
        scene.put(&object.key, &object.bytes, 1 + number % 3);
    }
    let place = |name: &str| {
        format!(
            "AWSLogs/111122223333/{name}/us-east-1/2026/11/01/111122223333_{name}_us-east-1_20261101T0000Z_x.json.gz"
        )
    };
    scene.put(&place("CloudTrail-Digest"), &gzip(b"{}"), 1);
    scene.put(&place("CloudTrail"), b"neither gzip nor JSON", 2);

    // It is torn down in the middle, and begun anew.
    let mut settings = quick();
    settings.ingest.batch_objects = 5;
    settings.fetches = 4;
    let first = InProcess::start(scene.world(), scene.queue(), scene.store(), settings.clone());
    first.wait_for("a commit", PATIENCE, |status| status.commits >= 2);
    first.abort();
    let second = InProcess::start(scene.world(), scene.queue(), scene.store(), settings);
    second.wait_for("an empty queue", PATIENCE, |status| status.in_flight.messages == 0 && scene.is_done(status));
    let summary = second.end();
    assert!(summary.messages.deleted > 0 && summary.objects.put_off == 0, "{summary:?}");

    let lines = scene.world().rows("SELECT object_key, outcome, reason FROM objects WHERE outcome <> 'committed'");
    assert_eq!(lines.len(), 2, "{lines:?}");
    for line in &lines {
        let outcome = if text(line, "object_key").contains("Digest") { "skipped" } else { "quarantined" };
        assert_eq!(text(line, "outcome"), outcome, "{lines:?}");
        assert!(text(line, "object_key").starts_with(&format!("s3://{}/", scene.bucket())), "{lines:?}");
        assert!(!text(line, "reason").is_empty(), "{lines:?}");
    }
    assert_equal(scene.world(), &corpus, Ledger { committed: 60, skipped: 1, quarantined: 1 });
}

struct OnEmulator(Stage);

impl Scene for OnEmulator {
    type Queue = SqsQueue;
    type Store = S3Store;

    fn world(&self) -> &World {
        &self.0.world
    }

    fn queue(&self) -> SqsQueue {
        SqsQueue::new(block_on(connect(&self.0.emulator.url())).sqs(), &*self.0.queue.url)
    }

    fn store(&self) -> S3Store {
        S3Store::new(block_on(connect(&self.0.emulator.url())), ReadSettings::default())
    }

    fn bucket(&self) -> &str {
        BUCKET
    }

    fn put(&self, key: &str, bytes: &[u8], times: usize) {
        let tag = self.0.emulator.put(BUCKET, key, bytes);
        self.0.emulator.send_all(&self.0.queue, &vec![s3_message(BUCKET, key, &tag, bytes.len()); times]);
    }
}

struct InMemory {
    world: World,
    queue: MemoryQueue,
    store: MemoryStore,
}

impl Scene for InMemory {
    type Queue = MemoryQueue;
    type Store = MemoryStore;

    fn world(&self) -> &World {
        &self.world
    }

    fn queue(&self) -> MemoryQueue {
        self.queue.clone()
    }

    fn store(&self) -> MemoryStore {
        self.store.clone()
    }

    fn bucket(&self) -> &str {
        BUCKET
    }

    fn put(&self, key: &str, bytes: &[u8], times: usize) {
        let object = self.store.put(BUCKET, key, bytes);
        for _ in 0..times {
            self.queue.send(s3_message(BUCKET, key, object.etag.as_deref().expect("a put has an ETag"), bytes.len()));
        }
    }
}

struct InFolder(World);

impl Scene for InFolder {
    type Queue = DirectoryQueue;
    type Store = FolderStore;

    fn world(&self) -> &World {
        &self.0
    }

    fn queue(&self) -> DirectoryQueue {
        let quick = Duration::from_millis(100);
        let settings = DirectoryQueueSettings { every: quick, settle: quick, ..DirectoryQueueSettings::default() };
        DirectoryQueue::new(self.0.path("bucket"), settings)
    }

    fn store(&self) -> FolderStore {
        FolderStore::new(self.0.path("bucket"))
    }

    fn bucket(&self) -> &str {
        FOLDER_BUCKET
    }

    /// A new worker walks the folder from its start: each file is known, or is worked on.
    fn is_done(&self, status: &WorkerStatus) -> bool {
        let objects = status.objects;
        objects.committed + objects.skipped + objects.quarantined + objects.known == 62
    }

    fn put(&self, key: &str, bytes: &[u8], _: usize) {
        let path = self.0.path("bucket").join(key);
        fs::create_dir_all(path.parent().expect("a key has folders")).expect("a folder");
        fs::write(&path, bytes).expect("a file");
        let file = fs::File::options().write(true).open(path).expect("a file");
        file.set_modified(SystemTime::now() - Duration::from_secs(60)).expect("a time");
    }
}

#[test]
fn the_worker_keeps_its_contract_over_sqs_and_s3() {
    check(&OnEmulator(Stage::new(50)));
}

#[test]
fn the_worker_keeps_its_contract_over_a_folder() {
    check(&InFolder(World::new()));
}

#[test]
fn the_worker_keeps_its_contract_in_memory() {
    check(&InMemory { world: World::new(), queue: MemoryQueue::default(), store: MemoryStore::new() });
}
