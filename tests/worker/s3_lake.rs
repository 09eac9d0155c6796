//! The lake in a bucket: two workers write it, and queries read it there.

use super::{
    outcome::{Ledger, assert_equal},
    stage::Stage,
};
use crate::harness::{
    corpus::{Corpus, Shape},
    proxy::{Fault, Operation, Plan, Rule},
    seed,
    wait::PATIENCE,
    worker::Worker,
};

const LAKE: &str = "s3://lake-bucket/keytrail/lake";

#[test]
fn two_workers_keep_a_lake_on_s3_and_queries_read_it_there() {
    let seed = seed("two_workers_keep_a_lake_on_s3_and_queries_read_it_there", 111);
    let mut stage = Stage::new(50);
    stage.emulator.bucket("lake-bucket");
    let mut corpus = Corpus::made(seed, &Shape::objects(80));
    let messages = stage.put(&mut corpus);
    stage.emulator.send_all(&stage.queue, &messages);
    stage.emulator.send_all(&stage.queue, &messages);
    // The lake's own requests suffer too: a commit whose answer is lost must not be done twice.
    let of_lake = |operation, fault| Rule::new(operation, fault).matching("/lake-bucket/").chance(0.1).at_most(6);
    stage.proxy.set(Plan::new(
        seed,
        vec![
            of_lake(Operation::Put, Fault::Answer(503, "SlowDown")),
            of_lake(Operation::Put, Fault::ResetAfter),
            of_lake(Operation::Get, Fault::ResetBefore),
            Rule::new(Operation::Put, Fault::ResetAfter).matching("_delta_log").chance(0.2).at_most(4),
        ],
    ));
    let mut config = stage.config();
    config.lake = LAKE.to_owned();
    config.worker = "max_messages = 20\n".to_owned();
    config.more = "[ingest]\nbatch_objects = 10\n".to_owned();
    let mut first = Worker::start(&stage.world, "first", &config);
    let mut second = Worker::start(&stage.world, "second", &config);
    stage.drained(&mut first, PATIENCE);
    stage.drained(&mut second, PATIENCE);
    stage.proxy.assert_all_applied();
    for worker in [&mut first, &mut second] {
        assert_eq!(worker.terminate(PATIENCE).0, 0, "{}", worker.log());
    }
    stage.proxy.set(Plan::clean());
    let path = config.write(&stage.world, "query", "127.0.0.1:0");
    stage.world.use_lake(LAKE, path);
    assert_equal(&stage.world, &corpus, Ledger::committed(80));
    assert!(!stage.proxy.asked(Operation::Put).is_empty());
    assert!(!stage.world.lake().exists(), "nothing was written beside the bucket");
}
