//! Objects in trouble read again: their lines are replaced, their rows are still there once, whatever comes between.

use super::*;
use crate::{session::SessionSettings, table::Landed, troubles::Trouble};

/// A version of a key.
fn id(key: &str, version: &str) -> ObjectId {
    ObjectId { key: key.into(), version: version.into() }
}

/// A line that tells of an object nobody could read.
fn broken(key: &str, version: &str) -> ObjectEntry {
    let outcome = ObjectOutcome::Quarantined("no gzip".into());
    ObjectEntry { object: id(key, version), outcome, kept_count: 0, ..object(key) }
}

/// A line that tells of one record nobody could understand.
fn partly(key: &str, index: i64) -> ObjectEntry {
    let record = QuarantinedRecord { record_index: index, reason: "no eventID".into(), byte_offset: 1, byte_length: 2 };
    ObjectEntry { quarantined: vec![record], ..object(key) }
}

fn of(objects: Vec<ObjectEntry>) -> Batch {
    Batch { objects, ..Batch::default() }
}

fn again(batch: Batch) -> Batch {
    Batch { again: true, ..batch }
}

/// What the views say.
async fn told(lake: &Lake, sql: &str) -> Vec<String> {
    let session = lake.session(&SessionSettings::default()).await.expect("a session");
    crate::testing::lines(session.sql(sql).await.expect("a plan").collect().await.expect("rows"))
}

async fn objects(lake: &Lake) -> Vec<String> {
    told(lake, "SELECT object_key, object_version, outcome, quarantined_count FROM objects ORDER BY 1, 2").await
}

async fn quarantine(lake: &Lake) -> Vec<String> {
    told(lake, "SELECT object_key, object_version, record_index, attempts FROM quarantine ORDER BY 1, 2, 3").await
}

#[tokio::test]
async fn what_was_broken_is_written_again_and_its_line_replaced() {
    let (folder, lake) = lake().await;
    lake.commit(of(vec![broken("o1", "1"), partly("o2", 3), object("o3")])).await.expect("a commit");
    assert_eq!(quarantine(&lake).await, ["o1|1|-1|1", "o2|1|3|1"]);
    let good = batch([
        from_object(read("e1", "a", START), "o1"),
        from_object(read("e2", "a", START), "o2"),
        from_object(read("e3", "a", START), "o3"),
    ]);
    // Without the word nothing is read again.
    let done = lake.commit(good.clone()).await.expect("a commit");
    assert_eq!((done.rows_written, done.objects_written), (0, 0));
    // With it, what is in trouble is; what is well stays as it is.
    let done = lake.commit(again(good.clone())).await.expect("a commit");
    assert_eq!((done.rows_written, done.objects_written), (2, 2));
    assert_eq!(rows(&lake).await, ["e1|a|-", "e2|a|-"]);
    assert_eq!(objects(&lake).await, ["o1|1|committed|0", "o2|1|committed|0", "o3|1|committed|0"]);
    assert!(quarantine(&lake).await.is_empty());
    assert!(lake.troubles(10).await.expect("troubles").is_empty());
    // The tables are only ever appended to.
    assert_eq!(ask(&lake, "SELECT count(*) FROM objects_stored").await, ["5"]);
    assert_eq!(ask(&lake, "SELECT count(*) FROM quarantine_stored").await, ["2"]);
    // Once more, here and in a process that has to learn it from the tables.
    let other = Lake::open(folder.path(), LakeSettings::default()).await.expect("a lake");
    for lake in [&lake, &other] {
        let done = lake.commit(again(good.clone())).await.expect("a commit");
        assert_eq!((done.rows_written, done.objects_written), (0, 0));
    }
}

