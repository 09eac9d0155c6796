//! Buckets of S3, or of what speaks its protocol.
//!
//! In: what a notification or a listing told. Out: whole bodies, pages and folders. Every key, bucket and region of a
//! notification is somebody's text: it is sent as it is and never decides where credentials go (S3 itself says where a bucket is).
//!
//! ```text
//! get ─▶ attempt ── whole body ──────────────────────────────▶ bytes + ETag
//!          ▲ │ reset, cut, stalled: the rest by Range + If-Match
//!          │ ├ 5xx, SlowDown, unreachable ─▶ pause (full jitter)     until attempts or time are used up, then the error
//!          │ └ another region ─▶ that region, once
//!          └─┘
//! ```
//!
//! Invariants: memory grows with the bytes that came, up to `max_bytes`, whatever a header says; a resumed body is one version's
//! (its ETag is demanded); a slow body may go on until `object_timeout`, a silent one until `stall_timeout`. Checksums that S3
//! sends are checked by the SDK where a body came in one piece.

use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_sdk_s3::{
    Client,
    types::{EncodingType, Object},
};
use percent_encoding::percent_decode_str;
use tokio::time::{Instant, timeout_at};

use self::{
    classify::{Asked, Trouble, classify},
    pace::Pace,
    reading::Reading,
};
use super::{ObjectBytes, ObjectError, ObjectErrorKind, ObjectRef, ObjectStore, PAGE_KEYS, Page};
use crate::aws::{Aws, Failure};

mod classify;
mod pace;
mod reading;
#[cfg(test)]
mod tests;

/// Buckets whose region is remembered; beyond it the memory starts anew.
const MAX_REMEMBERED: usize = 1_024;
/// Folders of one level. A trail's widest level holds accounts.
const MAX_FOLDERS: usize = 100_000;
/// Listing pages that may be empty in a row, before one that is not.
const MAX_EMPTY_PAGES: usize = 100;
/// So many bytes of progress make an attempt a success of its own: a slow link gets on as long as it moves.
const PROGRESS_BYTES: usize = 64 * 1024;

/// Metrics of this store: name and meaning.
pub const METRICS: &[(&str, &str)] = &[(
    RETRIES,
    "Attempts on S3 that failed and were repeated. Label `reason`: throttled, unavailable, truncated and the like.",
)];
const RETRIES: &str = "keytrail_s3_retries_total";

/// How patient reading is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadSettings {
    /// Attempts without progress, the first included.
    pub attempts: u32,
    /// Time without progress after which no further attempt is made.
    pub retry_for: Duration,
    /// The first pause is between zero and this; each next one may be twice as long.
    pub first_pause: Duration,
    pub longest_pause: Duration,
    /// A body of which no byte comes for so long is given up (and resumed, as attempts allow).
    pub stall_timeout: Duration,
    /// The whole of one object, with all attempts.
    pub object_timeout: Duration,
}

impl Default for ReadSettings {
    fn default() -> Self {
        Self {
            attempts: 6,
            retry_for: Duration::from_secs(20),
            first_pause: Duration::from_millis(200),
            longest_pause: Duration::from_secs(5),
            stall_timeout: Duration::from_secs(15),
            object_timeout: Duration::from_mins(5),
        }
    }
}

/// S3. A clone is the same store.
#[derive(Clone, Debug)]
pub struct S3Store {
    aws: Aws,
    settings: ReadSettings,
    /// Buckets that are not in the default region.
    regions: Arc<Mutex<HashMap<String, String>>>,
}

impl S3Store {
    pub fn new(aws: Aws, settings: ReadSettings) -> Self {
        Self { aws, settings, regions: Arc::default() }
    }

    /// The region that a bucket is asked in.
    fn region_of(&self, bucket: &str) -> String {
        let regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        regions.get(bucket).map_or_else(|| self.aws.region().to_owned(), String::clone)
    }

    /// Remembers where a bucket is; false if it has just been asked there.
    fn moved(&self, bucket: &str, asked: &str, region: &str) -> bool {
        let mut regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        if regions.len() >= MAX_REMEMBERED && !regions.contains_key(bucket) {
            regions.clear();
        }
        regions.insert(bucket.to_owned(), region.to_owned());
        asked != region
    }

