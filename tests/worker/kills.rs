//! `kill -9` of a working `keytrail run`, again and again: nothing is lost, nothing is doubled.
//!
//! Several lanes, each with a queue and a lake of its own, go at the same time. In each the worker is started, killed at a
//! random moment while messages are left, and started again. New objects arrive all the time, some announced twice, so that
//! there is always work to die at. Only kills that hit a running worker with messages left count.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rand::{Rng, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::{outcome::Ledger, stage::Stage};
use crate::harness::{
    corpus::{Corpus, Shape},
    seed,
    wait::{PATIENCE, until},
    worker::Worker,
};

const KILLS: usize = 300;
const LANES: u64 = 3;
/// A lane keeps at least so many messages in its queue.
const BACKLOG: u64 = 20;

#[test]
#[expect(clippy::print_stderr, reason = "the figures belong to the test's record")]
fn three_hundred_kills_of_a_worker_lose_and_double_nothing() {
    let seed = seed("three_hundred_kills_of_a_worker_lose_and_double_nothing", 20_261_123);
    let kills = Arc::new(AtomicUsize::new(0));
    let started = Instant::now();
    let lanes: Vec<_> = (0..LANES)
        .map(|lane| {
            let kills = Arc::clone(&kills);
            thread::spawn(move || Lane::new(seed + lane).run(&kills))
        })
        .collect();
    let mut all = Tally::default();
    for lane in lanes {
        let tally = lane.join().expect("a lane that holds");
        all.objects += tally.objects;
        all.by_the_killed += tally.by_the_killed;
        all.idle += tally.idle;
    }
    let kills = kills.load(Ordering::Relaxed);
    assert!(kills >= KILLS, "{kills}");
    eprintln!(
        "{kills} kills of a worker with messages left ({} more found none), {} objects, {} of them committed by workers \
         that were killed, {LANES} lanes, {:?}",
        all.idle,
        all.objects,
        all.by_the_killed,
        started.elapsed()
    );
    // They died in the middle of work, and not before it began.
    assert!(all.by_the_killed >= KILLS / 3, "{} objects in {kills} rounds", all.by_the_killed);
}

#[derive(Default)]
struct Tally {
    objects: usize,
    /// Objects in the ledger when the last kill was done.
    by_the_killed: usize,
    /// Kills that hit a worker without work.
    idle: usize,
}

struct Lane {
    stage: Stage,
    random: ChaCha8Rng,
    corpus: Corpus,
}

impl Lane {
    fn new(seed: u64) -> Self {
        Self { stage: Stage::new(1_000), random: ChaCha8Rng::seed_from_u64(seed), corpus: Corpus::default() }
    }

    fn run(mut self, kills: &AtomicUsize) -> Tally {
        let mut config = self.stage.config();
        // Small batches: many places to die at. What a dead worker held comes back when its lease ends.
        config.commit_after = "100ms";
        config.worker = "max_messages = 15\n".to_owned();
        config.more = "[ingest]\nbatch_objects = 3\n".to_owned();
        let mut tally = Tally::default();
        while kills.load(Ordering::Relaxed) < KILLS {
            self.refill();
            let mut worker = self.stage.worker(&config);
            let calls = self.stage.proxy.asked_count();
            until("a worker that talks to its queue", PATIENCE, || {
                (self.stage.proxy.asked_count() > calls).then_some(())
            });
            // The wait is the fault itself: it chooses where the worker dies.
            thread::sleep(Duration::from_millis(self.random.random_range(0..700)));
            let had_work = !self.stage.emulator.depth(&self.stage.queue.url).is_empty();
            assert!(worker.is_running(), "it ended by itself");
            worker.kill();
            if had_work {
                kills.fetch_add(1, Ordering::Relaxed);
            } else {
                tally.idle += 1;
            }
        }
        tally.by_the_killed = usize::try_from(Ledger::of(&self.stage.world).committed).expect("a count");
        // Nobody kills the last one, so it may work as usual.
        config.more.clear();
        config.worker.clear();
        let mut worker: Worker = self.stage.worker(&config);
        self.stage.drained(&mut worker, PATIENCE);
        tally.objects = self.corpus.objects.len();
        self.stage.finish(worker, &self.corpus, Ledger::committed(tally.objects), 0);
        tally
    }

    /// New objects, each announced once or twice, until there is enough to do.
    fn refill(&mut self) {
        while self.stage.emulator.depth(&self.stage.queue.url).visible < BACKLOG {
            let mut fresh = Corpus::made(self.random.random(), &Shape { objects: 12, reads: 2, ..Shape::default() });
            let mut messages = self.stage.put(&mut fresh);
            let twice: Vec<String> = messages.iter().filter(|_| self.random.random_bool(0.3)).cloned().collect();
            messages.extend(twice);
            messages.shuffle(&mut self.random);
            self.stage.emulator.send_all(&self.stage.queue, &messages);
            self.corpus.objects.append(&mut fresh.objects);
        }
    }
}
