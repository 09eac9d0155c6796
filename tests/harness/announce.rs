//! Who tells the queue of a new object: S3 itself, S3 through SNS, S3 through EventBridge; and bodies made by hand.

use aws_sdk_s3::types::{Event, NotificationConfiguration, QueueConfiguration, TopicConfiguration};
use serde_json::{Value, json};

use super::{
    emulator::{Emulator, TestQueue},
    http::{self, Head},
    wait::block_on,
};

impl Emulator {
    /// S3 tells the queue of every new object. S3 sends a test message first.
    pub(crate) fn announce(&self, bucket: &str, queue: &TestQueue) {
        let to_queue = QueueConfiguration::builder().queue_arn(&queue.arn).events(Event::S3ObjectCreated);
        let all = NotificationConfiguration::builder().queue_configurations(to_queue.build().expect("complete"));
        self.set_notifications(bucket, all.build());
    }

    /// S3 tells a new topic, and the topic tells the queue: wrapped in SNS's envelope, or raw.
    pub(crate) fn announce_by_topic(&self, bucket: &str, queue: &TestQueue, topic: &str, is_raw: bool) -> String {
        let topic = self.topic(topic, queue, is_raw);
        let to_topic = TopicConfiguration::builder().topic_arn(&topic).events(Event::S3ObjectCreated);
        let all = NotificationConfiguration::builder().topic_configurations(to_topic.build().expect("complete"));
        self.set_notifications(bucket, all.build());
        topic
    }

    /// A topic that tells the queue.
    pub(crate) fn topic(&self, name: &str, queue: &TestQueue, is_raw: bool) -> String {
        let topic = block_on(self.sns.create_topic().name(name).send()).expect("a topic");
        let topic = topic.topic_arn().expect("a topic has an ARN").to_owned();
        let subscribe = self.sns.subscribe().topic_arn(&topic).protocol("sqs").endpoint(&queue.arn);
        let subscribe = subscribe.attributes("RawMessageDelivery", if is_raw { "true" } else { "false" });
        block_on(subscribe.send()).expect("a subscription");
        topic
    }

    pub(crate) fn publish(&self, topic: &str, message: &str) {
        block_on(self.sns.publish().topic_arn(topic).message(message).send()).expect("a message");
    }

    /// S3 tells EventBridge, and a rule there tells the queue.
    pub(crate) fn announce_by_event_bridge(&self, bucket: &str, queue: &TestQueue) {
        let on = aws_sdk_s3::types::EventBridgeConfiguration::builder().build();
        self.set_notifications(bucket, NotificationConfiguration::builder().event_bridge_configuration(on).build());
        let pattern = json!({"source": ["aws.s3"], "detail": {"bucket": {"name": [bucket]}}}).to_string();
        self.event_bridge("PutRule", &json!({"Name": bucket, "EventPattern": pattern, "State": "ENABLED"}));
        let target = json!({"Rule": bucket, "Targets": [{"Id": "queue", "Arn": queue.arn}]});
        self.event_bridge("PutTargets", &target);
    }

    fn event_bridge(&self, operation: &str, body: &Value) {
        let head = Head {
            first: "POST / HTTP/1.1".to_owned(),
            fields: vec![
                ("X-Amz-Target".to_owned(), format!("AWSEvents.{operation}")),
                ("Content-Type".to_owned(), "application/x-amz-json-1.1".to_owned()),
                (
                    "Authorization".to_owned(),
                    "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/events/aws4_request, SignedHeaders=host, \
                     Signature=00"
                        .to_owned(),
                ),
            ],
        };
        let (status, answer) = block_on(http::ask(self.address(), &head, body.to_string().as_bytes())).expect("HTTP");
        let answer = String::from_utf8_lossy(&answer);
        assert!(status == 200 && !answer.contains("\"FailedEntryCount\": 1"), "{operation}: {status} {answer}");
    }

    fn set_notifications(&self, bucket: &str, all: NotificationConfiguration) {
        let put = self.s3.put_bucket_notification_configuration().bucket(bucket).notification_configuration(all);
        block_on(put.send()).expect("a notification");
    }
}

/// One record of an S3 notification; the key is encoded as S3 does it.
pub(crate) fn s3_record(bucket: &str, key: &str, etag: &str, size: usize) -> Value {
    json!({
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "us-east-1",
        "eventTime": "2026-11-01T12:00:00.000Z",
        "eventName": "ObjectCreated:Put",
        "s3": {
            "s3SchemaVersion": "1.0",
            "bucket": {"name": bucket, "arn": format!("arn:aws:s3:::{bucket}")},
            "object": {"key": form_encoded(key), "size": size, "eTag": etag, "sequencer": "0055AED6DCD90281E5"},
        },
    })
}

/// A message of S3 that tells of one object.
pub(crate) fn s3_message(bucket: &str, key: &str, etag: &str, size: usize) -> String {
    json!({"Records": [s3_record(bucket, key, etag, size)]}).to_string()
}

/// `application/x-www-form-urlencoded`, with `/` left as it is.
fn form_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b' ' => encoded.push('+'),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' | b'/' => {
                encoded.push(char::from(byte))
            }
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}
