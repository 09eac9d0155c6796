//! [`MemoryQueue`]: the contract, and what only SQS and it do.

use std::{collections::BTreeMap, time::Duration};

use proptest::prelude::*;
use serde_json::json;
use tokio::time::Instant;

use crate::{
    notification::encode_key,
    queue::{
        LONGEST_LEASE, Queue, QueueError, Receipt,
        contract::{self, Bench},
        memory::{MemoryQueue, MemoryQueueSettings},
    },
};

const LEASE: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_millis(60);

struct Memory;

impl Bench for Memory {
    type Queue = MemoryQueue;

    async fn queue(&self) -> MemoryQueue {
        MemoryQueue::default()
    }

    async fn announce(&self, queue: &MemoryQueue, key: &str) {
        let record = json!({"eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
            "s3": {"bucket": {"name": "trail"}, "object": {"key": encode_key(key)}}});
        queue.send(json!({ "Records": [record] }).to_string());
    }
}

#[tokio::test]
async fn it_keeps_the_contract() {
    contract::check(&Memory).await;
}

/// Receives one message, which must come at once or so.
async fn one(queue: &MemoryQueue, lease: Duration) -> crate::queue::Message {
    let mut messages = queue.receive(1, Duration::from_secs(10), lease).await.expect("an answer");
    assert_eq!(messages.len(), 1);
    messages.remove(0)
}

#[tokio::test]
async fn a_message_that_is_delivered_too_often_is_a_dead_letter() {
    let queue = MemoryQueue::new(MemoryQueueSettings { max_receive_count: Some(2), ..MemoryQueueSettings::default() });
    queue.send("poison");
    for count in 1..=2 {
        let message = one(&queue, LEASE).await;
        assert_eq!(message.receive_count, count);
        assert!(queue.dead_letters().is_empty());
        assert_eq!(queue.extend(&[message.receipt], Duration::ZERO).await.expect("an answer"), []);
    }
    assert_eq!(queue.receive(1, Duration::ZERO, LEASE).await.expect("an answer"), []);
    let dead = queue.dead_letters();
    assert_eq!((dead.len(), dead[0].body.as_str(), dead[0].receive_count), (1, "poison", 2));
    assert!(queue.is_empty());
    let redrive = queue.redrive().await.expect("a policy");
    assert_eq!((redrive.max_receive_count, redrive.dead_letter_queue.is_some()), (Some(2), true));
}

#[tokio::test]
async fn a_delayed_message_comes_when_it_is_due() {
    let queue = MemoryQueue::new(MemoryQueueSettings { delay: SOON, ..MemoryQueueSettings::default() });
    let start = Instant::now();
    queue.send_after("much later", LEASE * 60);
    queue.send("later");
    queue.send_after("now", Duration::ZERO);
    assert_eq!(one(&queue, LEASE).await.body, "now");
    assert_eq!(one(&queue, LEASE).await.body, "later");
    assert!(start.elapsed() >= SOON);
    assert_eq!(queue.receive(10, SOON, LEASE).await.expect("an answer"), []);
    let depth = queue.depth().await.expect("a depth");
    assert_eq!((depth.visible, depth.in_flight, depth.delayed), (0, 2, 1));
}

#[tokio::test]
async fn a_delivery_cannot_be_held_longer_than_the_longest_lease() {
    let queue = MemoryQueue::default();
    queue.send("held");
    let message = one(&queue, LEASE).await;
    let receipts = [message.receipt];
    assert_eq!(queue.extend(&receipts, LONGEST_LEASE - Duration::from_secs(30)).await.expect("an answer"), []);
    let failed = queue.extend(&receipts, LONGEST_LEASE + Duration::from_secs(1)).await.expect("an answer");
    assert_eq!((failed.len(), failed[0].code.as_str(), failed[0].is_final), (1, "InvalidParameterValue", true));

    let longest_lease = SOON * 2;
    let queue = MemoryQueue::new(MemoryQueueSettings { longest_lease, ..MemoryQueueSettings::default() });
    queue.send("held");
    let receipts = [one(&queue, SOON).await.receipt];
    let start = Instant::now();
    // Extending does not reset the wall: sooner or later it is refused, and the message comes back.
    while queue.extend(&receipts, SOON).await.expect("an answer").is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(start.elapsed() < LEASE, "it was extended for ever");
    assert_eq!(one(&queue, LEASE).await.receive_count, 2);
}

