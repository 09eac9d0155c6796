//! API Gateway access logs: who invoked which method of which API. CloudTrail does not record that.
//!
//! In: the fields of one line and its text. Out: one row with action `invoke`.
//!
//! Invariants: the event's id is one that the caller cannot choose (a REST request id is the caller's to choose, so without an
//! extended id the line's digest stands in); the query string never gets into an id; what is stored of the line is redacted.

use std::borrow::Cow;

use chrono::DateTime;
use keytrail_model::{
    AccessEvent, Action, CredentialKind, Micros, Outcome, PrincipalKind, Resolution, SecretKind,
    arn::{self, Arn},
    time,
};

use super::{
    AccessLogField, AccessLogFields, Normalized, RecordPlace,
    call::{self, Call},
    error::RecordError,
    identity::{self, Identity},
    origin, redact,
    redact_text::{self, Sort},
    row,
    target::Target,
    user_agent,
};

const SOURCE: &str = "execute-api.amazonaws.com";
/// Where neither the line nor its place tells the region or the account.
const UNKNOWN: &str = "unknown";

/// Understands one access-log line; `line` is its text as it was found.
pub fn access_log_line(
    fields: &AccessLogFields<'_>,
    line: &str,
    place: &RecordPlace<'_>,
) -> Result<Normalized, RecordError> {
    let at = fields.time.as_deref().ok_or(RecordError::Missing { field: "time" })?;
    let at = line_time(at).ok_or(RecordError::Invalid { field: "time", expected: "a time of an access log" })?;
    let domain = Domain::of(fields.domain.as_deref().unwrap_or_default());
    let region = place.region_hint.or(domain.region).unwrap_or(UNKNOWN);
    let account = fields.owner_account.as_deref().or(place.account_hint).unwrap_or(UNKNOWN);
    let api = fields.api_id.as_deref().or(domain.api).ok_or(RecordError::Missing { field: "api_id" })?;
    let who = caller(fields);
    let origin = origin::of(fields.source_ip.as_deref(), fields.vpce_id.as_deref(), false);
    let outcome = outcome(fields.status.as_deref());
    let clean = |text: &str| redact_text::text(text, Sort::Prose).into_owned();
    let failure = |text: &Option<Cow<'_, str>>| text.as_deref().filter(|_| outcome != Outcome::Ok).map(clean);
    let base = AccessEvent {
        event_id: event_id(fields, line),
        event_at: at,
        event_source: SOURCE.to_owned(),
        event_name: "Invoke".to_owned(),
        action: Action::Invoke,
        outcome,
        principal_id: clean(&who.principal_id),
        principal_kind: who.kind,
        principal_account: who.account,
        principal_unique_id: who.unique_id.as_deref().map(clean),
        session_name: who.session_name.as_deref().map(clean),
        access_key_id: fields.access_key_id.as_deref().map(clean),
        credential_kind: who.credential_kind,
        source_ip: origin.source_ip,
        source_network: origin.source_network.map(str::to_owned),
        vpc_endpoint_id: origin.vpc_endpoint_id,
        user_agent: fields.user_agent.as_deref().map(clean),
        user_agent_family: fields.user_agent.as_deref().map(|agent| user_agent::family(agent).to_owned()),
        tls_version: fields.tls.as_deref().map(str::to_owned),
        account_id: account.to_owned(),
        region: region.to_owned(),
        error_code: failure(&fields.error_type),
        error_message: failure(&fields.error_message),
        raw: raw(fields, line)?,
        ..row::empty(place)
    };
    let target = target(fields, api, account, region);
    Ok(Normalized { event_at: Some(at), rows: row::spread(base, vec![target], false), ..Normalized::default() })
}

/// The API in a CloudTrail record with this source, should AWS ever write one.
pub(super) fn recorded_target(call: &Call<'_>) -> Target {
    let resources = call.resources();
    let Some((text, arn)) = resources
        .iter()
        .find_map(|text| Arn::parse(text).filter(|arn| arn.service == "execute-api").map(|arn| (text, arn)))
    else {
        return Target::NONE;
    };
    Target {
        id: Some(text.to_string()),
        name: Some(arn.resource.to_owned()),
        kind: Some(SecretKind::Api),
        account: Some(arn.account.to_owned()),
        region: Some(arn.region.to_owned()),
        resolution: Resolution::Arn,
        ..Target::NONE
    }
}

fn target(fields: &AccessLogFields<'_>, api: &str, account: &str, region: &str) -> Target {
    let (method, path) = method_and_path(fields);
    let stage = fields.stage.as_deref().unwrap_or("$default");
    let resource = format!("{api}/{stage}/{method}/{}", path.trim_start_matches('/'));
    Target {
        id: Some(format!("arn:{}:execute-api:{region}:{account}:{resource}", arn::partition_of(region))),
        name: Some(resource),
        kind: Some(SecretKind::Api),
        account: Some(account.to_owned()).filter(|account| account != UNKNOWN),
        region: Some(region.to_owned()).filter(|region| region != UNKNOWN),
        resolution: Resolution::Arn,
        ..Target::NONE
    }
}

