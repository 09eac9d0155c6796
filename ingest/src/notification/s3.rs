//! One record of an S3 event notification.
//!
//! In: the record and its place. Out: the object that was created, or words on why nothing needs doing; or a fault. Only
//! bucket and key decide what is read; a size, region or time that is none is passed over. AWS adds events by name, so the
//! name is compared as text; a major version other than 2 would mean another shape, and is a fault.

use keytrail_model::time;

use super::{
    keys::{check_bucket, check_key, decode_key, is_name, quoted},
    members::{Members, join},
};
use crate::objects::ObjectRef;

const RECORD: &[&str] = &["eventVersion", "eventSource", "eventName", "awsRegion", "eventTime", "s3"];

/// What one part of a body asks for.
pub(super) enum Part {
    Read(ObjectRef),
    Ignore(String),
}

/// Understands the record of an S3 event notification that `text` is.
pub(super) fn record(text: &str, place: &str) -> Result<Part, String> {
    let record = Members::of(text, place, RECORD)?;
    let source = record.needed_text("eventSource")?;
    if source != "aws:s3" {
        return Err(format!("{} is {}; \"aws:s3\" is expected", record.place("eventSource"), quoted(&source)));
    }
    let version = record.needed_text("eventVersion")?;
    if major(&version) != Some(2) {
        return Err(format!("{} is {}; 2.x is expected", record.place("eventVersion"), quoted(&version)));
    }
    let name = record.needed_text("eventName")?;
    let name = name.strip_prefix("s3:").unwrap_or(&name);
    if name != "ObjectCreated" && !name.starts_with("ObjectCreated:") {
        return Ok(Part::Ignore(format!("{} is {}: nothing to read", record.place("eventName"), quoted(name))));
    }
    let s3 = record.needed_object("s3", &["bucket", "object"])?;
    let bucket = bucket_of(&s3)?;
    let object = s3.needed_object("object", &["key", "size", "eTag", "versionId"])?;
    let encoded = object.needed_text("key")?;
    let key = decode_key(&encoded).ok_or_else(|| {
        format!("{} is {}, which is no UTF-8 when it is decoded", object.place("key"), quoted(&encoded))
    })?;
    check_key(&key).map_err(|wrong| format!("{} {wrong}", object.place("key")))?;
    Ok(Part::Read(ObjectRef {
        bucket,
        key,
        version_id: version_id(&object, "versionId")?,
        etag: etag(&object, "eTag"),
        size_bytes: object.number_hint("size"),
        region: region(&record, "awsRegion"),
        announced_at: record.hint("eventTime").and_then(|text| time::parse_rfc3339(&text)),
    }))
}

/// The name of the bucket in `bucket.name`.
pub(super) fn bucket_of(parent: &Members<'_>) -> Result<String, String> {
    let bucket = parent.needed_object("bucket", &["name"])?;
    let name = bucket.needed_text("name")?;
    check_bucket(&name).map_err(|wrong| format!("{} {wrong}", join(&parent.place("bucket"), "name")))?;
    Ok(name.into_owned())
}

/// The version to read. It decides what is read, so what is no text is a fault.
pub(super) fn version_id(object: &Members<'_>, name: &str) -> Result<Option<String>, String> {
    const MAX_BYTES: usize = 1024;
    let version = object.text(name)?.filter(|version| !version.is_empty());
    if version.as_ref().is_some_and(|version| version.len() > MAX_BYTES) {
        return Err(format!("{} is longer than {MAX_BYTES} bytes", object.place(name)));
    }
    Ok(version.map(|version| version.into_owned()))
}

/// The ETag without its quotes, where there is one that can be.
pub(super) fn etag(object: &Members<'_>, name: &str) -> Option<String> {
    const MAX_BYTES: usize = 128;
    let etag = object.hint(name)?;
    let etag = etag.trim_matches('"');
    let fits = !etag.is_empty() && etag.len() <= MAX_BYTES && etag.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then(|| etag.to_owned())
}

/// The region, where it is one by its letters.
pub(super) fn region(parent: &Members<'_>, name: &str) -> Option<String> {
    parent.hint(name).filter(|region| is_name(region)).map(|region| region.into_owned())
}

/// The major number of `2.1` or `0`.
pub(super) fn major(version: &str) -> Option<u32> {
    version.split('.').next()?.parse().ok()
}
