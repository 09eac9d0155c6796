//! What every queue promises, as checks to run over each.
//!
//! In: a [`Bench`], which makes empty queues and announces objects in them. A promise that is broken panics with its name.
//! Messages are told apart by the key of the object they announce. Times are real and whole seconds, as SQS has them.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use tokio::time::Instant;

use super::{MOST_MESSAGES, Message, Queue, Receipt};
use crate::notification;

/// Makes what is checked.
pub trait Bench: Send + Sync {
    type Queue: Queue;

    /// An empty queue that nobody else uses, and without a redrive policy.
    fn queue(&self) -> impl Future<Output = Self::Queue> + Send;

    /// Makes the queue tell of an object with this key.
    fn announce(&self, queue: &Self::Queue, key: &str) -> impl Future<Output = ()> + Send;
}

/// A lease that outlasts every check.
const LONG: Duration = Duration::from_secs(120);
/// A lease whose end is waited for.
const SHORT: Duration = Duration::from_secs(2);
/// How long something that must come may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Every promise, all at the same time: each has a queue of its own.
pub async fn check<B: Bench>(bench: &B) {
    tokio::join!(
        what_is_announced_is_received(bench),
        an_empty_queue_waits_and_wakes(bench),
        a_leased_message_stays_away(bench),
        a_lease_that_ends_brings_the_message_back(bench),
        a_lease_can_be_extended(bench),
        a_message_can_be_given_back(bench),
        a_stale_receipt_does_not_delete(bench),
        batches_of_any_size_are_deleted(bench),
        one_bad_receipt_spoils_nothing(bench),
        receivers_do_not_share(bench),
        the_depth_is_told(bench),
    );
}

/// The key that a message announces.
pub fn key_of(message: &Message) -> String {
    let mut notice = notification::read(&message.body);
    assert!(notice.faults.is_empty(), "{notice:?}");
    assert_eq!(notice.objects.len(), 1, "{notice:?}");
    notice.objects.remove(0).key
}

/// Receives until so many different messages came, or patience ends. A message that comes twice is kept twice.
async fn collect<Q: Queue>(queue: &Q, count: usize, lease: Duration) -> Vec<Message> {
    let deadline = Instant::now() + PATIENCE;
    let mut messages: Vec<Message> = Vec::new();
    while messages.iter().map(key_of).collect::<BTreeSet<_>>().len() < count && Instant::now() < deadline {
        let more = queue.receive(MOST_MESSAGES, Duration::from_secs(1), lease).await.expect("messages");
        assert!(more.len() <= MOST_MESSAGES, "{} messages at once", more.len());
        messages.extend(more);
    }
    messages
}

/// The one message of a queue.
async fn one<Q: Queue>(queue: &Q, lease: Duration) -> Message {
    let mut messages = collect(queue, 1, lease).await;
    assert_eq!(messages.len(), 1, "one message was announced: {messages:?}");
    messages.remove(0)
}

/// Nothing comes for so long.
async fn stays_empty<Q: Queue>(queue: &Q, how_long: Duration) {
    let deadline = Instant::now() + how_long;
    while Instant::now() < deadline {
        let wait = Duration::from_secs(1).min(deadline - Instant::now());
        let messages = queue.receive(MOST_MESSAGES, wait, LONG).await.expect("an answer");
        assert!(messages.is_empty(), "{messages:?}");
    }
}

fn receipts(messages: &[Message]) -> Vec<Receipt> {
    messages.iter().map(|message| message.receipt.clone()).collect()
}

async fn delete_all<Q: Queue>(queue: &Q, messages: &[Message]) {
    assert_eq!(queue.delete(&receipts(messages)).await.expect("an answer"), []);
}