#[tokio::test]
async fn rows_that_were_there_stay_and_what_stays_broken_counts_its_attempts() {
    let (_folder, lake) = lake().await;
    let mut first = batch([from_object(read("e1", "a", START), "o1")]);
    first.objects = vec![partly("o1", 1)];
    lake.commit(first).await.expect("a commit");
    let mut second = batch([from_object(read("e1", "a", START), "o1"), from_object(read("e2", "a", START), "o1")]);
    second.objects = vec![partly("o1", 7)];
    let done = lake.commit(again(second)).await.expect("a commit");
    assert_eq!((done.rows_written, done.duplicate_events, done.objects_written), (1, 1, 1));
    assert_eq!(rows(&lake).await, ["e1|a|-", "e2|a|-"]);
    assert_eq!(quarantine(&lake).await, ["o1|1|7|2"], "only what its newest line tells");
    let troubles = lake.troubles(10).await.expect("troubles");
    let first_line = ask(&lake, "SELECT min(ledger_version) = 1 FROM quarantine_stored").await;
    assert_eq!(first_line, ["true"]);
    let [Trouble { object, record_index: Some(7), attempts: 2, byte_offset: 1, byte_length: 2, .. }] =
        troubles.as_slice()
    else {
        panic!("{troubles:?}");
    };
    assert_eq!(*object, id("o1", "1"));
    lake.commit(of(vec![broken("o2", "1")])).await.expect("a commit");
    let troubles = lake.troubles(10).await.expect("troubles");
    assert_eq!(troubles.iter().map(|one| one.record_index).collect::<Vec<_>>(), [Some(7), None]);
    assert!(troubles[0].since <= troubles[1].since);
    assert_eq!(lake.troubles(1).await.expect("troubles"), troubles[..1]);
}

#[tokio::test]
async fn a_line_of_unknown_version_is_resolved_by_what_is_read_later_only() {
    let (_folder, lake) = lake().await;
    lake.commit(of(vec![object("o1"), broken("o2", "")])).await.expect("a commit");
    lake.commit(of(vec![broken("o1", "")])).await.expect("a commit");
    assert_eq!(quarantine(&lake).await, ["o1||-1|1", "o2||-1|1"], "what was read before tells nothing");
    // Unreadable under its version too: both lines stand.
    lake.commit(of(vec![broken("o2", "9")])).await.expect("a commit");
    assert_eq!(quarantine(&lake).await, ["o1||-1|1", "o2||-1|1", "o2|9|-1|1"]);
    let mut read_at_last = object("o2");
    read_at_last.object.version = "10".into();
    lake.commit(of(vec![read_at_last])).await.expect("a commit");
    assert_eq!(quarantine(&lake).await, ["o1||-1|1", "o2|9|-1|1"], "version 9 is another's bytes");
    let mut skipped = object("o1");
    skipped.object.version = "2".into();
    skipped.outcome = ObjectOutcome::Skipped("a digest".into());
    lake.commit(of(vec![skipped])).await.expect("a commit");
    assert_eq!(quarantine(&lake).await, ["o2|9|-1|1"]);
    // In trouble once more, after it was read.
    lake.commit(again(of(vec![broken("o1", "")]))).await.expect("a commit");
    assert_eq!(quarantine(&lake).await, ["o1||-1|2", "o2|9|-1|1"]);
}

