//! SIGTERM: what is under way is finished or given back, within `shutdown_within`, and the exit code is 0.

use std::time::Duration;

use super::{outcome::Ledger, stage::Stage};
use crate::harness::{
    corpus::{Corpus, Shape},
    proxy::{Fault, Operation, Plan, Rule},
    wait::{PATIENCE, until},
    worker::Worker,
};

#[test]
fn a_worker_that_is_told_to_end_leaves_nothing_leased() {
    let stage = Stage::new(5);
    let mut corpus = Corpus::made(71, &Shape::objects(40));
    let messages = stage.put(&mut corpus);
    stage.emulator.send_all(&stage.queue, &messages);
    stage.proxy.set(Plan::new(1, vec![Rule::new(Operation::Get, Fault::Latency(Duration::from_millis(300)))]));
    let mut config = stage.config();
    // A lease this long would show: what is not given back stays invisible past the test's end.
    config.lease = "10m";
    config.commit_after = "5s";
    let mut worker = stage.worker(&config);
    until("objects being read", PATIENCE, || (stage.proxy.asked(Operation::Get).len() >= 4).then_some(()));
    let (code, took) = worker.terminate(Duration::from_secs(30));
    assert_eq!(code, 0, "{}", worker.log());
    assert!(took < Duration::from_secs(21), "{took:?}");
    assert_eq!(stage.emulator.depth(&stage.queue.url).in_flight, 0, "every lease was ended");

    let mut next = Worker::start(&stage.world, "next", &config);
    stage.drained(&mut next, PATIENCE);
    stage.finish(next, &corpus, Ledger::committed(40), 0);
}

#[test]
fn a_read_that_hangs_does_not_hold_up_the_end() {
    let stage = Stage::new(5);
    let mut corpus = Corpus::made(72, &Shape::objects(3));
    let messages = stage.put(&mut corpus);
    stage.emulator.send_all(&stage.queue, &messages);
    stage.proxy.set(Plan::new(1, vec![Rule::new(Operation::Get, Fault::Latency(Duration::from_secs(600)))]));
    let mut config = stage.config();
    config.lease = "10m";
    config.shutdown_within = "3s";
    let mut worker = stage.worker(&config);
    until("objects being read", PATIENCE, || (stage.proxy.asked(Operation::Get).len() >= 3).then_some(()));
    let (code, took) = worker.terminate(Duration::from_secs(30));
    assert_eq!(code, 0, "{}", worker.log());
    assert!(took < Duration::from_secs(8), "{took:?}");
    stage.proxy.set(Plan::clean());
    // Given back, not merely left: the lease would last ten minutes.
    let mut next = Worker::start(&stage.world, "next", &config);
    stage.drained(&mut next, PATIENCE);
    stage.finish(next, &corpus, Ledger::committed(3), 0);
}