/// Every message comes, whole, with a receipt and a first count.
pub async fn what_is_announced_is_received<B: Bench>(bench: &B) {
    let queue = bench.queue().await;
    let keys = ["AWSLogs/1/plain.json.gz", "with space+plus%percent=é.gz", "deep/er/still"];
    for key in keys {
        bench.announce(&queue, key).await;
    }
    let messages = collect(&queue, keys.len(), LONG).await;
    let came: BTreeSet<String> = messages.iter().map(key_of).collect();
    assert_eq!(came, keys.map(str::to_owned).into());
    for message in &messages {
        assert!(!message.id.is_empty() && !message.receipt.0.is_empty());
        assert_eq!(message.receive_count, 1);
        assert!(message.sent_at.is_some());
    }
}

/// A poll of an empty queue ends without messages when its time is up, and early when one comes.
pub async fn an_empty_queue_waits_and_wakes<B: Bench>(bench: &B) {
    let queue = bench.queue().await;
    let start = Instant::now();
    assert_eq!(queue.receive(1, Duration::from_secs(1), LONG).await.expect("an answer"), []);
    let waited = start.elapsed();
    assert!(waited >= Duration::from_millis(900) && waited < PATIENCE / 2, "it waited {waited:?}");
    let start = Instant::now();
    let announce = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        bench.announce(&queue, "late").await;
    };
    let (messages, ()) = tokio::join!(queue.receive(1, PATIENCE, LONG), announce);
    assert_eq!(messages.expect("an answer").len(), 1);
    assert!(start.elapsed() < PATIENCE / 2, "it slept over a message");
}

/// Nobody else gets a message while it is leased.
pub async fn a_leased_message_stays_away<B: Bench>(bench: &B) {
    let queue = bench.queue().await;
    bench.announce(&queue, "held").await;
    one(&queue, LONG).await;
    stays_empty(&queue, SHORT).await;
}

/// It comes back by itself, with a higher count and another receipt.
pub async fn a_lease_that_ends_brings_the_message_back<B: Bench>(bench: &B) {
    let queue = bench.queue().await;
    bench.announce(&queue, "back").await;
    let first = one(&queue, SHORT).await;
    let start = Instant::now();
    let second = one(&queue, LONG).await;
    assert!(start.elapsed() >= SHORT - Duration::from_millis(1500), "it came back after {:?}", start.elapsed());
    assert_eq!((second.receive_count, &second.id, key_of(&second)), (2, &first.id, key_of(&first)));
    assert_ne!(second.receipt, first.receipt);
    delete_all(&queue, &[second]).await;
    stays_empty(&queue, SHORT).await;
}

/// An extension counts from the moment it is asked for.
pub async fn a_lease_can_be_extended<B: Bench>(bench: &B) {
    let queue = bench.queue().await;
    bench.announce(&queue, "longer").await;
    let message = one(&queue, SHORT).await;
    assert_eq!(queue.extend(&receipts(std::slice::from_ref(&message)), LONG).await.expect("an answer"), []);
    stays_empty(&queue, SHORT + Duration::from_secs(1)).await;
    delete_all(&queue, &[message]).await;
}

/// A lease of nothing gives the message back at once.
pub async fn a_message_can_be_given_back<B: Bench>(bench: &B) {
    let queue = bench.queue().await;
    bench.announce(&queue, "returned").await;
    let message = one(&queue, LONG).await;
    assert_eq!(queue.extend(&[message.receipt], Duration::ZERO).await.expect("an answer"), []);
    let start = Instant::now();
    assert_eq!(one(&queue, LONG).await.receive_count, 2);
    assert!(start.elapsed() < PATIENCE / 2);
}

/// Whatever the queue answers to an old receipt, the message is still there afterwards.
pub async fn a_stale_receipt_does_not_delete<B: Bench>(bench: &B) {
    let queue = bench.queue().await;
    bench.announce(&queue, "stale").await;
    let first = one(&queue, SHORT).await;
    let second = one(&queue, SHORT).await;
    assert_eq!(second.receive_count, 2);
    queue.delete(&[first.receipt]).await.expect("an answer");
    let third = one(&queue, LONG).await;
    assert_eq!((third.receive_count, &third.id), (3, &second.id));
    delete_all(&queue, &[third]).await;
}

