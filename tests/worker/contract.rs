//! One contract for every queue and every object store: the emulators here, the folder and the memory beside them.
//!
//! The doubles hold to it in their own crate's tests; run here over the same inputs, a difference between them and what
//! speaks the real protocols shows.

use std::sync::atomic::{AtomicUsize, Ordering};

use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
use keytrail_ingest::{
    aws::{Aws, AwsSettings},
    objects::{
        contract::{self as objects, Arrange},
        folder::{FOLDER_BUCKET, FolderStore},
        memory::MemoryStore,
        s3::{ReadSettings, S3Store},
    },
    queue::{
        contract::{self as queues, Bench},
        directory::{DirectoryQueue, DirectoryQueueSettings},
        memory::MemoryQueue,
        sqs::SqsQueue,
    },
};

use super::stage::BUCKET;
use crate::harness::{
    World,
    emulator::{Emulator, Kind, client_config},
    s3_message,
    wait::block_on,
};

/// The worker's own connection to an emulator, or to a proxy before it.
pub(super) async fn connect(url: &str) -> Aws {
    let config = client_config(url).await;
    Aws::from_config(config, AwsSettings::default()).await.expect("a region is set")
}

struct InBucket<'a>(&'a Emulator);

impl Arrange for InBucket<'_> {
    fn bucket(&self) -> &str {
        BUCKET
    }

    async fn put(&self, key: &str, bytes: &[u8]) -> Option<String> {
        let put = self.0.s3.put_object().bucket(BUCKET).key(key).body(bytes.to_vec().into());
        put.send().await.expect("an object").version_id
    }

    async fn delete(&self, key: &str) {
        self.0.s3.delete_object().bucket(BUCKET).key(key).send().await.expect("a deletion");
    }
}

struct InMemory(MemoryStore);

impl Arrange for InMemory {
    fn bucket(&self) -> &str {
        BUCKET
    }

    async fn put(&self, key: &str, bytes: &[u8]) -> Option<String> {
        self.0.put(BUCKET, key, bytes).version_id
    }

    async fn delete(&self, key: &str) {
        self.0.delete(BUCKET, key);
    }
}

struct InFolder(FolderStore);

impl Arrange for InFolder {
    fn bucket(&self) -> &str {
        FOLDER_BUCKET
    }

    async fn put(&self, key: &str, bytes: &[u8]) -> Option<String> {
        let path = self.0.root().join(key);
        std::fs::create_dir_all(path.parent().expect("below the root")).expect("a folder");
        std::fs::write(path, bytes).expect("a file");
        None
    }

    async fn delete(&self, key: &str) {
        std::fs::remove_file(self.0.root().join(key)).expect("it is there");
    }
}

#[test]
fn object_stores_keep_one_contract() {
    let memory = MemoryStore::new();
    block_on(objects::check(&memory, &InMemory(memory.clone())));
    let world = World::new();
    let folder = FolderStore::new(world.path("bucket"));
    std::fs::create_dir(folder.root()).expect("a folder");
    block_on(objects::check(&folder, &InFolder(folder.clone())));

    let emulator = Emulator::of(Kind::Ministack);
    emulator.bucket(BUCKET);
    block_on(objects::check(&block_on(store(&emulator)), &InBucket(&emulator)));
    let versioned = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
    let put = emulator.s3.put_bucket_versioning().bucket(BUCKET).versioning_configuration(versioned);
    block_on(put.send()).expect("versions are kept");
    block_on(objects::versions_are_kept_apart(&block_on(store(&emulator)), &InBucket(&emulator)));
}

#[test]
fn the_object_store_keeps_the_contract_on_the_second_emulator() {
    let emulator = Emulator::of(Kind::Moto);
    emulator.bucket(BUCKET);
    block_on(objects::check(&block_on(store(&emulator)), &InBucket(&emulator)));
}

async fn store(emulator: &Emulator) -> S3Store {
    S3Store::new(connect(&emulator.url()).await, ReadSettings::default())
}

/// Queues of an emulator, each with a name of its own.
struct OnEmulator<'a> {
    emulator: &'a Emulator,
    made: AtomicUsize,
}

impl Bench for OnEmulator<'_> {
    type Queue = SqsQueue;

    async fn queue(&self) -> SqsQueue {
        let name = format!("contract-{}", self.made.fetch_add(1, Ordering::Relaxed));
        let made = self.emulator.sqs.create_queue().queue_name(name).send().await.expect("a queue");
        SqsQueue::new(connect(&self.emulator.url()).await.sqs(), made.queue_url().expect("a queue has a URL"))
    }

    async fn announce(&self, queue: &SqsQueue, key: &str) {
        let send =
            self.emulator.sqs.send_message().queue_url(queue.url()).message_body(s3_message(BUCKET, key, "0", 1));
        send.send().await.expect("a message");
    }
}

struct MemoryBench;

impl Bench for MemoryBench {
    type Queue = MemoryQueue;

    async fn queue(&self) -> MemoryQueue {
        MemoryQueue::default()
    }

    async fn announce(&self, queue: &MemoryQueue, key: &str) {
        queue.send(s3_message(BUCKET, key, "0", 1));
    }
}

struct FolderBench<'a> {
    world: &'a World,
    made: AtomicUsize,
}

impl Bench for FolderBench<'_> {
    type Queue = DirectoryQueue;

    async fn queue(&self) -> DirectoryQueue {
        let root = self.world.path(&format!("queue-{}", self.made.fetch_add(1, Ordering::Relaxed)));
        std::fs::create_dir(&root).expect("a folder");
        let quick = std::time::Duration::from_millis(50);
        DirectoryQueue::new(root, DirectoryQueueSettings { every: quick, settle: quick, ..Default::default() })
    }

    async fn announce(&self, queue: &DirectoryQueue, key: &str) {
        let path = queue.root().join(key);
        std::fs::create_dir_all(path.parent().expect("below the root")).expect("a folder");
        std::fs::write(path, key).expect("a file");
    }
}

#[test]
fn queues_keep_one_contract() {
    block_on(queues::check(&MemoryBench));
    let world = World::new();
    block_on(queues::check(&FolderBench { world: &world, made: AtomicUsize::new(0) }));
    let emulator = Emulator::of(Kind::Ministack);
    block_on(queues::check(&OnEmulator { emulator: &emulator, made: AtomicUsize::new(0) }));
}
