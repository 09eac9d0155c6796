//! At least once, in any order, and late: what SQS may do with messages.

use std::time::Duration;

use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use super::{
    in_process::quick,
    outcome::Ledger,
    stage::{BUCKET, Stage},
};
use crate::harness::{
    corpus::{Corpus, Shape},
    proxy::{Fault, LONGER_THAN_A_LEASE, Operation, Plan, Rule},
    s3_record, seed,
    wait::PATIENCE,
};

#[test]
fn duplicates_disorder_and_several_objects_in_a_message_give_each_row_once() {
    let seed = seed("duplicates_disorder_and_several_objects_in_a_message_give_each_row_once", 31);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let stage = Stage::new(10);
    let mut corpus = Corpus::made(seed, &Shape::objects(60));
    let single = stage.put(&mut corpus);
    let mut bodies: Vec<String> = [single.clone(), single].concat();
    for several in corpus.objects.chunks(7) {
        let records: Vec<_> =
            several.iter().map(|object| s3_record(BUCKET, &object.key, &object.etag, object.bytes.len())).collect();
        bodies.push(json!({ "Records": records }).to_string());
    }
    bodies.shuffle(&mut random);
    stage.emulator.send_all(&stage.queue, &bodies);
    let mut worker = stage.worker(&stage.config());
    stage.drained(&mut worker, PATIENCE);
    stage.finish(worker, &corpus, Ledger::committed(60), 0);
}

#[test]
fn a_lease_that_runs_out_leads_to_redelivery_and_not_to_doubles() {
    let seed = seed("a_lease_that_runs_out_leads_to_redelivery_and_not_to_doubles", 32);
    let stage = Stage::new(20);
    let mut corpus = Corpus::made(seed, &Shape::objects(30));
    let messages = stage.put(&mut corpus);
    stage.emulator.send_all(&stage.queue, &messages);
    // Reads take longer than the lease, and the first extensions fail: the queue delivers again.
    stage.proxy.set(Plan::new(
        seed,
        vec![
            Rule::new(Operation::Get, Fault::Latency(LONGER_THAN_A_LEASE)).at_most(8),
            Rule::new(Operation::ChangeVisibility, Fault::Answer(500, "InternalError")).at_most(12),
        ],
    ));
    let summary = stage.work_off(stage.in_process(quick()), &corpus, Ledger::committed(30));
    stage.proxy.assert_all_applied();
    assert!(summary.messages.redelivered > 0, "{summary:?}");
}

#[test]
fn long_work_keeps_its_messages() {
    let stage = Stage::new(2);
    let mut corpus = Corpus::made(33, &Shape::objects(6));
    let messages = stage.put(&mut corpus);
    stage.emulator.send_all(&stage.queue, &messages);
    stage.proxy.set(Plan::new(1, vec![Rule::new(Operation::Get, Fault::Latency(Duration::from_secs(7)))]));
    // After two deliveries a message would be a dead letter: only extended leases let this pass.
    let summary = stage.work_off(stage.in_process(quick()), &corpus, Ledger::committed(6));
    assert_eq!(summary.messages.redelivered, 0, "{summary:?}");
    assert!(stage.proxy.asked(Operation::ChangeVisibility).len() >= 2, "leases were extended");
    assert_eq!(stage.proxy.asked(Operation::Get).len(), 6, "each object was read once");
}

#[test]
fn a_queue_that_fails_now_and_then_loses_nothing() {
    let seed = seed("a_queue_that_fails_now_and_then_loses_nothing", 34);
    let stage = Stage::new(50);
    let mut corpus = Corpus::made(seed, &Shape::objects(60));
    let messages = stage.put(&mut corpus);
    stage.emulator.send_all(&stage.queue, &messages);
    stage.proxy.set(Plan::new(
        seed,
        vec![
            // The messages of an answer that was lost stay invisible until their lease ends.
            Rule::new(Operation::Receive, Fault::ResetAfter).chance(0.3).at_most(4),
            Rule::new(Operation::Receive, Fault::Answer(500, "InternalError")).chance(0.3).at_most(4),
            Rule::new(Operation::Receive, Fault::CLOCK_SKEW).at_most(1),
            Rule::new(Operation::Delete, Fault::ResetBefore).at_most(1),
            Rule::new(Operation::Delete, Fault::ResetAfter).at_most(1),
            Rule::new(Operation::Delete, Fault::Answer(503, "ServiceUnavailable")).at_most(2),
        ],
    ));
    stage.work_off(stage.in_process(quick()), &corpus, Ledger::committed(60));
    stage.proxy.assert_all_applied();
}
