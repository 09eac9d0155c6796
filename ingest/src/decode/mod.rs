//! Bytes to records, and through `normalize` to rows.
//!
//! ```text
//! bytes as delivered ── gunzip ── plain text ── items ── one record ── normalize ── rows
//!   and their key ────── place ───── hints ───────┴─ envelopes opened (reader)
//! ```
//!
//! In: one object's bytes and its id. Out: [`Decoded`], always: what could not be read is in its entry, with the place and
//! the reason. What an object holds is told from its bytes; its key gives hints, and names the folders to leave alone.
//!
//! Invariants: records seen = kept + ignored + quarantined; no input panics, nests without end or unpacks without bound
//! ([`DecodeSettings`]); records that do not matter are never parsed. It does no I/O.

mod access_log;
mod envelope;
mod gunzip;
mod items;
mod opening;
mod place;
mod reader;
mod settings;
mod split;

use keytrail_model::{AccessEvent, ObjectEntry, ObjectId, ObjectOutcome, TrailEvent};

use self::{
    gunzip::Gunzip,
    opening::skip_blank,
    place::Folder,
    reader::{Harvest, Reader, Whole},
};
pub use self::{place::KeyHints, settings::DecodeSettings};
use crate::normalize::{FieldMap, Scope};

/// An output buffer larger than this is given back after its object.
const KEEP_BYTES: usize = 32 << 20;

/// Memory that is kept from one object to the next. One per thread.
#[derive(Debug, Default)]
pub struct Buffers {
    outer: Gunzip,
    inner: Gunzip,
}

/// What became of one object.
#[derive(Clone, Debug)]
pub struct Decoded {
    pub rows: Vec<AccessEvent>,
    /// Every record, where the scope is [`Scope::All`].
    pub events: Vec<TrailEvent>,
    pub entry: ObjectEntry,
}

/// Reads one object.
pub fn decode_object(
    bytes: &[u8],
    object: &ObjectId,
    settings: &DecodeSettings,
    scope: Scope,
    fields: &FieldMap,
    buffers: &mut Buffers,
) -> Decoded {
    let hints = KeyHints::of(&object.key);
    let decoded = decode_with(bytes, object, settings, scope, fields, buffers, &hints);
    buffers.outer.shrink(KEEP_BYTES);
    buffers.inner.shrink(KEEP_BYTES);
    decoded
}

/// What became of an object that was not read at all: a file that cannot be opened, or is too large.
pub fn unread(object: &ObjectId, size_bytes: i64, outcome: ObjectOutcome) -> Decoded {
    entry(object, &KeyHints::of(&object.key), size_bytes, 0, outcome, "unknown", Harvest::default())
}

fn decode_with(
    bytes: &[u8],
    object: &ObjectId,
    settings: &DecodeSettings,
    scope: Scope,
    fields: &FieldMap,
    buffers: &mut Buffers,
    hints: &KeyHints,
) -> Decoded {
    let size = bytes.len() as i64;
    let alone =
        |json_bytes: i64, outcome, kind| entry(object, hints, size, json_bytes, outcome, kind, Harvest::default());
    if bytes.is_empty() {
        return alone(0, skipped("empty: it holds no bytes"), "empty");
    }
    if let Some(folder) = hints.folder {
        let (reason, kind) = left_alone(folder);
        return alone(0, skipped(reason), kind);
    }
    let text = match buffers.outer.plain(bytes, settings.gunzip_limits()) {
        Ok(text) => text,
        Err(error) => return alone(0, ObjectOutcome::Quarantined(error.to_string()), "unknown"),
    };
    let json_bytes = text.len() as i64;
    if text.starts_with(b"PAR1") {
        return alone(json_bytes, skipped("parquet: a table (OCSF or other), not CloudTrail's own records"), "parquet");
    }
    let start = if text.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    if skip_blank(text, start, b"") >= text.len() {
        return alone(json_bytes, skipped("empty: it holds only white space"), "empty");
    }
    let mut reader = Reader {
        settings,
        scope,
        fields,
        object_key: &object.key,
        hints,
        inner: &mut buffers.inner,
        harvest: Harvest::default(),
    };
    reader.read(text);
    conclude(object, hints, size, json_bytes, reader.harvest)
}

/// Decides what the object as a whole was, given what its records were.
fn conclude(object: &ObjectId, hints: &KeyHints, size: i64, json_bytes: i64, mut harvest: Harvest) -> Decoded {
    let content = harvest.content;
    let outcome = match (harvest.whole, content) {
        (Some(whole), _) if harvest.kept == 0 => {
            let (reason, kind) = match whole {
                Whole::Insight => left_alone(Folder::Insight),
                Whole::NetworkActivity => left_alone(Folder::NetworkActivity),
                Whole::Aggregated => left_alone(Folder::Aggregated),
                Whole::Notification => ("notification: it tells of objects, it is none", "notification"),
            };
            return entry(object, hints, size, json_bytes, skipped(reason), kind, harvest);
        }
        (_, Some("digest")) if harvest.digests == harvest.seen => {
            let (reason, kind) = left_alone(Folder::Digest);
            return entry(object, hints, size, json_bytes, skipped(reason), kind, harvest);
        }
        (_, None) if harvest.seen > 0 => {
            let bad = harvest.quarantined.first().map_or("", |first| first.reason.as_str());
            let reason = format!("no CloudTrail record, envelope or access-log line in it; its first item: {bad}");
            harvest = Harvest::default();
            ObjectOutcome::Quarantined(reason)
        }
        _ => ObjectOutcome::Committed,
    };
    let kind = if matches!(outcome, ObjectOutcome::Committed) { content.unwrap_or("cloudtrail") } else { "unknown" };
    entry(object, hints, size, json_bytes, outcome, kind, harvest)
}

fn left_alone(folder: Folder) -> (&'static str, &'static str) {
    match folder {
        Folder::Digest => ("digest: integrity is not checked yet", "digest"),
        Folder::Insight => ("insight: derived from events that are read themselves", "insight"),
        Folder::NetworkActivity => ("network activity: twins of API events, counted once", "network_activity"),
        Folder::Aggregated => ("aggregated: roll-ups name no single call", "aggregated"),
    }
}

fn skipped(reason: &str) -> ObjectOutcome {
    ObjectOutcome::Skipped(reason.to_owned())
}

fn entry(
    object: &ObjectId,
    hints: &KeyHints,
    size_bytes: i64,
    json_bytes: i64,
    outcome: ObjectOutcome,
    content_kind: &str,
    harvest: Harvest,
) -> Decoded {
    let entry = ObjectEntry {
        object: object.clone(),
        outcome,
        content_kind: content_kind.to_owned(),
        account_id: hints.account_id.clone(),
        region: hints.region.clone(),
        delivered_at: hints.delivered_at,
        size_bytes,
        json_bytes,
        record_count: harvest.seen,
        kept_count: harvest.kept,
        ignored_count: harvest.ignored,
        quarantined: harvest.quarantined,
        first_event_at: harvest.first_event_at,
        last_event_at: harvest.last_event_at,
    };
    Decoded { rows: harvest.rows, events: harvest.events, entry }
}

#[cfg(test)]
mod tests;
