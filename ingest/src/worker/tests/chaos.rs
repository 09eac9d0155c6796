//! Anything may fail at any time: what must hold in the end.

use std::time::Duration;

use keytrail_model::ObjectOutcome;
use proptest::prelude::*;
use serde_json::json;

use super::support::{BUCKET, Chance, ShakyQueue, World, cloudtrail_notification, key, notification, until};
use crate::objects::{ObjectErrorKind, ObjectRef, memory::Fault};

const OBJECTS: usize = 30;

/// Sends all objects in messages of one to four, some twice, some as CloudTrail does, and a few that nobody understands.
/// The answer is how many of the last kind there are.
fn send(world: &World, chance: &mut Chance) -> usize {
    let mut objects: Vec<ObjectRef> = (0..OBJECTS).map(|number| world.put(number)).collect();
    let mut poison = 0;
    while !objects.is_empty() {
        let count = (chance.below(4) as usize + 1).min(objects.len());
        let group: Vec<ObjectRef> = objects.drain(..count).collect();
        let refs: Vec<&ObjectRef> = group.iter().collect();
        let keys: Vec<&str> = group.iter().map(|object| object.key.as_str()).collect();
        for _ in 0..=chance.below(3) {
            let body = if chance.below(4) == 0 { cloudtrail_notification(&keys) } else { notification(&refs) };
            world.queue.send(body);
        }
        if chance.below(6) == 0 {
            world.queue.send(json!({"Records": [{"eventSource": "aws:s3", "s3": {}}]}).to_string());
            poison += 1;
        }
    }
    poison
}

async fn survive(seed: u64) {
    let mut chance = Chance(seed);
    let mut world = World { queue: ShakyQueue::with_redrive(60), ..World::new() };
    world.settings.give_up_after = 50;
    world.settings.lease = Duration::from_millis(150 + chance.below(200));
    world.settings.ingest.batch_objects = 1 + chance.below(12) as usize;
    world.settings.max_messages = 3 + chance.below(30) as usize;
    world.settings.fetches = 1 + chance.below(8) as usize;
    world.settings.commit_retry_for = Duration::from_millis(20 + chance.below(100));
    world.settings.failed_batches_max = u32::MAX;
    world.settings.shutdown_within = Duration::from_millis(chance.below(300));
    let poison = send(&world, &mut chance);
    for _ in 0..OBJECTS / 2 {
        let kinds = [
            Fault::Error(ObjectErrorKind::Throttled),
            Fault::Error(ObjectErrorKind::Truncated { expected: 10, got: 3 }),
            Fault::Error(ObjectErrorKind::KeyDenied { code: "AccessDenied".to_owned() }),
            Fault::Delay(Duration::from_millis(chance.below(60))),
        ];
        let fault = kinds[chance.below(4) as usize].clone();
        world.objects.fault(BUCKET, &key(chance.below(OBJECTS as u64) as usize), fault);
    }
    world.queue.state(|state| state.chance = Some(Chance(seed ^ 1)));
    *world.lake.inner.chance.lock().expect("not poisoned") = Some(Chance(seed ^ 2));
    // Workers that are stopped or killed, then one (of two) that may finish.
    for _ in 0..chance.below(4) {
        let worker = world.start();
        tokio::time::sleep(Duration::from_millis(chance.below(60))).await;
        if chance.below(2) == 0 {
            worker.abort();
            assert!(worker.await.is_err_and(|error| error.is_cancelled()), "seed {seed}");
        } else {
            world.end(worker).await;
            world = world.again();
        }
    }
    let (one, two) = (world.start(), world.start());
    let settled = || world.queue.left() == poison || one.is_finished() || two.is_finished();
    until("only what nobody understands is left", settled).await;
    world.stop.cancel();
    for worker in [one, two] {
        worker.await.expect("no panic").expect("it ends well");
    }
    let entries = world.lake.entries();
    let committed = entries.iter().filter(|entry| entry.outcome == ObjectOutcome::Committed);
    assert_eq!((committed.count(), entries.len()), (OBJECTS, OBJECTS), "seed {seed}: every object once");
    let (records, kept) =
        entries.iter().fold((0, 0), |(records, kept), entry| (records + entry.record_count, kept + entry.kept_count));
    assert_eq!((records, kept), (2 * OBJECTS as i64, 2 * OBJECTS as i64), "seed {seed}: the ledger adds up");
    world.rows_are(OBJECTS);
    assert_eq!(world.queue.left() + world.queue.inner.dead_letters().len(), poison, "seed {seed}: poison stays");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 0, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn nothing_is_lost_and_nothing_doubled(seed: u64) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        runtime.block_on(survive(seed));
    }
}
