//! One API call or service event, with what every service's understanding starts from.
//!
//! In: a [`Record`] whose top level was read. Out: [`Call`], or a [`RecordError`] that names the member which is missing or of
//! the wrong type.
//!
//! Invariants: the version is compared as two whole numbers, never as a float; the account is `recipientAccountId`, else the
//! caller's, else what the object's key says; an event without an id gets the digest of its own text.

use std::borrow::Cow;

use keytrail_model::{Micros, Outcome, time};
use sha2::{Digest, Sha256};

use super::{
    RecordPlace,
    error::RecordError,
    outcome, redact,
    target::Home,
    wire::{self, Fields, Json, Record},
};

/// One call, understood as far as all services are alike.
pub(super) struct Call<'a> {
    pub(super) wire: &'a Record<'a>,
    pub(super) event_id: String,
    pub(super) at: Micros,
    pub(super) source: Cow<'a, str>,
    pub(super) name: Cow<'a, str>,
    pub(super) account: Cow<'a, str>,
    pub(super) region: Cow<'a, str>,
    pub(super) identity: Fields<'a>,
    pub(super) request: Fields<'a>,
    pub(super) error_code: Option<Cow<'a, str>>,
    pub(super) error_message: Option<Cow<'a, str>>,
    pub(super) outcome: Outcome,
    pub(super) is_service_event: bool,
    /// The record's text holds nothing that must be taken out, so no column does.
    pub(super) is_clean: bool,
}

impl<'a> Call<'a> {
    pub(super) fn of(wire: &'a Record<'a>, text: &str, place: &RecordPlace<'a>) -> Result<Self, RecordError> {
        let identity = object(wire.identity, "userIdentity")?;
        let source = required(wire.event_source, "eventSource")?;
        let name = required(wire.event_name, "eventName")?;
        let is_service_event = wire::text(wire.event_type).is_some_and(|sort| sort == "AwsServiceEvent");
        let error_code = wire::text(wire.error_code);
        let error_message = wire::text(wire.error_message);
        let outcome = outcome::of(error_code.as_deref(), error_message.is_some(), &name);
        Ok(Self {
            event_id: event_id(wire, text),
            at: event_time(wire)?.ok_or(RecordError::Missing { field: "eventTime" })?,
            account: account(wire, &identity, place)?,
            region: region(wire, place)?,
            request: Fields::of(wire.request),
            wire,
            source,
            name,
            identity,
            error_code,
            error_message,
            outcome,
            is_service_event,
            is_clean: redact::is_clean(text),
        })
    }

    /// Where bare names belong.
    pub(super) fn home(&self) -> Home<'_> {
        Home { account: &self.account, region: &self.region }
    }

    /// The ARNs in `resources`.
    pub(super) fn resources(&self) -> Vec<Cow<'a, str>> {
        wire::list(self.wire.resources).into_iter().filter_map(|item| Fields::of(Some(item)).text("ARN")).collect()
    }

    /// The text of a denial.
    pub(super) fn denial(&self) -> Option<&str> {
        (self.outcome == Outcome::Denied).then_some(self.error_message.as_deref()).flatten()
    }

    /// The `requestID` of a service event, which Secrets Manager itself composed.
    pub(super) fn service_request_id(&self) -> Option<Cow<'a, str>> {
        self.is_service_event.then(|| wire::text(self.wire.request_id)).flatten()
    }
}

/// Checks the format's version: `1.05`, `1.11`. A record that does not tell is taken as it is.
pub(super) fn check_version(wire: &Record<'_>) -> Result<(), RecordError> {
    const FIELD: &str = "eventVersion";
    const EXPECTED: &str = "a version like 1.08";
    let Some(version) = wire::text(wire.event_version) else { return Ok(()) };
    let invalid = || RecordError::Invalid { field: FIELD, expected: EXPECTED };
    let (major, minor) = version.split_once('.').unwrap_or((&version, "0"));
    let number = |text: &str| text.parse::<u32>().map_err(|_| invalid());
    let (major, minor) = (number(major)?, number(minor)?);
    if major != 1 {
        return Err(RecordError::UnsupportedVersion { version: format!("{major}.{minor}") });
    }
    // Required since 1.02: a record of a later version without it was cut or made by hand.
    if minor >= 2 && wire::text(wire.event_type).is_none() {
        return Err(RecordError::Missing { field: "eventType" });
    }
    Ok(())
}

/// The event's time, if the record has one.
pub(super) fn event_time(wire: &Record<'_>) -> Result<Option<Micros>, RecordError> {
    const FIELD: &str = "eventTime";
    let Some(raw) = wire.event_time.filter(|raw| raw.get() != "null") else { return Ok(None) };
    let text = wire::string(raw.get()).ok_or(RecordError::Invalid { field: FIELD, expected: "text" })?;
    match time::parse_rfc3339(&text) {
        Some(at) => Ok(Some(at)),
        None => Err(RecordError::Invalid { field: FIELD, expected: "an RFC 3339 time" }),
    }
}

/// The record's own id, or the digest of its text (records of version 1.0 have none).
pub(super) fn event_id(wire: &Record<'_>, text: &str) -> String {
    wire::text(wire.event_id).map_or_else(|| digest(text), Cow::into_owned)
}

/// `sha256:` and 64 hex digits.
pub(super) fn digest(text: &str) -> String {
    let mut id = String::with_capacity(71);
    id.push_str("sha256:");
    for byte in Sha256::digest(text.trim().as_bytes()) {
        for half in [byte >> 4, byte & 15] {
            id.push(char::from_digit(u32::from(half), 16).unwrap_or('0'));
        }
    }
    id
}

pub(super) fn account<'a>(
    wire: &Record<'a>,
    identity: &Fields<'a>,
    place: &RecordPlace<'a>,
) -> Result<Cow<'a, str>, RecordError> {
    wire::text(wire.recipient)
        .or_else(|| identity.text("accountId"))
        .or(place.account_hint.map(Cow::Borrowed))
        .ok_or(RecordError::Missing { field: "recipientAccountId" })
}

pub(super) fn region<'a>(wire: &Record<'a>, place: &RecordPlace<'a>) -> Result<Cow<'a, str>, RecordError> {
    wire::text(wire.region).or(place.region_hint.map(Cow::Borrowed)).ok_or(RecordError::Missing { field: "awsRegion" })
}

fn required<'a>(raw: Option<Json<'a>>, field: &'static str) -> Result<Cow<'a, str>, RecordError> {
    let raw = raw.filter(|raw| raw.get() != "null").ok_or(RecordError::Missing { field })?;
    let text = wire::string(raw.get()).ok_or(RecordError::Invalid { field, expected: "text" })?;
    if text.is_empty() { Err(RecordError::Missing { field }) } else { Ok(text) }
}

pub(super) fn object<'a>(raw: Option<Json<'a>>, field: &'static str) -> Result<Fields<'a>, RecordError> {
    match raw {
        Some(raw) if raw.get() != "null" && !raw.get().starts_with('{') => {
            Err(RecordError::Invalid { field, expected: "an object" })
        }
        raw => Ok(Fields::of(raw)),
    }
}
