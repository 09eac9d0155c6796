//! A queue in memory that keeps SQS's promises, and no more: at least once, in any order, leases that end.
//!
//! In: bodies ([`MemoryQueue::send`]). Out: what [`Queue`] promises. Like SQS it counts deliveries, moves a message that was
//! delivered too often to the dead letters when it would be delivered once more, answers a stale receipt's delete with
//! success and deletes nothing, refuses an extension past the longest lease counted from the delivery, and hands out a new
//! receipt at every delivery. Time is tokio's. Nothing outlives the process.
//!
//! Bounds: it holds what is sent until it is deleted, so whoever sends keeps the number in check ([`MemoryQueue::len`]).

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use keytrail_model::{Micros, time};
use tokio::{sync::Notify, time::Instant};

use super::{Depth, Failed, LONGEST_LEASE, MOST_MESSAGES, Message, Queue, QueueError, Receipt, Redrive};

/// How a [`MemoryQueue`] behaves.
#[derive(Clone, Debug)]
pub struct MemoryQueueSettings {
    /// After so many deliveries a message becomes a dead letter; never where `None`.
    pub max_receive_count: Option<u32>,
    /// How long a message that was sent stays invisible at first.
    pub delay: Duration,
    /// How long one delivery can be held, however often it is extended.
    pub longest_lease: Duration,
}

impl Default for MemoryQueueSettings {
    fn default() -> Self {
        Self { max_receive_count: None, delay: Duration::ZERO, longest_lease: LONGEST_LEASE }
    }
}

/// A queue in memory. A clone is the same queue.
#[derive(Clone, Debug, Default)]
pub struct MemoryQueue {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    settings: MemoryQueueSettings,
    state: Mutex<State>,
    /// Something may have become visible.
    changed: Notify,
}

impl MemoryQueue {
    pub fn new(settings: MemoryQueueSettings) -> Self {
        Self { shared: Arc::new(Shared { settings, ..Shared::default() }) }
    }

    /// Puts a message into the queue and gives it an id.
    pub fn send(&self, body: impl Into<String>) -> String {
        self.send_after(body, self.shared.settings.delay)
    }

    /// The same with a delay of its own.
    pub fn send_after(&self, body: impl Into<String>, delay: Duration) -> String {
        let id = self.state().add(body.into(), Instant::now() + delay);
        self.shared.changed.notify_waiters();
        id.to_string()
    }

    /// Messages that were sent and neither deleted nor given up.
    pub fn len(&self) -> usize {
        self.state().messages.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Messages that were delivered too often, in the order in which they were given up. Their receipts do nothing.
    pub fn dead_letters(&self) -> Vec<Message> {
        self.state().dead.clone()
    }

    /// The state as it is now: what was due has been done.
    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.advance(Instant::now());
        state
    }
}

impl Queue for MemoryQueue {
    async fn receive(&self, most: usize, wait: Duration, lease: Duration) -> Result<Vec<Message>, QueueError> {
        let most = most.clamp(1, MOST_MESSAGES);
        let deadline = Instant::now() + wait;
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            // From here on a message that is sent wakes this call, though it is only now that the queue is looked at.
            changed.as_mut().enable();
            let next = {
                let mut state = self.state();
                let taken = state.take(most, lease, self.shared.settings.max_receive_count);
                if !taken.is_empty() || Instant::now() >= deadline {
                    return Ok(taken);
                }
                state.due.peek().map(|Reverse(due)| due.at)
            };
            let until = next.map_or(deadline, |next| next.min(deadline));
            tokio::select! {
                () = changed => {},
                () = tokio::time::sleep_until(until) => {},
            }
        }
    }

    async fn extend(&self, receipts: &[Receipt], lease: Duration) -> Result<Vec<Failed>, QueueError> {
        let failed = {
            let mut state = self.state();
            let now = Instant::now();
            let longest = self.shared.settings.longest_lease;
            receipts
                .iter()
                .filter_map(|receipt| {
                    let code = state.extend(receipt, now, lease, longest).err()?;
                    Some(Failed { receipt: receipt.clone(), code: code.to_owned(), is_final: true })
                })
                .collect()
        };
        if lease.is_zero() {
            self.shared.changed.notify_waiters();
        }
        Ok(failed)
    }

    async fn delete(&self, receipts: &[Receipt]) -> Result<Vec<Failed>, QueueError> {
        let mut state = self.state();
        let failed = receipts.iter().filter_map(|receipt| {
            let code = state.delete(receipt).err()?;
            Some(Failed { receipt: receipt.clone(), code: code.to_owned(), is_final: true })
        });
        Ok(failed.collect())
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        let state = self.state();
        let in_flight = state.messages.values().filter(|held| matches!(held.phase, Phase::Leased { .. })).count();
        let delayed = state.messages.values().filter(|held| matches!(held.phase, Phase::Delayed)).count();
        let visible = state.messages.len() - in_flight - delayed;
        Ok(Depth { visible: visible as u64, in_flight: in_flight as u64, delayed: delayed as u64 })
    }

    async fn redrive(&self) -> Result<Redrive, QueueError> {
        let max_receive_count = self.shared.settings.max_receive_count;
        Ok(Redrive {
            max_receive_count,
            dead_letter_queue: max_receive_count.map(|_| "memory:dead-letters".to_owned()),
            retention: None,
        })
    }
}

