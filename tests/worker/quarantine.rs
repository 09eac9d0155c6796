//! `keytrail quarantine list|show|retry` over a lake on a queue: what could not be read is seen, and comes back.

use serde_json::Value;

use super::{
    outcome::{Ledger, assert_equal, text},
    stage::{BUCKET, Stage},
};
use crate::harness::{
    corpus::{Corpus, Shape},
    wait::PATIENCE,
};

#[test]
fn a_retry_replaces_the_lines_of_what_can_be_read_now_and_keeps_the_others() {
    let stage = Stage::new(5);
    let mut corpus = Corpus::made(51, &Shape::objects(6));
    let messages = stage.put(&mut corpus);
    for object in &corpus.objects[..2] {
        stage.emulator.remove(BUCKET, &object.key);
    }
    stage.emulator.send_all(&stage.queue, &messages);
    let config = stage.config();
    let mut worker = stage.worker(&config);
    stage.drained(&mut worker, PATIENCE);
    assert_eq!(worker.terminate(PATIENCE).0, 0);
    assert_eq!(Ledger::of(&stage.world), Ledger { committed: 4, skipped: 0, quarantined: 2 });

    let path = config.write(&stage.world, "quarantine", "127.0.0.1:0");
    let run = |arguments: &[&str]| {
        let all = [arguments, &["--config", path.to_str().expect("UTF-8"), "--format", "json"]].concat();
        stage.world.run_aws(&all)
    };
    let listed: Value = serde_json::from_str(&run(&["quarantine", "list"]).stdout).expect("JSON");
    let listed = listed.as_array().expect("an array").clone();
    assert_eq!(listed.len(), 2, "{listed:?}");
    let first = text(&listed[0], "object_key");
    let shown = run(&["quarantine", "show", &first]);
    assert!(shown.code == 0 && shown.stdout.contains(&first), "{}\n{}", shown.stdout, shown.stderr);

    // One of them was put back.
    let back = &corpus.objects[0];
    stage.emulator.put(BUCKET, &back.key, &back.bytes);
    let retried = run(&["quarantine", "retry", "--all"]);
    assert_eq!(retried.code, 1, "something is quarantined still\n{}\n{}", retried.stdout, retried.stderr);
    assert_eq!(Ledger::of(&stage.world), Ledger { committed: 5, skipped: 0, quarantined: 1 });
    let back = &corpus.objects[1];
    stage.emulator.put(BUCKET, &back.key, &back.bytes);
    assert_eq!(run(&["quarantine", "retry", "--all"]).code, 0);
    assert_equal(&stage.world, &corpus, Ledger::committed(6));
}
