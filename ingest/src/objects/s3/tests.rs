//! The store against a server of a few lines, which answers as it is told and notes what it was asked.

use std::sync::{Arc, Mutex};

use aws_config::{BehaviorVersion, Region};
use aws_sdk_s3::config::Credentials;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::{
    aws::AwsSettings,
    objects::{Response, sha256_hex},
};

const BODY: &[u8] = b"0123456789";

/// One answer.
enum Say {
    /// Status line and headers, then the bytes, then the end of the connection.
    This(String, Vec<u8>),
    /// The same, but the connection stays open and silent.
    ThenNothing(String, Vec<u8>),
    /// The connection ends at once.
    Hangup,
}

struct Server {
    store: S3Store,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Answers in the order given; beyond it, every connection ends at once.
    async fn saying(answers: Vec<Say>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let notes = Arc::clone(&asked);
        tokio::spawn(async move {
            let (mut answers, mut silent) = (answers.into_iter(), Vec::new());
            while let Ok((mut stream, _)) = listener.accept().await {
                let Some(head) = head_of(&mut stream).await else {
                    continue;
                };
                notes.lock().expect("nobody panicked").push(head);
                match answers.next() {
                    Some(Say::This(head, body)) => write(&mut stream, &head, &body).await,
                    Some(Say::ThenNothing(head, body)) => {
                        write(&mut stream, &head, &body).await;
                        silent.push(stream);
                    }
                    Some(Say::Hangup) | None => {}
                }
            }
        });
        let config = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .endpoint_url(endpoint)
            .load()
            .await;
        let mut settings = AwsSettings::default();
        settings.time_limits.attempts = 1;
        let aws = Aws::from_config(config, settings).await.expect("settings are right");
        let patience = ReadSettings {
            attempts: 4,
            first_pause: Duration::from_millis(2),
            longest_pause: Duration::from_millis(10),
            stall_timeout: Duration::from_millis(200),
            ..ReadSettings::default()
        };
        Self { store: S3Store::new(aws, patience), asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("nobody panicked").clone()
    }

    async fn get(&self) -> Result<ObjectBytes, ObjectErrorKind> {
        self.store.get(&object(), 1_000).await.map_err(|error| error.kind)
    }
}

fn object() -> ObjectRef {
    ObjectRef { bucket: "trail".to_owned(), key: "a b.gz".to_owned(), ..ObjectRef::default() }
}

async fn head_of(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8_lossy(&head).to_ascii_lowercase())
}

async fn write(stream: &mut TcpStream, head: &str, body: &[u8]) {
    let head = format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("the reader is there");
    stream.write_all(body).await.expect("the reader is there");
    stream.flush().await.expect("the reader is there");
}

fn whole(etag: &str) -> Say {
    Say::This(format!("200 OK\r\nETag: \"{etag}\"\r\nContent-Length: {}", BODY.len()), BODY.to_vec())
}

/// Says that ten bytes come, and ends after some of them.
fn cut(etag: &str, after: usize) -> Say {
    let head = format!("200 OK\r\nETag: \"{etag}\"\r\nContent-Length: {}", BODY.len());
    Say::This(head, BODY[..after].to_vec())
}

fn rest(etag: &str, from: usize) -> Say {
    let (last, left) = (BODY.len() - 1, BODY.len() - from);
    let head = format!(
        "206 Partial Content\r\nETag: \"{etag}\"\r\nContent-Range: bytes {from}-{last}/10\r\nContent-Length: {left}"
    );
    Say::This(head, BODY[from..].to_vec())
}

fn error(status: &str, code: &str, more: &str) -> Say {
    let body = format!("<Error><Code>{code}</Code><Message>m</Message>{more}</Error>");
    Say::This(format!("{status}\r\nContent-Type: application/xml\r\nContent-Length: {}", body.len()), body.into_bytes())
}

fn slow_down() -> Say {
    error("503 Slow Down", "SlowDown", "")
}

#[tokio::test]
async fn faults_that_pass_are_waited_out() {
    let server = Server::saying(vec![slow_down(), Say::Hangup, error("500 x", "InternalError", ""), whole("e")]).await;
    let read = server.get().await.expect("the fourth attempt");
    assert_eq!((read.etag.as_str(), read.bytes.as_slice()), ("e", BODY));
    assert!(server.asked()[0].starts_with("get /trail/a%20b.gz"), "{:?}", server.asked()[0]);
}

