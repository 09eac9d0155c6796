//! What an operator sees: `/healthz`, `/readyz`, `/metrics`, `keytrail doctor`.

use super::{
    outcome::Ledger,
    stage::{BUCKET, Stage},
};
use crate::harness::{
    corpus::{Corpus, Shape},
    proxy::{Fault, Operation, Plan, Rule},
    wait::{PATIENCE, until},
};

#[test]
fn health_readiness_and_metrics_tell_what_happened() {
    let stage = Stage::new(1);
    let mut corpus = Corpus::made(101, &Shape::objects(12));
    let messages = stage.put(&mut corpus);
    stage.proxy.set(Plan::new(1, vec![Rule::new(Operation::Get, Fault::SLOW_DOWN).at_most(2)]));
    stage.emulator.send_all(&stage.queue, &messages);
    stage.emulator.send(&stage.queue, "poison");
    let mut config = stage.config();
    config.rules = true;
    let mut worker = stage.worker(&config);
    worker.wait_until_ready();
    assert_eq!(worker.get("/healthz").map(|(status, _)| status), Some(200));
    assert_eq!(worker.get("/no-such-page").map(|(status, _)| status), Some(404));
    until("the poison in the dead-letter queue", PATIENCE, || {
        (stage.emulator.depth(&stage.queue.dead_letters).visible == 1).then_some(())
    });
    stage.drained(&mut worker, PATIENCE);

    let (status, text) = worker.get("/metrics").expect("it answers");
    assert_eq!(status, 200);
    assert!(worker.metric("keytrail_objects_total") >= 12.0, "{text}");
    assert!(worker.metric("keytrail_messages_received_total") >= 13.0, "{text}");
    assert!(worker.metric("keytrail_messages_deleted_total") >= 12.0, "{text}");
    // Every series has a help line and a type, and our own have the prefix.
    let series = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    for line in series {
        let name = line.split(['{', ' ']).next().unwrap_or_default();
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        assert!(name.starts_with("keytrail_") || name.starts_with("process_"), "{name}");
        let typed = |name: &str| text.contains(&format!("# TYPE {name} "));
        assert!(typed(name) || typed(family), "{name} has no type");
    }
    stage.finish(worker, &corpus, Ledger::committed(12), 1);
}

#[test]
fn a_worker_whose_queue_is_gone_lives_and_is_not_ready() {
    let stage = Stage::new(3);
    let mut config = stage.config();
    config.queue_url = config.queue_url.replace("notifications", "no-such-queue");
    let mut worker = stage.worker(&config);
    // Either it says at once what is wrong and ends, or it stays and is not ready: it must not look well.
    let ended = until("an answer or an end", PATIENCE, || {
        if !worker.is_running() {
            return Some(true);
        }
        worker.get("/readyz").filter(|(status, _)| *status == 503).map(|_| false)
    });
    if ended {
        assert!(worker.log().contains("no such queue"), "{}", worker.log());
    } else {
        assert_eq!(worker.get("/healthz").map(|(status, _)| status), Some(200));
    }
}

#[test]
fn doctor_tells_what_is_well_and_what_is_not() {
    let stage = Stage::new(3);
    stage.emulator.announce(BUCKET, &stage.queue);
    let path = stage.config().write(&stage.world, "doctor", "127.0.0.1:0");
    let doctor = |path: &std::path::Path| {
        stage.world.run_aws(&["doctor", "--config", path.to_str().expect("UTF-8"), "--format", "json"])
    };
    let well = doctor(&path);
    assert!(well.stdout.contains("queue"), "{}\n{}", well.stdout, well.stderr);
    let mut config = stage.config();
    config.queue_url = config.queue_url.replace("notifications", "no-such-queue");
    let ill = doctor(&config.write(&stage.world, "ill", "127.0.0.1:0"));
    assert_ne!(ill.code, 0, "{}", ill.stdout);
    assert!(ill.stdout.contains("fail") && ill.stdout.contains("no such queue"), "{}\n{}", ill.stdout, ill.stderr);
}