/// One message that is held.
#[derive(Debug)]
struct Held {
    body: String,
    sent_at: Micros,
    receive_count: u32,
    phase: Phase,
    /// Changes whenever the phase does, so that what was due for an earlier phase does nothing.
    turn: u64,
}

#[derive(Debug)]
enum Phase {
    Delayed,
    Visible,
    Leased { since: Instant },
}

/// The moment at which a message becomes visible, unless something else happened to it before.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: Instant,
    id: u64,
    turn: u64,
}

#[derive(Debug, Default)]
struct State {
    messages: HashMap<u64, Held>,
    visible: VecDeque<u64>,
    due: BinaryHeap<Reverse<Due>>,
    dead: Vec<Message>,
    next_id: u64,
}

const INVALID: &str = "ReceiptHandleIsInvalid";
const NOT_IN_FLIGHT: &str = "MessageNotInflight";
/// What SQS calls an extension past the longest lease.
const TOO_LONG: &str = "InvalidParameterValue";

impl State {
    fn add(&mut self, body: String, visible_at: Instant) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let held = Held { body, sent_at: time::now(), receive_count: 0, phase: Phase::Delayed, turn: 0 };
        self.messages.insert(id, held);
        self.due.push(Reverse(Due { at: visible_at, id, turn: 0 }));
        self.advance(Instant::now());
        id
    }

    /// Makes visible what is due.
    fn advance(&mut self, now: Instant) {
        while self.due.peek().is_some_and(|Reverse(due)| due.at <= now) {
            let Some(Reverse(due)) = self.due.pop() else { return };
            let Some(held) = self.messages.get_mut(&due.id).filter(|held| held.turn == due.turn) else { continue };
            held.phase = Phase::Visible;
            self.visible.push_back(due.id);
        }
    }

    fn take(&mut self, most: usize, lease: Duration, max_receive_count: Option<u32>) -> Vec<Message> {
        let now = Instant::now();
        let mut taken = Vec::new();
        while taken.len() < most {
            let Some(id) = self.visible.pop_front() else { break };
            // A message can be deleted while it is visible, by its newest receipt.
            let Some(held) = self.messages.get_mut(&id) else { continue };
            if max_receive_count.is_some_and(|max| held.receive_count >= max) {
                self.bury(id);
                continue;
            }
            held.receive_count += 1;
            held.turn += 1;
            held.phase = Phase::Leased { since: now };
            self.due.push(Reverse(Due { at: now + lease, id, turn: held.turn }));
            taken.push(Message {
                id: id.to_string(),
                receipt: Receipt(format!("{id}-{}", held.receive_count)),
                body: held.body.clone(),
                receive_count: held.receive_count,
                sent_at: Some(held.sent_at),
            });
        }
        taken
    }

    fn bury(&mut self, id: u64) {
        let Some(held) = self.messages.remove(&id) else { return };
        self.dead.push(Message {
            id: id.to_string(),
            receipt: Receipt(String::new()),
            body: held.body,
            receive_count: held.receive_count,
            sent_at: Some(held.sent_at),
        });
    }

    fn extend(
        &mut self,
        receipt: &Receipt,
        now: Instant,
        lease: Duration,
        longest: Duration,
    ) -> Result<(), &'static str> {
        let (id, delivery) = parse(receipt)?;
        let held = self.messages.get_mut(&id).filter(|held| held.receive_count == delivery).ok_or(NOT_IN_FLIGHT)?;
        let Phase::Leased { since } = held.phase else { return Err(NOT_IN_FLIGHT) };
        if now + lease > since + longest {
            return Err(TOO_LONG);
        }
        held.turn += 1;
        self.due.push(Reverse(Due { at: now + lease, id, turn: held.turn }));
        self.advance(now);
        Ok(())
    }

    fn delete(&mut self, receipt: &Receipt) -> Result<(), &'static str> {
        let (id, delivery) = parse(receipt)?;
        if self.messages.get(&id).is_some_and(|held| held.receive_count == delivery) {
            self.messages.remove(&id);
        }
        Ok(())
    }
}

/// The message and the delivery that a receipt is for.
fn parse(receipt: &Receipt) -> Result<(u64, u32), &'static str> {
    let (id, delivery) = receipt.0.split_once('-').ok_or(INVALID)?;
    match (id.parse(), delivery.parse()) {
        (Ok(id), Ok(delivery)) => Ok((id, delivery)),
        _ => Err(INVALID),
    }
}
