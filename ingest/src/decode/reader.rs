//! The items of one object to rows, and the count of what became of each.
//!
//! In: plain text and what the object's key tells. Out: rows, trail events, quarantined records and counts. Envelopes are
//! opened here: each record in them is one record, counted on its own.
//!
//! Invariants: seen = kept + ignored + quarantined, and every item is seen once; a broken item never takes a neighbour
//! with it; after `max_quarantined` bad records the rest of the object is one quarantined entry, so that hostile input
//! costs bounded time. Records that the first look turns away are never parsed.

use std::{borrow::Cow, ops::Range, sync::LazyLock};

use keytrail_model::{AccessEvent, Micros, QuarantinedRecord, TrailEvent};
use memchr::memmem::Finder;
use serde::de::IgnoredAny;

use super::{
    access_log::LogLine,
    envelope::{EventBridge, LambdaLogs, LogsBatch, RecordKind, base64},
    gunzip::Gunzip,
    items::{Item, Items},
    opening::{Kind, kind_at, skip_blank},
    place::KeyHints,
    settings::DecodeSettings,
};
use crate::normalize::{self, FieldMap, Normalized, RecordPlace, Scope};

/// A record that is left unparsed is checked as a whole when it is longer than AWS writes them: it may have swallowed
/// its neighbours.
const SUSPICIOUS_BYTES: usize = 256 << 10;

/// Where `eventType` usually stands: so far from the end at most.
const USUAL_TAIL_BYTES: usize = 384;

static EVENT_TYPE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"eventType\""));

/// What an object is as a whole, when it is not read record by record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whole {
    Insight,
    NetworkActivity,
    Aggregated,
    Notification,
}

/// Everything that came out of one object.
#[derive(Debug, Default)]
pub(super) struct Harvest {
    pub(super) rows: Vec<AccessEvent>,
    pub(super) events: Vec<TrailEvent>,
    pub(super) quarantined: Vec<QuarantinedRecord>,
    pub(super) seen: i64,
    pub(super) kept: i64,
    pub(super) ignored: i64,
    pub(super) first_event_at: Option<Micros>,
    pub(super) last_event_at: Option<Micros>,
    /// The first kind of content recognised.
    pub(super) content: Option<&'static str>,
    /// Set while every record so far says that the object is of this kind.
    pub(super) whole: Option<Whole>,
    pub(super) digests: i64,
}

/// Where one record stands.
#[derive(Clone, Debug)]
struct At<'a> {
    range: Range<usize>,
    account: Option<&'a str>,
    region: Option<&'a str>,
    /// The log event's id, which tells deliveries of one line from another line like it.
    line_id: Option<&'a str>,
}

/// Why one record is not kept.
enum Refused {
    /// It is no JSON: perhaps it has swallowed another record.
    Broken(String),
    /// It is JSON, and not what it should be.
    Wrong(String),
}

pub(super) struct Reader<'a> {
    pub(super) settings: &'a DecodeSettings,
    pub(super) scope: Scope,
    pub(super) fields: &'a FieldMap,
    pub(super) object_key: &'a str,
    pub(super) hints: &'a KeyHints,
    pub(super) inner: &'a mut Gunzip,
    pub(super) harvest: Harvest,
}

