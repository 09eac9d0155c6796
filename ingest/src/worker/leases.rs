//! Keeps messages invisible to others while they are worked on.
//!
//! In: messages as they are received. Out: leases that are extended at half their time, in batches, until the message is
//! let go of. An extension that says that the receipt is gone marks the lease lost; so does the end of a lease that could
//! not be extended, and the wall of 12 hours that SQS puts before every lease. A lost lease stops nothing: the work goes
//! on, the deletion is tried, and the ledger makes a second delivery harmless.
//!
//! Invariant: a message that was let go of is not extended again, except by a call already under way.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{StreamExt, stream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{events, settings::WorkerSettings, watch::WorkerWatch};
use crate::queue::{Queue, Receipt};

/// Receipts in one call of ours; the queue cuts it into what its protocol takes.
const CALL_MAX: usize = 100;
/// Calls at the same time.
const CALLS: usize = 4;

/// One held message. Numbers are given once per run, so a message that comes twice has two.
pub(super) type MessageNo = u64;

struct Lease {
    receipt: Receipt,
    received_at: Instant,
    ends_at: Instant,
    /// When it is looked at again.
    next_at: Instant,
    lost: bool,
}

/// The leases that are held. A clone is the same registry.
#[derive(Clone, Default)]
pub(super) struct Leases {
    held: Arc<Mutex<HashMap<MessageNo, Lease>>>,
}

/// What is to be extended now, by how much; and what was found lost.
#[derive(Default)]
struct Due {
    extend: Vec<(MessageNo, Receipt, Duration)>,
    lost: Vec<&'static str>,
    next_at: Option<Instant>,
}

impl Leases {
    /// A message was received just now.
    pub(super) fn hold(&self, no: MessageNo, receipt: Receipt, lease: Duration) {
        let now = Instant::now();
        let (ends_at, next_at) = (now + lease, now + lease / 2);
        self.lock().insert(no, Lease { receipt, received_at: now, ends_at, next_at, lost: false });
    }

    /// The message came again while it was held: `newer` is the delivery that counts from now on.
    pub(super) fn take_over(&self, no: MessageNo, newer: MessageNo) {
        let mut held = self.lock();
        if let Some(lease) = held.remove(&newer) {
            held.insert(no, lease);
        }
    }

    /// Ends the keeping; gives the newest receipt.
    pub(super) fn let_go(&self, no: MessageNo) -> Option<Receipt> {
        self.lock().remove(&no).map(|lease| lease.receipt)
    }

    pub(super) fn receipt(&self, no: MessageNo) -> Option<Receipt> {
        self.lock().get(&no).map(|lease| lease.receipt.clone())
    }

