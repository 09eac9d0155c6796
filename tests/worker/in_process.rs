//! `ingest::worker::work` inside the test, over any queue and any store, with times that no operator would set.

use std::{sync::Arc, time::Duration};

use keytrail_ingest::{
    objects::ObjectStore,
    queue::Queue,
    worker::{WorkError, WorkSummary, WorkerSettings, WorkerStatus, WorkerWatch, work},
};
use keytrail_lake::{Lake, LakeSettings};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::harness::{
    World,
    wait::{block_on, runtime, until},
};

/// Leases and pauses of a few hundred milliseconds to a few seconds.
pub(super) fn quick() -> WorkerSettings {
    WorkerSettings {
        lease: Duration::from_secs(2),
        wait: Duration::from_secs(1),
        commit_after: Duration::from_millis(100),
        retry_delay: Duration::from_secs(1),
        retry_delay_max: Duration::from_secs(2),
        wait_delay: Duration::from_secs(1),
        wait_delay_max: Duration::from_secs(2),
        shutdown_within: Duration::from_secs(20),
        pause: Duration::from_millis(50),
        pause_max: Duration::from_millis(500),
        look_every: Duration::from_millis(500),
        ..WorkerSettings::default()
    }
}

/// A worker that runs as a task.
pub(super) struct InProcess {
    task: JoinHandle<Result<WorkSummary, WorkError>>,
    stop: CancellationToken,
    watch: Arc<WorkerWatch>,
}

impl InProcess {
    /// Works into the world's lake.
    pub(super) fn start<Q: Queue, O: ObjectStore>(
        world: &World,
        queue: Q,
        objects: O,
        settings: WorkerSettings,
    ) -> Self {
        let lake = world.lake();
        let lake = block_on(Lake::open(&lake, LakeSettings::default())).expect("a lake");
        let (watch, stop) = (Arc::new(WorkerWatch::default()), CancellationToken::new());
        let (watching, stopped) = (Arc::clone(&watch), stop.clone());
        let task = runtime().spawn(async move { work(queue, objects, lake, &settings, &watching, stopped).await });
        Self { task, stop, watch }
    }

    pub(super) fn status(&self) -> WorkerStatus {
        self.watch.status()
    }

    /// Waits for something to be so in the status.
    pub(super) fn wait_for(&self, what: &str, within: Duration, mut is_so: impl FnMut(&WorkerStatus) -> bool) {
        until(what, within, || {
            assert!(!self.task.is_finished(), "the worker ended by itself: {:?}", self.status());
            is_so(&self.status()).then_some(())
        });
    }

    /// Ends it in order.
    pub(super) fn end(self) -> WorkSummary {
        self.stop.cancel();
        block_on(self.task).expect("no panic").expect("a worker that was told to end")
    }

    /// Ends it in the middle of whatever it does.
    pub(super) fn abort(self) {
        self.task.abort();
        assert!(block_on(self.task).is_err_and(|error| error.is_cancelled()), "it had ended before");
    }
}