impl Reader<'_> {
    /// Reads every item of a text.
    pub(super) fn read(&mut self, text: &[u8]) {
        let fields = self.fields;
        let is_log_key = |key: &str| fields.field(key).is_some();
        let (limits, envelope_limits) = (self.settings.record_limits(), self.settings.envelope_limits());
        let mut items = Items::new(text, limits, envelope_limits, &is_log_key);
        while let Some(item) = items.next() {
            if self.harvest.quarantined.len() >= self.settings.max_quarantined {
                let start = match &item {
                    Item::Object { range, .. } | Item::Fault { range, .. } => range.start,
                };
                let reason = format!(
                    "more than {} records of this object are bad (setting `max_quarantined`): the rest of it is not read",
                    self.settings.max_quarantined
                );
                self.quarantine(start..text.len(), reason);
                return;
            }
            match item {
                Item::Object { range, kind } => {
                    let at = At { range: range.clone(), account: None, region: None, line_id: None };
                    let object = text.get(range.clone()).unwrap_or_default();
                    match self.object(object, kind, &at, true) {
                        Ok(()) => {}
                        Err(Refused::Wrong(reason)) => self.quarantine(range, reason),
                        Err(Refused::Broken(reason)) => {
                            let lost = items.give_back(&range);
                            self.broken(text, lost, kind, reason);
                        }
                    }
                }
                Item::Fault { range, kind, fault } => {
                    let limits = if kind == Kind::LogsEnvelope { envelope_limits } else { limits };
                    self.broken(text, range, kind, fault.reason(limits));
                }
            }
        }
    }

    /// One object of any kind. `outer` is false inside an envelope of messages, where no other such envelope is opened.
    fn object(&mut self, text: &[u8], kind: Kind, at: &At<'_>, outer: bool) -> Result<(), Refused> {
        match kind {
            Kind::Record => {
                self.recognised("cloudtrail");
                self.record(text, at)
            }
            Kind::AccessLog => self.access_log_line(text, at),
            Kind::EventBridge => self.event_bridge(text, at),
            Kind::LogsEnvelope if outer => self.logs_batch(text, at),
            Kind::LambdaLogs if outer => self.lambda_logs(text, at),
            Kind::Digest => {
                self.recognised("digest");
                self.harvest.digests += 1;
                self.ignore();
                Ok(())
            }
            _ => Err(Refused::Wrong("it is no CloudTrail record, envelope or access-log line".to_owned())),
        }
    }

    fn record(&mut self, text: &[u8], at: &At<'_>) -> Result<(), Refused> {
        if self.harvest.seen == 0 {
            self.harvest.whole = whole_of(text);
        }
        if self.harvest.whole.is_some() {
            if self.harvest.whole == whole_of(text) {
                self.ignore();
                return Ok(());
            }
            self.harvest.whole = None;
        }
        if self.scope == Scope::Secrets && !normalize::may_matter(text) {
            unparsed_is_sound(text)?;
            self.ignore();
            return Ok(());
        }
        let understood = normalize::record(text, &self.place(at), self.scope);
        self.keep(understood.map_err(|error| refused(text, error.to_string()))?);
        Ok(())
    }

    fn access_log_line(&mut self, text: &[u8], at: &At<'_>) -> Result<(), Refused> {
        self.recognised("apigateway_access_log");
        let text = String::from_utf8_lossy(text);
        let fields = self.fields;
        let Some(line) = LogLine::read(&text, &|key| fields.field(key).is_some()) else {
            return Err(Refused::Broken("no field of the access-log template can be read".to_owned()));
        };
        let mut known = fields.collect(line.members());
        // The id that CloudWatch Logs gave the line tells a redelivery from another request like it.
        known.ext_request_id = known.ext_request_id.or(at.line_id.map(Cow::Borrowed));
        let understood = normalize::access_log_line(&known, &text, &self.place(at));
        self.keep(understood.map_err(|error| Refused::Wrong(error.to_string()))?);
        Ok(())
    }

    fn event_bridge(&mut self, text: &[u8], at: &At<'_>) -> Result<(), Refused> {
        let envelope: EventBridge<'_> =
            serde_json::from_slice(text).map_err(|error| Refused::Broken(format!("it is not valid JSON: {error}")))?;
        self.recognised("eventbridge");
        let at = At {
            account: envelope.account.as_deref().or(at.account),
            region: envelope.region.as_deref().or(at.region),
            ..at.clone()
        };
        let detail = envelope.detail.map_or("", |detail| detail.get()).as_bytes();
        let detail_type = envelope.detail_type.as_deref().unwrap_or_default();
        if detail_type == "Secret Label Updated" {
            let understood = normalize::secret_label_updated(text, &self.place(&at));
            self.keep(understood.map_err(|error| Refused::Wrong(error.to_string()))?);
            return Ok(());
        }
        let carries_record =
            detail.starts_with(b"{") && kind_at(detail, 0, self.settings.record_limits(), &|_| false) == Kind::Record;
        if carries_record {
            return self.record(detail, &at);
        }
        if detail_type.ends_with("via CloudTrail") {
            return Err(Refused::Wrong("its `detail` is no CloudTrail record".to_owned()));
        }
        self.ignore();
        Ok(())
    }

    fn logs_batch(&mut self, text: &[u8], at: &At<'_>) -> Result<(), Refused> {
        let batch: LogsBatch<'_> =
            serde_json::from_slice(text).map_err(|error| Refused::Broken(format!("it is not valid JSON: {error}")))?;
        self.recognised("cloudwatch_logs");
        if batch.is_probe() {
            return Ok(());
        }
        // CloudTrail names its streams `ACCOUNT_CloudTrail_REGION`.
        let stream = KeyHints::of(batch.log_stream.as_deref().unwrap_or_default());
        for event in &batch.log_events {
            let at = At {
                account: stream.account_id.as_deref().or(batch.owner.as_deref()),
                region: stream.region.as_deref(),
                line_id: event.id.as_deref(),
                ..at.clone()
            };
            if self.harvest.quarantined.len() >= self.settings.max_quarantined {
                return Err(Refused::Wrong(format!(
                    "more than {} messages are bad (setting `max_quarantined`): the rest of this batch is not read",
                    self.settings.max_quarantined
                )));
            }
            if let Err(Refused::Wrong(reason) | Refused::Broken(reason)) = self.message(&event.message, &at) {
                let id = event.id.as_deref().unwrap_or("without id");
                self.quarantine(at.range.clone(), format!("log event {id}: {reason}"));
            }
        }
        Ok(())
    }

    /// One message of a log: exactly one object, or an access-log line that hostile text broke.
    fn message(&mut self, message: &str, at: &At<'_>) -> Result<(), Refused> {
        let text = message.trim().as_bytes();
        if !text.starts_with(b"{") {
            return Err(Refused::Wrong("it is neither a CloudTrail record nor an access-log line in JSON".to_owned()));
        }
        let fields = self.fields;
        let kind = kind_at(text, 0, self.settings.record_limits(), &|key| fields.field(key).is_some());
        if text.len() > self.settings.max_record_bytes {
            let max = self.settings.max_record_bytes;
            return Err(Refused::Wrong(format!("it is longer than {max} bytes (setting `max_record_bytes`)")));
        }
        self.object(text, kind, at, false)
    }

    fn lambda_logs(&mut self, text: &[u8], at: &At<'_>) -> Result<(), Refused> {
        let wrong = |what: &str| Refused::Wrong(format!("its `awslogs.data` {what}"));
        let envelope: LambdaLogs<'_> =
            serde_json::from_slice(text).map_err(|error| Refused::Broken(format!("it is not valid JSON: {error}")))?;
        let packed = base64(&envelope.awslogs.data).ok_or_else(|| wrong("is not base64"))?;
        let mut inner = std::mem::take(self.inner);
        let outcome = match inner.plain(&packed, self.settings.gunzip_limits()) {
            Ok(plain) if plain.get(skip_blank(plain, 0, b"")) == Some(&b'{') => self.logs_batch(plain, at),
            Ok(_) => Err(wrong("holds no JSON")),
            Err(error) => Err(wrong(&format!("cannot be unpacked: {error}"))),
        };
        *self.inner = inner;
        // A batch that is broken inside cannot be searched for neighbours outside.
        outcome.map_err(|refused| match refused {
            Refused::Broken(reason) | Refused::Wrong(reason) => Refused::Wrong(reason),
        })
    }

    /// What to do with a range that is no JSON.
    fn broken(&mut self, text: &[u8], range: Range<usize>, kind: Kind, reason: String) {
        let lost = text.get(range.clone()).unwrap_or_default();
        let short = lost.len() <= self.settings.max_record_bytes;
        if kind == Kind::AccessLog && short {
            let at = At { range: range.clone(), account: None, region: None, line_id: None };
            if self.access_log_line(lost, &at).is_ok() {
                return;
            }
        }
        if kind == Kind::Record {
            self.recognised("cloudtrail");
        }
        self.quarantine(range, reason);
    }

    fn place<'b>(&'b self, at: &At<'b>) -> RecordPlace<'b> {
        RecordPlace {
            object_key: self.object_key,
            record_index: self.harvest.seen,
            delivered_at: self.hints.delivered_at,
            account_hint: at.account.or(self.hints.account_id.as_deref()),
            region_hint: at.region.or(self.hints.region.as_deref()),
        }
    }

    fn recognised(&mut self, content: &'static str) {
        self.harvest.content.get_or_insert(content);
    }

    fn keep(&mut self, understood: Normalized) {
        let harvest = &mut self.harvest;
        harvest.seen += 1;
        if understood.rows.is_empty() && understood.trail_event.is_none() {
            harvest.ignored += 1;
        } else {
            harvest.kept += 1;
        }
        if let Some(at) = understood.event_at {
            harvest.first_event_at = Some(harvest.first_event_at.map_or(at, |first| first.min(at)));
            harvest.last_event_at = Some(harvest.last_event_at.map_or(at, |last| last.max(at)));
        }
        harvest.rows.extend(understood.rows);
        harvest.events.extend(understood.trail_event);
    }

    fn ignore(&mut self) {
        self.harvest.seen += 1;
        self.harvest.ignored += 1;
    }

    fn quarantine(&mut self, range: Range<usize>, reason: String) {
        self.harvest.quarantined.push(QuarantinedRecord {
            record_index: self.harvest.seen,
            reason,
            byte_offset: range.start as i64,
            byte_length: range.len() as i64,
        });
        self.harvest.seen += 1;
    }
}