/// The method, and the resource's template where the line has it (`/pets/{id}`), else the path as it was called.
fn method_and_path<'f>(fields: &'f AccessLogFields<'_>) -> (&'f str, &'f str) {
    let method = fields.method.as_deref();
    if let Some(path) = fields.resource_path.as_deref() {
        return (method.unwrap_or("ANY"), path);
    }
    match fields.route_key.as_deref() {
        Some(route) => match route.split_once(' ') {
            Some((route_method, path)) => (method.unwrap_or(route_method), path),
            None => (method.unwrap_or("ANY"), route),
        },
        None => {
            let path = fields.path.as_deref().unwrap_or("/").split(['?', '#']).next().unwrap_or("/");
            let stage = fields.stage.as_deref().unwrap_or_default();
            let inside = path.strip_prefix('/').and_then(|path| path.strip_prefix(stage));
            let inside = inside.filter(|rest| !stage.is_empty() && (rest.is_empty() || rest.starts_with('/')));
            (method.unwrap_or("ANY"), inside.unwrap_or(path))
        }
    }
}

fn event_id(fields: &AccessLogFields<'_>, line: &str) -> String {
    if let Some(id) = fields.ext_request_id.as_deref() {
        return id.to_owned();
    }
    // Only HTTP and WebSocket APIs have route keys, and there the request id is the gateway's own.
    match (fields.request_id.as_deref(), fields.route_key.is_some() && fields.resource_path.is_none()) {
        (Some(id), true) => id.to_owned(),
        _ => call::digest(line),
    }
}

fn outcome(status: Option<&str>) -> Outcome {
    match status.and_then(|status| status.trim().parse::<u16>().ok()) {
        Some(101 | 200..=399) => Outcome::Ok,
        Some(401 | 403) => Outcome::Denied,
        _ => Outcome::Error,
    }
}

/// Seconds, milliseconds or microseconds since 1970, the common log format, or RFC 3339.
fn line_time(text: &str) -> Option<Micros> {
    let text = text.trim();
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        let number: i64 = text.parse().ok()?;
        return match text.len() {
            1..=11 => number.checked_mul(1_000_000),
            12..=14 => number.checked_mul(1_000),
            _ => (text.len() <= 17).then_some(number),
        };
    }
    time::parse_rfc3339(text).or_else(|| {
        let at = DateTime::parse_from_str(text.trim_matches(['[', ']']), "%d/%b/%Y:%H:%M:%S %z").ok()?;
        Some(at.timestamp_micros())
    })
}

/// `API.execute-api.REGION.amazonaws.com`, also with a VPC endpoint's id after the API's.
#[derive(Default)]
struct Domain<'a> {
    api: Option<&'a str>,
    region: Option<&'a str>,
}

impl<'a> Domain<'a> {
    fn of(domain: &'a str) -> Self {
        let mut labels = domain.split('.');
        match (labels.next(), labels.next(), labels.next(), labels.next()) {
            (Some(api), Some("execute-api"), Some(region), Some("amazonaws")) => {
                Self { api: api.split('-').next(), region: Some(region) }
            }
            _ => Self::default(),
        }
    }
}

fn caller(fields: &AccessLogFields<'_>) -> Identity {
    let (unique_id, session) = match fields.caller.as_deref().map(|id| id.split_once(':').unwrap_or((id, ""))) {
        Some((id, session)) => (Some(id.to_owned()), Some(session).filter(|session| !session.is_empty())),
        None => (None, None),
    };
    let account = fields.account_id.as_deref().map(str::to_owned);
    if let Some(folded) = fields.user_arn.as_deref().and_then(identity::fold_arn) {
        let credential_kind = match folded.kind {
            PrincipalKind::Role => Some(CredentialKind::Role),
            PrincipalKind::Root => Some(CredentialKind::Root),
            PrincipalKind::Federated => Some(CredentialKind::Federated),
            _ => None,
        };
        return Identity {
            account: folded.account.or(account),
            unique_id,
            session_name: folded.session_name.or_else(|| session.map(str::to_owned)),
            credential_kind,
            ..identity::named(folded.principal_id, folded.kind)
        };
    }
    let federated = [&fields.auth_principal, &fields.cognito_identity].into_iter().find_map(|name| name.as_deref());
    let (principal_id, kind) = match (&account, &unique_id, federated, fields.api_key_id.as_deref()) {
        (Some(account), Some(id), _, _) => (format!("account:{account}/{id}"), PrincipalKind::Account),
        (_, _, Some(name), _) => (format!("federated:{name}"), PrincipalKind::Federated),
        (_, _, None, Some(key)) => (format!("api-key:{key}"), PrincipalKind::Unknown),
        _ => (UNKNOWN.to_owned(), PrincipalKind::Unknown),
    };
    let credential_kind = (kind == PrincipalKind::Federated).then_some(CredentialKind::Federated);
    Identity {
        account,
        unique_id,
        session_name: session.map(str::to_owned),
        credential_kind,
        ..identity::named(principal_id, kind)
    }
}

/// The line as redacted JSON; rebuilt from its fields where hostile text had broken it.
fn raw(fields: &AccessLogFields<'_>, line: &str) -> Result<String, RecordError> {
    if serde_json::from_str::<serde::de::IgnoredAny>(line).is_ok() {
        return redact::json(line.trim());
    }
    let present = AccessLogField::ALL.iter().filter_map(|field| Some((field.name(), fields.get(*field)?)));
    let rebuilt: serde_json::Map<_, _> = present.map(|(name, value)| (name.to_owned(), value.into())).collect();
    redact::json(&serde_json::Value::Object(rebuilt).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_form_of_time() {
        let second = 1_688_990_879_000_000;
        for text in
            ["1688990879", "1688990879000", "1688990879000000", "10/Jul/2023:12:07:59 +0000", "2023-07-10T12:07:59Z"]
        {
            assert_eq!(line_time(text), Some(second), "{text}");
        }
        for text in ["", "-", "99999999999999999999", "yesterday"] {
            assert_eq!(line_time(text), None, "{text}");
        }
    }
}