#[tokio::test]
async fn faults_that_stay_come_out_after_the_attempts() {
    let server = Server::saying((0..10).map(|_| slow_down()).collect()).await;
    assert_eq!(server.get().await, Err(ObjectErrorKind::Throttled));
    assert_eq!(server.asked().len(), 4);
    let server = Server::saying(Vec::new()).await;
    assert_eq!(server.get().await.expect_err("hung up").as_str(), "unavailable");
    assert_eq!(server.asked().len(), 4);
}

#[tokio::test]
async fn what_time_cannot_help_is_asked_once() {
    for (status, code, wanted) in [
        ("404 x", "NoSuchKey", "missing"),
        ("403 x", "AccessDenied", "forbidden"),
        ("400 x", "KMS.DisabledException", "kms_denied"),
        ("403 x", "RequestTimeTooSkewed", "refused"),
    ] {
        let server = Server::saying(vec![error(status, code, ""), whole("e")]).await;
        assert_eq!(server.get().await.expect_err(code).as_str(), wanted);
        assert_eq!(server.asked().len(), 1, "{code}");
    }
    let server =
        Server::saying(vec![error("403 x", "InvalidObjectState", "<StorageClass>GLACIER</StorageClass>")]).await;
    assert_eq!(server.get().await, Err(ObjectErrorKind::Archived { class: "GLACIER".to_owned() }));
}

#[tokio::test]
async fn a_body_that_breaks_off_is_continued() {
    let server = Server::saying(vec![cut("e", 4), rest("e", 4)]).await;
    assert_eq!(server.get().await.expect("in two parts").bytes, BODY);
    let asked = server.asked();
    assert!(!asked[0].contains("range:") && !asked[0].contains("if-match:"));
    assert!(asked[1].contains("range: bytes=4-\r\n") && asked[1].contains("if-match: \"e\"\r\n"), "{}", asked[1]);
}

#[tokio::test]
async fn a_body_that_never_comes_whole_is_truncated() {
    let server = Server::saying((0..10).map(|_| cut("e", 0)).collect()).await;
    assert_eq!(server.get().await, Err(ObjectErrorKind::Truncated { expected: 10, got: 0 }));
    // A server that passes over ranges is read from the beginning each time.
    let server = Server::saying(vec![cut("e", 4), cut("e", 6), whole("e")]).await;
    assert_eq!(server.get().await.expect("the third attempt").bytes, BODY);
}

#[tokio::test]
async fn an_object_that_changes_half_way_is_read_anew() {
    let changed = || error("412 x", "PreconditionFailed", "");
    let server = Server::saying(vec![cut("old", 4), changed(), whole("new")]).await;
    assert_eq!(server.get().await.expect("the new one").etag, "new");
    assert!(!server.asked()[2].contains("range:"), "{}", server.asked()[2]);
    // A server that knows no If-Match sends the end of another object: it is not taken for this one's.
    let server = Server::saying(vec![cut("old", 4), rest("new", 4), whole("new")]).await;
    assert_eq!(server.get().await.expect("the new one").bytes, BODY);
}

#[tokio::test]
async fn a_silent_body_is_given_up_and_continued() {
    let head = "200 OK\r\nETag: \"e\"\r\nContent-Length: 10".to_owned();
    let server = Server::saying(vec![Say::ThenNothing(head, BODY[..7].to_vec()), rest("e", 7)]).await;
    assert_eq!(server.get().await.expect("continued").bytes, BODY);
}

#[tokio::test]
async fn a_damaged_body_is_read_anew() {
    let damaged = || {
        let head = "200 OK\r\nETag: \"e\"\r\nContent-Length: 10\r\nx-amz-checksum-crc32: AAAAAA==".to_owned();
        Say::This(head, BODY.to_vec())
    };
    let server = Server::saying(vec![damaged(), whole("e")]).await;
    assert_eq!(server.get().await.expect("the second one").bytes, BODY);
    let server = Server::saying((0..10).map(|_| damaged()).collect()).await;
    let error = server.get().await.expect_err("damaged each time");
    assert!(error.response() == Response::Retry && error.to_string().contains("damaged"), "{error}");
}

#[tokio::test]
async fn the_cap_holds_by_header_and_without_one() {
    let long = |head: &str| Say::This(format!("200 OK\r\nETag: \"e\"{head}"), vec![7; 1_001]);
    let server = Server::saying(vec![long("\r\nContent-Length: 1001"), long("")]).await;
    for _ in 0..2 {
        assert_eq!(server.get().await, Err(ObjectErrorKind::TooLarge { size: 1_001, max: 1_000 }));
    }
    let announced = Say::ThenNothing("200 OK\r\nETag: \"e\"\r\nContent-Length: 99999999999999".to_owned(), Vec::new());
    let server = Server::saying(vec![announced]).await;
    assert_eq!(server.get().await.expect_err("by the header alone").as_str(), "too_large");
}

