//! Shutdown, refused commits, and futures that are dropped.

use std::{sync::atomic::Ordering, time::Duration};

use tokio::time::Instant;

use super::support::{BUCKET, World, key, until};
use crate::{objects::memory::Fault, worker::WorkError};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_finishes_what_is_in_flight() {
    let mut world = World::new();
    world.settings.commit_after = Duration::from_secs(3_600);
    world.announce(0..30);
    for number in 0..30 {
        world.objects.fault(BUCKET, &key(number), Fault::Delay(Duration::from_millis(50)));
    }
    let worker = world.start();
    until("all received", || world.watch.status().messages.received == 30).await;
    until("all being read", || (0..30).all(|number| world.objects.reads(BUCKET, &key(number)) == 1)).await;
    let summary = world.end(worker).await;
    world.rows_are(30);
    assert_eq!((summary.messages.deleted, summary.messages.given_back), (30, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_gives_back_at_once_what_cannot_be_finished() {
    let mut world = World::new();
    world.settings.shutdown_within = Duration::from_millis(600);
    world.settings.ingest.batch_objects = 5;
    world.lake.inner.blocked.store(true, Ordering::SeqCst);
    world.announce(0..120);
    let worker = world.start();
    until("all received", || world.watch.status().messages.received == 120).await;
    until("a commit under way", || world.lake.inner.committing.load(Ordering::SeqCst)).await;
    let asked_at = Instant::now();
    let summary = world.end(worker).await;
    assert!(asked_at.elapsed() < Duration::from_secs(3), "{:?}", asked_at.elapsed());
    // A call under way may bring some of them once more; they go back too.
    assert!(summary.messages.deleted == 0 && summary.messages.given_back >= 120, "{summary:?}");
    assert_eq!(world.queue.visible(), 120, "nobody has to wait for the ends of leases");
    world.lake.inner.blocked.store(false, Ordering::SeqCst);
    let world = world.again();
    world.drain().await;
    world.rows_are(120);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_worker_loses_nothing() {
    let mut world = World::new();
    world.settings.lease = Duration::from_millis(300);
    world.lake.inner.blocked.store(true, Ordering::SeqCst);
    world.announce(0..40);
    let worker = world.start();
    until("a commit under way", || world.lake.inner.committing.load(Ordering::SeqCst)).await;
    worker.abort();
    assert!(worker.await.is_err_and(|error| error.is_cancelled()));
    until("the ends of all leases", || world.queue.visible() == 40).await;
    world.lake.inner.blocked.store(false, Ordering::SeqCst);
    world.drain().await;
    world.rows_are(40);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_landed_without_an_answer_is_not_doubled() {
    let world = World::new();
    world.lake.inner.lose.store(2, Ordering::SeqCst);
    world.announce(0..10);
    let summary = world.drain().await;
    world.rows_are(10);
    assert_eq!((summary.messages.deleted, summary.messages.given_back), (10, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_is_given_up_goes_back_to_the_queue_and_the_worker_goes_on() {
    let mut world = World::new();
    world.settings.commit_retry_for = Duration::from_millis(60);
    world.announce(0..10);
    world.lake.inner.refuse.store(8, Ordering::SeqCst);
    let summary = world.drain().await;
    world.rows_are(10);
    assert_eq!(summary.messages.deleted, 10);
    assert!(world.watch.status().commits_failed >= 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lake_that_keeps_refusing_ends_the_worker_and_nothing_is_lost() {
    let mut world = World::new();
    world.settings.commit_retry_for = Duration::from_millis(30);
    world.settings.failed_batches_max = 2;
    world.announce(0..10);
    world.lake.inner.refuse.store(u64::MAX, Ordering::SeqCst);
    let error = world.working().await.expect_err("the lake refuses");
    assert!(matches!(error, WorkError::Store { .. }), "{error}");
    assert!(error.to_string().contains("the disk is full"), "{error}");
    assert_eq!((world.queue.deleted(), world.queue.left()), (0, 10));
    until("all given back", || world.queue.visible() == 10).await;
    world.lake.inner.refuse.store(0, Ordering::SeqCst);
    world.drain().await;
    world.rows_are(10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_that_cannot_be_asked_is_asked_again() {
    let world = World::new();
    world.lake.inner.refuse_asks.store(5, Ordering::SeqCst);
    world.announce(0..10);
    let summary = world.drain().await;
    world.rows_are(10);
    assert_eq!((summary.messages.deleted, summary.messages.given_back), (10, 0));
    assert_eq!(world.watch.status().incidents["ledger"].in_a_row, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_does_not_wait_for_messages_that_found_no_room() {
    let mut world = World::new();
    world.settings.shutdown_within = Duration::from_secs(3_600);
    // Room for the notices of a few messages only: the others stand in line behind them.
    world.settings.max_message_bytes = 8 << 10;
    world.announce(0..100);
    for number in 0..100 {
        world.objects.fault(BUCKET, &key(number), Fault::Delay(Duration::from_millis(20)));
    }
    let worker = world.start();
    until("messages in line", || world.watch.status().messages.received >= 20).await;
    let asked_at = Instant::now();
    let summary = world.end(worker).await;
    assert!(asked_at.elapsed() < Duration::from_secs(10), "{:?}", asked_at.elapsed());
    assert_eq!(world.queue.left() as u64 + summary.messages.deleted, 100);
    assert_eq!(world.queue.visible() as usize, world.queue.left(), "nothing is still leased");
}
