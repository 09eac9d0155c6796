//! What the tests of the sinks share: alerts, ordinary and hostile, and a small HTTP server that misbehaves on request.

use std::{collections::HashMap, sync::Arc};

use keytrail_model::{Alert, AlertClass, AlertState, Evidence, Frequency, Odd, Severity, Verdict};
use proptest::{collection::vec, option, prelude::*, sample::select};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Mutex,
    task::JoinHandle,
};

use super::{Change, Outgoing};
use crate::{
    message::{Links, Message},
    render::tests::sample,
};

pub(crate) const GUIDE: &str = "## Triage\n\n1. Was something deployed? Ask the owner of `role/app/billing`:\n   the **tag** says who.\n2. Else: go on.\n";

pub(crate) fn links() -> Links {
    Links { base_url: Some("https://keytrail.example.org".parse().expect("an address")) }
}

fn odd(dimension: &str, value: &str, usual: &str, seen: i64) -> Odd {
    Odd {
        dimension: dimension.into(),
        value: value.into(),
        usual: usual.into(),
        seen,
        sample: 30,
        unit: "days active".into(),
        word: Frequency::of(seen, 30),
    }
}

/// An alert with something to say in every part of the message.
pub(crate) fn full() -> Alert {
    Alert {
        severity: Severity::High,
        title: "Bulk read of <prod> by role/app/billing".into(),
        reason: "role/app/billing read 5 secrets in 3 min & usually reads 1 a day.".into(),
        secret_ids: ["a", "b", "c", "d", "e"]
            .map(|name| format!("arn:aws:secretsmanager:us-east-1:111122223333:secret:prod/{name}-AbCdEf"))
            .to_vec(),
        why: vec![
            odd("hour of day", "13", "09 to 18 on 29 of 30", 29),
            odd("user agent", "aws-cli", "Boto3 on 30 of 30", 1),
            odd("source network", "203.0.113.0/24", "10.0.0.0/16 on 28 of 30", 0),
        ],
        previous_alert_id: Some("00112233445566aa".into()),
        ..sample()
    }
}

pub(crate) fn closed() -> Alert {
    Alert {
        state: AlertState::Closed,
        verdict: Some(Verdict::Expected),
        changed_by: Some("ana".into()),
        note: Some("the billing deploy".into()),
        ..full()
    }
}

pub(crate) fn outgoing(change: Change, alerts: Vec<Alert>) -> Outgoing {
    Outgoing {
        delivery_id: "6f9619ff-8b86-5d01-b42d-00cf4fc964ff".into(),
        change,
        message: Message::new(change, &alerts, Some(GUIDE), &links()),
        alerts,
        attempt: 2,
        at: 1_785_585_600_000_000,
    }
}

/// Text that an attacker would write: long, with markup, escapes, line ends and characters that steer.
fn hostile_text() -> impl Strategy<Value = String> {
    let pieces = select(vec![
        "<",
        ">",
        "&",
        "\"",
        "'",
        "`",
        "*",
        "|",
        "\\",
        "\r\nBcc: x@y.z\r\n",
        "\u{1b}[2J",
        "\u{202e}",
        "\u{0}",
        "\u{9b}",
        "\u{e0041}",
        "<!channel>",
        "<https://evil.example|x>",
        "</td><script>",
        "é",
        "漢",
        "🔥",
        " ",
        "prod/db",
        "{{ x }}",
        "arn:aws:iam::111122223333:role/",
        "https://evil.example/",
        "\u{2028}",
        "\t",
        "=?utf-8?q?x?=",
        ".\r\n.\r\n",
        "a",
    ]);
    (vec(pieces, 0..12), select(vec![1_usize, 1, 1, 1, 1, 1, 1, 1, 1, 12, 200]))
        .prop_map(|(pieces, times)| pieces.concat().repeat(times))
}

fn hostile_evidence() -> impl Strategy<Value = Evidence> {
    (
        hostile_text(),
        hostile_text(),
        option::of(hostile_text()),
        option::of(hostile_text()),
        hostile_text(),
        any::<i64>(),
    )
        .prop_map(|(event_id, event_name, secret_id, source_ip, object_key, at)| Evidence {
            event_at: at,
            event_id,
            event_name,
            secret_id,
            source_ip,
            object_key,
            record_index: at,
        })
}

fn hostile_odd() -> impl Strategy<Value = Odd> {
    (hostile_text(), hostile_text(), hostile_text(), any::<i64>(), any::<i64>(), hostile_text()).prop_map(
        |(dimension, value, usual, seen, sample, unit)| Odd {
            dimension,
            value,
            usual,
            seen,
            sample,
            unit,
            word: Frequency::of(seen, sample),
        },
    )
}

