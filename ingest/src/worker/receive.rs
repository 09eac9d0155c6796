//! Messages from the queue to the desk, no more than there is room for.
//!
//! ```text
//! receive calls ── deliveries, leased and counted ──▶ admit: read the body, one at a time ── admitted ──▶ desk
//! (1, more while the queue gives full hands)            waits for room in bytes
//! ```
//!
//! Invariants: a message is in the registry of leases before anything waits; at most `max_messages` are held, and what
//! their notices take in memory stays within `max_message_bytes`, give or take the one that is being read. A notice may
//! take many times its body's size (a list of many short keys), so bodies are read one after the other.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt, stream::FuturesUnordered};
use keytrail_model::Micros;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    backoff::{Backoff, jittered},
    events,
    leases::{Leases, MessageNo},
    settings::WorkerSettings,
    watch::WorkerWatch,
};
use crate::{
    notification::{self, Notice},
    pipeline::{Permits, Room},
    queue::{Message, Queue, QueueError},
};

/// The most that one call may ask for.
const CALL_MAX: usize = 10;
/// The longest poll while messages are held: calls under way must be able to end soon when the worker is told to stop.
const BUSY_WAIT: Duration = Duration::from_secs(1);
/// How long such calls may take to their end.
const LAST_CALLS: Duration = Duration::from_secs(4);
/// A body longer than this is read on the blocking pool.
const SHORT_BODY: usize = 1 << 16;
/// What an announced object takes in memory, about; and a message without any.
const OBJECT_BYTES: usize = 768;
const MESSAGE_BYTES: usize = 1_024;

/// A message on its way to the desk.
pub(super) struct Delivery {
    no: MessageNo,
    message: Message,
    slot: OwnedSemaphorePermit,
}

/// A message that was read and may be worked on.
pub(super) struct Admitted {
    pub(super) no: MessageNo,
    pub(super) id: String,
    pub(super) deliveries: u32,
    pub(super) sent_at: Option<Micros>,
    pub(super) notice: Notice,
    /// Given back when the message is done with.
    pub(super) space: Space,
}

/// What a held message takes of the bounds.
pub(super) struct Space {
    _slot: OwnedSemaphorePermit,
    _room: Room,
}

/// What receiving shares with the desk.
#[derive(Clone)]
pub(super) struct Intake {
    pub(super) settings: Arc<WorkerSettings>,
    pub(super) watch: Arc<WorkerWatch>,
    pub(super) leases: Leases,
    /// Received, and not at the desk yet.
    pub(super) arriving: Arc<AtomicUsize>,
    pub(super) numbers: Arc<AtomicU64>,
    pub(super) stop: CancellationToken,
}

/// Receives until told to stop.
///
/// # Errors
/// The very first call says that the queue is not there or may not be read.
pub(super) async fn receive<Q: Queue>(
    queue: Q,
    intake: Intake,
    deliveries: mpsc::Sender<Vec<Delivery>>,
) -> Result<(), QueueError> {
    let settings = Arc::clone(&intake.settings);
    let most = settings.max_messages.clamp(1, CALL_MAX);
    let slots = Arc::new(Semaphore::new(settings.max_messages.max(1)));
    let mut calls = FuturesUnordered::new();
    let mut backoff = Backoff::new(settings.pause, settings.pause_max);
    let (mut has_worked, mut calls_wanted) = (false, 1);
    loop {
        while calls.len() < calls_wanted {
            let (queue, slots, settings) = (queue.clone(), Arc::clone(&slots), Arc::clone(&settings));
            let leases = intake.leases.clone();
            calls.push(async move {
                let slots = slots.acquire_many_owned(u32::try_from(most).unwrap_or(1)).await.ok();
                let wait = if leases.is_empty() { settings.wait } else { settings.wait.min(BUSY_WAIT) };
                (queue.receive(most, wait, settings.lease).await, slots)
            });
        }
        let (answer, slots) = tokio::select! {
            biased;
            () = intake.stop.cancelled() => {
                finish(calls, &intake).await;
                return Ok(());
            }
            Some(answer) = calls.next() => answer,
        };
        match answer {
            Ok(messages) => {
                (has_worked, calls_wanted) = (true, if messages.len() >= most { settings.receives.max(1) } else { 1 });
                backoff.reset();
                events::received(&intake.watch, &messages);
                let batch = lease(&intake, messages, slots);
                if !batch.is_empty() {
                    tokio::select! {
                        () = intake.stop.cancelled() => {}
                        sent = deliveries.send(batch) => if sent.is_err() { return Ok(()) },
                    }
                }
            }
            Err(error) => {
                let transient = error.kind.is_transient();
                events::queue_failed(&intake.watch, "receive", &error.to_string(), !transient);
                if !transient && !has_worked {
                    return Err(error);
                }
                calls_wanted = 1;
                let pause = if transient { backoff.pause() } else { jittered(settings.refused_pause) };
                tokio::select! {
                    () = intake.stop.cancelled() => {}
                    () = tokio::time::sleep(pause) => {}
                }
            }
        }
    }
}