/// Tells text that is no JSON from JSON that is not right.
fn refused(text: &[u8], reason: String) -> Refused {
    match serde_json::from_slice::<IgnoredAny>(text) {
        Ok(_) => Refused::Wrong(reason),
        Err(_) => Refused::Broken(reason),
    }
}

/// What stands for parsing where a record is of no interest: it states its type, as records have done since 1.02, and is
/// no longer than they are.
fn unparsed_is_sound(text: &[u8]) -> Result<(), Refused> {
    if text.len() > SUSPICIOUS_BYTES
        && let Err(error) = serde_json::from_slice::<IgnoredAny>(text)
    {
        return Err(Refused::Broken(format!("it is not valid JSON: {error}")));
    }
    // CloudTrail writes it near the end, so most records need no second look at the rest.
    let tail = text.get(text.len().saturating_sub(USUAL_TAIL_BYTES)..).unwrap_or_default();
    if EVENT_TYPE.find(tail).is_some() || EVENT_TYPE.find(text).is_some() {
        return Ok(());
    }
    let kind: RecordKind<'_> = serde_json::from_slice(text)
        .map_err(|error| refused(text, format!("it is not a CloudTrail record: {error}")))?;
    let version = kind.version.as_deref().unwrap_or_default();
    match version.split_once('.').map(|(major, minor)| (major, minor.parse::<u32>())) {
        Some(("1", Ok(0 | 1))) => Ok(()),
        _ => Err(Refused::Wrong(format!("it has no `eventType`, which records of version `{version}` must state"))),
    }
}

fn whole_of(text: &[u8]) -> Option<Whole> {
    let kind: RecordKind<'_> = serde_json::from_slice(text).ok()?;
    match kind.category.as_deref() {
        Some("Insight") => return Some(Whole::Insight),
        Some("NetworkActivity") => return Some(Whole::NetworkActivity),
        Some("Aggregated") => return Some(Whole::Aggregated),
        _ => {}
    }
    kind.source.is_some_and(|source: Cow<'_, str>| source.starts_with("aws:")).then_some(Whole::Notification)
}