#[tokio::test]
async fn receipts_do_what_sqs_makes_of_them() -> Result<(), QueueError> {
    let queue = MemoryQueue::default();
    queue.send("body");
    let first = one(&queue, SOON).await.receipt;
    let second = one(&queue, LEASE).await.receipt;
    let code = |failed: Vec<crate::queue::Failed>| failed.first().map(|failed| failed.code.clone());
    // A stale receipt: nothing is deleted and nothing is said; but it cannot be extended.
    assert_eq!(queue.delete(std::slice::from_ref(&first)).await?, []);
    assert_eq!(queue.len(), 1);
    assert_eq!(code(queue.extend(&[first], LEASE).await?).as_deref(), Some("MessageNotInflight"));
    // The newest deletes even after its lease.
    queue.extend(std::slice::from_ref(&second), Duration::ZERO).await?;
    assert_eq!(code(queue.extend(std::slice::from_ref(&second), LEASE).await?).as_deref(), Some("MessageNotInflight"));
    assert_eq!(queue.delete(std::slice::from_ref(&second)).await?, []);
    assert!(queue.is_empty());
    assert_eq!(queue.receive(1, Duration::ZERO, LEASE).await?, []);
    // Once more is no error; text that is no receipt is.
    assert_eq!(queue.delete(&[second]).await?, []);
    for text in ["", "x", "1", "1-", "-1", "1-x", "99999999999999999999-1"] {
        let failed = queue.delete(&[Receipt(text.to_owned())]).await?;
        assert_eq!(code(failed).as_deref(), Some("ReceiptHandleIsInvalid"), "{text:?}");
    }
    Ok(())
}

#[tokio::test]
async fn every_waiting_receiver_wakes() {
    let queue = MemoryQueue::default();
    let waiting: Vec<_> = (0..8)
        .map(|_| {
            let queue = queue.clone();
            tokio::spawn(async move { queue.receive(1, Duration::from_secs(20), LEASE).await })
        })
        .collect();
    for number in 0..8 {
        tokio::task::yield_now().await;
        queue.send(number.to_string());
    }
    for receiver in waiting {
        assert_eq!(receiver.await.expect("it ran").expect("an answer").len(), 1);
    }
}

/// What somebody does with a queue.
#[derive(Clone, Debug)]
enum Act {
    Send,
    Receive(usize),
    /// The newest receipt of a message that was received, told by number.
    Delete(usize),
    GiveBack(usize),
    /// Some receipt, old or new.
    DeleteStale(usize),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        3 => Just(Act::Send),
        3 => (1usize..12).prop_map(Act::Receive),
        2 => any::<usize>().prop_map(Act::Delete),
        2 => any::<usize>().prop_map(Act::GiveBack),
        1 => any::<usize>().prop_map(Act::DeleteStale),
    ];
    prop::collection::vec(act, 0..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Every message is deleted by its newest receipt, still held, or a dead letter; and none is leased twice.
    #[test]
    fn nothing_is_lost_and_nothing_is_leased_twice(acts in acts(), max in 1u32..4) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(async {
            let settings = MemoryQueueSettings { max_receive_count: Some(max), ..MemoryQueueSettings::default() };
            let queue = MemoryQueue::new(settings);
            let (mut sent, mut deleted) = (0usize, 0usize);
            let mut leased: BTreeMap<String, Receipt> = BTreeMap::new();
            let mut old: Vec<Receipt> = Vec::new();
            for act in acts {
                match act {
                    Act::Send => {
                        queue.send("body");
                        sent += 1;
                    },
                    Act::Receive(most) => {
                        for message in queue.receive(most, Duration::ZERO, LEASE).await.expect("an answer") {
                            assert!(message.receive_count <= max);
                            assert!(leased.insert(message.id, message.receipt).is_none(), "leased twice");
                        }
                    },
                    Act::Delete(at) if !leased.is_empty() => {
                        let id = leased.keys().nth(at % leased.len()).cloned().expect("one");
                        let receipt = leased.remove(&id).expect("leased");
                        assert_eq!(queue.delete(&[receipt]).await.expect("an answer"), []);
                        deleted += 1;
                    },
                    Act::GiveBack(at) if !leased.is_empty() => {
                        let id = leased.keys().nth(at % leased.len()).cloned().expect("one");
                        let receipt = leased.remove(&id).expect("leased");
                        let given_back = queue.extend(std::slice::from_ref(&receipt), Duration::ZERO).await;
                        assert_eq!(given_back.expect("an answer"), []);
                        old.push(receipt);
                    },
                    Act::DeleteStale(at) if !old.is_empty() => {
                        // While the message was not delivered again, this is still its newest receipt.
                        let before = queue.len();
                        let receipt = old.swap_remove(at % old.len());
                        assert_eq!(queue.delete(&[receipt]).await.expect("an answer"), []);
                        deleted += before - queue.len();
                    },
                    _ => {},
                }
                assert_eq!(sent, deleted + queue.len() + queue.dead_letters().len());
            }
            let depth = queue.depth().await.expect("a depth");
            assert_eq!(depth.in_flight as usize, leased.len());
        });
    }
}