    /// Asks S3 where a bucket is, for answers that say only that it is elsewhere.
    async fn locate(&self, bucket: &str) -> Option<String> {
        match self.aws.s3(None).head_bucket().bucket(bucket).send().await {
            Ok(found) => found.bucket_region,
            Err(error) => match Failure::of(&error) {
                Failure::Answered(answer) => answer.region,
                _ => None,
            },
        }
    }

    /// What an attempt's trouble leads to: `Ok` to go on at once, in another region.
    async fn follow(&self, bucket: &str, asked: &str, trouble: Trouble, hops: &mut u32) -> Result<(), ObjectErrorKind> {
        let Trouble::Elsewhere(told) = trouble else {
            return Err(trouble.into_kind());
        };
        let region = match told {
            Some(region) => Some(region),
            None => self.locate(bucket).await,
        };
        *hops += 1;
        match region {
            Some(region) if *hops == 1 && self.moved(bucket, asked, &region) => Ok(()),
            Some(region) => Err(ObjectErrorKind::WrongRegion { region }),
            None => Err(ObjectErrorKind::WrongRegion { region: "another region, which S3 does not name".to_owned() }),
        }
    }

    async fn read(&self, object: &ObjectRef, max_bytes: usize) -> Result<ObjectBytes, ObjectErrorKind> {
        check_name(&object.bucket)?;
        if object.key.is_empty() {
            return Err(ObjectErrorKind::Missing);
        }
        let deadline = Instant::now() + self.settings.object_timeout;
        let mut reading = Reading::new(max_bytes, self.settings.stall_timeout);
        let mut pace = Pace::new(&self.settings);
        let mut hops = 0;
        loop {
            let had = reading.len();
            let region = self.region_of(&object.bucket);
            let client = self.aws.s3(Some(&region));
            let Ok(outcome) = timeout_at(deadline, reading.attempt(&client, object)).await else {
                return Err(self.too_slow(&reading));
            };
            let Err(trouble) = outcome else {
                return Ok(reading.into_bytes());
            };
            let kind = match self.follow(&object.bucket, &region, trouble, &mut hops).await {
                Ok(()) => continue,
                Err(kind) => kind,
            };
            if reading.len() >= had + PROGRESS_BYTES {
                pace = Pace::new(&self.settings);
            }
            let pause = pace.after(kind.clone())?;
            if Instant::now() + pause >= deadline {
                return Err(kind);
            }
            tokio::time::sleep(pause).await;
        }
    }

    fn too_slow(&self, reading: &Reading) -> ObjectErrorKind {
        let (limit, got) = (self.settings.object_timeout, reading.len());
        ObjectErrorKind::Unavailable(format!("it was not read within object_timeout ({limit:?}); {got} bytes came"))
    }

    /// One call, repeated as the settings allow, and once in another region.
    async fn call<T, F>(&self, bucket: &str, call: impl Fn(Client) -> F + Send) -> Result<T, ObjectErrorKind>
    where
        F: Future<Output = Result<T, Trouble>> + Send,
    {
        check_name(bucket)?;
        let mut pace = Pace::new(&self.settings);
        let mut hops = 0;
        loop {
            let region = self.region_of(bucket);
            let trouble = match call(self.aws.s3(Some(&region))).await {
                Ok(answer) => return Ok(answer),
                Err(trouble) => trouble,
            };
            if let Err(kind) = self.follow(bucket, &region, trouble, &mut hops).await {
                tokio::time::sleep(pace.after(kind)?).await;
            }
        }
    }

