//! Every way by which an object is announced, through the services that make the messages.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};

use super::{
    outcome::{Ledger, assert_rows, text},
    stage::{BUCKET, Stage},
};
use crate::harness::{
    corpus::{Corpus, Shape, read},
    emulator::Kind,
    wait::{PATIENCE, until},
};

/// Keys that suffer under a wrong decoding: a space, a plus, a percent sign, an umlaut, an equals sign.
const PREFIX: &str = "trail of us/50%25 a+b=ü/";

fn corpus(seed: u64, prefix: &str) -> Corpus {
    Corpus::made(seed, &Shape { objects: 6, prefix: prefix.to_owned(), ..Shape::default() })
}

fn joined(parts: Vec<Corpus>) -> Corpus {
    Corpus { objects: parts.into_iter().flat_map(|part| part.objects).collect() }
}

#[test]
fn s3_sns_and_event_bridge_announce_the_same_objects_in_four_ways() {
    let stage = Stage::new(5);
    let emulator = &stage.emulator;
    let mut parts = Vec::new();
    for (seed, bucket) in (1..).zip(["by-queue", "by-topic", "by-raw-topic", "by-event-bridge"]) {
        emulator.bucket(bucket);
        match bucket {
            "by-queue" => emulator.announce(bucket, &stage.queue),
            "by-topic" => drop(emulator.announce_by_topic(bucket, &stage.queue, "wrapped", false)),
            "by-raw-topic" => drop(emulator.announce_by_topic(bucket, &stage.queue, "raw", true)),
            _ => emulator.announce_by_event_bridge(bucket, &stage.queue),
        }
        let part = corpus(seed, PREFIX);
        emulator.put_all(bucket, part.pairs());
        parts.push(part);
    }
    let corpus = joined(parts);
    until("a message for each object and the test messages", PATIENCE, || {
        (emulator.depth(&stage.queue.url).visible >= 24).then_some(())
    });
    let mut worker = stage.worker(&stage.config());
    stage.drained(&mut worker, PATIENCE);
    stage.finish(worker, &corpus, Ledger::committed(24), 0);
    let buckets = stage.world.rows("SELECT split_part(object_key, '/', 3) AS b, count(*) AS n FROM objects GROUP BY 1");
    assert!(buckets.len() == 4 && buckets.iter().all(|row| row["n"] == 6), "{buckets:?}");
}

#[test]
fn the_second_emulator_agrees() {
    let stage = Stage::of(Kind::Moto, 5);
    stage.emulator.announce(BUCKET, &stage.queue);
    let corpus = corpus(9, "a b/");
    stage.emulator.put_all(BUCKET, corpus.pairs());
    let mut worker = stage.worker(&stage.config());
    stage.drained(&mut worker, PATIENCE);
    stage.finish(worker, &corpus, Ledger::committed(6), 0);
}

