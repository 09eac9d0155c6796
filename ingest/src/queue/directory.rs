//! A folder that is watched: every file in it announces itself, as S3 would announce an object.
//!
//! In: a folder. Out: messages whose bodies are S3 event notifications of the bucket [`FOLDER_BUCKET`], the key being the
//! path below the folder with forward slashes. A file is announced when it is first seen and again when its size or its
//! time of change differs. What was announced is kept in memory only: after a restart everything is announced again, and
//! the ledger knows what was read.
//!
//! ```text
//! walk (in steps, off the async threads) ── new or changed, settled ──▶ MemoryQueue ──▶ leases, as with SQS
//! ```
//!
//! Invariants: a file that may still be written to waits until it is `settle` old; hidden names and names that end in
//! `.tmp` or `.part` are passed over; links to folders are not followed and links to files only inside the folder, so no
//! loop is entered and nothing outside is announced. At most `max_messages` are held: the walk stands still until some are
//! deleted. Memory: that, and about 100 bytes for each file of the folder.
//!
//! Bad input: names that are no UTF-8 or too long for a key are passed over with a warning; a subfolder that cannot be
//! read is warned about and tried again by the next walk; a root that cannot be read is an error of `receive`.

mod watch;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{sync::Mutex, time::Instant};

use self::watch::Watch;
use super::{
    Depth, Failed, Message, Queue, QueueError, QueueErrorKind, Receipt, Redrive,
    memory::{MemoryQueue, MemoryQueueSettings},
};
pub use crate::objects::folder::FOLDER_BUCKET;

/// How a folder is watched.
#[derive(Clone, Debug)]
pub struct DirectoryQueueSettings {
    /// The least time between the end of a walk and the start of the next.
    pub every: Duration,
    /// How long a file must not have changed.
    pub settle: Duration,
    /// Messages that are held at most.
    pub max_messages: usize,
}

impl Default for DirectoryQueueSettings {
    fn default() -> Self {
        Self { every: Duration::from_secs(1), settle: Duration::from_secs(2), max_messages: 1_000 }
    }
}

/// A folder as a queue. A clone is the same queue.
#[derive(Clone, Debug)]
pub struct DirectoryQueue {
    root: Arc<Path>,
    messages: MemoryQueue,
    watch: Arc<Mutex<Watch>>,
}

impl DirectoryQueue {
    /// The folder must be there when messages are received.
    pub fn new(root: impl Into<PathBuf>, settings: DirectoryQueueSettings) -> Self {
        let root: Arc<Path> = root.into().into();
        let messages = MemoryQueue::new(MemoryQueueSettings::default());
        let watch = Watch::new(Arc::clone(&root), settings, messages.clone());
        Self { root, messages, watch: Arc::new(Mutex::new(watch)) }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Files that the present walk and the one before it have seen and that are remembered.
    #[cfg(test)]
    pub(super) async fn files_seen(&self) -> usize {
        self.watch.lock().await.files()
    }

    /// One step of the walk, if it is time for one. The moment at which the next one is.
    async fn step(&self) -> Result<Instant, QueueError> {
        // Another receive at the same time does the walking; this one looks again a little later.
        let Ok(mut watch) = Arc::clone(&self.watch).try_lock_owned() else {
            return Ok(Instant::now() + Duration::from_millis(50));
        };
        if let Some(later) = watch.rests_until() {
            return Ok(later);
        }
        // The guard goes along: were this call dropped, the step would still end before the next one begins.
        let stepped = tokio::task::spawn_blocking(move || watch.step()).await;
        match stepped {
            Ok(Ok(next)) => Ok(next),
            Ok(Err(kind)) => Err(self.error("walk", kind)),
            Err(ended) => Err(self.error("walk", QueueErrorKind::Unavailable(ended.to_string()))),
        }
    }

    fn error(&self, asked: &str, kind: QueueErrorKind) -> QueueError {
        QueueError { place: format!("{}: {asked}", self.root.display()), kind }
    }
}

impl Queue for DirectoryQueue {
    async fn receive(&self, most: usize, wait: Duration, lease: Duration) -> Result<Vec<Message>, QueueError> {
        let deadline = Instant::now() + wait;
        loop {
            let ready = self.messages.receive(most, Duration::ZERO, lease).await?;
            if !ready.is_empty() {
                return Ok(ready);
            }
            let next = self.step().await?;
            let until = next.min(deadline).saturating_duration_since(Instant::now());
            let found = self.messages.receive(most, until, lease).await?;
            if !found.is_empty() || Instant::now() >= deadline {
                return Ok(found);
            }
        }
    }

    async fn extend(&self, receipts: &[Receipt], lease: Duration) -> Result<Vec<Failed>, QueueError> {
        self.messages.extend(receipts, lease).await
    }

    async fn delete(&self, receipts: &[Receipt]) -> Result<Vec<Failed>, QueueError> {
        self.messages.delete(receipts).await
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        self.messages.depth().await
    }

    async fn redrive(&self) -> Result<Redrive, QueueError> {
        self.messages.redrive().await
    }
}
