//! What comes back from the calls that the desk starts.

use std::{collections::HashSet, future::Future, panic::AssertUnwindSafe, time::Duration};

use futures::FutureExt;
use keytrail_lake::Committed;
use keytrail_model::{ObjectEntry, ObjectId};

use super::objects::WorkNo;
use crate::{
    decode::Decoded,
    objects::{ObjectBytes, ObjectError},
    pipeline::Room,
    queue::{Failed, QueueError, Receipt},
    worker::{events::Why, leases::MessageNo},
};

/// An error of the lake, whatever the lake is.
pub(super) type StoreError = Box<dyn std::error::Error + Send + Sync>;

/// A call that ended.
pub(super) enum Step {
    Asked { works: Vec<WorkNo>, answer: Result<HashSet<ObjectId>, StoreError> },
    Fetched { work: WorkNo, result: Result<(ObjectBytes, Room), ObjectError> },
    Decoded { work: WorkNo, decoded: Option<Box<Decoded>>, room: Room },
    Committed { result: Result<(Committed, Duration), StoreError>, entries: Vec<ObjectEntry> },
    Deleted { tried: Vec<(MessageNo, Receipt)>, result: Result<Vec<Failed>, QueueError> },
    GivenBack { why: Why, count: usize, result: Result<Vec<Failed>, QueueError> },
}

/// A call of a colleague's code ended in a panic.
#[derive(Debug, thiserror::Error)]
#[error("it ended in a panic; this is a defect")]
pub(super) struct Panicked;

/// Runs a call so that a panic in it is an answer too: nobody else would know whose answer is missing.
pub(super) async fn guarded<T>(call: impl Future<Output = T>) -> Result<T, Panicked> {
    AssertUnwindSafe(call).catch_unwind().await.map_err(|_| Panicked)
}