/// Lets the calls under way come to their end: the queue answers a call that was dropped all the same, and what it then
/// hands to nobody, just given back perhaps, would stay invisible for a whole lease. What comes goes back with the rest.
/// A worker that holds nothing gives nothing back, so its long poll may be dropped.
async fn finish<F>(mut calls: FuturesUnordered<F>, intake: &Intake)
where
    F: Future<Output = (Result<Vec<Message>, QueueError>, Option<OwnedSemaphorePermit>)>,
{
    if intake.leases.is_empty() {
        return;
    }
    let until = Instant::now() + LAST_CALLS.min(intake.settings.shutdown_within * 4 / 10);
    while let Ok(Some((answer, slots))) = tokio::time::timeout_at(until, calls.next()).await {
        // Entered into the registry, and never sent on: the desk gives back what it does not know.
        if let Ok(messages) = answer {
            events::received(&intake.watch, &messages);
            drop(lease(intake, messages, slots));
        }
    }
}

/// Enters messages into the registry; what was reserved and not used is free again.
fn lease(intake: &Intake, messages: Vec<Message>, slots: Option<OwnedSemaphorePermit>) -> Vec<Delivery> {
    let Some(mut slots) = slots else {
        return Vec::new();
    };
    intake.arriving.fetch_add(messages.len(), Ordering::Relaxed);
    messages
        .into_iter()
        .filter_map(|message| {
            let no = intake.numbers.fetch_add(1, Ordering::Relaxed);
            intake.leases.hold(no, message.receipt.clone(), intake.settings.lease);
            // A queue that gives more than it was asked for: the rest is given back at the end of its lease.
            let Some(slot) = slots.split(1) else {
                intake.arriving.fetch_sub(1, Ordering::Relaxed);
                intake.leases.let_go(no);
                return None;
            };
            Some(Delivery { no, message, slot })
        })
        .collect()
}

/// Reads bodies, as far as there is room for what they say.
pub(super) async fn admit(intake: Intake, mut deliveries: mpsc::Receiver<Vec<Delivery>>, desk: mpsc::Sender<Admitted>) {
    let permits = Permits::new(intake.settings.max_message_bytes);
    loop {
        let batch = tokio::select! {
            biased;
            () = intake.stop.cancelled() => return,
            batch = deliveries.recv() => batch,
        };
        let Some(batch) = batch else { return };
        for delivery in batch {
            let no = delivery.no;
            tokio::select! {
                () = intake.stop.cancelled() => return,
                admitted = read(&permits, delivery) => {
                    let Some(admitted) = admitted else {
                        intake.arriving.fetch_sub(1, Ordering::Relaxed);
                        intake.leases.let_go(no);
                        continue;
                    };
                    if desk.send(admitted).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

/// `None` where reading ended in a panic: the message is left to its lease, and comes again.
async fn read(permits: &Permits, delivery: Delivery) -> Option<Admitted> {
    let Delivery { no, message, slot } = delivery;
    let Message { id, body, receive_count, sent_at, .. } = message;
    let mut room = permits.take(body.len() + MESSAGE_BYTES).await;
    let length = body.len();
    let notice = if length > SHORT_BODY {
        tokio::task::spawn_blocking(move || notification::read(&body)).await.ok()?
    } else {
        notification::read(&body)
    };
    let needed = (notice.objects.len() + notice.left_alone.len()).saturating_mul(OBJECT_BYTES);
    if needed > length {
        permits.widen(&mut room, needed - length).await;
    }
    let space = Space { _slot: slot, _room: room };
    Some(Admitted { no, id, deliveries: receive_count, sent_at, notice, space })
}
