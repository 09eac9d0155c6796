//! What S3 and the network may do to a read. Whatever helps itself ends as if nothing had happened.

use std::time::Duration;

use super::{
    in_process::quick,
    outcome::{Ledger, assert_rows, text},
    stage::{BUCKET, Stage},
};
use crate::harness::{
    corpus::{Corpus, Shape, gzip},
    proxy::{Fault, Operation, Plan, Rule},
    s3_message, seed,
    wait::PATIENCE,
};

#[test]
fn faults_that_pass_leave_no_trace() {
    let seed = seed("faults_that_pass_leave_no_trace", 41);
    let stage = Stage::new(50);
    let mut corpus = Corpus::made(seed, &Shape { objects: 80, reads: 6, ..Shape::default() });
    let messages = stage.put(&mut corpus);
    stage.emulator.send_all(&stage.queue, &messages);
    let often = |fault| Rule::new(Operation::Get, fault).chance(0.12).at_most(12);
    stage.proxy.set(Plan::new(
        seed,
        vec![
            often(Fault::ResetBefore),
            often(Fault::ResetAfter),
            often(Fault::Truncated),
            often(Fault::Answer(500, "InternalError")),
            often(Fault::Answer(503, "ServiceUnavailable")),
            often(Fault::SLOW_DOWN),
            // Found by the checksum that S3 keeps beside the object.
            often(Fault::FlippedBit),
            often(Fault::Latency(Duration::from_millis(200))),
            often(Fault::Trickle(400, Duration::from_millis(20))),
            Rule::new(Operation::Get, Fault::CLOCK_SKEW).chance(0.1).at_most(1),
        ],
    ));
    stage.work_off(stage.in_process(quick()), &corpus, Ledger::committed(80));
    stage.proxy.assert_all_applied();
}

#[test]
fn an_object_without_a_checksum_is_quarantined_only_if_it_stays_corrupt() {
    let stage = Stage::new(50);
    let mut corpus = Corpus::made(42, &Shape::objects(4));
    let mut messages = stage.put(&mut corpus);
    let mut broken = gzip(&[b'x'; 4_000]);
    let middle = broken.len() / 2;
    broken[middle] ^= 0x10;
    broken.truncate(broken.len() - 4);
    let key = "AWSLogs/111122223333/CloudTrail/us-east-1/2026/11/01/111122223333_CloudTrail_us-east-1_20261101T0000Z_stayscorruptxxxx.json.gz";
    let tag = stage.emulator.put(BUCKET, key, &broken);
    messages.push(s3_message(BUCKET, key, &tag, broken.len()));
    stage.emulator.send_all(&stage.queue, &messages);
    stage.proxy.drop_field("x-amz-checksum-crc32");
    stage.proxy.set(Plan::new(
        42,
        vec![Rule::new(Operation::Get, Fault::FlippedBit).matching(&corpus.objects[1].key).at_most(1)],
    ));
    stage.work_off(stage.in_process(quick()), &corpus, Ledger { committed: 4, skipped: 0, quarantined: 1 });
    stage.proxy.assert_all_applied();
    let lines = stage.world.rows("SELECT object_key FROM objects WHERE outcome = 'quarantined'");
    assert!(text(&lines[0], "object_key").ends_with(key), "{lines:?}");
}

#[test]
fn missing_and_overwritten_objects_end_in_the_ledger_with_their_reason() {
    let stage = Stage::new(50);
    let mut corpus = Corpus::made(43, &Shape::objects(5));
    let messages = stage.put(&mut corpus);
    // The first was deleted before anybody read it; the second was replaced by what the third holds.
    let (gone, replaced) = (corpus.objects[0].clone(), corpus.objects[1].clone());
    stage.emulator.remove(BUCKET, &gone.key);
    let fresh = Corpus::made(44, &Shape::objects(1)).objects[0].clone();
    stage.emulator.put(BUCKET, &replaced.key, &fresh.bytes);
    stage.emulator.send_all(&stage.queue, &messages);
    let worker = stage.in_process(quick());
    worker.wait_for("an empty queue", PATIENCE, |_| stage.emulator.depth(&stage.queue.url).is_empty());
    worker.end();

    let mut there = Corpus { objects: corpus.objects[2..].to_vec() };
    there.objects.push(fresh);
    assert_rows(&stage.world, &there.rows());
    assert_eq!(Ledger::of(&stage.world), Ledger { committed: 4, skipped: 0, quarantined: 2 });
    let lines = stage
        .world
        .rows("SELECT object_key, object_version, reason FROM objects WHERE outcome = 'quarantined' ORDER BY reason");
    let find = |key: &str| {
        let line = lines.iter().find(|line| text(line, "object_key").ends_with(key));
        line.unwrap_or_else(|| panic!("no line of {key}: {lines:?}"))
    };
    assert!(text(find(&gone.key), "reason").contains("not there"), "{lines:?}");
    let old = find(&replaced.key);
    assert!(text(old, "reason").starts_with("overwritten"), "{lines:?}");
    assert_eq!(text(old, "object_version"), replaced.etag);
}

#[test]
fn what_only_a_person_can_mend_waits_and_is_told_and_never_lost() {
    let seed = seed("what_only_a_person_can_mend_waits_and_is_told_and_never_lost", 45);
    let stage = Stage::new(4);
    let mut corpus = Corpus::made(seed, &Shape::objects(9));
    let messages = stage.put(&mut corpus);
    let denied = |index: usize, status, code| {
        Rule::new(Operation::Get, Fault::Answer(status, code)).matching(&corpus.objects[index].key)
    };
    stage.proxy.set(Plan::new(
        seed,
        vec![
            denied(0, 403, "AccessDenied"),
            denied(1, 400, "KMS.DisabledException"),
            denied(2, 403, "InvalidObjectState"),
        ],
    ));
    stage.emulator.send_all(&stage.queue, &messages);
    let worker = stage.in_process(quick());
    // The others do not wait for them, and whoever looks sees what they wait for.
    worker.wait_for("the readable objects, and three that wait", PATIENCE, |status| {
        status.objects.committed == 6 && status.waiting.len() == 3
    });
    worker.wait_for("an empty queue", PATIENCE, |_| stage.emulator.depth(&stage.queue.url).is_empty());
    stage.proxy.assert_all_applied();
    let summary = worker.end();
    assert!(summary.objects.put_off >= 3 && summary.objects.quarantined == 3, "{summary:?}");
    assert_eq!(Ledger::of(&stage.world), Ledger { committed: 6, skipped: 0, quarantined: 3 });
    let reasons = stage.world.rows("SELECT reason FROM objects WHERE outcome = 'quarantined'");
    let reasons: Vec<String> = reasons.iter().map(|row| text(row, "reason")).collect();
    for code in ["AccessDenied", "KMS.DisabledException"] {
        assert!(reasons.iter().any(|reason| reason.contains(code)), "{reasons:?}");
    }
    assert_eq!(stage.emulator.depth(&stage.queue.dead_letters).visible, 0, "the ledger remembers them, not the DLQ");

    // The person has acted: what is quarantined is read again, and its lines are replaced.
    stage.proxy.set(Plan::clean());
    let path = stage.config().write(&stage.world, "retry", "127.0.0.1:0");
    let retry = ["quarantine", "retry", "--all", "--config", path.to_str().expect("UTF-8")];
    let ran = stage.world.run_aws(&retry);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    super::outcome::assert_equal(&stage.world, &corpus, Ledger::committed(9));
}