/// More than one call's worth at once.
pub async fn batches_of_any_size_are_deleted<B: Bench>(bench: &B) {
    let queue = bench.queue().await;
    let keys: BTreeSet<String> = (0..37).map(|number| format!("many/{number}")).collect();
    for key in &keys {
        bench.announce(&queue, key).await;
    }
    let messages = collect(&queue, keys.len(), LONG).await;
    assert_eq!(messages.iter().map(key_of).collect::<BTreeSet<_>>(), keys);
    assert_eq!(queue.extend(&receipts(&messages), LONG).await.expect("an answer"), []);
    delete_all(&queue, &messages).await;
    assert_eq!(queue.delete(&[]).await.expect("an answer"), []);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let depth = queue.depth().await.expect("a depth");
        if depth.visible + depth.in_flight + depth.delayed == 0 {
            break;
        }
        assert!(Instant::now() < deadline, "{depth:?} is left");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// An entry that fails comes back, and the others work.
pub async fn one_bad_receipt_spoils_nothing<B: Bench>(bench: &B) {
    let queue = bench.queue().await;
    for key in ["beside/1", "beside/2"] {
        bench.announce(&queue, key).await;
    }
    let messages = collect(&queue, 2, LONG).await;
    let bad = Receipt("no receipt".to_owned());
    let mut mixed = receipts(&messages);
    mixed.insert(1, bad.clone());
    let failed = queue.extend(&mixed, SHORT).await.expect("an answer");
    assert_eq!(failed.iter().map(|failed| &failed.receipt).collect::<Vec<_>>(), [&bad]);
    assert!(failed[0].is_final && !failed[0].code.is_empty(), "{failed:?}");
    let failed = queue.delete(&mixed).await.expect("an answer");
    assert_eq!(failed.iter().map(|failed| &failed.receipt).collect::<Vec<_>>(), [&bad]);
    stays_empty(&queue, SHORT + Duration::from_secs(1)).await;
}

/// Receivers at the same time get different messages.
pub async fn receivers_do_not_share<B: Bench>(bench: &B) {
    let queue = bench.queue().await;
    for number in 0..20 {
        bench.announce(&queue, &format!("shared/{number}")).await;
    }
    let came = AtomicUsize::new(0);
    let deadline = Instant::now() + PATIENCE;
    let worker = async |queue: &B::Queue| {
        let mut keys = Vec::new();
        while came.load(Ordering::SeqCst) < 20 && Instant::now() < deadline {
            let messages = queue.receive(3, Duration::from_secs(1), LONG).await.expect("messages");
            came.fetch_add(messages.len(), Ordering::SeqCst);
            keys.extend(messages.iter().map(key_of));
            // A queue in memory answers without waiting: the others get their turn all the same.
            tokio::task::yield_now().await;
        }
        keys
    };
    let (one, two, three) = tokio::join!(worker(&queue), worker(&queue), worker(&queue));
    stays_empty(&queue, Duration::from_secs(1)).await;
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for key in one.into_iter().chain(two).chain(three) {
        *counts.entry(key).or_default() += 1;
    }
    assert_eq!(counts.len(), 20);
    assert!(counts.values().all(|count| *count == 1), "{counts:?}");
}

/// What waits and what is leased is counted, about; and a queue without a redrive policy says so.
pub async fn the_depth_is_told<B: Bench>(bench: &B) {
    let queue = bench.queue().await;
    for key in ["depth/1", "depth/2"] {
        bench.announce(&queue, key).await;
    }
    let messages = collect(&queue, 2, LONG).await;
    let back = receipts(messages.get(..1).expect("a message"));
    assert_eq!(queue.extend(&back, Duration::ZERO).await.expect("an answer"), []);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let depth = queue.depth().await.expect("a depth");
        if (depth.visible, depth.in_flight) == (1, 1) {
            break;
        }
        assert!(Instant::now() < deadline, "{depth:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let redrive = queue.redrive().await.expect("a policy");
    assert_eq!((redrive.max_receive_count, redrive.dead_letter_queue), (None, None));
}
