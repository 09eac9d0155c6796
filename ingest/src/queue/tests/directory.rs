//! [`DirectoryQueue`]: the contract, and what a folder is like.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::symlink,
    path::Path,
    sync::Mutex,
    time::{Duration, SystemTime},
};

use tempfile::TempDir;
use tokio::time::Instant;

use crate::{
    notification,
    objects::{ObjectStore, folder::FolderStore},
    queue::{
        Message, Queue, QueueErrorKind,
        contract::{self, Bench, key_of},
        directory::{DirectoryQueue, DirectoryQueueSettings, FOLDER_BUCKET},
    },
};

const LEASE: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(20);
/// Many walks long.
const QUIET: Duration = Duration::from_millis(300);

fn quick() -> DirectoryQueueSettings {
    DirectoryQueueSettings {
        every: Duration::from_millis(30),
        settle: Duration::from_millis(80),
        ..DirectoryQueueSettings::default()
    }
}

/// The folders of its queues, kept until the end.
#[derive(Default)]
struct Folders(Mutex<Vec<TempDir>>);

impl Bench for Folders {
    type Queue = DirectoryQueue;

    async fn queue(&self) -> DirectoryQueue {
        let folder = tempfile::tempdir().expect("a folder");
        let queue = DirectoryQueue::new(folder.path(), quick());
        self.0.lock().expect("no panic").push(folder);
        queue
    }

    async fn announce(&self, queue: &DirectoryQueue, key: &str) {
        write(queue.root(), key, key);
    }
}

fn write(root: &Path, key: &str, text: &str) {
    let path = root.join(key);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, text).expect("a file");
}

/// A file that has settled long ago.
fn write_old(root: &Path, key: &str, text: &str) {
    write(root, key, text);
    touch(&root.join(key), SystemTime::now() - Duration::from_secs(3600));
}

fn touch(path: &Path, at: SystemTime) {
    fs::File::options().write(true).open(path).expect("a file").set_modified(at).expect("a time");
}

/// Receives and deletes so many messages, and looks a while longer whether there are more.
async fn drain(queue: &DirectoryQueue, count: usize) -> Vec<Message> {
    let mut all = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let wait = if all.len() < count { deadline - Instant::now() } else { QUIET };
        let messages = queue.receive(10, wait, LEASE).await.expect("messages");
        if messages.is_empty() {
            return all;
        }
        let receipts: Vec<_> = messages.iter().map(|message| message.receipt.clone()).collect();
        assert_eq!(queue.delete(&receipts).await.expect("an answer"), []);
        all.extend(messages);
    }
}

fn keys(messages: &[Message]) -> Vec<String> {
    let mut keys: Vec<String> = messages.iter().map(key_of).collect();
    keys.sort();
    keys
}

#[tokio::test]
async fn it_keeps_the_contract() {
    contract::check(&Folders::default()).await;
}

#[tokio::test]
async fn what_is_announced_can_be_read() {
    let folder = tempfile::tempdir().expect("a folder");
    write_old(folder.path(), "AWSLogs/1/a +b%2B=é.gz", "seven!!");
    let queue = DirectoryQueue::new(folder.path(), quick());
    let messages = drain(&queue, 1).await;
    assert_eq!(messages.len(), 1);
    let notice = notification::read(&messages[0].body);
    let object = &notice.objects[0];
    assert_eq!((object.bucket.as_str(), object.key.as_str()), (FOLDER_BUCKET, "AWSLogs/1/a +b%2B=é.gz"));
    assert_eq!((object.size_bytes, &object.etag), (Some(7), &None));
    let announced = object.announced_at.expect("a time");
    let age = keytrail_model::time::now() - announced;
    assert!((3590..3700).contains(&(age / keytrail_model::time::SECOND)), "{age}");
    let bytes = FolderStore::new(folder.path()).get(object, 100).await.expect("an object").bytes;
    assert_eq!(bytes, b"seven!!");
}

#[tokio::test]
async fn hidden_unfinished_and_outside_files_are_passed_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let outside = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    for key in ["a.gz", ".hidden", ".git/x", "b/.c/d", "b/e.tmp", "b/f.part", "b/g.gz", "h.tmp/i.gz"] {
        write_old(root, key, "x");
    }
    write_old(outside.path(), "secret", "x");
    symlink(outside.path(), root.join("out")).expect("a link");
    symlink(outside.path().join("secret"), root.join("out.gz")).expect("a link");
    symlink(root.join("a.gz"), root.join("b/inside.gz")).expect("a link");
    symlink(root, root.join("b/loop")).expect("a link");
    symlink(root.join("nowhere"), root.join("dangling")).expect("a link");
    symlink("self", root.join("self")).expect("a link");
    let queue = DirectoryQueue::new(root, quick());
    let messages = drain(&queue, 4).await;
    assert_eq!(keys(&messages), ["a.gz", "b/g.gz", "b/inside.gz", "h.tmp/i.gz"]);
}

