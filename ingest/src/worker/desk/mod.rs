//! The one place that knows what is under way: messages, objects, the batch.
//!
//! ```text
//! admitted ─▶ parts ─▶ ask the ledger ─▶ fetch ─▶ (ask again, if it is not what was announced) ─▶ decode ─▶ batch ─▶ commit
//!               ▲            │ known                 │ cannot be read                                         │
//!               └────────────┴──────── a message's last part is done: delete, or give back ◀─────────────────┘
//! ```
//!
//! In: messages that were read. Out: commits, deletions, messages given back. The desk never waits for a call itself: calls
//! run as tasks, a bounded number of each kind, and come back as [`Step`]s. So its tables need no lock, and what is decided
//! is decided in one place.
//!
//! Invariants: a message is deleted only when all its parts are durable and it had no faults; an object is worked on once
//! however many messages announce it; while a commit is under way and the next batch is full, nothing more is decoded into
//! it. Dropping the desk ends its tasks; messages then come back by themselves.

mod batch;
mod messages;
mod objects;
mod step;

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{sync::mpsc, task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use self::{
    batch::{Gathering, InCommit},
    messages::Held,
    objects::{Work, WorkKey, WorkNo},
    step::Step,
};
use super::{
    WorkError,
    backoff::Backoff,
    events,
    leases::{Leases, MessageNo},
    receive::Admitted,
    settings::WorkerSettings,
    watch::{InFlight, WorkerWatch},
};
use crate::{
    objects::ObjectStore,
    pipeline::{Reading, Store},
    queue::{Queue, QueueError},
};

/// How often the gauges are brought up to date.
const GAUGES_EVERY: Duration = Duration::from_millis(500);

/// What the desk works with.
#[derive(Clone)]
pub(super) struct Tools<Q, O, S> {
    pub(super) queue: Q,
    pub(super) objects: O,
    pub(super) store: S,
    pub(super) settings: Arc<WorkerSettings>,
    pub(super) watch: Arc<WorkerWatch>,
    pub(super) leases: Leases,
    pub(super) arriving: Arc<AtomicUsize>,
    /// Deliveries after which an object is given up.
    pub(super) gives_up_at: Arc<AtomicU32>,
}

/// See the module.
pub(super) struct Desk<Q, O, S> {
    tools: Tools<Q, O, S>,
    reading: Reading,
    held: HashMap<MessageNo, Held>,
    by_id: HashMap<String, MessageNo>,
    works: HashMap<WorkNo, Work>,
    index: HashMap<WorkKey, WorkNo>,
    next_work: WorkNo,
    to_ask: Vec<WorkNo>,
    to_fetch: VecDeque<WorkNo>,
    to_delete: Vec<MessageNo>,
    to_give: Vec<(MessageNo, messages::Back)>,
    gathering: Gathering,
    in_commit: Option<InCommit>,
    /// Calls under way.
    asking: usize,
    fetching: usize,
    deleting: usize,
    giving: usize,
    steps: JoinSet<Step>,
    /// Apart from the others, so that they can be left standing while there is no room in the batch.
    decodes: JoinSet<Step>,
    ask_pause: Backoff,
    ask_after: Option<Instant>,
    ask_failing_since: Option<Instant>,
    delete_pause: Backoff,
    delete_after: Option<Instant>,
    last_commit: Option<Instant>,
    failed_batches: u32,
    closing: Option<Closing>,
    failure: Option<WorkError>,
}

/// The moments of a shutdown.
#[derive(Clone, Copy, Debug)]
struct Closing {
    /// Reading ends here; what is decoded is committed.
    read_until: Instant,
    /// A commit that is not through by then is left alone.
    commit_until: Instant,
    /// Everything ends here.
    until: Instant,
    reading_ended: bool,
    commit_ended: bool,
}

impl<Q: Queue, O: ObjectStore, S: Store> Desk<Q, O, S> {
    pub(super) fn new(tools: Tools<Q, O, S>) -> Self {
        let settings = &tools.settings;
        let backoff = || Backoff::new(settings.pause, settings.pause_max);
        Self {
            reading: Reading::new(&settings.ingest, settings.scope),
            held: HashMap::new(),
            by_id: HashMap::new(),
            works: HashMap::new(),
            index: HashMap::new(),
            next_work: 0,
            to_ask: Vec::new(),
            to_fetch: VecDeque::new(),
            to_delete: Vec::new(),
            to_give: Vec::new(),
            gathering: Gathering::default(),
            in_commit: None,
            asking: 0,
            fetching: 0,
            deleting: 0,
            giving: 0,
            steps: JoinSet::new(),
            decodes: JoinSet::new(),
            ask_pause: backoff(),
            ask_after: None,
            ask_failing_since: None,
            delete_pause: backoff(),
            delete_after: None,
            last_commit: None,
            failed_batches: 0,
            closing: None,
            failure: None,
            tools,
        }
    }

    /// Works until told to stop, or until the queue or the lake has been refusing for too long.
    pub(super) async fn run(
        mut self,
        mut admitted: mpsc::Receiver<Admitted>,
        mut feeders: JoinSet<Result<(), QueueError>>,
        stop: CancellationToken,
    ) -> Result<(), WorkError> {
        let mut gauges = tokio::time::interval(GAUGES_EVERY);
        gauges.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            self.start_calls();
            if self.closing.is_some() && self.held.is_empty() && self.giving + self.deleting == 0 && feeders.is_empty()
            {
                break;
            }
            let wake = self.wake_at();
            tokio::select! {
                () = stop.cancelled(), if self.closing.is_none() => self.close(),
                Some(message) = admitted.recv(), if self.closing.is_none() => self.admit(message),
                Some(step) = self.steps.join_next() => self.stepped(step),
                Some(step) = self.decodes.join_next(), if self.has_room() => self.stepped(step),
                Some(ended) = feeders.join_next() => self.feeder_ended(ended, &stop),
                _ = gauges.tick() => self.tell_held(),
                () = tokio::time::sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
            }
            if self.failure.is_some() {
                stop.cancel();
            }
            if self.step_down(&mut admitted, &feeders) {
                break;
            }
        }
        self.give_back_the_rest().await;
        self.failure.map_or(Ok(()), Err)
    }

    /// Starts whatever may start now.
    fn start_calls(&mut self) {
        self.start_asks();
        self.start_fetches();
        self.start_commit();
        self.start_deletes();
        self.start_giving_back();
    }

    /// False while what is decoded has to wait for a commit.
    fn has_room(&self) -> bool {
        self.in_commit.is_none() || !self.gathering.is_full(&self.tools.settings.ingest)
    }

    /// The next moment at which something is due that no task announces.
    fn wake_at(&self) -> Option<Instant> {
        let commit = self.in_commit.is_none().then(|| self.gathering.due_at(&self.tools.settings)).flatten();
        let early = self.early_commit_at();
        let ask = self.ask_after.filter(|_| !self.to_ask.is_empty());
        let delete = self.delete_after.filter(|_| !self.to_delete.is_empty());
        let closing = self.closing.map(|closing| match closing {
            Closing { reading_ended: false, read_until, .. } => read_until,
            Closing { commit_ended: false, commit_until, .. } => commit_until,
            Closing { until, .. } => until,
        });
        [commit, early, ask, delete, closing].into_iter().flatten().min()
    }

    fn stepped(&mut self, step: Result<Step, tokio::task::JoinError>) {
        match step {
            Ok(Step::Asked { works, answer }) => self.asked(works, answer),
            Ok(Step::Fetched { work, result }) => self.fetched(work, result),
            Ok(Step::Decoded { work, decoded, room }) => {
                self.decoded(work, decoded);
                // Only now: until it is in the batch, it counts as being read.
                drop(room);
            }
            Ok(Step::Committed { result, entries }) => self.committed(result, &entries),
            Ok(Step::Deleted { tried, result }) => self.deleted(&tried, result),
            Ok(Step::GivenBack { why, count, result }) => self.given_back(why, count, result),
            // A task that was aborted at the end; steps catch their own panics.
            Err(_) => {}
        }
    }

    fn feeder_ended(
        &mut self,
        ended: Result<Result<(), QueueError>, tokio::task::JoinError>,
        stop: &CancellationToken,
    ) {
        match ended {
            Ok(Ok(())) if stop.is_cancelled() => {}
            // The reason itself goes before its consequences, whichever is heard of first.
            Ok(Err(error)) => self.failure = Some(WorkError::Queue(error)),
            Ok(Ok(())) | Err(_) => {
                self.failure.get_or_insert(WorkError::TaskEnded);
            }
        }
    }

    fn tell_held(&self) {
        let oldest = self.held.values().filter_map(|held| held.sent_at).min();
        let now = InFlight {
            messages: (self.held.len() + self.tools.arriving.load(Ordering::Relaxed)) as u64,
            objects: self.works.len() as u64,
            batch_rows: self.gathering.pending.rows() as u64,
            batch_bytes: self.gathering.pending.bytes() as u64,
            messages_max: 0,
            oldest_sent_at: oldest,
        };
        events::held(&self.tools.watch, now);
    }

    /// The request to stop: what has not begun is given back at once.
    fn close(&mut self) {
        let (now, within) = (Instant::now(), self.tools.settings.shutdown_within);
        self.closing = Some(Closing {
            read_until: now + within * 6 / 10,
            commit_until: now + within * 85 / 100,
            until: now + within * 95 / 100,
            reading_ended: false,
            commit_ended: false,
        });
        events::stopping(&self.tools.watch, self.held.len());
        let mut waiting: Vec<WorkNo> = std::mem::take(&mut self.to_ask);
        waiting.extend(std::mem::take(&mut self.to_fetch));
        for work in waiting {
            self.abandon(work);
        }
    }

    /// The stages of a shutdown, as their moments come. True when time is up.
    fn step_down(
        &mut self,
        admitted: &mut mpsc::Receiver<Admitted>,
        feeders: &JoinSet<Result<(), QueueError>>,
    ) -> bool {
        let Some(mut closing) = self.closing else {
            return false;
        };
        let now = Instant::now();
        // At once, so that nobody waits for room in it.
        admitted.close();
        if feeders.is_empty() {
            // What was on its way to the desk is known to the registry only.
            while admitted.try_recv().is_ok() {}
            self.tools.arriving.store(0, Ordering::Relaxed);
            self.give_back_orphans();
        }
        if !closing.reading_ended && (now >= closing.read_until || self.failure.is_some()) {
            closing.reading_ended = true;
            self.decodes.abort_all();
            for work in self.unread_works() {
                self.abandon(work);
            }
        }
        if !closing.commit_ended && (now >= closing.commit_until || self.failure.is_some()) {
            closing.commit_ended = true;
            self.abandon_batches();
        }
        self.closing = Some(closing);
        now >= closing.until
    }
}
