//! A lake in a bucket, over an emulator of S3: the same promises as in a folder, with several writers.
//!
//! They run where `KEYTRAIL_EMULATOR` names an endpoint (and `AWS_ACCESS_KEY_ID` is set, as for any client of AWS), and
//! say that they are skipped elsewhere.

use std::sync::atomic::{AtomicU32, Ordering};

use keytrail_model::{ObjectOutcome, time};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use uuid::Uuid;

use super::*;
use crate::{
    Batch, Lake, LakeSettings,
    session::SessionSettings,
    testing::{START, ask, batch, decrypt, from_object, lines, object, read},
};

#[test]
fn a_commit_is_conditional_whatever_the_environment_says() {
    let location = Location::parse("s3://bucket/p").expect("a location");
    let options = S3Options { endpoint: Some("http://127.0.0.1:1".into()), ..S3Options::default() };
    let stated = options.storage_options(&location);
    let of = |key: &str| stated.get(key).map(String::as_str);
    assert_eq!(of("aws_conditional_put"), Some("etag"));
    assert_eq!(of("AWS_S3_ALLOW_UNSAFE_RENAME"), Some("false"));
    assert_eq!(of("AWS_S3_LOCKING_PROVIDER"), Some("none"));
    assert_eq!((of("connect_timeout"), of("timeout")), (Some("5000ms"), Some("60000ms")));
    assert_eq!((of("allow_http"), of("aws_region")), (None, None), "not said, so the environment may");
    assert!(options.storage_options(&Location::Folder("x".into())).is_empty());
}

/// A bucket of the emulator, or `None` where there is no emulator.
#[expect(clippy::print_stderr, reason = "a skipped test must say so")]
async fn bucket() -> Option<(String, LakeSettings)> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let endpoint = std::env::var("KEYTRAIL_EMULATOR").ok().filter(|endpoint| !endpoint.is_empty());
    let (Some(endpoint), true) = (endpoint, std::env::var_os("AWS_ACCESS_KEY_ID").is_some()) else {
        eprintln!("skipped: KEYTRAIL_EMULATOR (an endpoint) and AWS_ACCESS_KEY_ID are not set");
        return None;
    };
    let host = endpoint.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let bucket = format!("lake-{number}-{}", Uuid::new_v4().simple());
    let mut stream = TcpStream::connect(&host).await.expect("the emulator listens");
    let request = format!("PUT /{bucket} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let s3 = S3Options {
        endpoint: Some(endpoint),
        region: Some("us-east-1".to_owned()),
        allow_http: true,
        ..S3Options::default()
    };
    Some((bucket, LakeSettings { s3, compact_min_files: 2, ..LakeSettings::default() }))
}