    async fn page(&self, bucket: &str, prefix: &str, after: Option<&str>) -> Result<Page, ObjectErrorKind> {
        let mut token: Option<String> = None;
        for _ in 0..MAX_EMPTY_PAGES {
            let answer = self.call(bucket, |client| {
                let request = client
                    .list_objects_v2()
                    .bucket(bucket)
                    .prefix(prefix)
                    .set_start_after(after.filter(|after| !after.is_empty()).map(str::to_owned))
                    .set_continuation_token(token.clone())
                    .encoding_type(EncodingType::Url)
                    .max_keys(PAGE_KEYS as i32);
                async move { request.send().await.map_err(|error| classify(&Failure::of(&error), Asked::List)) }
            });
            let answer = answer.await?;
            let encoded = answer.encoding_type == Some(EncodingType::Url);
            let more = answer.is_truncated.unwrap_or_default();
            let listed = answer.contents.unwrap_or_default().into_iter();
            let mut objects: Vec<ObjectRef> =
                listed.filter_map(|object| listed_object(bucket, object, encoded)).collect();
            // S3 keeps to the order and to `after`; what speaks its protocol may not, and a page's end must be its last key.
            objects.retain(|object| after.is_none_or(|after| object.key.as_str() > after));
            objects.sort_by(|a, b| a.key.cmp(&b.key));
            token = answer.next_continuation_token;
            if !objects.is_empty() || !more || token.is_none() {
                return Ok(Page { objects, more });
            }
        }
        Err(ObjectErrorKind::Refused {
            code: "empty pages".to_owned(),
            message: format!("{MAX_EMPTY_PAGES} pages without a key, and no end"),
        })
    }

    async fn below(&self, bucket: &str, prefix: &str) -> Result<Vec<String>, ObjectErrorKind> {
        let mut found: Vec<String> = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let answer = self.call(bucket, |client| {
                let request = client
                    .list_objects_v2()
                    .bucket(bucket)
                    .prefix(prefix)
                    .delimiter("/")
                    .set_continuation_token(token.clone())
                    .encoding_type(EncodingType::Url);
                async move { request.send().await.map_err(|error| classify(&Failure::of(&error), Asked::List)) }
            });
            let answer = answer.await?;
            let encoded = answer.encoding_type == Some(EncodingType::Url);
            let folders = answer.common_prefixes.unwrap_or_default().into_iter().filter_map(|folder| folder.prefix);
            found.extend(folders.map(|folder| if encoded { decoded(&folder) } else { folder }));
            if found.len() > MAX_FOLDERS {
                return Err(ObjectErrorKind::Refused {
                    code: "too many folders".to_owned(),
                    message: format!("more than {MAX_FOLDERS} below one prefix: name a deeper one"),
                });
            }
            token = answer.next_continuation_token.filter(|_| answer.is_truncated.unwrap_or_default());
            if token.is_none() {
                found.sort_unstable();
                found.dedup();
                return Ok(found);
            }
        }
    }
}

impl ObjectStore for S3Store {
    async fn get(&self, object: &ObjectRef, max_bytes: usize) -> Result<ObjectBytes, ObjectError> {
        self.read(object, max_bytes).await.map_err(|kind| ObjectError::new(object.ledger_key(), kind))
    }

    async fn list(&self, bucket: &str, prefix: &str, after: Option<&str>) -> Result<Page, ObjectError> {
        let listed = self.page(bucket, prefix, after).await;
        listed.map_err(|kind| ObjectError::new(format!("s3://{bucket}/{prefix}"), kind))
    }

    async fn folders(&self, bucket: &str, prefix: &str) -> Result<Vec<String>, ObjectError> {
        let found = self.below(bucket, prefix).await;
        found.map_err(|kind| ObjectError::new(format!("s3://{bucket}/{prefix}"), kind))
    }
}

/// A bucket's name, or an access point's alias; an ARN would lead to other hosts.
fn check_name(bucket: &str) -> Result<(), ObjectErrorKind> {
    let plain = bucket.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
    if plain && (3..=255).contains(&bucket.len()) { Ok(()) } else { Err(ObjectErrorKind::NoSuchBucket) }
}

fn listed_object(bucket: &str, object: Object, encoded: bool) -> Option<ObjectRef> {
    let key = object.key?;
    Some(ObjectRef {
        bucket: bucket.to_owned(),
        key: if encoded { decoded(&key) } else { key },
        etag: object.e_tag.map(|etag| reading::unquoted(&etag)),
        size_bytes: object.size.and_then(|size| u64::try_from(size).ok()),
        announced_at: object.last_modified.and_then(|at| i64::try_from(at.as_nanos() / 1_000).ok()),
        ..ObjectRef::default()
    })
}

/// Listings are asked for encoded, as XML cannot hold every character that a key can: `+` is a space, the rest is `%XX`.
fn decoded(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().map_or_else(|_| text.to_owned(), std::borrow::Cow::into_owned)
}
