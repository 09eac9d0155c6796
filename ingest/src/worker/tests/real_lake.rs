//! The worker over a real lake in a folder.

use keytrail_lake::{Lake, LakeSettings};
use keytrail_model::ObjectId;

use super::support::{World, key, until};
use crate::worker::work;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_share_a_queue_and_a_lake() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut world = World::new();
    world.settings.ingest.batch_objects = 8;
    world.announce(0..40);
    // Some are announced once more.
    world.announce(10..20);
    let mut workers = Vec::new();
    for _ in 0..2 {
        let lake = Lake::open(folder.path(), LakeSettings::default()).await.expect("a lake");
        let (queue, objects, settings) = (world.queue.clone(), world.objects.clone(), world.settings.clone());
        let (watch, stop) = (world.watch.clone(), world.stop.clone());
        workers.push(tokio::spawn(async move { work(queue, objects, lake, &settings, &watch, stop).await }));
    }
    until("an empty queue", || world.queue.left() == 0 || workers.iter().any(tokio::task::JoinHandle::is_finished))
        .await;
    world.stop.cancel();
    for worker in workers {
        worker.await.expect("no panic").expect("it ends well");
    }
    let status = world.watch.status();
    assert_eq!((status.messages.deleted, status.records.rows_written), (50, 80));
    let lake = Lake::open(folder.path(), LakeSettings::default()).await.expect("a lake");
    let ids: Vec<ObjectId> = (0..40)
        .map(|number| world.put(number))
        .map(|object| object.ledger_id(object.etag.as_deref().unwrap_or_default()))
        .collect();
    assert_eq!(lake.committed(&ids).await.expect("it answers").len(), 40, "{}", key(0));
}