fn at(bucket: &str, prefix: &str) -> Location {
    Location::parse(&format!("s3://{bucket}/{prefix}")).expect("a location")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lake_in_a_bucket_does_what_a_lake_in_a_folder_does() {
    let Some((bucket, settings)) = bucket().await else { return };
    let place = at(&bucket, "a/lake");
    assert!(!Lake::exists(&place, &settings).await.expect("an answer"));
    let lake = Lake::open(&place, settings.clone()).await.expect("a lake");
    assert!(Lake::exists(&place, &settings).await.expect("an answer"));
    assert_eq!(lake.location().to_string(), format!("s3://{bucket}/a/lake"));

    lake.commit(batch([from_object(read("r1", "a", START), "o1")])).await.expect("a commit");
    lake.commit(batch([from_object(decrypt("k1", "a", "v7", START + time::SECOND), "o2")])).await.expect("a commit");
    let mut broken = object("o3");
    broken.outcome = ObjectOutcome::Quarantined("no gzip".into());
    lake.commit(Batch { objects: vec![broken], ..Batch::default() }).await.expect("a commit");
    let told = "SELECT event_id, version_id FROM access_events_stored ORDER BY 1";
    assert_eq!(ask(&lake, told).await, ["k1|v7", "r1|v7"]);
    assert_eq!(lake.troubles(9).await.expect("troubles").len(), 1);
    lake.commit(Batch { objects: vec![object("o3")], again: true, ..Batch::default() }).await.expect("a commit");
    assert!(lake.troubles(9).await.expect("troubles").is_empty());

    assert_eq!(lake.get_state("rules").await.expect("no state"), None);
    for state in [b"one".to_vec(), b"two".to_vec()] {
        lake.put_state("rules", state.clone()).await.expect("a state");
        assert_eq!(lake.get_state("rules").await.expect("a state"), Some(state));
    }

    // Another process; compaction, sessions, retention and vacuum.
    let other = Lake::open(&place, settings.clone()).await.expect("a lake");
    assert_eq!(
        other.commit(batch([from_object(read("r1", "a", START), "o1")])).await.expect("a commit").rows_written,
        0
    );
    assert!(other.compact(START + 30 * time::DAY).await.expect("a compaction").days > 0);
    assert_eq!(ask(&lake, told).await, ["k1|v7", "r1|v7"]);
    let session = lake.session(&SessionSettings::default()).await.expect("a session");
    let found = session.sql("SELECT count(*) FROM access_events WHERE secret_name = 'a'").await.expect("a plan");
    assert_eq!(lines(found.collect().await.expect("rows")), ["2"]);
    let changes = lake.changes(None, 100).await.expect("changes").expect("rows");
    assert_eq!(changes.row_count(), 2);
    lake.vacuum().await.expect("a vacuum");
    lake.retain(35, START + 60 * time::DAY).await.expect("retention");
    assert!(ask(&other, told).await.is_empty());
    assert_eq!(lake.get_state("rules").await.expect("a state").as_deref(), Some(&b"two"[..]), "no table names it");

    // A lake beside it in the same bucket shares nothing with it.
    let beside = Lake::open(&at(&bucket, "a/lake2"), settings).await.expect("a lake");
    assert_eq!(beside.get_state("rules").await.expect("no state"), None);
    assert_eq!(beside.version().await.expect("a version"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_writers_of_one_bucket_lose_and_double_nothing() {
    const WRITERS: usize = 4;
    const BATCHES: i64 = 8;
    let Some((bucket, settings)) = bucket().await else { return };
    let place = at(&bucket, "lake");
    // Each makes the lake if it is first, and half of what each commits the others commit too.
    let writers = (0..WRITERS).map(|writer| {
        let (place, settings) = (place.clone(), settings.clone());
        tokio::spawn(async move {
            let lake = Lake::open(&place, settings).await.expect("a lake");
            let mut written = 0;
            for number in 0..BATCHES {
                let when = START + number * 60 * time::SECOND;
                let rows = [
                    from_object(read(&format!("own-{writer}-{number}"), "a", when), &format!("own-{writer}-{number}")),
                    from_object(read(&format!("all-{number}"), "b", when), &format!("all-{number}")),
                    from_object(decrypt(&format!("key-{number}"), "b", "v1", when), &format!("keys-{number}")),
                ];
                written += lake.commit(batch(rows)).await.expect("a commit").rows_written;
                if writer == 0 && number % 3 == 2 {
                    lake.compact(START).await.expect("a compaction");
                }
            }
            written
        })
    });
    let written: u64 = {
        let ended = futures::future::join_all(writers).await;
        ended.into_iter().map(|writer| writer.expect("a writer")).sum()
    };
    let batches = u64::try_from(BATCHES).expect("a few");
    assert_eq!(written, WRITERS as u64 * batches + 2 * batches);
    let lake = Lake::open(&place, settings).await.expect("a lake");
    let told =
        ask(&lake, "SELECT count(*), count(DISTINCT event_id), count(DISTINCT object_key) FROM access_events_stored")
            .await;
    let rows = WRITERS as i64 * BATCHES + 2 * BATCHES;
    assert_eq!(told, [format!("{rows}|{rows}|{rows}")]);
    assert_eq!(
        ask(&lake, "SELECT count(*), count(DISTINCT object_digest) FROM objects_stored").await,
        [format!("{rows}|{rows}")]
    );
    let unsettled = "SELECT count(*) FROM access_events_stored WHERE secret_name = 'b' AND version_id IS NULL";
    assert_eq!(ask(&lake, unsettled).await, ["0"]);
}
