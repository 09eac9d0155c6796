//! The desk's messages: taken in, deleted, given back.
//!
//! A message is open until each of its parts is done with. Then it is deleted (all durable, no faults) or given back, with a
//! pause that grows with its deliveries. Deletions that fail are tried again while the lease holds; after that the message
//! comes again and the ledger knows its objects.

use std::{collections::HashMap, sync::atomic::Ordering, time::Duration};

use keytrail_model::Micros;
use tokio::time::Instant;

use super::{
    Desk,
    objects::Matter,
    step::{Panicked, Step, guarded},
};
use crate::{
    objects::ObjectStore,
    pipeline::Store,
    queue::{Failed, Queue, QueueError, QueueErrorKind, Receipt},
    worker::{
        events::{self, Why},
        leases::MessageNo,
        receive::{Admitted, Space},
    },
};

/// Messages in one call of ours, and calls at the same time.
const CALL_MAX: usize = 100;
const CALLS: usize = 4;
/// A deletion is tried so often.
const DELETES_MAX: u32 = 10;
/// The last call of all may take so long.
const LAST_CALL: Duration = Duration::from_secs(2);

/// A message at the desk.
pub(super) struct Held {
    id: String,
    pub(super) deliveries: u32,
    pub(super) sent_at: Option<Micros>,
    /// Parts that are not done with.
    open: usize,
    /// Set when a part failed, or the message has faults.
    back: Option<Back>,
    deletes: u32,
    _space: Space,
}

/// How a message is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Back {
    pub(super) after: Duration,
    pub(super) why: Why,
}

impl<Q: Queue, O: ObjectStore, S: Store> Desk<Q, O, S> {
    /// Takes a message in and opens its parts.
    pub(super) fn admit(&mut self, admitted: Admitted) {
        self.tools.arriving.fetch_sub(1, Ordering::Relaxed);
        let Admitted { no, id, deliveries, sent_at, notice, space } = admitted;
        events::noticed(&self.tools.watch, notice.shape);
        if let Some(held_no) = self.by_id.get(&id).copied() {
            // It came again while it is held: only its newest receipt counts from now on.
            self.tools.leases.take_over(held_no, no);
            if let Some(held) = self.held.get_mut(&held_no) {
                held.deliveries = held.deliveries.max(deliveries);
            }
            return;
        }
        let back = (!notice.faults.is_empty()).then(|| {
            events::misread(&self.tools.watch, &id, notice.shape, deliveries, &notice.faults);
            Back { after: self.tools.settings.retry_delay(deliveries), why: Why::Fault }
        });
        if !notice.ignored.is_empty() {
            tracing::debug!(message_id = id, ignored = ?notice.ignored, "parts that need nothing");
        }
        // One more than there are, so that it cannot be done with before all are opened.
        let held = Held { id: id.clone(), deliveries, sent_at, open: 1, back, deletes: 0, _space: space };
        self.held.insert(no, held);
        self.by_id.insert(id, no);
        let objects = notice.objects.into_iter().map(Matter::Object);
        let alone = notice.left_alone.into_iter().map(|(object, reason)| Matter::LeftAlone(object, reason));
        for matter in objects.chain(alone).chain(notice.inline.map(Matter::Inline)) {
            if let Some(held) = self.held.get_mut(&no) {
                held.open += 1;
            }
            self.open_part(no, matter);
        }
        self.part_done(no, None);
    }

    /// One part of a message is durable, or has failed.
    pub(super) fn part_done(&mut self, no: MessageNo, failed: Option<Back>) {
        let Some(held) = self.held.get_mut(&no) else {
            return;
        };
        held.open = held.open.saturating_sub(1);
        if let Some(failed) = failed {
            // The longest pause of all: coming back earlier would only fail again. Faults are told apart from it.
            held.back = Some(match held.back {
                Some(back) if back.after >= failed.after && failed.why != Why::Shutdown => back,
                _ => failed,
            });
        }
        if held.open == 0 {
            match held.back {
                Some(back) => self.to_give.push((no, back)),
                None => {
                    events::durable(held.sent_at);
                    self.to_delete.push(no);
                }
            }
        }
    }

    /// The most deliveries among messages.
    pub(super) fn deliveries(&self, messages: &[MessageNo]) -> u32 {
        messages.iter().filter_map(|no| self.held.get(no)).map(|held| held.deliveries).max().unwrap_or(1)
    }

    pub(super) fn start_deletes(&mut self) {
        let now = Instant::now();
        if self.delete_after.is_some_and(|after| after > now) {
            return;
        }
        self.delete_after = None;
        while self.deleting < CALLS && !self.to_delete.is_empty() {
            let rest = self.to_delete.split_off(self.to_delete.len().min(CALL_MAX));
            let call = std::mem::replace(&mut self.to_delete, rest);
            let receipt = |no: MessageNo| self.tools.leases.receipt(no).map(|receipt| (no, receipt));
            let tried: Vec<(MessageNo, Receipt)> = call.into_iter().filter_map(receipt).collect();
            let queue = self.tools.queue.clone();
            self.deleting += 1;
            self.steps.spawn(async move {
                let receipts: Vec<Receipt> = tried.iter().map(|(_, receipt)| receipt.clone()).collect();
                let result = guarded(queue.delete(&receipts)).await.unwrap_or_else(panicked);
                Step::Deleted { tried, result }
            });
        }
    }

