//! Records to access events: what one CloudTrail record or access-log line says about the use of secrets.
//!
//! In: the JSON text of one record ([`record`]), the fields of one API Gateway access-log line ([`access_log_line`]), or one
//! `Secret Label Updated` event ([`secret_label_updated`]). Out: [`Normalized`]: rows of `access_events`, the record itself
//! with [`Scope::All`], or the reason why there is neither; or a [`RecordError`] that names the field, for the quarantine.
//!
//! [`may_matter`] is the first look that drops most records unparsed. What is kept, and what each event does to a secret, is
//! one table in `relevance`.
//!
//! Invariants: one row for each (event, secret); nothing is stored before `redact` has seen it; no record is dropped
//! without a reason; text is an attacker's until proven otherwise, so nothing here panics, recurses or trusts a length.

mod access_log;
mod access_log_fields;
mod call;
mod denied;
mod error;
mod identity;
mod kms;
mod label_updated;
mod origin;
mod outcome;
mod parameter_store;
mod redact;
mod redact_text;
mod relevance;
mod row;
mod secrets_manager;
mod target;
#[cfg(test)]
mod tests;
mod user_agent;
mod wire;

pub use access_log::access_log_line;
pub use access_log_fields::{AccessLogField, AccessLogFields, FieldMap, UnknownField};
pub use error::{IgnoredReason, RecordError};
use keytrail_model::{AccessEvent, Action, Micros, TrailEvent};
pub use label_updated::secret_label_updated;
pub use relevance::may_matter;

use self::{
    call::Call,
    identity::Identity,
    redact_text::Sort,
    relevance::Service,
    target::Target,
    wire::{Fields, Record},
};

/// Where a record was found, and what its place tells.
#[derive(Clone, Copy, Debug)]
pub struct RecordPlace<'a> {
    pub object_key: &'a str,
    /// Position in the object, from 0.
    pub record_index: i64,
    /// When the object was delivered, where its key tells.
    pub delivered_at: Option<Micros>,
    /// The account in the object's key or envelope, for records that do not say.
    pub account_hint: Option<&'a str>,
    /// The region in the object's key or envelope, for records that do not say.
    pub region_hint: Option<&'a str>,
}

/// What is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// What touches secrets.
    Secrets,
    /// Every record, as a [`TrailEvent`], besides.
    All,
}

/// What one record came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Normalized {
    /// One row for each secret; one row without a secret where the record names none.
    pub rows: Vec<AccessEvent>,
    /// The record itself, only with [`Scope::All`].
    pub trail_event: Option<TrailEvent>,
    pub event_at: Option<Micros>,
    /// Why `rows` is empty.
    pub ignored: Option<IgnoredReason>,
}

/// Understands one CloudTrail record.
pub fn record(record: &[u8], place: &RecordPlace<'_>, scope: Scope) -> Result<Normalized, RecordError> {
    let text = std::str::from_utf8(record).map_err(|_| RecordError::NotUtf8)?;
    let wire = Record::parse(text)?;
    if let Some(reason) = no_call(&wire) {
        return no_call_event(&wire, text, place, scope, reason);
    }
    call::check_version(&wire)?;
    let call = Call::of(&wire, text, place)?;
    let from_console = wire::flag(wire.console_session) == Some(true);
    let who = Identity::of(&call.identity, from_console);
    let (action, found) = understand(&call, &who)?;
    let mut normalized = Normalized { event_at: Some(call.at), ..Normalized::default() };
    if found.is_err() && scope == Scope::Secrets {
        normalized.ignored = found.err();
        return Ok(normalized);
    }
    let base = row::base(&call, who, text, place)?;
    if scope == Scope::All {
        normalized.trail_event = Some(row::trail_event(&base, &wire));
    }
    match found {
        Ok(targets) => normalized.rows = row::rows(base, action, targets, &call),
        Err(reason) => normalized.ignored = Some(reason),
    }
    Ok(normalized)
}

