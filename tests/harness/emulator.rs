//! An AWS emulator for one test: buckets, queues, topics and the notifications between them, over HTTP on loopback.
//!
//! [`Kind::Ministack`] is the first choice; [`Kind::Moto`] is the second opinion for the main path. A process of its own,
//! ready when [`Emulator::start`] returns, and gone when the value is dropped or the test process ends, however it ends
//! (it leaves when its standard input is closed). Everything in it is in memory.

use std::{
    collections::HashMap,
    net::TcpListener,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::{Credentials, timeout::TimeoutConfig};
use aws_sdk_sqs::types::{QueueAttributeName, SendMessageBatchRequestEntry};

use super::{
    http, python,
    wait::{PATIENCE, block_on, runtime, until},
};

/// Which emulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Ministack,
    /// Encodes `/` in the keys of notifications, and takes stale receipts.
    Moto,
}

/// A running emulator with clients that talk to it.
pub(crate) struct Emulator {
    process: Child,
    address: String,
    pub(crate) s3: aws_sdk_s3::Client,
    pub(crate) sqs: aws_sdk_sqs::Client,
    pub(crate) sns: aws_sdk_sns::Client,
}

/// A queue with its dead-letter queue.
#[derive(Clone, Debug)]
pub(crate) struct TestQueue {
    pub(crate) url: String,
    pub(crate) arn: String,
    pub(crate) dead_letters: String,
}

/// How full a queue says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Depth {
    pub(crate) visible: u64,
    pub(crate) in_flight: u64,
}

impl Depth {
    pub(crate) fn is_empty(self) -> bool {
        self.visible == 0 && self.in_flight == 0
    }
}

impl Emulator {
    pub(crate) fn start() -> Self {
        Self::of(Kind::Ministack)
    }