    /// True while others cannot have the message, as far as is known.
    pub(super) fn holds(&self, no: MessageNo) -> bool {
        self.lock().get(&no).is_some_and(|lease| !lease.lost)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    pub(super) fn numbers(&self) -> Vec<MessageNo> {
        self.lock().keys().copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<MessageNo, Lease>> {
        // Nothing that can panic happens under the lock.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn due(&self, settings: &WorkerSettings) -> Due {
        let now = Instant::now();
        let mut due = Due::default();
        for (no, lease) in self.lock().iter_mut().filter(|(_, lease)| !lease.lost) {
            let left = (lease.received_at + settings.max_lease_total).saturating_duration_since(now);
            let lost = match () {
                () if left <= settings.lease / 10 => Some("max_lease_total"),
                () if lease.ends_at <= now => Some("expired"),
                () => None,
            };
            if let Some(code) = lost {
                lease.lost = true;
                due.lost.push(code);
            } else if lease.next_at <= now {
                due.extend.push((*no, lease.receipt.clone(), settings.lease.min(left)));
            } else {
                due.next_at = Some(due.next_at.map_or(lease.next_at, |next| next.min(lease.next_at)));
            }
        }
        due
    }

    /// Changes a lease, unless a newer delivery has replaced it meanwhile.
    fn change(&self, no: MessageNo, receipt: &Receipt, change: impl FnOnce(&mut Lease)) {
        if let Some(lease) = self.lock().get_mut(&no).filter(|lease| lease.receipt == *receipt) {
            change(lease);
        }
    }
}

/// Extends leases until it is told to stop.
pub(super) async fn keep<Q: Queue>(
    queue: Q,
    leases: Leases,
    settings: Arc<WorkerSettings>,
    watch: Arc<WorkerWatch>,
    stop: CancellationToken,
) {
    // New leases come while this sleeps; none of them is due before half its time.
    let longest = settings.lease / 4;
    loop {
        let due = leases.due(&settings);
        for code in &due.lost {
            events::lease_lost(&watch, code);
        }
        if due.extend.is_empty() {
            let now = Instant::now();
            let until = due.next_at.map_or(now + longest, |next| next.min(now + longest));
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep_until(until) => {}
            }
            continue;
        }
        let calls = stream::iter(calls(due.extend))
            .for_each_concurrent(CALLS, |(lease, call)| extend(&queue, &leases, &settings, &watch, lease, call));
        tokio::select! {
            () = stop.cancelled() => return,
            () = calls => {}
        }
    }
}

/// Cuts what is due into calls, each for one length of lease.
fn calls(due: Vec<(MessageNo, Receipt, Duration)>) -> Vec<(Duration, Vec<(MessageNo, Receipt)>)> {
    let mut by_length: HashMap<Duration, Vec<(MessageNo, Receipt)>> = HashMap::new();
    for (no, receipt, lease) in due {
        by_length.entry(lease).or_default().push((no, receipt));
    }
    let cut = |(lease, all): (Duration, Vec<(MessageNo, Receipt)>)| {
        all.chunks(CALL_MAX).map(|call| (lease, call.to_vec())).collect::<Vec<_>>()
    };
    by_length.into_iter().flat_map(cut).collect()
}

async fn extend<Q: Queue>(
    queue: &Q,
    leases: &Leases,
    settings: &WorkerSettings,
    watch: &WorkerWatch,
    lease: Duration,
    call: Vec<(MessageNo, Receipt)>,
) {
    let asked_at = Instant::now();
    let receipts: Vec<Receipt> = call.iter().map(|(_, receipt)| receipt.clone()).collect();
    // A call that hangs must not eat the time in which another try would still help.
    let patience = (settings.lease / 4).max(Duration::from_millis(10));
    let again_at = || Instant::now() + (settings.lease / 20).min(Duration::from_secs(5));
    match tokio::time::timeout(patience, queue.extend(&receipts, lease)).await {
        Ok(Ok(failed)) => {
            let failed: HashMap<&Receipt, _> = failed.iter().map(|failed| (&failed.receipt, failed)).collect();
            for (no, receipt) in &call {
                match failed.get(receipt) {
                    None => leases.change(*no, receipt, |held| {
                        held.ends_at = asked_at + lease;
                        held.next_at = asked_at + lease / 2;
                    }),
                    Some(failed) if failed.is_final => {
                        leases.change(*no, receipt, |held| held.lost = true);
                        events::lease_lost(watch, &failed.code);
                    }
                    Some(_) => leases.change(*no, receipt, |held| held.next_at = again_at()),
                }
            }
            events::leases_extended(watch);
        }
        Ok(Err(error)) => {
            events::queue_failed(watch, "extend", &error.to_string(), !error.kind.is_transient());
            call.iter().for_each(|(no, receipt)| leases.change(*no, receipt, |held| held.next_at = again_at()));
        }
        Err(_elapsed) => {
            events::queue_failed(watch, "extend", "no answer in time", false);
            call.iter().for_each(|(no, receipt)| leases.change(*no, receipt, |held| held.next_at = again_at()));
        }
    }
}