/// What was done to which secrets, or why nothing of it matters.
fn understand(call: &Call<'_>, who: &Identity) -> Result<(Action, Result<Vec<Target>, IgnoredReason>), RecordError> {
    let Some((service, action)) = relevance::kept(&call.source, &call.name) else {
        return Ok((Action::Other, Err(IgnoredReason::NotAboutSecrets)));
    };
    Ok(match service {
        Service::SecretsManager => (action, Ok(vec![secrets_manager::target(call)])),
        Service::ParameterStore => (action, parameter_store::targets(call)?),
        // A key has no single secret: whom it serves is told by the decrypts made with it.
        Service::Kms if relevance::is_about_key(call.name.as_bytes()) => (action, Ok(vec![Target::NONE])),
        Service::Kms => match kms::target(call, action) {
            Some((target, action)) => (action, Ok(vec![target])),
            None => (action, Err(IgnoredReason::NotAboutSecrets)),
        },
        Service::ExecuteApi => (action, Ok(vec![access_log::recorded_target(call)])),
        Service::Sts if who.is_service => (action, Err(IgnoredReason::ServiceOwnSession)),
        Service::Sts | Service::Iam | Service::CloudTrail | Service::ApiGateway => (action, Ok(vec![Target::NONE])),
    })
}

/// Records that tell of no single call.
fn no_call(wire: &Record<'_>) -> Option<IgnoredReason> {
    let category = wire::text(wire.event_category);
    let sort = wire::text(wire.event_type);
    match (category.as_deref(), sort.as_deref()) {
        (Some("NetworkActivity"), _) | (_, Some("AwsVpceEvent" | "AwsVpceEvents")) => {
            Some(IgnoredReason::NetworkActivity)
        }
        (Some("Insight"), _) | (_, Some("AwsCloudTrailInsight")) => Some(IgnoredReason::Insight),
        (Some("Aggregated"), _) => Some(IgnoredReason::Aggregated),
        _ => None,
    }
}

/// Such a record as a row of `events`, as far as it has what such a row needs.
fn no_call_event(
    wire: &Record<'_>,
    text: &str,
    place: &RecordPlace<'_>,
    scope: Scope,
    reason: IgnoredReason,
) -> Result<Normalized, RecordError> {
    let event_at = call::event_time(wire)?;
    let mut normalized = Normalized { event_at, ignored: Some(reason), ..Normalized::default() };
    if let (Scope::All, Some(at)) = (scope, event_at) {
        let insight = Fields::of(wire.insight);
        let identity = call::object(wire.identity, "userIdentity")?;
        let either = |raw, key| wire::text(raw).or_else(|| insight.text(key)).unwrap_or_default().into_owned();
        let who = Identity::of(&identity, false);
        let origin = origin::of(wire::text(wire.source_address).as_deref(), None, who.invoked_by.is_some());
        normalized.trail_event = Some(TrailEvent {
            event_id: call::event_id(wire, text),
            event_at: at,
            delivered_at: place.delivered_at,
            event_source: either(wire.event_source, "eventSource"),
            event_name: either(wire.event_name, "eventName"),
            event_category: Some(
                wire::text(wire.event_category).map_or_else(|| reason.to_string(), |text| text.into_owned()),
            ),
            read_only: wire::flag(wire.read_only),
            account_id: call::account(wire, &identity, place)?.into_owned(),
            region: call::region(wire, place)?.into_owned(),
            principal_id: who.principal_id,
            principal_kind: who.kind,
            source_ip: origin.source_ip,
            user_agent: wire::text(wire.user_agent).map(|text| redact_text::text(&text, Sort::Prose).into_owned()),
            error_code: wire::text(wire.error_code).map(|text| redact_text::text(&text, Sort::Name).into_owned()),
            object_key: place.object_key.to_owned(),
            record_index: place.record_index,
            raw: redact::json(text)?,
        });
    }
    Ok(normalized)
}