    pub(crate) fn of(kind: Kind) -> Self {
        // A port that is free now may be taken a moment later by another test.
        for _ in 0..5 {
            let port = free_port();
            let mut process = spawn(kind, port);
            let address = format!("127.0.0.1:{port}");
            let path = if kind == Kind::Ministack { "/_ministack/health" } else { "/moto-api/data.json" };
            let is_up = until("an emulator that answers", PATIENCE, || {
                if process.try_wait().expect("a child").is_some() {
                    return Some(false);
                }
                block_on(http::get(&address, path)).is_ok_and(|(status, _)| status == 200).then_some(true)
            });
            if is_up {
                let config = block_on(client_config(&format!("http://{address}")));
                return Self {
                    process,
                    address,
                    s3: aws_sdk_s3::Client::from_conf(
                        aws_sdk_s3::config::Builder::from(&config).force_path_style(true).build(),
                    ),
                    sqs: aws_sdk_sqs::Client::new(&config),
                    sns: aws_sdk_sns::Client::new(&config),
                };
            }
        }
        panic!("no free port for the emulator");
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn bucket(&self, name: &str) {
        block_on(self.s3.create_bucket().bucket(name).send()).expect("a bucket");
    }

    /// Puts one object and returns its ETag without quotes.
    pub(crate) fn put(&self, bucket: &str, key: &str, bytes: &[u8]) -> String {
        let put = self.s3.put_object().bucket(bucket).key(key).body(bytes.to_vec().into());
        let put = block_on(put.send()).expect("an object");
        put.e_tag().unwrap_or_default().trim_matches('"').to_owned()
    }

    /// Puts many objects, some at a time; their ETags by key.
    pub(crate) fn put_all<'a>(
        &self,
        bucket: &str,
        objects: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> HashMap<String, String> {
        let mut waiting = tokio::task::JoinSet::new();
        let mut tags = HashMap::new();
        let mut objects = objects.into_iter();
        loop {
            while waiting.len() < 16
                && let Some((key, bytes)) = objects.next()
            {
                let put = self.s3.put_object().bucket(bucket).key(key).body(bytes.to_vec().into());
                let key = key.to_owned();
                waiting.spawn_on(async move { (key, put.send().await) }, runtime().handle());
            }
            let Some(done) = block_on(waiting.join_next()) else { return tags };
            let (key, put) = done.expect("no panic");
            let tag = put.expect("an object").e_tag.unwrap_or_default();
            tags.insert(key, tag.trim_matches('"').to_owned());
        }
    }

    pub(crate) fn remove(&self, bucket: &str, key: &str) {
        block_on(self.s3.delete_object().bucket(bucket).key(key).send()).expect("a deletion");
    }

    /// A standard queue whose messages move to a dead-letter queue after `most` deliveries.
    pub(crate) fn queue(&self, name: &str, most: u32) -> TestQueue {
        let dead_letters = self.plain_queue(&format!("{name}-dead-letters"));
        let target = self.queue_arn(&dead_letters);
        let url = self.plain_queue(name);
        let policy = format!(r#"{{"deadLetterTargetArn":"{target}","maxReceiveCount":"{most}"}}"#);
        let set = self.sqs.set_queue_attributes().queue_url(&url).attributes(QueueAttributeName::RedrivePolicy, policy);
        block_on(set.send()).expect("a redrive policy");
        TestQueue { arn: self.queue_arn(&url), url, dead_letters }
    }

    fn plain_queue(&self, name: &str) -> String {
        let made = block_on(self.sqs.create_queue().queue_name(name).send()).expect("a queue");
        made.queue_url().expect("a queue has a URL").to_owned()
    }

    fn queue_arn(&self, url: &str) -> String {
        self.attributes(url).remove(&QueueAttributeName::QueueArn).expect("a queue has an ARN")
    }

    fn attributes(&self, url: &str) -> HashMap<QueueAttributeName, String> {
        let get = self.sqs.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::All);
        block_on(get.send()).expect("attributes").attributes.unwrap_or_default()
    }

    pub(crate) fn depth(&self, queue_url: &str) -> Depth {
        let attributes = self.attributes(queue_url);
        let number = |name| attributes.get(&name).and_then(|text| text.parse::<u64>().ok()).unwrap_or_default();
        let delayed = number(QueueAttributeName::ApproximateNumberOfMessagesDelayed);
        Depth {
            visible: number(QueueAttributeName::ApproximateNumberOfMessages) + delayed,
            in_flight: number(QueueAttributeName::ApproximateNumberOfMessagesNotVisible),
        }
    }

    pub(crate) fn send(&self, queue: &TestQueue, body: &str) {
        block_on(self.sqs.send_message().queue_url(&queue.url).message_body(body).send()).expect("a message");
    }

    /// Sends many messages, ten at a time.
    pub(crate) fn send_all(&self, queue: &TestQueue, bodies: &[String]) {
        for some in bodies.chunks(10) {
            let entries = some.iter().enumerate().map(|(index, body)| {
                let entry = SendMessageBatchRequestEntry::builder().id(index.to_string()).message_body(body);
                entry.build().expect("an id and a body")
            });
            let send = self.sqs.send_message_batch().queue_url(&queue.url).set_entries(Some(entries.collect()));
            let sent = block_on(send.send()).expect("messages");
            assert!(sent.failed().is_empty(), "{:?}", sent.failed());
        }
    }

    /// Takes everything out of a queue and returns the bodies, sorted.
    pub(crate) fn take_bodies(&self, queue_url: &str) -> Vec<String> {
        let mut bodies = Vec::new();
        loop {
            let receive = self.sqs.receive_message().queue_url(queue_url).max_number_of_messages(10);
            let received = block_on(receive.send()).expect("an answer").messages.unwrap_or_default();
            if received.is_empty() {
                bodies.sort();
                return bodies;
            }
            for message in received {
                let receipt = message.receipt_handle.expect("a received message has one");
                let delete = self.sqs.delete_message().queue_url(queue_url).receipt_handle(receipt);
                block_on(delete.send()).expect("a deletion");
                bodies.push(message.body.unwrap_or_default());
            }
        }
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // The whole group: an emulator may have children of its own.
        drop(Command::new("kill").args(["-KILL", "--", &format!("-{}", self.process.id())]).status());
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn spawn(kind: Kind, port: u16) -> Child {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/harness/emulator.py");
    let name = if kind == Kind::Ministack { "ministack" } else { "moto" };
    Command::new(python::interpreter())
        .arg(script)
        .args([name, &port.to_string()])
        .env("LOG_LEVEL", "ERROR")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("python starts")
}

/// A loopback port that nobody listens on now.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    listener.local_addr().expect("an address").port()
}

/// What the SDK needs to talk to an emulator at `url`.
pub(crate) async fn client_config(url: &str) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(url)
        .credentials_provider(Credentials::new("test", "test", None, None, "tests"))
        .timeout_config(TimeoutConfig::builder().operation_timeout(Duration::from_secs(60)).build())
        .load()
        .await
}