    pub(super) fn deleted(&mut self, tried: &[(MessageNo, Receipt)], result: Result<Vec<Failed>, QueueError>) {
        self.deleting -= 1;
        let mut failed: HashMap<Receipt, (String, bool)> = HashMap::new();
        match result {
            Ok(entries) => {
                failed.extend(entries.into_iter().map(|entry| (entry.receipt, (entry.code, entry.is_final))))
            }
            Err(error) => {
                let transient = error.kind.is_transient();
                events::queue_failed(&self.tools.watch, "delete", &error.to_string(), !transient);
                let all = tried.iter().map(|(_, receipt)| (receipt.clone(), (error.kind.to_string(), false)));
                failed.extend(all);
            }
        }
        let (mut gone, mut again) = (0, false);
        for (no, receipt) in tried {
            // A delivery that came meanwhile has made the receipt an old one, and deleting by it may have done nothing.
            let is_newest = self.tools.leases.receipt(*no).is_none_or(|newest| newest == *receipt);
            match failed.get(receipt) {
                None if is_newest => {
                    gone += 1;
                    self.forget(*no);
                }
                None => self.to_delete.push(*no),
                Some((code, is_final)) => {
                    let tries = self.held.get_mut(no).map_or(DELETES_MAX, |held| {
                        held.deletes += 1;
                        held.deletes
                    });
                    if is_newest && (*is_final || tries >= DELETES_MAX || !self.tools.leases.holds(*no)) {
                        events::delete_failed(&self.tools.watch, code);
                        self.forget(*no);
                    } else {
                        again = true;
                        self.to_delete.push(*no);
                    }
                }
            }
        }
        if again {
            self.delete_after = Some(Instant::now() + self.delete_pause.pause());
        } else {
            self.delete_pause.reset();
        }
        if gone > 0 {
            events::deleted(&self.tools.watch, gone);
        }
    }

    pub(super) fn start_giving_back(&mut self) {
        while self.giving < CALLS && !self.to_give.is_empty() {
            let Some((_, back)) = self.to_give.first().copied() else {
                return;
            };
            let (mut call, rest): (Vec<_>, Vec<_>) = self.to_give.drain(..).partition(|(_, other)| *other == back);
            self.to_give = rest;
            self.to_give.extend(call.split_off(call.len().min(CALL_MAX)));
            // Out of the registry first, so that the keeper does not extend what is given back.
            let receipts: Vec<Receipt> = call.into_iter().filter_map(|(no, _)| self.forget(no)).collect();
            let (queue, count) = (self.tools.queue.clone(), receipts.len());
            self.giving += 1;
            self.steps.spawn(async move {
                let result = guarded(queue.extend(&receipts, back.after)).await.unwrap_or_else(panicked);
                Step::GivenBack { why: back.why, count, result }
            });
        }
    }

    /// Whether it worked or not: the messages come back, if not at once then at the end of their leases.
    pub(super) fn given_back(&mut self, why: Why, count: usize, result: Result<Vec<Failed>, QueueError>) {
        self.giving -= 1;
        let failed = match result {
            Ok(failed) => failed.len(),
            Err(error) => {
                events::queue_failed(&self.tools.watch, "give_back", &error.to_string(), !error.kind.is_transient());
                count
            }
        };
        events::given_back(&self.tools.watch, why, count.saturating_sub(failed));
    }

    fn forget(&mut self, no: MessageNo) -> Option<Receipt> {
        if let Some(held) = self.held.remove(&no) {
            self.by_id.remove(&held.id);
        }
        self.tools.leases.let_go(no)
    }

    /// Gives back what is leased and never reached the desk.
    pub(super) fn give_back_orphans(&mut self) {
        let back = Back { after: Duration::ZERO, why: Why::Shutdown };
        let orphans = self.tools.leases.numbers().into_iter().filter(|no| !self.held.contains_key(no));
        let orphans: Vec<(MessageNo, Back)> =
            orphans.filter(|no| !self.to_give.iter().any(|(known, _)| known == no)).map(|no| (no, back)).collect();
        self.to_give.extend(orphans);
    }

    /// The last act: whatever is still leased goes back to the queue.
    pub(super) async fn give_back_the_rest(&mut self) {
        self.steps.abort_all();
        self.decodes.abort_all();
        let numbers = self.tools.leases.numbers();
        let receipts: Vec<Receipt> = numbers.into_iter().filter_map(|no| self.tools.leases.let_go(no)).collect();
        if receipts.is_empty() {
            return;
        }
        match tokio::time::timeout(LAST_CALL, self.tools.queue.extend(&receipts, Duration::ZERO)).await {
            Ok(Ok(failed)) => {
                events::given_back(&self.tools.watch, Why::Shutdown, receipts.len().saturating_sub(failed.len()));
            }
            Ok(Err(error)) => events::queue_failed(&self.tools.watch, "give_back", &error.to_string(), false),
            Err(_elapsed) => events::queue_failed(&self.tools.watch, "give_back", "no answer in time", false),
        }
    }
}

fn panicked<T>(panicked: Panicked) -> Result<T, QueueError> {
    let kind = QueueErrorKind::Unavailable(panicked.to_string());
    Err(QueueError { place: "a call to the queue".to_owned(), kind })
}
