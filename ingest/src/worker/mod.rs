//! The worker: from a queue's messages to commits, with nothing lost, doubled or silent.
//!
//! ```text
//! receive ─▶ admit ─▶ desk ─▶ ledger? fetch, decode ─▶ batch ─▶ Store::commit ─▶ delete
//!    └─▶ leases: extended until the message is deleted or given back        └─▶ give back, later
//! ```
//!
//! In: a [`Queue`] of notifications, an [`ObjectStore`] that has the objects, a [`Store`] that takes them, and a token that
//! ends it. Out: rows and ledger lines in the lake, an empty queue, a [`WorkSummary`]; all that happens is told to a
//! [`WorkerWatch`].
//!
//! Invariants: a message is deleted only after everything it announced is durable in the ledger; what was not understood is
//! never deleted; memory is bounded by [`WorkerSettings`] whatever the queue holds; every wait ends with the token. Several
//! workers may share a queue and a lake. Dropping the future is safe at any moment: what was not deleted comes again.

mod backoff;
mod desk;
mod events;
mod inline;
mod leases;
mod receive;
mod settings;
mod watch;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use thiserror::Error;
use tokio::{sync::mpsc, task::JoinSet, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use self::{
    desk::{Desk, Tools},
    leases::Leases,
    receive::{Intake, admit, receive},
};
pub use self::{
    events::{METRICS, MetricKind},
    settings::WorkerSettings,
    watch::{
        InFlight, Incident, MessageCounts, Misread, ObjectCounts, QueueDepth, RecordCounts, Waiting, WorkerStatus,
        WorkerWatch,
    },
};
use crate::{
    objects::ObjectStore,
    pipeline::Store,
    queue::{Queue, QueueError, QueueErrorKind},
};

/// Messages between receiving and the desk.
const CHANNEL: usize = 16;
/// How long the queue's policy is waited for before the first message.
const POLICY_WITHIN: Duration = Duration::from_secs(10);

/// Why the worker ended by itself. Everything that was not done has been given back to the queue.
#[derive(Debug, Error)]
pub enum WorkError {
    #[error(transparent)]
    Queue(QueueError),
    #[error("{doing}: the lake has refused for too long: {source}")]
    Store { doing: &'static str, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("a task of the worker ended early; this is a defect")]
    TaskEnded,
}

/// What a run came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkSummary {
    pub messages: MessageCounts,
    pub objects: ObjectCounts,
    pub records: RecordCounts,
    pub commits: u64,
}

/// Works off a queue until `stop` is cancelled.
///
/// # Errors
/// At the start, the queue is not there or may not be read; later, the lake refuses batch after batch.
pub async fn work<Q: Queue, O: ObjectStore, S: Store>(
    queue: Q,
    objects: O,
    store: S,
    settings: &WorkerSettings,
    watch: &Arc<WorkerWatch>,
    stop: CancellationToken,
) -> Result<WorkSummary, WorkError> {
    // The worker may end itself; that is not the caller's token.
    let stop = stop.child_token();
    let settings = Arc::new(settings.clone());
    let before = Tally::of(watch);
    events::started(watch);
    let gives_up_at = Arc::new(AtomicU32::new(settings.gives_up_at(None)));
    tokio::select! {
        () = stop.cancelled() => {}
        policy = tokio::time::timeout(POLICY_WITHIN, look_at_policy(&queue, &settings, watch, &gives_up_at)) => {
            if let Ok(Err(error)) = policy && matches!(error.kind, QueueErrorKind::Missing) {
                events::ended(watch);
                return Err(WorkError::Queue(error));
            }
        }
    }
    let intake = Intake {
        settings: Arc::clone(&settings),
        watch: Arc::clone(watch),
        leases: Leases::default(),
        arriving: Arc::default(),
        numbers: Arc::default(),
        stop: stop.clone(),
    };
    let tools = Tools {
        queue: queue.clone(),
        objects,
        store,
        settings: Arc::clone(&settings),
        watch: Arc::clone(watch),
        leases: intake.leases.clone(),
        arriving: Arc::clone(&intake.arriving),
        gives_up_at: Arc::clone(&gives_up_at),
    };
    let (deliveries, to_admit) = mpsc::channel(1);
    let (to_desk, admitted) = mpsc::channel(CHANNEL);
    let mut feeders = JoinSet::new();
    feeders.spawn(receive(queue.clone(), intake.clone(), deliveries));
    let admitting = admit(intake.clone(), to_admit, to_desk);
    feeders.spawn(async move {
        admitting.await;
        Ok(())
    });
    feeders.spawn(look(queue.clone(), Arc::clone(&settings), Arc::clone(watch), gives_up_at, stop.clone()));
    // Leases are kept to the very end, so the keeper has an end of its own. Dropping the set ends it too.
    let mut keeper = JoinSet::new();
    let kept = CancellationToken::new();
    keeper.spawn(leases::keep(queue, intake.leases, settings, Arc::clone(watch), kept.clone()));
    let ended = Desk::new(tools).run(admitted, feeders, stop).await;
    kept.cancel();
    events::ended(watch);
    ended.map(|()| Tally::of(watch).since(&before))
}

/// Looks at the queue every now and then: how full it is, and what it does with messages that nobody works off.
async fn look<Q: Queue>(
    queue: Q,
    settings: Arc<WorkerSettings>,
    watch: Arc<WorkerWatch>,
    gives_up_at: Arc<AtomicU32>,
    stop: CancellationToken,
) -> Result<(), QueueError> {
    let mut every = tokio::time::interval(settings.look_every.max(Duration::from_millis(1)));
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let look_once = async || {
        match queue.depth().await {
            Ok(depth) => events::queue_looked_at(&watch, depth),
            Err(error) => events::queue_failed(&watch, "queue", &error.to_string(), !error.kind.is_transient()),
        }
        // Told already; the policy that was known before stays in force.
        look_at_policy(&queue, &settings, &watch, &gives_up_at).await.is_ok()
    };
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = every.tick() => {}
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = look_once() => {}
        }
    }
}

async fn look_at_policy<Q: Queue>(
    queue: &Q,
    settings: &WorkerSettings,
    watch: &WorkerWatch,
    gives_up_at: &AtomicU32,
) -> Result<(), QueueError> {
    let policy = queue.redrive().await.inspect_err(|error| {
        events::queue_failed(watch, "queue", &error.to_string(), !error.kind.is_transient());
    })?;
    gives_up_at.store(settings.gives_up_at(policy.max_receive_count), Ordering::Relaxed);
    Ok(())
}

/// The counts of a watch, to be told apart from those of an earlier run.
struct Tally(WorkSummary);

impl Tally {
    fn of(watch: &WorkerWatch) -> Self {
        let status = watch.lock();
        let (messages, objects, records) = (status.messages, status.objects, status.records);
        Self(WorkSummary { messages, objects, records, commits: status.commits })
    }

    fn since(&self, before: &Self) -> WorkSummary {
        let (now, then) = (&self.0, &before.0);
        WorkSummary {
            messages: now.messages.since(&then.messages),
            objects: now.objects.since(&then.objects),
            records: now.records.since(&then.records),
            commits: now.commits - then.commits,
        }
    }
}

#[cfg(test)]
mod tests;
