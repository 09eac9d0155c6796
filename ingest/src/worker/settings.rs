//! What bounds the worker, and how patient it is.
//!
//! Plain values; the configuration file fills them. The defaults suit a queue of its own with a redrive policy, an object
//! store in the same region and a machine of two cores. Every wait has an end.

use std::time::Duration;

use crate::{normalize::Scope, settings::IngestSettings};

const MIB: usize = 1 << 20;
const MINUTE: Duration = Duration::from_secs(60);

/// How the worker behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerSettings {
    /// Limits of one object and of one batch, and the bytes held while objects are read.
    pub ingest: IngestSettings,
    pub scope: Scope,
    /// How long a message stays invisible to others before the lease is extended again. Default 2 minutes.
    pub lease: Duration,
    /// A message is let go of when it has been held for so long: SQS ends every lease 12 hours after the receipt. Default 11 h 30.
    pub max_lease_total: Duration,
    /// How long one call waits for messages. Default 20 s, the most that SQS allows.
    pub wait: Duration,
    /// Calls for messages at the same time, while the queue is full. Default 4.
    pub receives: usize,
    /// Messages held at once. Default 1,500.
    pub max_messages: usize,
    /// Memory that held messages may take, with what they announce. Default 32 MiB.
    pub max_message_bytes: usize,
    /// A commit is due so long after the first object of its batch. Default 2 s.
    pub commit_after: Duration,
    /// How long a refused batch is tried again before its messages are given back. Default 5 minutes.
    pub commit_retry_for: Duration,
    /// The worker ends when so many batches in a row were given up. Default 3.
    pub failed_batches_max: u32,
    /// Objects fetched at the same time. Default 32.
    pub fetches: usize,
    /// After so many deliveries an object that cannot be read is quarantined. The queue's redrive policy may lower it. Default 8.
    pub give_up_after: u32,
    /// Pause before a message comes back when time alone may help; doubles with each delivery. Default 10 s, up to 15 minutes.
    pub retry_delay: Duration,
    pub retry_delay_max: Duration,
    /// The same where a person must act first (permissions, keys). Default 2 minutes, up to 1 hour.
    pub wait_delay: Duration,
    pub wait_delay_max: Duration,
    /// From the request to stop to the end. Default 25 s: orchestrators kill after 30.
    pub shutdown_within: Duration,
    /// Pauses between tries when queue or lake fail: the first, and the longest. Default 200 ms and 30 s.
    pub pause: Duration,
    pub pause_max: Duration,
    /// Pause when the queue is missing or forbidden. Default 1 minute.
    pub refused_pause: Duration,
    /// How often the queue is asked how full it is. Default 1 minute.
    pub look_every: Duration,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            ingest: IngestSettings::default(),
            scope: Scope::Secrets,
            lease: 2 * MINUTE,
            max_lease_total: 690 * MINUTE,
            wait: Duration::from_secs(20),
            receives: 4,
            max_messages: 1_500,
            max_message_bytes: 32 * MIB,
            commit_after: Duration::from_secs(2),
            commit_retry_for: 5 * MINUTE,
            failed_batches_max: 3,
            fetches: 32,
            give_up_after: 8,
            retry_delay: Duration::from_secs(10),
            retry_delay_max: 15 * MINUTE,
            wait_delay: 2 * MINUTE,
            wait_delay_max: 60 * MINUTE,
            shutdown_within: Duration::from_secs(25),
            pause: Duration::from_millis(200),
            pause_max: Duration::from_secs(30),
            refused_pause: MINUTE,
            look_every: MINUTE,
        }
    }
}

/// SQS hides a message for at most 12 hours.
const LONGEST_DELAY: Duration = Duration::from_secs(11 * 3_600);

impl WorkerSettings {
    /// Pause before a message that was delivered so often comes back, where time alone may help.
    pub(super) fn retry_delay(&self, deliveries: u32) -> Duration {
        doubled(self.retry_delay, self.retry_delay_max, deliveries)
    }

    /// The same where a person must act first.
    pub(super) fn wait_delay(&self, deliveries: u32) -> Duration {
        doubled(self.wait_delay, self.wait_delay_max, deliveries)
    }

    /// Deliveries after which an object is given up: one before the redrive policy would take the message away.
    pub(super) fn gives_up_at(&self, max_receive_count: Option<u32>) -> u32 {
        let by_policy = max_receive_count.map_or(u32::MAX, |most| most.saturating_sub(1));
        self.give_up_after.min(by_policy).max(1)
    }
}

fn doubled(first: Duration, most: Duration, deliveries: u32) -> Duration {
    let factor = 1_u32.checked_shl(deliveries.saturating_sub(1)).unwrap_or(u32::MAX);
    first.saturating_mul(factor).min(most).min(LONGEST_DELAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_their_cap() {
        let settings = WorkerSettings::default();
        let seconds = [0, 1, 2, 3, 7, 8, 40, u32::MAX].map(|count| settings.retry_delay(count).as_secs());
        assert_eq!(seconds, [10, 10, 20, 40, 640, 900, 900, 900]);
        assert_eq!(settings.wait_delay(2), Duration::from_secs(240));
        let endless = WorkerSettings { retry_delay_max: Duration::MAX, ..WorkerSettings::default() };
        assert_eq!(endless.retry_delay(90), LONGEST_DELAY);
    }

    #[test]
    fn it_gives_up_before_the_policy_takes_the_message_away() {
        let settings = WorkerSettings::default();
        let at = [None, Some(0), Some(1), Some(2), Some(5), Some(100)].map(|most| settings.gives_up_at(most));
        assert_eq!(at, [8, 1, 1, 1, 4, 8]);
    }
}