#[test]
fn cloudtrails_own_messages_and_those_that_carry_no_object() {
    let stage = Stage::new(5);
    let (emulator, queue) = (&stage.emulator, &stage.queue);
    // CloudTrail does not encode its keys: a plus is a plus here.
    let corpus = joined(vec![corpus(1, "x+y z/"), corpus(2, "")]);
    emulator.put_all(BUCKET, corpus.pairs());
    let keys = |part: &[_]| -> Value {
        part.iter().map(|object: &crate::harness::corpus::Object| json!(object.key)).collect()
    };
    let (some, others) = corpus.objects.split_at(5);
    let topic = emulator.topic("cloudtrail", queue, false);
    emulator.publish(&topic, "CloudTrail validation message.");
    emulator.publish(&topic, &json!({"s3Bucket": BUCKET, "s3ObjectKey": keys(some)}).to_string());
    emulator.send(queue, &json!({"s3Bucket": BUCKET, "s3ObjectKey": keys(others)}).to_string());
    emulator.send(queue, "CloudTrail validation message.");
    emulator.send(queue, &json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": BUCKET}).to_string());
    emulator.send(
        queue,
        &json!({"Type": "SubscriptionConfirmation", "MessageId": "1", "Token": "2", "TopicArn": topic,
            "Message": "You have chosen to subscribe", "SubscribeURL": format!("{}/never", stage.proxy.url()),
            "Timestamp": "2026-11-01T00:00:00Z"})
        .to_string(),
    );
    let security_lake = json!({"source": "aws.s3", "time": "2026-11-01T00:00:00Z", "account": "111122223333",
        "region": "us-east-1", "resources": ["arn:aws:s3:::aws-security-data-lake-us-east-1-x"],
        "detail": {"bucket": {"name": "aws-security-data-lake-us-east-1-x"},
            "object": {"key": "aws/CLOUD_TRAIL_MGMT/2.0/region=us-east-1/x.gz.parquet", "size": 10, "etag": "00"},
            "request-id": "R", "requester": "securitylake.amazonaws.com"}});
    emulator.send(queue, &security_lake.to_string());

    let mut worker = stage.worker(&stage.config());
    stage.drained(&mut worker, PATIENCE);
    let asked = stage.proxy.asked(crate::harness::proxy::Operation::OtherS3);
    assert!(!asked.iter().any(|target| target.contains("never")), "a confirmation was followed: {asked:?}");
    // Security Lake's Parquet is recognised and left alone, with a line that says so.
    stage.finish(worker, &corpus, Ledger { committed: 12, skipped: 1, quarantined: 0 }, 0);
    let skipped = stage.world.rows("SELECT object_key, reason FROM objects WHERE outcome = 'skipped'");
    assert!(text(&skipped[0], "object_key").ends_with("x.gz.parquet"), "{skipped:?}");
}

#[test]
fn events_that_come_in_the_message_itself_become_rows() {
    let stage = Stage::new(5);
    let arn = "arn:aws:secretsmanager:us-east-1:111122223333:secret:token-AbCdEf";
    let id = "6f1c1f4e-5a8b-4f7e-9c55-0d8b1f3a2b10";
    let at = "2026-11-01T10:00:00Z";
    let envelope = |detail_type: &str, source: &str, detail: Value| {
        json!({"version": "0", "id": "17793124-05d4-b198-2fde-7ededc63b103", "detail-type": detail_type,
            "source": source, "account": "111122223333", "time": at, "region": "us-east-1", "resources": [],
            "detail": detail})
        .to_string()
    };
    let record = read("111122223333", "us-east-1", at, arn, id, 3);
    let call = envelope("AWS API Call via CloudTrail", "aws.secretsmanager", record.clone());
    // The same event twice in messages, and once more in an object: one row.
    stage.emulator.send_all(&stage.queue, &[call.clone(), call]);
    let bytes = crate::harness::corpus::gzip(json!({ "Records": [record] }).to_string().as_bytes());
    let key = "AWSLogs/111122223333/CloudTrail/us-east-1/2026/11/01/111122223333_CloudTrail_us-east-1_20261101T1000Z_abcdefghijklmnop.json.gz";
    stage.emulator.announce(BUCKET, &stage.queue);
    stage.emulator.put(BUCKET, key, &bytes);

    let mut worker = stage.worker(&stage.config());
    stage.drained(&mut worker, PATIENCE);
    assert_eq!(worker.terminate(Duration::from_secs(40)).0, 0);
    let expected = BTreeSet::from([("111122223333".to_owned(), id.to_owned(), arn.to_owned())]);
    assert_rows(&stage.world, &expected);
    let lines = stage.world.rows("SELECT object_key, content_kind, outcome FROM objects ORDER BY object_key");
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(text(&lines[0], "object_key").starts_with("eventbridge://111122223333/us-east-1/"), "{lines:?}");
    assert_eq!(text(&lines[0], "content_kind"), "eventbridge");
    assert!(lines.iter().all(|line| line["outcome"] == "committed"), "{lines:?}");
}

#[test]
fn what_cannot_be_understood_reaches_the_dead_letter_queue_with_its_reason_in_the_log() {
    let stage = Stage::new(1);
    let mut corpus = corpus(4, "");
    let messages = stage.put(&mut corpus);
    // Half of it is understood: the good part is committed, and the message stays all the same.
    let half = json!({"Records": [
        crate::harness::s3_record(BUCKET, &corpus.objects[0].key, &corpus.objects[0].etag, corpus.objects[0].bytes.len()),
        {"eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": BUCKET}}},
    ]})
    .to_string();
    let deep = "[".repeat(20_000);
    let poison = ["no JSON at all \u{9b}31m", "{}", "[1,2,3]", "{\"Records\": 7}", half.as_str(), deep.as_str()];
    stage.emulator.send_all(&stage.queue, &poison.map(str::to_owned));
    stage.emulator.send_all(&stage.queue, &messages[1..]);

    let config = stage.config();
    let mut worker = stage.worker(&config);
    until("the poison in the dead-letter queue", PATIENCE, || {
        (stage.emulator.depth(&stage.queue.dead_letters).visible == 6).then_some(())
    });
    stage.drained(&mut worker, PATIENCE);
    let log = worker.log();
    assert!(!log.contains(['\u{1b}', '\u{9b}']), "the log carries no escape sequence of a stranger");
    assert!(log.contains("Records[1]"), "the reason names the place\n{log}");
    let told: BTreeSet<String> = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|line| text(line, "message").contains("not understood"))
        .map(|line| text(&line, "message_id"))
        .collect();
    assert_eq!(told.len(), poison.len(), "the reason of each is in the log\n{log}");
    stage.finish(worker, &corpus, Ledger::committed(6), 6);
    let mut expected = poison.map(str::to_owned);
    expected.sort();
    assert_eq!(stage.emulator.take_bodies(&stage.queue.dead_letters), expected);
}