/// Any alert at all: only ids and vocabularies are ours.
fn hostile_alert() -> impl Strategy<Value = Alert> {
    let texts = vec(hostile_text(), 12);
    let times = vec(any::<i64>(), 5);
    let words =
        (select(Severity::ALL), select(AlertClass::ALL), select(AlertState::ALL), option::of(select(Verdict::ALL)));
    let lists = (
        vec(hostile_text(), 0..40),
        vec(hostile_text(), 0..4),
        vec(hostile_evidence(), 0..12),
        vec(hostile_odd(), 0..12),
    );
    (texts, times, words, lists, any::<bool>()).prop_map(|(texts, times, words, lists, has)| {
        let mut texts = texts.into_iter();
        let mut text = || texts.next().unwrap_or_default();
        Alert {
            alert_id: "0123456789abcdef".into(),
            fingerprint: "89abcdef01234567".into(),
            rule_id: text(),
            rule_version: text(),
            severity: words.0,
            class: words.1,
            state: words.2,
            verdict: words.3,
            title: text(),
            reason: text(),
            principal_id: has.then(&mut text),
            secret_ids: lists.0,
            account_id: has.then(&mut text),
            region: has.then(&mut text),
            first_event_at: times[0],
            last_event_at: times[1],
            event_count: times[2],
            raised_at: times[3],
            updated_at: times[4],
            historical: has,
            fold_key: lists.1,
            note: has.then(&mut text),
            changed_by: has.then(&mut text),
            evidence: lists.2,
            previous_alert_id: has.then(&mut text),
            merged_into: None,
            suppressed_by: None,
            why: lists.3,
        }
    })
}

/// Any change with any alerts.
pub(crate) fn hostile_outgoing() -> impl Strategy<Value = Outgoing> {
    let changes = vec![
        Change::Trigger,
        Change::Update,
        Change::Acknowledge,
        Change::Resolve,
        Change::Storm,
        Change::StormOver,
        Change::Test,
    ];
    (select(changes), vec(hostile_alert(), 1..3), hostile_text()).prop_map(|(change, alerts, guide)| {
        let message = Message::new(change, &alerts, Some(&format!("1. {guide}")), &links());
        Outgoing { message, ..outgoing(change, alerts) }
    })
}

/// As large as an alert becomes, of characters that take the most room.
pub(crate) fn huge() -> Alert {
    let text = |length: usize| "\u{e0041}&\"".repeat(length / 3);
    let event = Evidence {
        event_at: 0,
        event_id: text(300),
        event_name: text(300),
        secret_id: Some(text(300)),
        source_ip: Some(text(300)),
        object_key: text(300),
        record_index: i64::MAX,
    };
    Alert {
        title: text(9_000),
        reason: text(9_000),
        principal_id: Some(text(9_000)),
        secret_ids: vec![text(300); crate::SECRETS_CAP],
        evidence: vec![event; crate::EVIDENCE_CAP],
        why: vec![odd(&text(300), &text(300), &text(300), 0); 50],
        fold_key: vec![text(300); 50],
        note: Some(text(300)),
        changed_by: Some(text(300)),
        ..sample()
    }
}

/// What the server does with one request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Answers: status line after the version, header lines, body.
    Answer(&'static str, &'static [&'static str], String),
    /// Closes without a word.
    Reset,
    /// Never answers.
    Slow,
    /// Promises more than it sends.
    Truncated(&'static str),
}

impl Reply {
    pub(crate) fn ok(body: &str) -> Self {
        Self::Answer("200 OK", &[], body.to_owned())
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
}

/// An HTTP server on this machine: one reply for each request, in order.
pub(crate) struct Server {
    pub(crate) base: String,
    seen: Arc<Mutex<Vec<Request>>>,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(replies: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("bound"));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let requests = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            for reply in replies {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                let request = read_request(&mut stream).await;
                requests.lock().await.push(request);
                answer(&mut stream, reply).await;
            }
        });
        Self { base, seen, task }
    }

    pub(crate) async fn requests(&self) -> Vec<Request> {
        self.seen.lock().await.clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read_request(stream: &mut TcpStream) -> Request {
    let mut bytes = Vec::new();
    let head = loop {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        if let Some(end) = end {
            break end;
        }
        assert_ne!(stream.read_buf(&mut bytes).await.expect("readable"), 0, "the request broke off");
    };
    let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
    let mut lines = text.lines();
    let path = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap_or_default().to_owned();
    let headers: HashMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length: usize = headers.get("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
    while bytes.len() < head + 4 + length {
        assert_ne!(stream.read_buf(&mut bytes).await.expect("readable"), 0, "the body broke off");
    }
    Request { path, headers, body: String::from_utf8(bytes[head + 4..].to_vec()).expect("UTF-8") }
}

async fn answer(stream: &mut TcpStream, reply: Reply) {
    let text = match reply {
        Reply::Answer(status, headers, body) => {
            let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
            format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
        }
        Reply::Reset => return,
        Reply::Slow => {
            // Until the client gives up.
            let gone = stream.read(&mut [0]).await;
            assert!(matches!(gone, Ok(0) | Err(_)), "the client says more");
            return;
        }
        Reply::Truncated(status) => {
            format!("HTTP/1.1 {status}\r\ncontent-length: 1000\r\nconnection: close\r\n\r\n{{\"Fai")
        }
    };
    // The client may have gone before the end of a long answer.
    drop(stream.write_all(text.as_bytes()).await);
    drop(stream.shutdown().await);
}
