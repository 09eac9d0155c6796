//! One object's bytes, over as many attempts as they take.
//!
//! In: a client and an object. Out: the bytes, whole, under one ETag. What came before a body broke off is kept, and the next
//! attempt asks for the rest of that very version; if there is another one now, everything starts anew.

use std::time::Duration;

use aws_sdk_s3::{
    Client,
    operation::get_object::GetObjectOutput,
    primitives::{ByteStream, ByteStreamError},
};
use tokio::time::timeout;

use super::classify::{Asked, Trouble, classify};
use crate::{
    aws::{Failure, error_text},
    objects::{ObjectBytes, ObjectErrorKind, ObjectRef, sha256_hex},
};

/// Bytes reserved before any came.
const FIRST_CAPACITY: usize = 64 * 1024;

pub(super) struct Reading {
    max_bytes: usize,
    stall_timeout: Duration,
    bytes: Vec<u8>,
    /// As S3 sent it.
    etag: Option<String>,
    /// Of the whole object, by header.
    expected: Option<u64>,
    /// Whether what broke off may be continued.
    may_resume: bool,
}

impl Reading {
    pub(super) fn new(max_bytes: usize, stall_timeout: Duration) -> Self {
        Self { max_bytes, stall_timeout, bytes: Vec::new(), etag: None, expected: None, may_resume: true }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn into_bytes(self) -> ObjectBytes {
        let etag = self.etag.map_or_else(|| sha256_hex(&self.bytes), |etag| unquoted(&etag));
        ObjectBytes { etag, bytes: self.bytes }
    }

    /// Asks for the object, or for what is left of it, and reads what comes.
    pub(super) async fn attempt(&mut self, client: &Client, object: &ObjectRef) -> Result<(), Trouble> {
        let resumed = self.etag.clone().filter(|_| self.may_resume && !self.bytes.is_empty());
        if resumed.is_none() {
            self.start_anew();
        }
        let range = resumed.as_ref().map(|_| format!("bytes={}-", self.bytes.len()));
        let request = client
            .get_object()
            .bucket(&object.bucket)
            .key(&object.key)
            .set_version_id(object.version_id.clone())
            .set_range(range)
            .set_if_match(resumed.clone());
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => {
                let asked = Asked::Get { versioned: object.version_id.is_some(), resumed: resumed.is_some() };
                let trouble = classify(&Failure::of(&error), asked);
                if matches!(trouble, Trouble::Failed(ObjectErrorKind::Overwritten)) {
                    self.start_anew();
                }
                return Err(trouble);
            }
        };
        self.open(&answer, resumed.as_deref()).map_err(Trouble::Failed)?;
        self.take(answer.body).await.map_err(Trouble::Failed)
    }

    fn start_anew(&mut self) {
        self.bytes.clear();
        self.etag = None;
        self.expected = None;
    }

    /// Holds the answer's headers against what has been read so far.
    fn open(&mut self, answer: &GetObjectOutput, resumed: Option<&str>) -> Result<(), ObjectErrorKind> {
        let length = answer.content_length.and_then(|length| u64::try_from(length).ok());
        if let Some(etag) = resumed {
            if answer.e_tag.as_deref().is_some_and(|now| now != etag) {
                self.start_anew();
                return Err(ObjectErrorKind::Overwritten);
            }
            let (from, total) = answer.content_range.as_deref().and_then(range).unwrap_or((0, length));
            if from == self.bytes.len() as u64 {
                self.expected = total.or(self.expected);
            } else {
                // The range was passed over: this is the whole object again, or some other part of it.
                self.start_anew();
                if from != 0 {
                    self.may_resume = false;
                    return Err(ObjectErrorKind::Unavailable("another part was sent than was asked for".to_owned()));
                }
                self.etag = answer.e_tag.clone();
                self.expected = length;
            }
        } else {
            self.etag = answer.e_tag.clone();
            self.expected = length;
        }
        match self.expected {
            Some(size) if size > self.max_bytes as u64 => Err(self.too_large(size)),
            _ => Ok(()),
        }
    }

    async fn take(&mut self, mut body: ByteStream) -> Result<(), ObjectErrorKind> {
        loop {
            let chunk = match timeout(self.stall_timeout, body.try_next()).await {
                Err(_elapsed) => {
                    let stalled =
                        format!("no byte came for {:?}; {} came before", self.stall_timeout, self.bytes.len());
                    return Err(ObjectErrorKind::Unavailable(stalled));
                }
                Ok(Err(error)) => return Err(self.broken(&error)),
                Ok(Ok(None)) => break,
                Ok(Ok(Some(chunk))) => chunk,
            };
            let length = self.bytes.len() + chunk.len();
            if length > self.max_bytes {
                return Err(self.too_large(self.expected.unwrap_or_default().max(length as u64)));
            }
            self.make_room(length);
            self.bytes.extend_from_slice(&chunk);
        }
        match self.expected {
            Some(expected) if expected != self.bytes.len() as u64 => Err(self.truncated(expected)),
            _ => Ok(()),
        }
    }