#[tokio::test]
async fn a_bucket_elsewhere_is_followed_once_and_remembered() {
    let elsewhere = |region: &str| {
        let head = format!("301 Moved\r\nx-amz-bucket-region: {region}\r\nContent-Length: 0");
        Say::This(head, Vec::new())
    };
    let server = Server::saying(vec![elsewhere("eu-west-1"), whole("e"), whole("e")]).await;
    server.get().await.expect("over there");
    server.get().await.expect("over there at once");
    let regions: Vec<bool> = server.asked().iter().map(|head| head.contains("/eu-west-1/s3/aws4_request")).collect();
    assert_eq!(regions, [false, true, true]);
    let server = Server::saying(vec![elsewhere("eu-west-1"), elsewhere("eu-west-2")]).await;
    assert_eq!(server.get().await, Err(ObjectErrorKind::WrongRegion { region: "eu-west-2".to_owned() }));
    // Where the answer does not say it, S3 is asked.
    let unsaid = error("400 x", "IllegalLocationConstraintException", "");
    let server = Server::saying(vec![unsaid, elsewhere("af-south-1"), whole("e")]).await;
    server.get().await.expect("found");
    assert!(server.asked()[1].starts_with("head /trail"), "{}", server.asked()[1]);
    // A name that is none goes nowhere.
    let server = Server::saying(vec![elsewhere("evil.example/"), elsewhere("evil.example/")]).await;
    assert_eq!(server.get().await.expect_err("nowhere").as_str(), "wrong_region");
}

#[tokio::test]
async fn a_slow_body_ends_with_the_object_timeout() {
    let mut server = Server::saying((0..100).map(|_| cut("e", 1)).collect()).await;
    server.store.settings.object_timeout = Duration::from_millis(40);
    server.store.settings.attempts = 1_000;
    server.store.settings.retry_for = Duration::from_secs(100);
    let error = server.get().await.expect_err("never whole");
    assert_eq!(error.response(), Response::Retry, "{error}");
}

#[tokio::test]
async fn a_page_is_decoded_sorted_and_counted() {
    let body = "<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>\
        <NextContinuationToken>t</NextContinuationToken>\
        <Contents><Key>a%2Bb+c</Key><ETag>\"e\"</ETag><Size>7</Size><LastModified>2026-08-01T00:00:00Z</LastModified></Contents>\
        </ListBucketResult>";
    let head = format!("200 OK\r\nContent-Type: application/xml\r\nContent-Length: {}", body.len());
    let server = Server::saying(vec![slow_down(), Say::This(head, body.as_bytes().to_vec())]).await;
    let page = server.store.list("trail", "a", Some("a")).await.expect("a page");
    let object = page.objects.first().expect("one");
    assert_eq!((object.key.as_str(), object.etag.as_deref(), object.size_bytes), ("a+b c", Some("e"), Some(7)));
    assert!(page.more && object.announced_at.is_some());
    assert!(server.asked()[1].contains("start-after=a"), "{}", server.asked()[1]);
}

#[tokio::test]
async fn bytes_without_an_etag_have_their_own() {
    let server = Server::saying(vec![Say::This("200 OK\r\nContent-Length: 10".to_owned(), BODY.to_vec())]).await;
    assert_eq!(server.get().await.expect("read").etag, sha256_hex(BODY));
}

#[test]
fn names_that_could_lead_elsewhere_are_no_buckets() {
    for good in ["my-trail", "a.b_c", "111122223333-trail", "point-abc-s3alias"] {
        assert!(check_name(good).is_ok(), "{good}");
    }
    for bad in ["", "ab", "arn:aws:s3:us-east-1:111122223333:accesspoint/x", "a/b", "x?y=z", "a b c", "evil@host"] {
        assert_eq!(check_name(bad), Err(ObjectErrorKind::NoSuchBucket), "{bad}");
    }
}

#[test]
fn listed_keys_are_decoded() {
    assert_eq!(decoded("a+b%2Bc%20d%2F%C3%A9"), "a b+c d/é");
    assert_eq!(decoded("AWSLogs/1/x_y-z.json.gz"), "AWSLogs/1/x_y-z.json.gz");
    assert_eq!(decoded("%ff"), "%ff");
}
