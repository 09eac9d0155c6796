//! `[worker]`: leases, batches, retries and the end of a worker.
//!
//! The limits follow from SQS: a lease ends 12 hours after the message was received, a long poll lasts at most 20 seconds,
//! and a queue holds 120,000 messages in flight.

use super::{
    key::{Within, section},
    units::{ByteSize, HumanDuration},
};

section! {
    /// How `keytrail run` works its queue off.
    struct WorkerSection {
        /// How long a message stays ours without a sign of life; extended at half of it while work goes on.
        lease: HumanDuration = HumanDuration::minutes(2), Within(HumanDuration::seconds(30), HumanDuration::hours(12));
        /// How long one request waits for messages (long polling).
        wait: HumanDuration = HumanDuration::seconds(20), Within(HumanDuration::seconds(0), HumanDuration::seconds(20));
        /// Messages held at the same time; no more are asked for until some are durable.
        max_messages: usize = 1_500, Within(1, 100_000);
        /// Bytes of message bodies held at the same time.
        max_message_bytes: ByteSize = ByteSize::mib(32), Within(ByteSize::mib(1), ByteSize::mib(4096));
        /// A commit is due this long after its first object was read, however small it is.
        commit_after: HumanDuration = HumanDuration::seconds(2), Within(HumanDuration(std::time::Duration::from_millis(50)), HumanDuration::minutes(10));
        /// How long a worker that was told to stop may take to finish what it holds; the rest is given back.
        shutdown_within: HumanDuration = HumanDuration::seconds(25), Within(HumanDuration::seconds(1), HumanDuration::hours(1));
        /// Objects fetched at the same time.
        fetches: usize = 32, Within(1, 1_024);
        /// Deliveries of one message after which an object that still cannot be read is quarantined; a redrive policy that gives up earlier counts instead.
        give_up_after: u32 = 5, Within(1, 1_000);
        /// How long fetching one object may take, retries included.
        object_timeout: HumanDuration = HumanDuration::minutes(2), Within(HumanDuration::seconds(1), HumanDuration::hours(1));
    }
}