#[tokio::test]
async fn compaction_retention_and_a_small_memory_keep_it_resolved() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = LakeSettings { ledger_memory_objects: 1, compact_min_files: 2, ..LakeSettings::default() };
    let open = || Lake::open(folder.path(), settings.clone());
    let lake = open().await.expect("a lake");
    let keys: Vec<String> = (0..3).map(|number| format!("l/2026/08/01/{number}")).collect();
    for key in &keys {
        lake.commit(of(vec![broken(key, "1")])).await.expect("a commit");
    }
    let good = |keys: &[String]| {
        batch(keys.iter().enumerate().map(|(at, key)| from_object(read(&format!("e{at}"), "a", START), key)))
    };
    let done = lake.commit(again(good(&keys[..2]))).await.expect("a commit");
    assert_eq!((done.rows_written, done.objects_written), (2, 2));
    for step in 0..3 {
        let lake = open().await.expect("a lake");
        assert_eq!(quarantine(&lake).await, ["l/2026/08/01/2|1|-1|1"], "step {step}");
        let ids: Vec<ObjectId> = keys.iter().map(|key| id(key, "1")).collect();
        assert_eq!(lake.committed(&ids).await.expect("the ledger").len(), 3);
        let snapshot = lake.inner.tables.get(TableName::AccessEvents).latest().await.expect("a snapshot");
        let done = lake.committed_at(&snapshot, &ids, true).await.expect("the ledger");
        assert_eq!(done.len(), 2, "step {step}");
        assert_eq!(lake.commit(again(good(&keys[..2]))).await.expect("a commit").objects_written, 0);
        let compaction = lake.compact(START + 30 * time::DAY).await.expect("a compaction");
        assert_eq!(compaction.days > 0, step == 0, "{compaction:?}");
    }
    let lake = open().await.expect("a lake");
    lake.retain(35, START + 60 * time::DAY).await.expect("retention");
    assert!(quarantine(&lake).await.is_empty() && objects(&lake).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_workers_one_replaces_the_line() {
    let (folder, lake) = lake().await;
    let keys: Vec<String> = (0..6).map(|number| format!("o{number}")).collect();
    lake.commit(of(keys.iter().map(|key| broken(key, "1")).collect())).await.expect("a commit");
    let good = batch(keys.iter().map(|key| from_object(read(&format!("e-{key}"), "a", START), key)));
    let workers = futures::future::join_all((0..4).map(|_| {
        let (path, good) = (folder.path().to_owned(), again(good.clone()));
        tokio::spawn(async move {
            let lake = Lake::open(&path, LakeSettings::default()).await.expect("a lake");
            lake.commit(good).await.expect("a commit").objects_written
        })
    }));
    let written: u64 = workers.await.into_iter().map(|worker| worker.expect("a worker")).sum();
    assert_eq!(written, 6);
    assert_eq!(rows(&lake).await.len(), 6);
    assert_eq!(ask(&lake, "SELECT count(*) FROM objects_stored").await, ["12"]);
    assert!(quarantine(&lake).await.is_empty());
}

#[tokio::test]
async fn a_commit_that_was_not_projected_counts_all_the_same() {
    let (folder, lake) = lake().await;
    lake.commit(of(vec![broken("o1", "1")])).await.expect("a commit");
    assert_eq!(lake.committed(&[id("o1", "1")]).await.expect("the ledger").len(), 1);
    // Another process replaced the line and died before it projected.
    let table = lake.inner.tables.get(TableName::AccessEvents);
    let snapshot = table.latest().await.expect("a snapshot");
    let line = CommitLine {
        batch_id: Some(new_batch_id(1)),
        committed_at: Some(1),
        again: true,
        ledger: vec![object("o1")],
        ..CommitLine::default()
    };
    let draft = Draft {
        actions: Vec::new(),
        metadata: line.to_metadata(),
        transactions: vec![transaction(APP, 2)],
        operation: append(TableName::AccessEvents),
    };
    assert!(matches!(table.land(&snapshot, draft).await, Ok(Landed::At(_))));
    let reopened = Lake::open(folder.path(), LakeSettings::default()).await.expect("a lake");
    for lake in [&lake, &reopened] {
        let done = lake.commit(again(of(vec![object("o1")]))).await.expect("a commit");
        assert_eq!(done.objects_written, 0, "the log tells it to whoever had the old line in memory");
        assert_eq!(objects(lake).await, ["o1|1|committed|0"]);
    }
}

#[tokio::test]
#[expect(clippy::print_stderr, reason = "the seed must be seen to repeat a failure")]
async fn retries_cut_short_anywhere_lose_and_double_nothing() {
    let seed = std::env::var("KEYTRAIL_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| u64::from(std::process::id()) ^ time::now().unsigned_abs());
    eprintln!("KEYTRAIL_TEST_SEED={seed}");
    let mut state = seed;
    let (folder, mut lake) = lake().await;
    let (mut cut, mut whole) = (0, 0);
    for round in 0..60_u32 {
        let key = format!("o{}", round / 3);
        if round.is_multiple_of(3) {
            let mut first = batch([from_object(read(&format!("a-{key}"), "a", START), &key)]);
            first.objects = vec![if round.is_multiple_of(2) { partly(&key, 1) } else { broken(&key, "1") }];
            lake.commit(first).await.expect("a commit");
        }
        let good = again(batch([
            from_object(read(&format!("a-{key}"), "a", START), &key),
            from_object(read(&format!("b-{key}"), "a", START), &key),
        ]));
        let polls = u32::try_from(next(&mut state) % 120).unwrap_or_default();
        match cut_short(lake.commit(good.clone()), polls).await {
            None => cut += 1,
            Some(result) => {
                result.expect("a commit");
                whole += 1;
            }
        }
        if round % 3 == 2 {
            // The process died; another one is given the object again.
            lake = Lake::open(folder.path(), LakeSettings::default()).await.expect("a lake");
            lake.commit(good).await.expect("the commit again");
        }
    }
    assert!(cut >= 10 && whole >= 1, "cut {cut}, whole {whole}: the cuts must fall at many places");
    let told = ask(&lake, "SELECT count(*), count(DISTINCT event_id) FROM access_events_stored").await;
    assert_eq!(told, ["40|40"]);
    let stored = ask(&lake, "SELECT count(*), count(DISTINCT object_digest) FROM objects_stored").await;
    assert_eq!(stored, ["40|20"], "each was replaced once");
    assert!(quarantine(&lake).await.is_empty());
}
