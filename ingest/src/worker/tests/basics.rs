//! What must hold when nothing goes wrong.

use std::{sync::atomic::Ordering, time::Duration};

use keytrail_model::ObjectOutcome;
use serde_json::json;

use super::support::{BUCKET, World, cloudtrail_notification, key, notification, read_of, until};
use crate::objects::ObjectRef;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_is_worked_off() {
    let world = World::new();
    world.announce(0..200);
    let summary = world.drain().await;
    world.rows_are(200);
    assert_eq!(world.queue.deleted(), 200);
    assert_eq!((summary.messages.received, summary.messages.deleted, summary.messages.given_back), (200, 200, 0));
    assert_eq!((summary.objects.committed, summary.records.seen, summary.records.rows_written), (200, 400, 400));
    assert!(summary.commits < 50, "many small objects make few commits: {}", summary.commits);
    let status = world.watch.status();
    assert_eq!((status.shapes.get("s3"), status.in_flight.messages), (Some(&200), 0));
    assert!(status.ended_at.is_some() && status.last_commit_at.is_some() && status.last_receive_at.is_some());
    serde_json::to_string(&status).expect("a status serialises");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_deleted_only_after_its_commit() {
    let world = World::new();
    world.lake.inner.blocked.store(true, Ordering::SeqCst);
    world.announce(0..3);
    let worker = world.start();
    until("a commit under way", || world.lake.inner.committing.load(Ordering::SeqCst)).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!((world.queue.deleted(), world.queue.left()), (0, 3));
    world.lake.inner.blocked.store(false, Ordering::SeqCst);
    until("deletions", || world.queue.deleted() == 3).await;
    world.end(worker).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_with_several_objects_waits_for_all_of_them() {
    let mut world = World::new();
    world.settings.ingest.batch_objects = 1;
    let objects: Vec<ObjectRef> = (0..5).map(|number| world.put(number)).collect();
    world.queue.send(notification(&objects.iter().collect::<Vec<_>>()));
    world.lake.inner.refuse.store(3, Ordering::SeqCst);
    let summary = world.drain().await;
    world.rows_are(5);
    assert_eq!((summary.commits, summary.messages.deleted), (5, 1));
    assert_eq!(world.watch.status().commits_failed, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_announced_by_many_is_fetched_once() {
    let world = World::new();
    let object = world.put(0);
    for _ in 0..20 {
        world.queue.send(notification(&[&object]));
    }
    let summary = world.drain().await;
    world.rows_are(1);
    assert_eq!(summary.messages.deleted, 20);
    assert_eq!(world.objects.reads(BUCKET, &object.key), 1);
    assert_eq!(world.lake.entries().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_ledger_knows_is_not_fetched() {
    let world = World::new();
    world.announce(0..10);
    world.drain().await;
    let again = world.again();
    for number in 0..10 {
        let object = again.put(number);
        again.queue.send(notification(&[&object]));
    }
    let summary = again.drain().await;
    again.rows_are(10);
    assert_eq!((summary.objects.known, summary.messages.deleted, summary.commits), (10, 10, 0));
    assert!((0..10).all(|number| again.objects.reads(BUCKET, &key(number)) == 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cloudtrails_own_notifications_tell_no_etag() {
    let world = World::new();
    let keys: Vec<String> = (0..8).map(|number| world.put(number).key).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    world.queue.send(cloudtrail_notification(&keys));
    world.queue.send(cloudtrail_notification(&keys));
    let object = world.put(3);
    world.queue.send(notification(&[&object]));
    let summary = world.drain().await;
    world.rows_are(8);
    assert_eq!(summary.messages.deleted, 3);
    assert_eq!(world.lake.entries().len(), 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inline_events_and_messages_that_ask_for_nothing() {
    let world = World::new();
    let envelope = json!({"version": "0", "id": "11111111-2222-3333-4444-555555555555", "source": "aws.secretsmanager",
        "detail-type": "AWS API Call via CloudTrail", "account": "111122223333", "time": "2026-08-01T12:00:10Z",
        "region": "us-east-1", "resources": [], "detail": read_of("inline")});
    world.queue.send(envelope.to_string());
    world.queue.send(envelope.to_string());
    world.queue.send(json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": BUCKET}).to_string());
    let summary = world.drain().await;
    assert_eq!((summary.messages.deleted, world.lake.rows()), (3, 1));
    let entry = world.lake.entry("eventbridge://");
    assert_eq!((entry.object.version.as_str(), entry.content_kind.as_str()), ("inline", "eventbridge"));
    assert_eq!((entry.account_id.as_deref(), entry.region.as_deref()), (Some("111122223333"), Some("us-east-1")));
    assert_eq!(entry.delivered_at, keytrail_model::time::parse_rfc3339("2026-08-01T12:00:10Z"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn security_lake_is_named_and_left_alone() {
    let world = World::new();
    let body = json!({"source": "aws.s3", "time": "2026-08-01T12:00:10Z", "account": "111122223333",
        "region": "us-east-1", "resources": ["arn:aws:s3:::aws-security-data-lake-us-east-1-abc"],
        "detail": {"bucket": {"name": "aws-security-data-lake-us-east-1-abc"},
            "object": {"key": "aws/CLOUD_TRAIL_MGMT/2.0/x.gz.parquet", "size": 9, "etag": "e1"},
            "request-id": "r", "requester": "securitylake.amazonaws.com"}});
    world.queue.send(body.to_string());
    let summary = world.drain().await;
    let entry = world.lake.entry("parquet");
    assert!(matches!(&entry.outcome, ObjectOutcome::Skipped(reason) if !reason.is_empty()), "{entry:?}");
    assert_eq!((entry.object.version.as_str(), summary.objects.skipped), ("e1", 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_object_is_committed_at_once() {
    let mut world = World::new();
    world.settings.commit_after = Duration::from_secs(3_600);
    world.announce(0..1);
    world.drain().await;
    world.rows_are(1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_is_held_than_the_bound() {
    let mut world = World::new();
    world.settings.max_messages = 40;
    world.settings.ingest.batch_objects = 15;
    world.lake.inner.blocked.store(true, Ordering::SeqCst);
    world.announce(0..300);
    let worker = world.start();
    until("as many as there is room for", || world.watch.status().in_flight.messages == 40).await;
    // One batch is being committed, the next is full, and the rest waits unread.
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert!(world.watch.status().in_flight.batch_rows <= 2 * (15 + 32));
    world.lake.inner.blocked.store(false, Ordering::SeqCst);
    until("an empty queue", || world.queue.left() == 0).await;
    world.end(worker).await;
    world.rows_are(300);
    assert!(world.queue.state(|state| state.in_flight_max) <= 40);
    assert!(world.watch.status().in_flight.messages_max <= 40);
}
