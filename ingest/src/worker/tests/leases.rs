//! Leases: kept, lost, and the queue's own failures.

use std::{sync::atomic::Ordering, time::Duration};

use super::support::{World, until};
use crate::{queue::QueueErrorKind, worker::WorkError};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_is_kept_while_a_commit_takes_long() {
    let mut world = World::new();
    world.settings.lease = Duration::from_millis(400);
    world.lake.inner.blocked.store(true, Ordering::SeqCst);
    world.announce(0..25);
    let worker = world.start();
    until("three extensions of each", || world.queue.state(|state| state.extended) >= 75).await;
    world.lake.inner.blocked.store(false, Ordering::SeqCst);
    until("an empty queue", || world.queue.left() == 0).await;
    let summary = world.end(worker).await;
    assert_eq!((summary.messages.received, summary.messages.redelivered, summary.messages.leases_lost), (25, 0, 0));
    world.rows_are(25);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_lease_stops_nothing_and_doubles_nothing() {
    let mut world = World::new();
    world.settings.lease = Duration::from_millis(200);
    world.queue.state(|state| state.forget_receipts = true);
    world.lake.inner.blocked.store(true, Ordering::SeqCst);
    world.announce(0..5);
    let worker = world.start();
    until("second deliveries", || world.watch.status().messages.redelivered >= 5).await;
    world.lake.inner.blocked.store(false, Ordering::SeqCst);
    until("an empty queue", || world.queue.left() == 0).await;
    let summary = world.end(worker).await;
    assert!(summary.messages.leases_lost >= 5);
    world.rows_are(5);
    assert_eq!(summary.messages.deleted, 5, "by the newest receipts");
    assert!((0..5).all(|number| world.objects.reads(super::support::BUCKET, &super::support::key(number)) == 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_ends_before_the_wall() {
    let mut world = World::new();
    world.settings.lease = Duration::from_millis(100);
    world.settings.max_lease_total = Duration::from_millis(300);
    world.lake.inner.blocked.store(true, Ordering::SeqCst);
    world.announce(0..1);
    let worker = world.start();
    until("the wall", || world.watch.status().messages.leases_lost >= 1).await;
    until("another delivery", || world.watch.status().messages.redelivered >= 1).await;
    world.lake.inner.blocked.store(false, Ordering::SeqCst);
    until("an empty queue", || world.queue.left() == 0).await;
    world.end(worker).await;
    world.rows_are(1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_fails_now_and_then_is_worked_off() {
    let world = World::new();
    world.announce(0..60);
    world.queue.state(|state| {
        state.fail = [("receive", 5), ("delete", 3), ("redrive", 1), ("depth", 1)].into();
        state.fail_entries = 12;
    });
    let summary = world.drain().await;
    world.rows_are(60);
    assert_eq!((summary.messages.deleted, summary.messages.deletes_failed), (60, 0));
    let incidents = world.watch.status().incidents;
    let receive = &incidents["receive"];
    assert_eq!((receive.in_a_row, receive.needs_action), (0, false));
    assert!(receive.text.contains("reset") && incidents.contains_key("delete"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_is_not_there_ends_the_run_at_its_start_only() {
    let world = World::new();
    world.queue.state(|state| state.missing = true);
    let error = world.working().await.expect_err("there is no queue");
    assert!(matches!(&error, WorkError::Queue(error) if matches!(error.kind, QueueErrorKind::Missing)), "{error}");
    world.queue.state(|state| state.missing = false);
    let worker = world.start();
    until("a first call", || world.watch.status().last_receive_at.is_some()).await;
    world.queue.state(|state| state.missing = true);
    until("an alarm", || world.watch.status().incidents.get("receive").is_some_and(|seen| seen.in_a_row > 2)).await;
    assert!(world.watch.status().incidents["receive"].needs_action);
    world.queue.state(|state| state.missing = false);
    world.announce(0..1);
    until("an empty queue", || world.queue.left() == 0).await;
    world.end(worker).await;
    world.rows_are(1);
}
