//! Objects that cannot be read, and messages that cannot be understood.

use std::time::Duration;

use keytrail_model::ObjectOutcome;
use serde_json::{Value, json};

use super::support::{BUCKET, ShakyQueue, World, cloudtrail_notification, key, notification, until};
use crate::objects::{ObjectErrorKind, ObjectRef, memory::Fault};

fn reason(world: &World, part: &str) -> String {
    match world.lake.entry(part).outcome {
        ObjectOutcome::Quarantined(reason) => reason,
        other => panic!("not quarantined: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_understood_is_never_deleted_and_its_good_parts_land() {
    let world = World { queue: ShakyQueue::with_redrive(3), ..World::new() };
    world.announce(0..2);
    let (good, bad) = (world.put(7), world.put(8));
    let mut body: Value = serde_json::from_str(&notification(&[&good, &bad])).expect("JSON");
    body["Records"][1]["s3"]["object"].as_object_mut().expect("an object").remove("key");
    let half = world.queue.send(body.to_string());
    let none = world.queue.send("this is no notification");
    let summary = world.drain().await;
    let dead: Vec<String> = world.queue.inner.dead_letters().into_iter().map(|message| message.id).collect();
    assert!(dead.contains(&half) && dead.contains(&none) && dead.len() == 2, "{dead:?}");
    assert_eq!((world.queue.deleted(), summary.messages.deleted), (2, 2));
    world.rows_are(3);
    assert_eq!(summary.messages.with_faults, 6, "three deliveries of each");
    let status = world.watch.status();
    let named = status.misread.iter().find(|misread| misread.message_id == half).expect("named");
    assert!(named.reasons.iter().any(|reason| reason.contains("key")), "{named:?}");
    assert_eq!(status.misread.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_stays_unreadable_is_given_up_one_delivery_before_the_policy() {
    let world = World { queue: ShakyQueue::with_redrive(4), ..World::new() };
    world.announce(0..1);
    world.objects.deny(BUCKET, &key(0), ObjectErrorKind::Throttled);
    let summary = world.drain().await;
    assert!(world.queue.inner.dead_letters().is_empty(), "the ledger remembers it, so the message may go");
    let reason = reason(&world, "0000000000000000");
    assert!(reason.starts_with("throttled: ") && reason.ends_with("(given up after 3 deliveries)"), "{reason}");
    assert_eq!((summary.messages.received, summary.messages.given_back, summary.messages.deleted), (3, 2, 1));
    assert_eq!((summary.objects.put_off, summary.objects.quarantined), (2, 1));
    assert_eq!(world.objects.reads(BUCKET, &key(0)), 3);
    let pauses = world.queue.state(|state| state.pauses.clone());
    assert_eq!(pauses, [10, 20].map(Duration::from_millis), "the pauses grow");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forbidden_object_waits_for_a_person_in_sight_of_everybody() {
    let world = World::new();
    world.announce(0..1);
    let code = "AccessDenied".to_owned();
    world.objects.deny(BUCKET, &key(0), ObjectErrorKind::Forbidden { code });
    let worker = world.start();
    until("two tries", || world.watch.status().objects.put_off >= 2).await;
    let waiting = world.watch.status().waiting;
    assert_eq!((waiting.len(), waiting[0].kind, waiting[0].needs_action), (1, "forbidden", true));
    assert!(waiting[0].since <= waiting[0].at && waiting[0].reason.contains("AccessDenied"), "{waiting:?}");
    assert!(world.lake.entries().is_empty());
    world.objects.allow(BUCKET, &key(0));
    until("an empty queue", || world.queue.left() == 0).await;
    world.end(worker).await;
    world.rows_are(1);
    assert!(world.watch.status().waiting.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_bad_object_holds_back_its_message_and_nothing_else() {
    let world = World::new();
    let objects: Vec<ObjectRef> = (0..3).map(|number| world.put(number)).collect();
    world.queue.send(notification(&objects.iter().collect::<Vec<_>>()));
    for _ in 0..2 {
        world.objects.fault(BUCKET, &key(1), Fault::Error(ObjectErrorKind::Unavailable("reset".to_owned())));
    }
    let summary = world.drain().await;
    world.rows_are(3);
    assert_eq!((summary.messages.given_back, summary.messages.deleted), (2, 1));
    assert_eq!([0, 1, 2].map(|number| world.objects.reads(BUCKET, &key(number))), [1, 3, 1], "what landed is known");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_deleted_or_overwritten_is_said_so() {
    let world = World::new();
    world.announce(0..2);
    world.objects.delete(BUCKET, &key(0));
    let before = world.put(5);
    world.queue.send(notification(&[&before]));
    let after = world.objects.put(BUCKET, &key(5), json!({"Records": [super::support::read_of("5-new")]}).to_string());
    world.queue.send(cloudtrail_notification(&["AWSLogs/nothing/there.json.gz"]));
    let summary = world.drain().await;
    assert_eq!((summary.messages.deleted, summary.messages.given_back), (4, 0));
    assert!(reason(&world, "0000000000000000").starts_with("missing: "));
    assert_eq!(world.lake.entry("nothing/there").object.version, "");
    let (a, b) = (before.etag.expect("an ETag"), after.etag.expect("an ETag"));
    let lines: Vec<_> =
        world.lake.entries().into_iter().filter(|entry| entry.object.key.contains("005.json")).collect();
    let line = |etag: &str| lines.iter().find(|line| line.object.version == etag).map(|line| line.outcome.clone());
    assert_eq!(line(&b), Some(ObjectOutcome::Committed));
    let overwritten = format!("overwritten: announced as ETag {a}, found {b}");
    assert_eq!(line(&a), Some(ObjectOutcome::Quarantined(overwritten)));
    assert_eq!((lines.len(), world.lake.rows()), (2, 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_over_the_limit_is_quarantined_with_the_setting() {
    let mut world = World::new();
    world.settings.ingest.decode.max_object_bytes = 100;
    world.announce(0..1);
    world.drain().await;
    let reason = reason(&world, "0000000000000000");
    assert!(reason.contains("max_object_bytes (100)"), "{reason}");
}
