//! Where notifications come from: a queue with leases.
//!
//! In: nothing. Out: [`Message`]s that stay invisible to others for a while (the lease), and that come back unless they are
//! deleted with their newest receipt. At least once, in any order.
//!
//! Three of them, held to one contract (`contract.rs`): SQS, a folder whose files announce themselves, and one in memory.

#[cfg(all(feature = "aws", any(test, feature = "contract")))]
pub mod contract;
#[cfg(feature = "aws")]
pub mod directory;
#[cfg(feature = "aws")]
pub mod memory;
#[cfg(feature = "aws")]
pub mod sqs;
#[cfg(all(test, feature = "aws"))]
mod tests;

use std::{future::Future, time::Duration};

use keytrail_model::Micros;
use thiserror::Error;

/// The most messages of one [`Queue::receive`].
pub const MOST_MESSAGES: usize = 10;
/// How long one delivery can be held, however often it is extended: SQS counts from the delivery.
pub const LONGEST_LEASE: Duration = Duration::from_secs(12 * 60 * 60);

/// What extends or ends one delivery of a message. The newest one counts; an older one may do nothing, in silence.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Receipt(pub String);

impl std::fmt::Debug for Receipt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Whoever holds it can delete the message.
        f.write_str("Receipt(…)")
    }
}

/// One delivery of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub id: String,
    pub receipt: Receipt,
    pub body: String,
    /// How often it has been delivered, this time included.
    pub receive_count: u32,
    pub sent_at: Option<Micros>,
}

/// How full the queue is, about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    pub visible: u64,
    pub in_flight: u64,
    pub delayed: u64,
}

/// What the queue does with messages that nobody manages to work off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redrive {
    /// After so many deliveries a message moves to the dead-letter queue; `None` where there is none.
    pub max_receive_count: Option<u32>,
    pub dead_letter_queue: Option<String>,
    /// How long it keeps a message; `None` where it does not say.
    pub retention: Option<Duration>,
}

/// One message of a batch call for which it did not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    pub receipt: Receipt,
    pub code: String,
    /// False where asking again may help.
    pub is_final: bool,
}

/// A queue with leases. A clone is the same queue.
pub trait Queue: Clone + Send + Sync + 'static {
    /// Waits up to `wait` for messages and leases at most `most` of them (1 to 10) for `lease`. Empty when none came.
    fn receive(
        &self,
        most: usize,
        wait: Duration,
        lease: Duration,
    ) -> impl Future<Output = Result<Vec<Message>, QueueError>> + Send;

    /// Sets the lease of each to `lease` from now; zero gives a message back at once. Any number; those that failed come back, and an
    /// error is for all of them. A lease past [`LONGEST_LEASE`] from the delivery is refused for that message.
    fn extend(
        &self,
        receipts: &[Receipt],
        lease: Duration,
    ) -> impl Future<Output = Result<Vec<Failed>, QueueError>> + Send;

    /// Deletes each. Any number; those that failed come back. An error is for all of them.
    fn delete(&self, receipts: &[Receipt]) -> impl Future<Output = Result<Vec<Failed>, QueueError>> + Send;

    fn depth(&self) -> impl Future<Output = Result<Depth, QueueError>> + Send;

    fn redrive(&self) -> impl Future<Output = Result<Redrive, QueueError>> + Send;
}

/// A queue that did not answer as it should.
#[derive(Debug, Error)]
#[error("{place}: {kind}")]
pub struct QueueError {
    /// The queue, and what was asked.
    pub place: String,
    #[source]
    pub kind: QueueErrorKind,
}

#[derive(Debug, Error)]
pub enum QueueErrorKind {
    #[error("there is no such queue")]
    Missing,
    #[error("access is denied ({code}): `keytrail iam-policy` prints what the worker needs")]
    Forbidden { code: String },
    #[error("it asks to slow down ({code})")]
    Throttled { code: String },
    #[error("too many messages are in flight")]
    OverLimit,
    #[error("it cannot be reached or failed: {0}")]
    Unavailable(String),
    #[error("it refuses the request ({code}): {message}")]
    Refused { code: String, message: String },
}

impl QueueErrorKind {
    /// Whether trying again, after a pause, can help without anybody acting.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Throttled { .. } | Self::OverLimit | Self::Unavailable(_))
    }
}
