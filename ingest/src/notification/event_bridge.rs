//! EventBridge events: S3's `Object Created`, CloudTrail's records, Secrets Manager's own, Security Lake's.
//!
//! In: the envelope and its place. Out: what it asks for, and the shape it has; or a fault. Keys are taken as they stand:
//! EventBridge does not url-encode them. Only AWS can put events whose source begins with `aws.` on a bus, so a record from
//! another source is refused: anybody could have written it.

use std::borrow::Cow;

use keytrail_model::time;

use super::{
    InlineEvent, Shape,
    keys::{check_key, is_name, quoted},
    members::Members,
    s3::{bucket_of, etag, major, region, version_id},
};
use crate::objects::ObjectRef;

pub(super) const ENVELOPE: &[&str] = &["version", "id", "detail-type", "source", "account", "time", "region", "detail"];

const DETAIL: &[&str] =
    &["version", "event-version", "bucket", "object", "requester", "eventSource", "eventName", "eventVersion"];
const SECURITY_LAKE: &str = "securitylake.amazonaws.com";

/// What an event asks for.
pub(super) enum Asks {
    Read(ObjectRef),
    LeaveAlone(ObjectRef, String),
    Inline(InlineEvent),
    Ignore(String),
}

/// Understands the event that `text` is, whose members are `envelope`.
pub(super) fn event(text: &str, envelope: &Members<'_>) -> Result<(Shape, Asks), String> {
    let version = envelope.text("version")?;
    if version.as_ref().is_some_and(|version| major(version) != Some(0)) {
        let version = version.unwrap_or_default();
        return Err(format!("{} is {}; \"0\" is expected", envelope.place("version"), quoted(&version)));
    }
    let source = envelope.needed_text("source")?;
    let Some(detail_type) = envelope.text("detail-type")? else {
        return without_type(envelope, &source);
    };
    match &*detail_type {
        "Object Created" => {
            expect_source(envelope, &source, |source| source == "aws.s3", "\"aws.s3\"")?;
            object_created(envelope)
        }
        "Secret Label Updated" => {
            expect_source(envelope, &source, |source| source == "aws.secretsmanager", "\"aws.secretsmanager\"")?;
            Ok((Shape::SecretLabelUpdated, inline(text, envelope)?))
        }
        other if other.ends_with(" via CloudTrail") || carries_record(envelope) => {
            expect_source(envelope, &source, |source| source.starts_with("aws."), "one of AWS's own (\"aws.…\")")?;
            Ok((Shape::EventBridgeRecord, inline(text, envelope)?))
        }
        other => {
            let shape = if source == "aws.s3" { Shape::EventBridgeObject } else { Shape::EventBridgeOther };
            let words = format!(
                "{} is {} of {}: nothing to read",
                envelope.place("detail-type"),
                quoted(other),
                quoted(&source)
            );
            Ok((shape, Asks::Ignore(words)))
        }
    }
}

/// Security Lake announces its objects like S3 does, but without `version`, `id` and `detail-type`.
fn without_type(envelope: &Members<'_>, source: &str) -> Result<(Shape, Asks), String> {
    let detail = envelope.needed_object("detail", DETAIL)?;
    if source == "aws.s3" && detail.has("bucket") && detail.has("object") {
        let object = object(envelope, &detail)?;
        return Ok((Shape::SecurityLake, left_alone(object)));
    }
    Err(format!("{} is missing", envelope.place("detail-type")))
}

fn object_created(envelope: &Members<'_>) -> Result<(Shape, Asks), String> {
    let detail = envelope.needed_object("detail", DETAIL)?;
    expect_major(&detail, "version", 0)?;
    expect_major(&detail, "event-version", 1)?;
    let object = object(envelope, &detail)?;
    if detail.hint("requester").is_some_and(|requester| requester == SECURITY_LAKE) {
        return Ok((Shape::SecurityLake, left_alone(object)));
    }
    Ok((Shape::EventBridgeObject, Asks::Read(object)))
}

fn left_alone(object: ObjectRef) -> Asks {
    Asks::LeaveAlone(object, "Security Lake's Parquet in OCSF, which is no CloudTrail log file".to_owned())
}

/// The object of an `Object Created`.
fn object(envelope: &Members<'_>, detail: &Members<'_>) -> Result<ObjectRef, String> {
    let bucket = bucket_of(detail)?;
    let object = detail.needed_object("object", &["key", "size", "etag", "version-id"])?;
    let key = object.needed_text("key")?;
    check_key(&key).map_err(|wrong| format!("{} {wrong}", object.place("key")))?;
    Ok(ObjectRef {
        bucket,
        key: key.into_owned(),
        version_id: version_id(&object, "version-id")?,
        etag: etag(&object, "etag"),
        size_bytes: object.number_hint("size"),
        region: region(envelope, "region"),
        announced_at: envelope.hint("time").and_then(|text| time::parse_rfc3339(&text)),
    })
}

/// The event as an object of its own.
fn inline(text: &str, envelope: &Members<'_>) -> Result<Asks, String> {
    // Only to know that it is an object: the record in it is decoded later.
    envelope.needed_object("detail", DETAIL)?;
    let [account, region, id] = [name(envelope, "account")?, name(envelope, "region")?, name(envelope, "id")?];
    let ledger_key = format!("eventbridge://{account}/{region}/{id}");
    Ok(Asks::Inline(InlineEvent { ledger_key, json: text.to_owned() }))
}

/// A part of the ledger key.
fn name<'a>(envelope: &Members<'a>, name: &str) -> Result<Cow<'a, str>, String> {
    let text = envelope.needed_text(name)?;
    if is_name(&text) {
        return Ok(text);
    }
    let place = envelope.place(name);
    Err(format!("{place} is {}; up to 64 letters, digits and hyphens are expected", quoted(&text)))
}

/// True where the detail is a CloudTrail record, whatever the event calls itself.
fn carries_record(envelope: &Members<'_>) -> bool {
    envelope
        .needed_object("detail", DETAIL)
        .is_ok_and(|detail| ["eventSource", "eventName", "eventVersion"].iter().all(|name| detail.hint(name).is_some()))
}

fn expect_source(
    envelope: &Members<'_>,
    source: &str,
    is_right: impl FnOnce(&str) -> bool,
    expected: &str,
) -> Result<(), String> {
    if is_right(source) {
        return Ok(());
    }
    Err(format!("{} is {}; {expected} is expected", envelope.place("source"), quoted(source)))
}

/// A version that may be missing, and must have this major number where it is not.
fn expect_major(parent: &Members<'_>, name: &str, expected: u32) -> Result<(), String> {
    match parent.text(name)? {
        Some(version) if major(&version) != Some(expected) => {
            Err(format!("{} is {}; {expected}.x is expected", parent.place(name), quoted(&version)))
        }
        _ => Ok(()),
    }
}
