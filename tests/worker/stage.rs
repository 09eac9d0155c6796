//! The scene of a worker's test: an emulator with a bucket, a queue and its dead-letter queue; a proxy; a lake.

use std::time::Duration;

use keytrail_ingest::{
    objects::s3::{ReadSettings, S3Store},
    queue::sqs::SqsQueue,
    worker::{WorkSummary, WorkerSettings},
};

use super::{
    contract::connect,
    in_process::InProcess,
    outcome::{Ledger, assert_equal},
};
use crate::harness::{
    World,
    corpus::Corpus,
    emulator::{Emulator, Kind, TestQueue},
    proxy::{Plan, Proxy},
    s3_message,
    wait::{PATIENCE, block_on, until},
    worker::{Config, Worker},
};

/// The trail's bucket in every stage.
pub(super) const BUCKET: &str = "trail-bucket";

pub(super) struct Stage {
    pub(super) world: World,
    pub(super) emulator: Emulator,
    pub(super) proxy: Proxy,
    pub(super) queue: TestQueue,
}

impl Stage {
    /// Messages move to the dead-letter queue after `most` deliveries. Nothing is announced by itself.
    pub(super) fn new(most: u32) -> Self {
        Self::of(Kind::Ministack, most)
    }

    pub(super) fn of(kind: Kind, most: u32) -> Self {
        let emulator = Emulator::of(kind);
        emulator.bucket(BUCKET);
        let queue = emulator.queue("notifications", most);
        let proxy = Proxy::before(&emulator, Plan::clean());
        Self { world: World::new(), emulator, proxy, queue }
    }

    /// A worker's configuration; it talks to the proxy.
    pub(super) fn config(&self) -> Config {
        Config::new(&self.world, &self.queue.url, &self.proxy.url())
    }

    /// A worker inside the test that talks to the proxy.
    pub(super) fn in_process(&self, settings: WorkerSettings) -> InProcess {
        let aws = block_on(connect(&self.proxy.url()));
        let queue = SqsQueue::new(aws.sqs(), &*self.queue.url);
        InProcess::start(&self.world, queue, S3Store::new(aws, ReadSettings::default()), settings)
    }

    /// Waits until it has worked off the queue, ends it, and checks lake, queue and dead letters.
    pub(super) fn work_off(&self, worker: InProcess, corpus: &Corpus, ledger: Ledger) -> WorkSummary {
        worker.wait_for("an empty queue", PATIENCE, |_| self.emulator.depth(&self.queue.url).is_empty());
        let summary = worker.end();
        assert!(self.emulator.depth(&self.queue.url).is_empty());
        assert_eq!(self.emulator.depth(&self.queue.dead_letters).visible, 0, "dead letters");
        assert_equal(&self.world, corpus, ledger);
        summary
    }

    pub(super) fn worker(&self, config: &Config) -> Worker {
        Worker::start(&self.world, "worker", config)
    }

    /// Puts the objects without any notification of the emulator, and returns one message for each.
    pub(super) fn put(&self, corpus: &mut Corpus) -> Vec<String> {
        let mut tags = self.emulator.put_all(BUCKET, corpus.pairs());
        for object in &mut corpus.objects {
            object.etag = tags.remove(&object.key).expect("each was put");
        }
        corpus.objects.iter().map(|object| s3_message(BUCKET, &object.key, &object.etag, object.bytes.len())).collect()
    }

    /// Waits until every message is deleted or in the dead-letter queue.
    pub(super) fn drained(&self, worker: &mut Worker, within: Duration) {
        until("an empty queue", within, || {
            assert!(worker.is_running(), "the worker ended by itself\n{}", worker.log());
            self.emulator.depth(&self.queue.url).is_empty().then_some(())
        });
    }

    /// Ends the worker as an operator would, and checks lake, queue and dead letters.
    pub(super) fn finish(&self, mut worker: Worker, corpus: &Corpus, ledger: Ledger, dead_letters: u64) {
        let (code, _) = worker.terminate(Duration::from_secs(40));
        assert_eq!(code, 0, "SIGTERM ends it in order\n{}", worker.log());
        assert!(self.emulator.depth(&self.queue.url).is_empty());
        assert_eq!(self.emulator.depth(&self.queue.dead_letters).visible, dead_letters, "dead letters");
        assert_equal(&self.world, corpus, ledger);
    }
}
