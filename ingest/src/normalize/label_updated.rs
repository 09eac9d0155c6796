//! Secrets Manager's own EventBridge event `Secret Label Updated`, which tells of a new value without any trail.
//!
//! In: the EventBridge envelope. Out: one row with action `stage`, made by the service.

use std::borrow::Cow;

use keytrail_model::{AccessEvent, Action, CredentialKind, Outcome, PrincipalKind, VersionEvidence, time};

use super::{
    Normalized, RecordPlace, call,
    error::RecordError,
    redact, row, target,
    wire::{self, Fields, Json},
};

const SERVICE: &str = "secretsmanager.amazonaws.com";

/// Understands one `Secret Label Updated` envelope.
pub fn secret_label_updated(envelope: &[u8], place: &RecordPlace<'_>) -> Result<Normalized, RecordError> {
    let text = std::str::from_utf8(envelope).map_err(|_| RecordError::NotUtf8)?;
    let outer: &serde_json::value::RawValue =
        serde_json::from_str(text).map_err(|error| RecordError::NotJson { what: error.to_string() })?;
    let fields = call::object(Some(Json::of(outer)), "envelope")?;
    let missing = |field| RecordError::Missing { field };
    let at = fields.text("time").ok_or(missing("time"))?;
    let at = time::parse_rfc3339(&at).ok_or(RecordError::Invalid { field: "time", expected: "an RFC 3339 time" })?;
    let secret = wire::list(fields.raw("resources"))
        .into_iter()
        .filter_map(|item| wire::text(Some(item)))
        .find_map(|arn| target::secret_written_by_aws(&arn))
        .ok_or(missing("resources"))?;
    let detail: Fields<'_> = fields.object("detail");
    let owned = |text: Option<Cow<'_, str>>| text.map(Cow::into_owned);
    let place_of = |text: Option<String>, own: Option<&str>, hint: Option<&str>, field| {
        text.or_else(|| own.map(str::to_owned)).or_else(|| hint.map(str::to_owned)).ok_or(missing(field))
    };
    let secret = secret.with_version(
        owned(detail.text("versionId")),
        owned(detail.text("labelUpdated")),
        VersionEvidence::Event,
    );
    let base = AccessEvent {
        event_id: owned(fields.text("id")).unwrap_or_else(|| call::digest(text)),
        event_at: at,
        event_source: SERVICE.to_owned(),
        event_name: owned(fields.text("detail-type")).unwrap_or_else(|| "Secret Label Updated".to_owned()),
        action: Action::Stage,
        outcome: Outcome::Ok,
        principal_id: format!("service:{SERVICE}"),
        principal_kind: PrincipalKind::Service,
        credential_kind: Some(CredentialKind::Service),
        source_network: Some("service".to_owned()),
        account_id: place_of(owned(fields.text("account")), secret.account.as_deref(), place.account_hint, "account")?,
        region: place_of(owned(fields.text("region")), secret.region.as_deref(), place.region_hint, "region")?,
        raw: redact::json(text)?,
        ..row::empty(place)
    };
    Ok(Normalized { event_at: Some(at), rows: row::spread(base, vec![secret], false), ..Normalized::default() })
}