    /// Grows by doubling, at most to what was announced: a header alone reserves nothing.
    fn make_room(&mut self, length: usize) {
        if self.bytes.capacity() >= length {
            return;
        }
        let announced = self.expected.and_then(|size| usize::try_from(size).ok()).unwrap_or(self.max_bytes);
        let doubled = self.bytes.capacity().saturating_mul(2).max(FIRST_CAPACITY).min(announced);
        self.bytes.reserve_exact(doubled.max(length) - self.bytes.len());
    }

    fn broken(&mut self, error: &ByteStreamError) -> ObjectErrorKind {
        let text = error_text(error);
        if text.contains("checksum") {
            // What came is not what was stored; nothing of it can be continued.
            self.start_anew();
            self.may_resume = false;
            return ObjectErrorKind::Unavailable(format!("the body is damaged: {text}"));
        }
        match self.expected {
            Some(expected) => self.truncated(expected),
            None => ObjectErrorKind::Unavailable(text),
        }
    }

    fn truncated(&self, expected: u64) -> ObjectErrorKind {
        ObjectErrorKind::Truncated { expected, got: self.bytes.len() as u64 }
    }

    fn too_large(&self, size: u64) -> ObjectErrorKind {
        ObjectErrorKind::TooLarge { size, max: self.max_bytes as u64 }
    }
}

/// `bytes 100-199/200` -> where it starts, and the whole size if it is told.
fn range(text: &str) -> Option<(u64, Option<u64>)> {
    let (span, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (from, _to) = span.split_once('-')?;
    Some((from.trim().parse().ok()?, total.trim().parse().ok()))
}

pub(super) fn unquoted(etag: &str) -> String {
    etag.trim().trim_matches('"').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading() -> Reading {
        Reading::new(1_000_000, Duration::from_secs(1))
    }

    fn answer(length: i64, etag: &str, range: Option<&str>) -> GetObjectOutput {
        GetObjectOutput::builder()
            .content_length(length)
            .e_tag(etag)
            .set_content_range(range.map(str::to_owned))
            .body(ByteStream::from_static(b""))
            .build()
    }

    #[test]
    fn ranges_and_etags_are_read() {
        assert_eq!(range("bytes 100-199/200"), Some((100, Some(200))));
        assert_eq!(range("bytes 100-199/*"), Some((100, None)));
        assert_eq!(range("bytes */200"), None);
        assert_eq!(unquoted("\"abc-2\""), "abc-2");
    }

    #[test]
    fn a_header_reserves_nothing_and_is_never_outgrown() {
        let mut reading = reading();
        reading.open(&answer(900_000, "\"a\"", None), None).expect("it fits");
        assert_eq!(reading.bytes.capacity(), 0);
        reading.make_room(10);
        assert_eq!(reading.bytes.capacity(), FIRST_CAPACITY);
        reading.bytes.resize(800_000, 0);
        reading.make_room(850_000);
        assert_eq!(reading.bytes.capacity(), 900_000);
        let error = reading.open(&answer(1_000_001, "\"a\"", None), None).expect_err("too large");
        assert_eq!(error, ObjectErrorKind::TooLarge { size: 1_000_001, max: 1_000_000 });
    }

    #[test]
    fn a_resumed_body_is_the_same_version_or_starts_anew() {
        let begun =
            || Reading { bytes: vec![1; 100], etag: Some("\"a\"".to_owned()), expected: Some(300), ..reading() };
        let mut same = begun();
        same.open(&answer(200, "\"a\"", Some("bytes 100-299/300")), Some("\"a\"")).expect("the rest");
        assert_eq!((same.len(), same.expected), (100, Some(300)));
        let mut other = begun();
        let error =
            other.open(&answer(200, "\"b\"", Some("bytes 100-299/300")), Some("\"a\"")).expect_err("overwritten");
        assert_eq!((error, other.len()), (ObjectErrorKind::Overwritten, 0));
        let mut whole = begun();
        whole.open(&answer(300, "\"a\"", None), Some("\"a\"")).expect("the whole again");
        assert_eq!((whole.len(), whole.expected), (0, Some(300)));
        let mut elsewhere = begun();
        assert!(elsewhere.open(&answer(250, "\"a\"", Some("bytes 50-299/300")), Some("\"a\"")).is_err());
        assert!(elsewhere.bytes.is_empty() && !elsewhere.may_resume);
    }

    #[tokio::test]
    async fn a_body_is_whole_or_an_error() {
        let mut short = Reading { expected: Some(10), ..reading() };
        let error = short.take(ByteStream::from_static(b"12345")).await.expect_err("short");
        assert_eq!(error, ObjectErrorKind::Truncated { expected: 10, got: 5 });
        let mut long = Reading::new(4, Duration::from_secs(1));
        let error = long.take(ByteStream::from_static(b"12345")).await.expect_err("long");
        assert_eq!(error, ObjectErrorKind::TooLarge { size: 5, max: 4 });
        let mut whole = Reading { expected: Some(5), ..reading() };
        whole.take(ByteStream::from_static(b"12345")).await.expect("whole");
        assert_eq!(whole.into_bytes().etag, sha256_hex(b"12345"));
    }
}
