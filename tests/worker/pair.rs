//! Two workers on one queue and one lake: they share the work, and one of them may die.

use super::{outcome::Ledger, stage::Stage};
use crate::harness::{
    corpus::{Corpus, Shape},
    seed,
    wait::{PATIENCE, until},
    worker::Worker,
};

#[test]
fn of_two_workers_one_is_killed_and_the_other_finishes_everything() {
    let seed = seed("of_two_workers_one_is_killed_and_the_other_finishes_everything", 61);
    let stage = Stage::new(50);
    let mut corpus = Corpus::made(seed, &Shape::objects(240));
    let messages = stage.put(&mut corpus);
    stage.emulator.send_all(&stage.queue, &messages);
    // Every message twice: the two race for the same objects.
    stage.emulator.send_all(&stage.queue, &messages);
    let mut config = stage.config();
    config.more = "[ingest]\nbatch_objects = 10\n".to_owned();
    config.worker = "max_messages = 20\n".to_owned();
    let mut first = Worker::start(&stage.world, "first", &config);
    let mut second = Worker::start(&stage.world, "second", &config);
    first.wait_until_ready();
    second.wait_until_ready();
    until("both have committed something", PATIENCE, || {
        let both = [&first, &second].iter().all(|worker| worker.metric("keytrail_objects_total") > 0.0);
        assert!(!stage.emulator.depth(&stage.queue.url).is_empty() || both, "one of them did everything");
        both.then_some(())
    });
    first.kill();
    assert!(!stage.emulator.depth(&stage.queue.url).is_empty(), "there is something left to finish");
    stage.drained(&mut second, PATIENCE);
    stage.finish(second, &corpus, Ledger::committed(240), 0);
}