#[tokio::test]
async fn a_file_is_announced_again_when_it_changes_and_only_then() {
    let folder = tempfile::tempdir().expect("a folder");
    write_old(folder.path(), "one", "1");
    write_old(folder.path(), "two", "2");
    let queue = DirectoryQueue::new(folder.path(), quick());
    assert_eq!(keys(&drain(&queue, 2).await), ["one", "two"]);
    assert_eq!(drain(&queue, 0).await, []);
    write_old(folder.path(), "one", "another size");
    assert_eq!(keys(&drain(&queue, 1).await), ["one"]);
    touch(&folder.path().join("two"), SystemTime::now() - Duration::from_secs(1800));
    assert_eq!(keys(&drain(&queue, 1).await), ["two"]);
    // Nothing is remembered beyond the process.
    let again = DirectoryQueue::new(folder.path(), quick());
    assert_eq!(keys(&drain(&again, 2).await), ["one", "two"]);
}

#[tokio::test]
async fn a_file_that_went_away_is_forgotten() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("one");
    let at = SystemTime::now() - Duration::from_secs(3600);
    write(folder.path(), "one", "1");
    touch(&path, at);
    let queue = DirectoryQueue::new(folder.path(), quick());
    assert_eq!(keys(&drain(&queue, 1).await), ["one"]);
    fs::remove_file(&path).expect("it was there");
    let deadline = Instant::now() + PATIENCE;
    while queue.files_seen().await > 0 {
        assert!(Instant::now() < deadline, "it is still remembered");
        assert_eq!(queue.receive(1, Duration::from_millis(50), LEASE).await.expect("an answer"), []);
    }
    // The same again, to the microsecond, is a new file.
    write(folder.path(), "one", "1");
    touch(&path, at);
    assert_eq!(keys(&drain(&queue, 1).await), ["one"]);
}

#[tokio::test]
async fn a_file_that_was_just_written_waits() {
    let folder = tempfile::tempdir().expect("a folder");
    let settle = Duration::from_secs(300);
    let queue = DirectoryQueue::new(folder.path(), DirectoryQueueSettings { settle, ..quick() });
    write(folder.path(), "young", "x");
    write_old(folder.path(), "old", "x");
    assert_eq!(keys(&drain(&queue, 1).await), ["old"]);
    touch(&folder.path().join("young"), SystemTime::now() - settle);
    assert_eq!(keys(&drain(&queue, 1).await), ["young"]);
}

#[tokio::test]
async fn a_file_from_the_future_is_announced_once_it_rests() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "ahead", "x");
    touch(&folder.path().join("ahead"), SystemTime::now() + Duration::from_secs(86_400));
    let queue = DirectoryQueue::new(folder.path(), quick());
    let start = Instant::now();
    let messages = queue.receive(1, PATIENCE, LEASE).await.expect("an answer");
    assert_eq!(keys(&messages), ["ahead"]);
    assert!(start.elapsed() >= quick().settle);
}

#[tokio::test]
async fn messages_are_bounded_and_the_walk_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let expected: BTreeSet<String> = (0..100).map(|number| format!("{}/{number}", number % 7)).collect();
    for key in &expected {
        write_old(folder.path(), key, "x");
    }
    let queue = DirectoryQueue::new(folder.path(), DirectoryQueueSettings { max_messages: 8, ..quick() });
    let mut came = BTreeSet::new();
    let deadline = Instant::now() + PATIENCE;
    while came.len() < expected.len() && Instant::now() < deadline {
        let messages = queue.receive(10, Duration::from_secs(1), LEASE).await.expect("messages");
        let depth = queue.depth().await.expect("a depth");
        assert!(depth.visible + depth.in_flight <= 8, "{depth:?}");
        let receipts: Vec<_> = messages.iter().map(|message| message.receipt.clone()).collect();
        queue.delete(&receipts).await.expect("an answer");
        for message in &messages {
            assert!(came.insert(key_of(message)), "announced twice");
        }
    }
    assert_eq!(came, expected);
}

#[tokio::test]
async fn a_name_that_cannot_be_a_key_is_passed_over() {
    use std::os::unix::ffi::OsStrExt;

    let folder = tempfile::tempdir().expect("a folder");
    write_old(folder.path(), "good", "x");
    fs::write(folder.path().join(std::ffi::OsStr::from_bytes(b"bad\xff")), "x").expect("a file");
    let deep = vec!["d".repeat(200); 6].join("/");
    write_old(folder.path(), &deep, "x");
    let queue = DirectoryQueue::new(folder.path(), quick());
    assert_eq!(keys(&drain(&queue, 1).await), ["good"]);
}

#[tokio::test]
async fn a_root_that_is_not_there_is_told_and_found_later() {
    let parent = tempfile::tempdir().expect("a folder");
    let root = parent.path().join("later");
    let queue = DirectoryQueue::new(&root, quick());
    let error = queue.receive(1, Duration::ZERO, LEASE).await.expect_err("there is no folder");
    assert!(matches!(error.kind, QueueErrorKind::Missing), "{error}");
    assert!(error.to_string().contains("later: walk: there is no such queue"), "{error}");
    write_old(&root, "a", "x");
    let deadline = Instant::now() + PATIENCE;
    let messages = loop {
        match queue.receive(1, PATIENCE, LEASE).await {
            Ok(messages) => break messages,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
    };
    assert_eq!(keys(&messages), ["a"]);
}
